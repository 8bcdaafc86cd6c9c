"""`speclens.search`: a search as the command line makes it, of whatever holds spectra.

In: spectra, and what `speclens search` takes. Out: a `Run`. The work is that of
`speclens.verbs.search`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from speclens.api.progress import listening
from speclens.api.reading import read
from speclens.api.run import Run
from speclens.api.spectra import Spectra
from speclens.api.survey_spectra import SurveySpectra
from speclens.config import toml_value
from speclens.errors import ConfigError
from speclens.products import refuse_link
from speclens.run.folder import locked_folder
from speclens.run.kinds import RUN
from speclens.run.workers import allotted_cores
from speclens.verbs.request import Asked, Purpose, SearchRequest
from speclens.verbs.search import search as search_files

__all__ = ["search"]

SOURCES: Mapping[str, tuple[str, ...]] = {
    "lya": ("lya",), "elg": ("elg",), "all": ("lya", "elg"),
}  # fmt: skip
FOREGROUNDS: Mapping[str, tuple[str, ...]] = {
    "galaxy": ("galaxy",), "qso": ("qso",), "auto": ("galaxy", "qso"),
}  # fmt: skip

STACKS = "spectra"
"""Folder in a run's, for spectra that came as arrays."""


def search(
    spectra: Any,
    *,
    method: str | None = None,
    source: str | None = None,
    foreground: str | None = None,
    model: str | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    catalogue: str | Path | None = None,
    known: str | Path | None = None,
    selection: str | Path | None = None,
    output: str | Path | None = None,
    workers: int = 1,
    quiet: bool = False,
) -> Run:
    """Search spectra for lensed sources, vet the hits, rank the candidates.

    Parameters
    ----------
    spectra : Spectra, SurveySpectra, or what `speclens.read` takes
        The spectra.
    method : str, optional
        The search: resnet, matched-filter, lines, line-thresholds or redshift-network.
    source : str, optional
        What is behind: lya, elg or all.
    foreground : str, optional
        Behind what: galaxy, qso or auto.
    model : str, optional
        The network: a bundled one, or a model's folder.
    config : str or Path, optional
        A TOML file, or a bundled configuration, as `shu2016`.
    settings : mapping, optional
        Single values of the configuration, as ``{"vet.p_lya_min": 0.5}``.
    catalogue : str or Path, optional
        Survey catalogue with classes and redshifts, for files of a survey.
    known : str or Path, optional
        Published systems, to be marked among the hits.
    selection : str or Path, optional
        Folder of a `speclens evaluate` of the same search, which tells the completeness and the
        q-value of each candidate.
    output : str or Path, optional
        Folder of the run. Without one the run lies in a temporary folder, which goes with the
        object.
    workers : int, optional
        Number of processes; 0 for one a core. A script that asks for several must guard its first
        lines by ``if __name__ == "__main__"``, for each of them begins there.
    quiet : bool, optional
        Tell of failures only.

    Returns
    -------
    Run
        What was found.

    Raises
    ------
    SpeclensError
        If the spectra cannot be used, an option is wrong, or the run cannot be done.

    Notes
    -----
    It is the search of the command line, with the same numbers to the last bit. Spectra that are
    in memory are written into the run's folder first (`speclens.read.arrays.stack`), where other
    processes, and a second search, find them.

    Examples
    --------
    A galaxy with a line that is not its own:

    >>> import numpy as np
    >>> import speclens
    >>> rng = np.random.default_rng(1)
    >>> wave = 10 ** np.arange(3.56, 3.96, 1e-4)
    >>> flux = 2 + 8 * np.exp(-0.5 * ((wave - 4400) / 2) ** 2) + 0.5 * rng.standard_normal(4000)
    >>> spectra = speclens.read(wave, flux, np.full(4000, 4.0), z=0.5, resolution=2000)
    >>> found = speclens.search(spectra, method="matched-filter", quiet=True)
    >>> len(found.hits)
    1
    >>> bool(abs(found.hits["WAVE"][0].value - 4400) < 1)
    True
    """
    asked = Asked(
        None if config is None else str(config),
        [f"{key}={toml_value(value)}" for key, value in (settings or {}).items()],
        _choice("source", source, SOURCES),
        _choice("foreground", foreground, FOREGROUNDS),
        method,
        model,
    )
    configuration = asked.configuration()
    given = spectra if isinstance(spectra, Spectra | SurveySpectra) else read(spectra)
    with _place(output) as (place, temporary), listening(quiet) as progress:
        request = SearchRequest(
            _files(given, place),
            place,
            configuration,
            None if catalogue is None else str(catalogue),
            n_workers=workers or allotted_cores(),
            known=None if known is None else str(known),
            purpose=Purpose(None if selection is None else os.path.abspath(selection)),
        )
        summary = search_files(request, progress)
        if summary.loss:
            progress.message(summary.loss)
        return Run(place, temporary)


@contextmanager
def _place(output: str | Path | None) -> Iterator[tuple[Path, Path | None]]:
    """Give the folder of a run; a temporary one is removed where the search fails."""
    if output is not None:
        yield Path(output), None
        return
    temporary = Path(tempfile.mkdtemp(prefix="speclens-"))
    try:
        yield temporary / "run", temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _files(spectra: Spectra | SurveySpectra, place: Path) -> list[str]:
    """Return the files to search; those of spectra in memory are written into the run's folder."""
    if isinstance(spectra, SurveySpectra):
        return spectra.files_for_search(place)
    with locked_folder(place, RUN) as folder:
        refuse_link(folder.path / STACKS)
        return spectra.files_for_search(folder.path / STACKS)


def _choice(
    name: str, value: str | None, choices: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    if value is None:
        return ()
    if value not in choices:
        raise ConfigError(f"{name}={value!r}: expected {', '.join(choices)}")
    return choices[value]
