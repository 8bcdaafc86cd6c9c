"""What a whole survey costs, from what `benchmarks/throughput.py` and `scaling.py` measured.

In: docs/tables/throughput.md and scaling.md. Out: a table for the pages of docs: core hours are
spectra over spectra a second and core, with the tables, vetting and report of a whole run; bytes
are spectra times the size of a spectrum.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["TITLES", "costs"]

CORES = 2
"""On which the rates were measured."""
NETWORK, LINES = "network (default)", "lines (`elg`)"
"""Rows of the table of rates."""
TITLES = [
    "survey", "spectra", "files, GB", "core hours, network", "whole run", "core hours, lines",
    "RUN, GB",
]  # fmt: skip
FIBRES = 1000
"""Of a plate of the table of whole runs."""
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
    file : str
        What the rows of its rates begin with.
    """

    name: str
    n_spectra: float
    bytes_a_spectrum: float
    file: str


PLATE = 130e6 / 1000
"""spPlate and spZbest of a plate of BOSS."""
COADD = 7958 * (3 + 11) * 4
"""Pixels of DESI's three arms: flux, inverse variance, mask, eleven diagonals of the resolution."""

SURVEYS = (
    Survey("SDSS DR12, 2,440 plates of BOSS", 2440 * 1000, PLATE, "spPlate"),
    Survey("DESI DR1", 28.4e6, COADD, "coadd of DESI"),
    Survey("100 million spectra like DESI's", 100e6, COADD, "coadd of DESI"),
)


def costs(rates: str, runs: str) -> Iterator[list[str]]:
    """Yield the rows of the table.

    Parameters
    ----------
    rates : str
        The table `throughput`, Markdown.
    runs : str
        The table `scaling`, of whole runs.
    """
    after = _seconds_of_run(runs) - 1 / _rate(rates, f"spPlate to hits, {NETWORK}")
    for survey in SURVEYS:
        network, lines = (
            1 / _rate(rates, f"{survey.file} to hits, {search}") for search in (NETWORK, LINES)
        )
        seconds = network, network + max(after, 0), lines
        hours = [f"{survey.n_spectra * second / 3600:.1f}" for second in seconds]
        size, run = survey.bytes_a_spectrum * survey.n_spectra, BYTES_IN_RUN * survey.n_spectra
        yield [
            survey.name, f"{survey.n_spectra:,.0f}", f"{size / 1e9:,.0f}", *hours,
            f"{run / 1e9:,.1f}",
        ]  # fmt: skip


def _rate(text: str, row: str) -> float:
    """Return the spectra that a core reads a second, of a row."""
    found = re.search(rf"\| [^|]*{re.escape(row)} \| ([\d,]+) \|", text)
    if found is None:
        raise SystemExit(f"throughput.md: no row {row!r}")
    return float(found[1].replace(",", "")) / CORES


def _seconds_of_run(text: str) -> float:
    """Return the CPU seconds that one more spectrum costs a run of one local process."""
    rows = re.findall(r"\| (\d+) \| 1 \| local \| [^|]* \| [^|]* \| ([\d.]+) \|", text)
    (few, short), (many, long) = [(int(plates), float(cpu)) for plates, cpu in rows[-2:]]
    return (long - short) / (many - few) / FIBRES
