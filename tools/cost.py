"""What a whole survey costs, from the rates that `benchmarks/throughput.py` measured.

In: docs/tables/throughput.md. Out: a table for the pages of docs: core hours are spectra over
spectra a second and core, bytes are spectra over spectra a file times the size of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["TITLES", "costs"]

CORES = 2
"""On which the rates were measured."""
SEARCHES = {"network": "network (default)", "lines": "lines (`elg`)"}
"""Rows of the table of rates."""
TITLES = [
    "survey", "spectra", "files, GB", "core hours, network", "core hours, lines", "RUN, GB",
]  # fmt: skip
BYTES_IN_RUN = 1_000
"""For each spectrum: its rows and the stored result of its shard, as a search demands them."""


@dataclass(frozen=True)
class Survey:
    """A survey.

    Parameters
    ----------
    name : str
        Its name.
    n_spectra : float
        Fibres, all that are read.
    bytes_a_spectrum : float
        Of the files that are fetched.
    """

    name: str
    n_spectra: float
    bytes_a_spectrum: float


PLATE = 130e6 / 1000
"""spPlate and spZbest of a plate of BOSS."""
COADD = 7958 * (3 + 11) * 4
"""Pixels of DESI's three arms: flux, inverse variance, mask, eleven diagonals of the resolution."""

SURVEYS = (
    Survey("SDSS DR12, 2,440 plates of BOSS", 2440 * 1000, PLATE),
    Survey("DESI DR1", 28.4e6, COADD),
    Survey("100 million spectra like DESI's", 100e6, COADD),
)


def costs(rates: str) -> Iterator[list[str]]:
    """Yield the rows of the table.

    Parameters
    ----------
    rates : str
        The table `throughput`, Markdown.
    """
    rate = {name: _rate(rates, row) / CORES for name, row in SEARCHES.items()}
    for survey in SURVEYS:
        hours = [f"{survey.n_spectra / rate[name] / 3600:.1f}" for name in SEARCHES]
        size, run = survey.bytes_a_spectrum * survey.n_spectra, BYTES_IN_RUN * survey.n_spectra
        yield [
            survey.name, f"{survey.n_spectra:,.0f}", f"{size / 1e9:,.0f}", *hours,
            f"{run / 1e9:,.1f}",
        ]  # fmt: skip


def _rate(text: str, row: str) -> float:
    """Return the spectra read a second of a row."""
    found = re.search(rf"\| [^|]*{re.escape(row)} \| ([\d,]+) \|", text)
    if found is None:
        raise SystemExit(f"throughput.md: no row {row!r}")
    return float(found[1].replace(",", ""))
