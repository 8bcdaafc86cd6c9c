"""A comparison in words and tables: comparison.md, for whoever was not there.

In: the tables of a comparison. Out: a page in Markdown, with the published numbers beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from speclens.evaluate.published import LABEL, PublishedNumber, published_numbers
from speclens.evaluate.rates import CANDIDATE, HIT

__all__ = [
    "FALSE",
    "Tables",
    "completeness_table",
    "cost_table",
    "markdown",
    "overlap_table",
    "page",
    "prevalence_table",
    "published_table",
    "said_rate",
]

NOT_MEASURED = "not measured"
FALSE = {HIT: "false alarms", CANDIDATE: "false candidates"}
"""What a search finds where nothing was put in."""


@dataclass(frozen=True)
class Tables:
    """The tables of a comparison, by the names of their files.

    Parameters
    ----------
    rates, roc, by_snr, overlap, prevalence, cost : structured array
        `speclens.schema.COMPARED_RATES` (twice), `COMPARED_BY_SNR`, `COMPARED_OVERLAP`,
        `COMPARED_PREVALENCE`, `COMPARED_COST`.
    """

    rates: NDArray[np.void]
    roc: NDArray[np.void]
    by_snr: NDArray[np.void]
    overlap: NDArray[np.void]
    prevalence: NDArray[np.void]
    cost: NDArray[np.void]


def page(tables: Tables, command: str, notes: Sequence[str]) -> str:
    """Return the page of a comparison.

    Parameters
    ----------
    tables : Tables
        Its tables.
    command : str
        What it was made by.
    notes : sequence of str
        What a reader must know.

    Returns
    -------
    str
        Markdown.
    """
    n_spectra, n_lines = (int(tables.rates[name][0]) for name in ("N_SPECTRA", "N_LINES"))
    parts = [
        "# Searches side by side\n",
        f"Made by `{command}`.\n",
        f"All searches saw the same {n_spectra:,} spectra, as they are and with the same "
        f"{n_lines:,} sources put in, one at a time. A line is found when a hit lies at it, a "
        "galaxy when a hit has its redshift. A hit in a spectrum into which nothing was put is a "
        "false alarm.\n",
        *(f"- {note}" for note in notes),
        "\n## Found at equal rates of false alarms\n",
        "Sources found, in per cent, with the 68 % interval that both numbers give. Thresholds "
        "are moved until as many of the spectra without a source have a hit; the first column is "
        f"each search as it comes. Rates below one false alarm in all {n_spectra:,} spectra are "
        f"{NOT_MEASURED}.\n",
        completeness_table(tables.rates),
        "![Found by rate of false alarms](roc.png)\n",
        *_candidates(tables.rates),
        "## Found by signal-to-noise ratio\n",
        f"In per cent, at {said_rate(float(tables.by_snr['RATE'][0]), HIT)}. The ideal S/N is that "
        f"of a search which knows the line's place and shape.{_outside(tables.by_snr, n_lines)}\n",
        _snr_table(tables.by_snr[tables.by_snr["LEVEL"] == HIT]),
        "![Found by ideal signal-to-noise ratio](completeness.png)\n",
        *_candidates_by_snr(tables.by_snr),
        "## The same hits?\n",
        "Hits at the searches' own thresholds: sources found by each of two and by both, and "
        "spectra with false alarms likewise.\n",
        overlap_table(tables.overlap),
        "## Where lenses are rare\n",
        "What a threshold on hits yields and costs in a million spectra, if so many hold a source. "
        "Lines count as bright as the published candidates' are. Intervals are "
        "those of the rate of false alarms.\n",
        prevalence_table(tables.prevalence),
        "## What it costs\n",
        "One core, the search alone: reading is not in it. These numbers differ from run to run.\n",
        cost_table(tables.cost),
        f"## {LABEL.capitalize()}\n",
        "What the authors say of their own spectra. They cannot be compared with what is above.\n",
        published_table(published_numbers()),
    ]
    return "\n".join(parts)


def _candidates(rates: NDArray[np.void]) -> list[str]:
    """Return the section of candidates; none where vetting can weigh no search."""
    if not (rates["LEVEL"] == CANDIDATE).any():
        return []
    return [
        "## Candidates at equal rates of false candidates\n",
        "The same of what vetting leaves of the hits, ranked as candidates are: by P_HYPOTHESIS "
        "times P_LENSED.\n",
        completeness_table(rates, CANDIDATE),
        "![Candidates by rate of false candidates](roc_candidates.png)\n",
    ]


def _candidates_by_snr(by_snr: NDArray[np.void]) -> list[str]:
    rows = by_snr[by_snr["LEVEL"] == CANDIDATE]
    if not len(rows):
        return []
    return [
        f"Those that are candidates, at {said_rate(float(rows['RATE'][0]), CANDIDATE)}:\n",
        _snr_table(rows),
        "![Candidates by ideal signal-to-noise ratio](completeness_candidates.png)\n",
    ]


def completeness_table(rates: NDArray[np.void], level: str = HIT) -> str:
    """Return completeness by search and rate.

    Parameters
    ----------
    rates : structured array
        `speclens.schema.COMPARED_RATES`.
    level : str, optional
        What is counted: `HIT` or `CANDIDATE`.

    Returns
    -------
    str
        Markdown.
    """
    rates = rates[rates["LEVEL"] == level]
    names = list(dict.fromkeys(rates["SEARCH"].tolist()))
    asked = list(dict.fromkeys(r for r in rates["RATE"].tolist() if r == r))
    rows = []
    for name in names:
        of = rates[rates["SEARCH"] == name]
        own = of[np.isnan(of["RATE"])][0]
        alarms = f"{own['N_ALARMS']} ({own['ALARMS_LOW']:.1e} to {own['ALARMS_HIGH']:.1e})"
        cells = [_percent(of[of["RATE"] == rate][0]) for rate in asked]
        rows.append([name, alarms, _percent(own), *cells])
    titles = [
        "search", f"{FALSE[level]} of its own (a spectrum)", "found",
        *(f"at {r:g}" for r in asked),
    ]  # fmt: skip
    return markdown(titles, rows)


def prevalence_table(rows: NDArray[np.void]) -> str:
    """Return what thresholds yield and cost.

    Parameters
    ----------
    rows : structured array
        `speclens.schema.COMPARED_PREVALENCE`.

    Returns
    -------
    str
        Markdown.
    """
    titles = [
        "search", "false alarms a spectrum", "lenses a spectrum", "found in a million",
        "false in a million", "purity, %", "hits to look at for a lens",
    ]  # fmt: skip
    cells = [
        [
            row["SEARCH"], "its own" if np.isnan(row["RATE"]) else f"{row['RATE']:g}",
            f"{row['PREVALENCE']:g}", f"{row['FOUND_PER_MILLION']:,.0f}",
            _between(*(row[f"FALSE_{end}"] for end in ("PER_MILLION", "LOW", "HIGH"))),
            _purity(row), _hits_a_lens(row),
        ]
        for row in rows
    ]  # fmt: skip
    return markdown(titles, cells)


def published_table(numbers: Sequence[PublishedNumber]) -> str:
    """Return the published numbers.

    Parameters
    ----------
    numbers : sequence of PublishedNumber
        The numbers.

    Returns
    -------
    str
        Markdown.
    """
    names = [field.name for field in fields(PublishedNumber)]
    return markdown(names, ([getattr(number, name) for name in names] for number in numbers))


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    Parameters
    ----------
    titles : sequence of str
        Of its columns.
    rows : iterable of sequences of str
        Its cells.

    Returns
    -------
    str
        Markdown.
    """
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def overlap_table(rows: NDArray[np.void]) -> str:
    """Return what each two searches find together.

    Parameters
    ----------
    rows : structured array
        `speclens.schema.COMPARED_OVERLAP`.

    Returns
    -------
    str
        Markdown.
    """
    titles = ["search", "other", "found", "by the other", "by both", "false alarms",
              "of the other", "of both"]  # fmt: skip
    return markdown(titles, ([str(value) for value in row] for row in rows.tolist()))


