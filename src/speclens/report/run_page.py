"""What the pages of a run say: its counts, its candidates and hits as lines of tables.

In: `RunContent`. Out: plain values for the templates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, configuration_toml
from speclens.report.content import CandidatePaths, RunContent
from speclens.report.findings import VETO, deciding, flag_counts
from speclens.report.funnel import LI_2019, funnel
from speclens.report.wording import (
    COLUMNS,
    counted,
    measured,
    number,
    printable,
    skewness,
    with_unit,
)
from speclens.schema import KNOWN, REASONS

__all__ = [
    "candidate_lines",
    "hit_lines",
    "known_lines",
    "run_context",
]

METHODS = {"resnet": "the residual network", "matched-filter": "the matched filter"}
SYSTEM = ("NAME", "PLATE", "MJD", "FIBERID", "RA", "DEC")
"""Columns that the rows of one published system share."""

TRUTH_TITLES = {
    "n_lines": "put in",
    "n_scored": "in spectra searched",
    "n_hits": "hits",
    "n_candidates": "candidates",
    "n_bright": "of bright lines, in spectra searched",
    "n_bright_hits": "hits of those",
}

OUTCOMES = {
    "candidate": "is a candidate",
    "hit": "is a hit, and a vetoing flag rules it out",
    "missed": "was scored, without a hit at its line",
    "skipped": "was skipped",
    "failed": "could not be read",
    "absent": "is not among the spectra of this run",
}


def run_context(content: RunContent) -> dict[str, Any]:
    """Return what the run's page shows beside the tables of candidates and hits.

    Parameters
    ----------
    content : RunContent
        The run.

    Returns
    -------
    dict
        Values for index.html.
    """
    record, vet = content.record, content.config.vet
    counts = record["counts"]
    known = content.known
    return {
        "summary": _summary(content),
        "tiles": [
            (counts["read"], "spectra read"),
            (counts["scored"], "searched"),
            (len(content.hits), "hits"),
            (len(content.candidates), "candidates"),
        ],
        "notes": [*content.notes, *_own_notes(content)],
        "steps": funnel(counts, content.hits, vet.vetoes),
        "paper_steps": LI_2019,
        "flags": flag_counts(content.hits, vet),
        "statuses": [(s, counts.get(s, 0)) for s in ("scored", "skipped", "failed")],
        "reasons": _reasons(record.get("reasons", {})),
        "known": [] if known is None else _outcomes(known),
        "n_known": 0 if known is None else len(known),
        "discovery": "" if known is None else _discovery(counts),
        "truth": [[str(value) for value in row.values()] for row in content.truth],
        "truth_names": [TRUTH_TITLES.get(name, name) for name in (*content.truth, {})[0]],
        "provenance": _provenance(record, content.config),
        "configuration": configuration_toml(content.config).splitlines(),
    }


def candidate_lines(
    candidates: NDArray[np.void], paths: Sequence[CandidatePaths], config: Config
) -> Iterator[dict[str, Any]]:
    """Return the lines of the table of candidates.

    Parameters
    ----------
    candidates : structured array of shape (M,)
        Rows of candidates.*.
    paths : sequence of CandidatePaths, length M
        Their pages.
    config : Config
        Says which flags veto.

    Yields
    ------
    dict
        The cells of one line.
    """
    for row, path in zip(candidates, paths, strict=True):
        fitted = bool(np.isfinite(row["LYA_FLUX"]))
        flux = "LYA_FLUX" if fitted else "FLUX"
        yield {
            "page": path.page,
            "rank": int(row["RANK"]),
            "name": str(row["NAME"]) or str(row["SPECTRUM"]),
            "spectrum": str(row["SPECTRUM"]),
            "z_lens": number(row["Z"], 4),
            "z_source": number(row["Z_SOURCE"], 4),
            "wave": number(row["WAVE"], 2),
            "flux": measured(row[flux], row[f"{flux}_ERR"], 1),
            "snr": number(row["SNR"], 1),
            "skewness": skewness(row),
            "p_lya": number(row["P_LYA"], 3),
            "radius": measured(row["EINSTEIN_RADIUS"], row["EINSTEIN_RADIUS_ERR"], 2),
            "known": with_unit(row["KNOWN"], COLUMNS["KNOWN"]),
            "marks": deciding(row, config.vet),
        }


def hit_lines(
    hits: NDArray[np.void], pages: Mapping[int, str], config: Config
) -> Iterator[dict[str, Any]]:
    """Return the lines of the table of all hits.

    Parameters
    ----------
    hits : structured array of shape (N,)
        Rows of hits.fits.
    pages : mapping of int to str
        Page of each hit that is a candidate.
    config : Config
        Limits and vetoes.

    Yields
    ------
    dict
        The cells of one line.
    """
    for i, row in enumerate(hits):
        found = deciding(row, config.vet)
        yield {
            "row": i,
            "page": pages.get(i, ""),
            "spectrum": f"{row['PLATE']}-{row['MJD']}-{row['FIBERID']}",
            "targetid": str(row["TARGETID"]),
            "z_lens": number(row["Z"], 4),
            "wave": number(row["WAVE"], 2),
            "flux": measured(row["FLUX"], row["FLUX_ERR"], 1),
            "snr": number(row["SNR"], 1),
            "probability": number(row["PROBABILITY"], 3),
            "p_lya": number(row["P_LYA"], 3),
            "candidate": bool(row["CANDIDATE"]),
            "marks": found,
            "why": [finding.sentence for finding in found if finding.verdict == VETO],
        }


def known_lines(known: NDArray[np.void]) -> Iterator[dict[str, str]]:
    """Return the lines of the table of published systems.

    Parameters
    ----------
    known : structured array of shape (N,)
        Rows of known.*.

    Yields
    ------
    dict
        The cells of one line.
    """
    columns = {column.name: column for column in KNOWN}
    for row in known:
        cells = {name: with_unit(row[name], column) for name, column in columns.items()}
        target = int(row["TARGETID"])
        yield cells | {"TARGETID": str(target) if target >= 0 else with_unit("", columns["NAME"])}


def _summary(content: RunContent) -> str:
    counts = content.record["counts"]
    method = str(content.record.get("method", ""))
    return (
        f"{counts['scored']:,} of {counts['read']:,} spectra searched with "
        f"{METHODS.get(method, method)}: {counted(len(content.hits), 'hit')}, "
        f"{counted(len(content.candidates), 'candidate')}."
    )


def _own_notes(content: RunContent) -> Iterator[str]:
    hits = content.hits
    failed = int(content.record["counts"].get("failed", 0))
    if failed:
        yield f"{failed:,} of the inputs could not be read; the reasons are under Spectra."
    if not len(hits):
        yield "The search found no line: there is nothing to vet."
    elif not len(content.candidates):
        yield "Every hit carries a flag that vetoes: there is no candidate."
    if len(hits) > 1 and len(np.unique(hits["TARGETID"])) == 1:
        yield f"All {len(hits):,} hits are in one spectrum."


def _reasons(reasons: Mapping[str, int]) -> list[tuple[str, str, str, int]]:
    texts = {reason.code: (reason.status, reason.text) for reason in REASONS}
    return [(code, *texts.get(code, ("", "")), n) for code, n in reasons.items() if code]


def _outcomes(known: NDArray[np.void]) -> list[tuple[str, str, int]]:
    # A system of several published redshifts has a row for each; its best outcome counts.
    order = {name: i for i, name in enumerate(OUTCOMES)}
    best: dict[tuple[Any, ...], str] = {}
    for row in known:
        system = tuple(str(row[name]) for name in SYSTEM)
        outcome = str(row["OUTCOME"])
        if order.get(outcome, len(order)) <= order.get(best.get(system, ""), len(order)):
            best[system] = outcome
    counts = Counter(best.values())
    names = [*OUTCOMES, *(name for name in counts if name not in OUTCOMES)]
    return [(name, OUTCOMES.get(name, ""), counts[name]) for name in names if counts[name]]


def _discovery(counts: Mapping[str, int]) -> str:
    """Return the rate of discovery as the paper gives it (Li et al. 2019, section 3.3)."""
    found, searched = counts.get("known_found", 0), counts.get("known_scored", 0)
    if not searched:
        return "None of them was searched at its line."
    return (
        f"Of {searched:,} that were searched at their line {found:,} are hits "
        f"({found / searched:.1%}). Li et al. 2019: 161 of 174 (92.5%)."
    )


def _provenance(record: Mapping[str, Any], config: Config) -> list[tuple[str, str]]:
    versions = record.get("versions", {})
    files, seconds = record.get("files", {}), record.get("seconds", {})
    lines = {
        "software": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "search": record.get("method"),
        "model (SHA-256)": record.get("model_sha256"),
        "engine": record.get("engine"),
        "inputs": ", ".join(str(path) for path in record.get("inputs", [])),
        "files": ", ".join(f"{n} {name}" for name, n in files.items()),
        "catalogue": record.get("catalogue"),
        "run from": record.get("folder"),
        "workers": record.get("workers"),
        # Not its own: the page written again is the same page.
        "seconds": ", ".join(f"{name} {n}" for name, n in seconds.items() if name != "report"),
        "spectra a second": record.get("spectra_per_second"),
        "configuration (SHA-256)": config.digest,
    }
    return [(name, printable(str(text))) for name, text in lines.items() if text not in (None, "")]
