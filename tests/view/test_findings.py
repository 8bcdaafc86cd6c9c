"""Every flag says in a sentence what was measured, the limit, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from speclens.config import Config, load_config
from speclens.schema import VET_FLAGS, VetFlag
from speclens.view.findings import deciding, findings, flag_counts

Maker = Callable[..., Any]


@pytest.mark.parametrize("flag", VET_FLAGS, ids=lambda flag: flag.name)
def test_a_flag_names_its_limit_and_its_key(
    make_hits: Maker, default_config: Config, flag: VetFlag
) -> None:
    limit = float(getattr(default_config.vet, flag.setting))
    outside = limit + (-1 if flag.side == "below" else 1)
    row = make_hits(1, [[flag.name]])[0]
    row[flag.column] = outside
    found = {finding.flag.name: finding for finding in findings(row, default_config.vet)}
    assert len(found) == len(VET_FLAGS)
    mine = found[flag.name]
    assert mine.verdict == ("veto" if flag.name in default_config.vet.vetoes else "mark")
    assert f", {flag.side} {limit:g}" in mine.sentence
    assert f"(vet.{flag.setting})" in mine.sentence
    assert {f.verdict for f in found.values() if f is not mine} == {"passed"}


def test_what_was_not_measured_rules_nothing_out(make_hits: Maker, default_config: Config) -> None:
    row = make_hits(1)[0]
    row["DENSE_REST"] = np.nan
    found = {f.flag.name: f for f in findings(row, default_config.vet)}["DENSE_REST"]
    assert found.verdict == "not measured"
    assert found.sentence.endswith("not measured, which rules nothing out.")


def test_the_other_line_is_named(make_hits: Maker, default_config: Config) -> None:
    row = make_hits(1, [["OTHER_SOURCE", "LENS_LINE"]])[0]
    row["LENS_LINE"], row["LENS_LINE_KMS"] = "", 12
    lens, other = deciding(row, default_config.vet)
    assert (lens.flag.name, other.flag.name) == ("LENS_LINE", "OTHER_SOURCE")
    assert lens.sentence.endswith("Another line of the lens galaxy itself.")
    assert "explained by H beta of a source." in other.sentence
    assert "12 km s" in lens.sentence


def test_what_a_flag_alone_rules_out_is_counted(make_hits: Maker) -> None:
    config = load_config(None, ['vet.vetoes=["MASKED", "UNLIKELY"]']).vet
    hits = make_hits(4, [["MASKED"], ["MASKED", "UNLIKELY"], ["MASKED", "FAINT"], ["FAINT"]])
    counts = {count.flag.name: count for count in flag_counts(hits, config)}
    assert [(counts[n].n, counts[n].n_alone) for n in ("MASKED", "UNLIKELY", "FAINT")] == [
        (3, 2), (1, 0), (2, 0),
    ]  # fmt: skip
    assert counts["MASKED"].vetoes
    assert not counts["FAINT"].vetoes
    assert counts["FAINT"].condition == "SNR below 5 (vet.snr_min)"
