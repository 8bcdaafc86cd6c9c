"""The evidence for a source: lines that are absent speak against it."""

from __future__ import annotations

import numpy as np

from speclens.config import load_config
from speclens.hypotheses import GALAXY_LINES
from speclens.search.line_evidence import LineEvidence


def test_absent_lines_speak_against_a_source() -> None:
    evidence = LineEvidence(load_config("elg").lines)
    names = [group.name for group in GALAXY_LINES]
    flux, error = np.zeros((3, len(names))), np.ones((3, len(names)))
    flux[:, names.index("[O II]")] = 12.0
    flux[0, [names.index("H beta"), names.index("[O III]")]] = 4.0, 8.0
    error[2, 1:] = np.inf  # nothing else is in reach
    all_seen, absent, alone = evidence(flux, error)
    assert all_seen > alone > absent
    assert evidence(np.zeros((1, len(names))), np.full((1, len(names)), np.inf))[0] == 0
    assert evidence(np.zeros((1, len(names))), np.ones((1, len(names))))[0] < 0
