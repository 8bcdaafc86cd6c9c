"""What the page of a run says: its counts, notes, funnel, reasons, provenance.

In: `RunContent`. Out: plain values for the templates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.recfunctions import repack_fields
from numpy.typing import NDArray

from speclens.config import Config, configuration_toml
from speclens.methods import METHODS
from speclens.report.funnel import LI_2019, funnel
from speclens.run.record import RunRecord
from speclens.schema import REASONS
from speclens.vet.reasons import limit_of_reason
from speclens.view.content import RunContent
from speclens.view.findings import flag_counts
from speclens.view.wording import counted, on_page, printable
from speclens.view.worth import expected_true, told

__all__ = ["OUTCOMES", "run_context"]

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
    "z_unknown": "was scored, and its redshift is not known: whether a hit is of it is open",
    "skipped": "was skipped",
    "failed": "could not be read",
    "absent": "is not among the spectra of this run",
}


OWN = "report"
"""The stage whose seconds the page leaves out: written again, it is the same page."""


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
    counts = record.counts
    known = content.known
    return {
        "summary": _summary(content),
        "tiles": [
            (counts["read"], "spectra read"),
            (counts["scored"], "searched"),
            (len(content.hits), "hits"),
            (len(content.candidates), "candidates"),
        ],
        "notes": [on_page(note) for note in (*content.record.notes, *_own_notes(content))],
        "faults": _unread(content),
        "steps": funnel(counts, content.hits, vet.vetoes),
        "paper_steps": LI_2019,
        "flags": flag_counts(content.hits, vet),
        "statuses": [(s, counts.get(s, 0)) for s in ("scored", "skipped", "failed")],
        "reasons": _reasons(record.reasons, content.config.model_dump(mode="json")),
        "ignored": [str(path) for path in record.files.get("ignored_names", [])],
        "n_ignored": record.files.get("ignored", 0),
        "known": [] if known is None else _outcomes(known),
        "n_known": 0 if known is None else len(known),
        "discovery": "" if known is None else _discovery(counts),
        "purpose": content.record.purpose,
        "purposes": _purposes(content.record.purposes),
        "truth": [[str(value) for value in row.values()] for row in content.record.truth],
        "truth_names": [TRUTH_TITLES.get(name, name) for name in (*content.record.truth, {})[0]],
        "provenance": _provenance(record, content.config),
        "configuration": [
            line
            for config in content.config.each.values()
            for line in configuration_toml(config).splitlines()
        ],
    }


def _summary(content: RunContent) -> str:
    counts = content.record.counts
    searches = [config.search for config in content.config.each.values()]
    told = dict.fromkeys(METHODS.get(search.method, search.method) for search in searches)
    return (
        f"{counts['scored']:,} of {counts['read']:,} spectra searched with "
        f"{' and '.join(told)}: {counted(len(content.hits), 'hit')}, "
        f"{counted(len(content.candidates), 'candidate')}."
    )


def _unread(content: RunContent) -> list[str]:
    failed = int(content.record.counts.get("failed", 0))
    said = f"{failed:,} of the inputs could not be read; the reasons are under Spectra."
    return [said] if failed else []


def _own_notes(content: RunContent) -> Iterator[str]:
    hits = content.hits
    if not len(hits):
        yield "The search found no line: there is nothing to vet."
    elif not len(content.candidates):
        yield "Every hit carries a flag that vetoes: there is no candidate."
    if len(hits) > 1 and len(np.unique(hits[["FILE", "ROW"]])) == 1:
        yield f"All {len(hits):,} hits are in one spectrum."


def _purposes(purposes: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return what the list of candidates is worth, a row a purpose."""
    return [
        (
            row["purpose"],
            f"{row['n_candidates']:,}",
            expected_true(row),
            *(told(row[name], ".0%") for name in ("purity", "completeness")),
        )
        for row in purposes
    ]  # fmt: skip


def _reasons(
    reasons: Mapping[str, int], configuration: Mapping[str, Any]
) -> list[tuple[str, str, str, str, int]]:
    texts = {reason.code: (reason.status, reason.text) for reason in REASONS}
    return [
        (code, *texts.get(code, ("", "")), limit_of_reason(code, configuration), n)
        for code, n in reasons.items()
        if code
    ]


def _outcomes(known: NDArray[np.void]) -> list[tuple[str, str, int]]:
    # A system of several published redshifts has a row for each; its best outcome counts. As bytes,
    # because a position that is not a number equals no other.
    order = {name: i for i, name in enumerate(OUTCOMES)}
    best: dict[bytes, str] = {}
    systems = repack_fields(known[list(SYSTEM)])
    for system, outcome in zip(systems, known["OUTCOME"].tolist(), strict=True):
        key = system.tobytes()
        if order.get(outcome, len(order)) <= order.get(best.get(key, ""), len(order)):
            best[key] = outcome
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


def _provenance(record: RunRecord, config: Config) -> list[tuple[str, str]]:
    lines = {
        "software": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        "search": record.method,
        "model (SHA-256)": record.model_sha256,
        "engine": record.engine,
        "inputs": ", ".join(str(path) for path in record.inputs),
        "files": ", ".join(f"{n} {name}" for name, n in record.files.items()),
        "catalogue": record.catalogue,
        "run from": record.folder,
        "workers": record.workers,
        "seconds": ", ".join(f"{name} {n}" for name, n in record.seconds.items() if name != OWN),
        "spectra a second": record.spectra_per_second,
        "configuration (SHA-256)": config.digest,
    }
    return [(name, printable(str(text))) for name, text in lines.items() if text not in (None, "")]
