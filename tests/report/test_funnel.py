"""The funnel counts what each test leaves, in order, and ends with the candidates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.report.funnel import LI_2019, draw_funnel, funnel
from speclens.schema import VET_FLAGS, VET_TESTS, vet_bits, vet_names

Maker = Callable[..., NDArray[np.void]]
SVG = "{http://www.w3.org/2000/svg}"
COUNTS = {"read": 100, "scored": 80}


def test_a_hit_is_lost_at_the_first_test_that_vetoes(make_hits: Maker) -> None:
    vetoes = ["MASKED", "DENSE_REST", "UNLIKELY"]
    hits = make_hits(5, [["MASKED", "UNLIKELY"], ["DENSE_REST"], ["FAINT"], ["UNLIKELY"], []])
    hits["CANDIDATE"] = hits["VET_FLAGS"] & vet_bits(vetoes) == 0
    left = {step.label: step.n for step in funnel(COUNTS, hits, vetoes)}
    assert left == {
        "read": 100, "scored": 80, "hits": 5, "after quality": 4, "after over-densities": 3,
        "after skewness": 3, "after interlopers": 3, "after companions": 3,
        "after probability": 2, "after two peaks": 2, "after airglow": 2,
        "after other searches": 2, "candidates": 2,
    }  # fmt: skip


def test_the_funnel_is_what_a_loop_over_hits_and_tests_counts(make_hits: Maker) -> None:
    rng = np.random.default_rng(8)
    names = [flag.name for flag in VET_FLAGS]
    vetoes = list(rng.choice(names, 6, replace=False))
    hits = make_hits(200, [rng.choice(names, rng.integers(0, 3)) for _ in range(200)])
    hits["CANDIDATE"] = [not set(vetoes) & set(vet_names(int(v))) for v in hits["VET_FLAGS"]]
    test_of = {flag.name: VET_TESTS.index(flag.test) for flag in VET_FLAGS}
    lost_at = [
        min((test_of[n] for n in vet_names(int(v)) if n in vetoes), default=len(VET_TESTS))
        for v in hits["VET_FLAGS"]
    ]
    steps = funnel(COUNTS, hits, vetoes)
    assert [step.n for step in steps[3:-1]] == [
        sum(lost > test for lost in lost_at) for test in range(len(VET_TESTS))
    ]
    assert steps[-1].n == steps[-2].n == hits["CANDIDATE"].sum() < 200


def test_the_paper_s_funnel_is_that_of_its_section_4() -> None:
    assert [step.n for step in LI_2019] == [1_241_799, 1232, 536, 124, 47, 21, 5]


def test_bars_are_as_long_as_their_numbers(tmp_path: Path, make_hits: Maker) -> None:
    steps = funnel(COUNTS, make_hits(5, [["MASKED"], [], [], [], []]), ["MASKED"])
    draw_funnel(tmp_path / "funnel.svg", steps)
    root = ElementTree.fromstring((tmp_path / "funnel.svg").read_text())  # noqa: S314 - our own
    said = [element.text or "" for element in root.iter(f"{SVG}text")]
    bars = [bar for bar in root.iter(f"{SVG}rect") if "x" in bar.attrib]
    of_run, of_paper = bars[: len(steps)], bars[len(steps) :]
    for drawn, shown in ((of_run, steps), (of_paper, LI_2019)):
        lengths = np.array([float(bar.attrib["width"]) for bar in drawn])
        expected = np.log10([1 + step.n for step in shown])
        np.testing.assert_allclose(lengths / lengths[0], expected / expected[0], atol=1e-3)
        # From top to bottom, one under the other.
        places = np.array([(float(bar.attrib["y"]), float(bar.attrib["height"])) for bar in drawn])
        assert (np.diff(places[:, 0]) > places[:-1, 1]).all()
    titles = ["this run", "Li et al. 2019"]
    for title, shown in zip(titles, (steps, LI_2019), strict=True):
        first = said.index(title) + 1
        texts = [text for step in shown for text in (step.label, f"{step.n:,}")]
        assert said[first : first + len(texts)] == texts


@pytest.mark.parametrize("n", [0, 3])
def test_it_is_written_whatever_is_left(tmp_path: Path, make_hits: Maker, n: int) -> None:
    path = tmp_path / "funnel.svg"
    draw_funnel(path, funnel({"read": n, "scored": 0}, make_hits(n), []))
    assert "nan" not in path.read_text()
