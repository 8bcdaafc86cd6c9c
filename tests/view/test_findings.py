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


def test_a_mark_that_means_nothing_for_a_hit_is_not_told(
    make_hits: Maker, default_config: Config
) -> None:
    mark = make_hits(1, [["NOT_SKEWED"]])[0]
    said = {"SKEWNESS": -2.0, "SKEWNESS_LOW": -4.0, "SKEWNESS_HIGH": -1.0, "P_LYA": 0.9}
    for name, value in said.items():
        mark[name] = value
    strict = load_config("li2019").vet

    def told(values: dict[str, Any]) -> tuple[set[str], list[str], list[str]]:
        row = mark.copy()
        for name, value in values.items():
            row[name] = value
        unsaid = {flag.name for flag in VET_FLAGS} - {
            finding.flag.name for finding in findings(row, default_config.vet)
        }
        decide = [
            [finding.flag.name for finding in deciding(row, config)]
            for config in (default_config.vet, strict)
        ]
        return unsaid, *decide

    # What vetoes is told whatever it means.
    assert told({}) == (set(), ["NOT_SKEWED"], ["NOT_SKEWED"])
    assert told({"SKEWNESS_HIGH": 9.0}) == ({"NOT_SKEWED"}, [], ["NOT_SKEWED"])
    other = {"HYPOTHESIS": "oii", "P_LYA": np.nan}
    assert told(other) == ({"NOT_SKEWED", "UNLIKELY"}, [], ["NOT_SKEWED"])
