"""What is said and drawn of a hit and of a run, by whatever shows it."""

import os
import sys
from contextlib import suppress


def _import_matplotlib() -> None:
    """Import matplotlib whatever backend MPLBACKEND names: no figure here is ever shown."""
    backend = os.environ.pop("MPLBACKEND")
    try:
        import matplotlib
    finally:
        os.environ["MPLBACKEND"] = backend
    # For whoever shows figures of his own, in a notebook that has this backend.
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = backend


if "MPLBACKEND" in os.environ and "matplotlib" not in sys.modules:
    _import_matplotlib()
