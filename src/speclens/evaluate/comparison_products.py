"""The products of a comparison: tables, figures, a page.

In: scores and tables of a comparison, a record of its setup. Out: the files of its folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens import schema
from speclens.evaluate.comparison_page import FALSE, Tables, page, said_rate
from speclens.evaluate.entries import Entry
from speclens.evaluate.rates import CANDIDATE, HIT
from speclens.evaluate.search_scores import SearchScores
from speclens.products import replacing, write_fits, write_json, write_text_table

__all__ = ["write_comparison"]

COLUMNS = {
    "rates": schema.COMPARED_RATES,
    "roc": schema.COMPARED_RATES,
    "by_snr": schema.COMPARED_BY_SNR,
    "overlap": schema.COMPARED_OVERLAP,
    "prevalence": schema.COMPARED_PREVALENCE,
    "cost": schema.COMPARED_COST,
}


def write_comparison(
    output: Path,
    entries: Sequence[Entry],
    scores: SearchScores,
    candidates: SearchScores,
    tables: Tables,
    record: Mapping[str, Any],
) -> None:
    """Write the files of a comparison.

    Parameters
    ----------
    output : Path
        Its folder.
    entries : sequence of Entry
        The searches.
    scores, candidates : SearchScores
        What each makes of the same spectra: its hits, and its candidates.
    tables : Tables
        What follows from that.
    record : mapping
        The setup, with `seed`, the `command` that was given and the `notes` for a reader.
    """
    meta: dict[str, Any] = {"CREATOR": f"speclens {speclens.__version__}", "SEED": record["seed"]}
    n_steps = sum(len(entry.steps) for entry in entries)
    n_rows = n_steps * (len(scores.spectra) + len(scores.lines))
    rows = _score_rows(entries, scores, candidates)
    write_fits(output / "scores.fits", rows, n_rows, schema.COMPARED_SCORES, meta)
    for field in fields(Tables):
        table = getattr(tables, field.name)
        write_text_table(output / f"{field.name}.ecsv", table, COLUMNS[field.name], meta)
    _draw(output, tables, len(scores.spectra))
    with replacing(output / "comparison.md") as file:
        file.write(page(tables, record["command"], record["notes"]).encode())
    # Last: without it the comparison has not ended.
    write_json(output / "comparison.json", record)


def _score_rows(
    entries: Sequence[Entry], scores: SearchScores, candidates: SearchScores
) -> Iterator[NDArray[np.void]]:
    """Yield the rows of scores.fits, search by search and step by step."""
    n = len(scores.spectra)
    for i, entry in enumerate(entries):
        for step in range(len(entry.steps)):
            rows = np.zeros(n + len(scores.lines), schema.dtype_of(schema.COMPARED_SCORES))
            for name in ("Z_SOURCE", "WAVE", "FLUX", "IDEAL_SNR"):
                rows[name] = np.nan
            rows["TARGETID"][:n] = scores.spectra
            for name in scores.lines.dtype.names or ():
                if name in (rows.dtype.names or ()):
                    rows[name][n:] = scores.lines[name]
            rows["SEARCH"], rows["STEP"] = entry.name, step
            for name, of in (("SCORE", scores), ("CANDIDATE_SCORE", candidates)):
                rows[name] = np.concatenate([of.empty[i][step], of.found[i][step]])
            yield rows


def _draw(output: Path, tables: Tables, n_spectra: int) -> None:
    for level in (HIT, CANDIDATE):
        roc, by_snr = (own[own["LEVEL"] == level] for own in (tables.roc, tables.by_snr))
        if len(roc):
            _draw_level(output, level, roc, by_snr, n_spectra)


def _draw_level(
    output: Path,
    level: str,
    roc: NDArray[np.void],
    by_snr: NDArray[np.void],
    n_spectra: int,
) -> None:
    from speclens.view.comparison import draw_roc, draw_searches

    name = "" if level == HIT else "_candidates"
    what, title = f"fraction found as {level}s", f"{level}s".capitalize()
    names = list(dict.fromkeys(roc["SEARCH"].tolist()))
    curves = {search: roc[roc["SEARCH"] == search] for search in names}
    draw_roc(
        output / f"roc{name}.png",
        {search: (of["RATE"], of["COMPLETENESS"]) for search, of in curves.items()},
        n_spectra,
        FALSE[level],
        what,
        title,
    )
    bins = {search: by_snr[by_snr["SEARCH"] == search] for search in names}
    first = bins[names[0]]
    edges = np.append(first["SNR_LOW"], first["SNR_HIGH"][-1])
    title += f", at {said_rate(float(first['RATE'][0]), level)}"
    fractions = {search: of["COMPLETENESS"] for search, of in bins.items()}
    ends = {
        search: (of["COMPLETENESS_LOW"], of["COMPLETENESS_HIGH"]) for search, of in bins.items()
    }
    draw_searches(output / f"completeness{name}.png", edges, fractions, title, ends, what)