def cost_table(rows: NDArray[np.void]) -> str:
    """Return what searches cost.

    Parameters
    ----------
    rows : structured array
        `speclens.schema.COMPARED_COST`.

    Returns
    -------
    str
        Markdown.
    """
    titles = ["search", "spectra", "ms a spectrum", "memory of the process, MB", "kB a spectrum"]
    cells = [
        [
            row["SEARCH"], str(row["N_SPECTRA"]), f"{1e3 * row['CPU_SECONDS']:.2f}",
            f"{row['MEMORY']:.0f}", f"{row['MEMORY_A_SPECTRUM']:.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    return markdown(titles, cells)


def _snr_table(rows: NDArray[np.void]) -> str:
    names = list(dict.fromkeys(rows["SEARCH"].tolist()))
    bins = rows[rows["SEARCH"] == names[0]]
    titles = ["ideal S/N", "sources", *names]
    cells = []
    for row in bins:
        of = rows[rows["SNR_LOW"] == row["SNR_LOW"]]
        shares = [f"{100 * v:.0f}" if np.isfinite(v) else "" for v in of["COMPLETENESS"].tolist()]
        cells.append([f"{row['SNR_LOW']:.3g}-{row['SNR_HIGH']:.3g}", str(row["N_LINES"]), *shares])
    return markdown(titles, cells)


def _outside(by_snr: NDArray[np.void], n_lines: int) -> str:
    """Say how many sources are in no bin of S/N."""
    first = by_snr[(by_snr["LEVEL"] == HIT) & (by_snr["SEARCH"] == by_snr["SEARCH"][0])]
    n_outside = n_lines - int(first["N_LINES"].sum())
    return f" Outside all bins: {n_outside:,} of {n_lines:,} sources." if n_outside else ""


def _between(value: float, low: float, high: float) -> str:
    return f"{value:,.0f} ({low:,.0f} to {high:,.0f})"


def _purity(row: np.void) -> str:
    if row["FALSE_PER_MILLION"] > 0:
        return _between(*(100 * row[f"PURITY{end}"] for end in ("", "_LOW", "_HIGH")))
    return f"above {100 * row['PURITY_LOW']:.2g} %" if row["PURITY"] > 0 else NOT_MEASURED


def _hits_a_lens(row: np.void) -> str:
    """Return how many hits there are for each lens; without a false alarm there may be more."""
    if not np.isfinite(row["HITS_A_LENS"]):
        return NOT_MEASURED
    return f"{'' if row['FALSE_PER_MILLION'] > 0 else 'at least '}{row['HITS_A_LENS']:.1f}"


def _percent(row: np.void) -> str:
    if not np.isfinite(row["COMPLETENESS"]):
        return NOT_MEASURED
    low, high = 100 * row["COMPLETENESS_LOW"], 100 * row["COMPLETENESS_HIGH"]
    return f"{100 * row['COMPLETENESS']:.1f} ({low:.1f} to {high:.1f})"


def said_rate(rate: float, level: str) -> str:
    """Say at which thresholds searches are compared.

    Parameters
    ----------
    rate : float
        What is found where nothing is, a spectrum; NaN for the searches' own thresholds.
    level : str
        What is counted: `HIT` or `CANDIDATE`.

    Returns
    -------
    str
        `0.001 false alarms a spectrum`.
    """
    if np.isnan(rate):
        return "the searches' own thresholds"
    return f"{rate:g} {FALSE[level]} a spectrum"
