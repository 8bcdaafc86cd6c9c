"""Hypotheses: what a line may be, from one file."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.hypotheses import HYPOTHESES, LYA, OII, others, read_hypotheses
from speclens.lines import LYMAN_ALPHA, REST_LINES
from speclens.schema import HITS, dtype_of


def test_what_is_looked_for_and_what_is_taken_for_it_are_there() -> None:
    assert LYA.wave == LYMAN_ALPHA
    assert not LYA.companions
    assert OII.member_waves == (3727.092, 3729.875)
    assert OII.wave == pytest.approx(np.sqrt(3727.092 * 3729.875), abs=1e-9)
    assert {"Ly alpha", "[O II]", *(other.name for other in others())} == set(HYPOTHESES)


@pytest.mark.parametrize("name", HYPOTHESES)
def test_companions_are_other_lines_with_believable_ratios(name: str) -> None:
    hypothesis = HYPOTHESES[name]
    assert hypothesis.name == name
    assert name not in {line.name for line in hypothesis.companions}
    for line in hypothesis.companions:
        assert line.wave == REST_LINES[line.name].wave
        assert 0.01 < line.ratio < 100
        assert 0 < line.scatter < 2


def test_a_hypothesis_is_read_with_all_that_it_says() -> None:
    text = '["[O III] 5008"]\ncompanions = [{name = "H beta", ratio = 0.3, scatter = 0.5}]'
    (found,) = read_hypotheses(text).values()
    assert (found.name, found.wave) == ("[O III] 5008", 5008.239)
    assert [(line.name, line.ratio, line.scatter) for line in found.companions] == [
        ("H beta", 0.3, 0.5)
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('["H omega"]', KeyError),
        ('["H beta"]\nmembers = ["H psi"]', KeyError),
        ('["H beta"]\ncompanions = [{name = "H chi", ratio = 1.0, scatter = 1.0}]', KeyError),
        ('["H beta"]\ncompanions = [{name = "H alpha", ratio = 1.0}]', TypeError),
        ('["H beta"]\nratio = [1.0]', TypeError),
    ],
)
def test_a_record_with_a_fault_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_hypotheses(text)


def test_names_fit_their_column() -> None:
    assert max(map(len, HYPOTHESES)) <= int(dtype_of(HITS)["OTHER_LINE"].itemsize / 4)


def test_a_doublet_needs_no_line_of_its_own() -> None:
    text = '["[S II]"]\nmembers = ["[S II] 6718", "[S II] 6733"]'
    assert read_hypotheses(text)["[S II]"].wave == pytest.approx(6725.48, abs=0.01)
