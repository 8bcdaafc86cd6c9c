"""The files of an evaluation: tables, figures, the selection function, and last its numbers.

In: `Evaluation`. Out: its folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config
from speclens.evaluate.false_hits import false_table
from speclens.evaluate.levels import completeness_table
from speclens.evaluate.nulls import NULL_NAMES
from speclens.evaluate.of_kind import limits_table
from speclens.evaluate.selection import FILE
from speclens.products import write_fits, write_json, write_text_table
from speclens.schema import COMPLETENESS, FALSE_HITS, LIMITS, NULLS, RECOVERED, RELIABILITY, Column

if TYPE_CHECKING:
    from speclens.evaluate.evaluation import Evaluation

__all__ = ["write_evaluation"]

Rows = NDArray[np.void]


def write_evaluation(
    folder: Path,
    result: Evaluation,
    config: Config,
    setup: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
) -> None:
    """Write an evaluation.

    Parameters
    ----------
    folder : Path
        Its folder.
    result : Evaluation
        What came of it.
    config : Config
        The configuration.
    setup : mapping
        What decided it.
    files : sequence of mapping
        The files that were read.

    Raises
    ------
    RunError
        If a file cannot be written; what stood there before stays.
    """
    meta: dict[str, Any] = {
        "CREATOR": f"speclens {speclens.__version__}",
        "SEED": setup["seed"],
        "CONFIG": config.digest[:16],
    }
    write_fits(folder / "lines.fits", [result.lines], len(result.lines), RECOVERED, meta)
    write_text_table(folder / "lines.ecsv", result.lines, RECOVERED, meta)
    write_fits(folder / "decoys.fits", [result.decoys], len(result.decoys), RECOVERED, meta)
    write_fits(folder / "nulls.fits", [result.nulls], len(result.nulls), NULLS, meta)
    tables = _tables(result, config)
    for name, (rows, columns) in tables.items():
        write_text_table(folder / f"{name}.ecsv", rows, columns, meta)
    write_json(folder / FILE, result.selection.content)
    _draw(folder, result, {name: rows for name, (rows, _) in tables.items()})
    # Last: without it the evaluation has not ended.
    write_json(folder / "completeness.json", {
        **setup, "files": list(files), "numbers": _finite(result.numbers), "scored": result.scored,
        "searches": {name: _finite(own) for name, own in result.of_search.items()},
        "bins": _bins(result),
    })  # fmt: skip


def _tables(result: Evaluation, config: Config) -> dict[str, tuple[Rows, Sequence[Column]]]:
    settings, searches = config.evaluation, result.selection.searches
    kinds = {(name, kind): own for name, search in searches.items()
             for kind, own in search.kinds.items()}  # fmt: skip
    false = [
        false_table(name, result.nulls[result.nulls["SEARCH"] == name], scored)
        for name, scored in result.scored.items()
    ]
    return {
        "completeness": (
            completeness_table(result.lines, settings.bins, settings.top), COMPLETENESS,
        ),
        "limits": (limits_table(kinds, settings.ideal_snr_range[1]), LIMITS),
        "false_hits": (np.concatenate(false), FALSE_HITS),
        "reliability": (result.reliability, RELIABILITY),
    }  # fmt: skip


def _draw(folder: Path, result: Evaluation, tables: Mapping[str, Rows]) -> None:
    """Draw what can be; figures of one search or kind of source have its name."""
    from speclens.view.figures import draw_completeness
    from speclens.view.selection import (
        draw_by_quantity,
        draw_calibration,
        draw_false_hits,
        draw_limits,
    )

    for name, counts in result.completeness.items():
        of = f"_{name}" if len(result.completeness) > 1 else ""
        path = folder / f"completeness{of}.png"
        draw_completeness(path, counts.edges, counts.fraction, *counts.interval())
    for name, search in result.selection.searches.items():
        false, told = (_of(tables[table], SEARCH=name) for table in ("false_hits", "reliability"))
        if (false["N_SPECTRA"] > 0).any():
            draw_false_hits(folder / f"false_hits_{name}.png", false, NULL_NAMES)
        if len(told):
            draw_calibration(folder / f"reliability_{name}.png", told)
        for kind in search.kinds:
            bins, limits = (
                _of(tables[table], SEARCH=name, KIND=kind) for table in ("completeness", "limits")
            )
            draw_by_quantity(folder / f"completeness_{name}_{kind}.png", bins)
            draw_limits(folder / f"limits_{name}_{kind}.png", limits)


def _of(table: Rows, **values: str) -> Rows:
    chosen = np.ones(len(table), bool)
    for column, value in values.items():
        chosen &= table[column] == value
    return table[chosen]


def _bins(result: Evaluation) -> list[dict[str, Any]]:
    return [
        {"search": name, "ideal_snr": [float(low), float(high)], "lines": int(n), "found": int(k)}
        for name, counts in result.completeness.items()
        for low, high, n, k in zip(
            counts.edges[:-1], counts.edges[1:], counts.n_lines, counts.n_found, strict=True
        )
    ]


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in numbers.items()}
