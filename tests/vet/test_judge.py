"""Judgement: which flags a hit gets, and which hits are candidates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, VetConfig
from speclens.schema import VET_FLAGS, vet_bits, vet_names
from speclens.vet.judge import judge

Rows = NDArray[np.void]


@pytest.fixture(scope="module")
def config(defaults: Config) -> VetConfig:
    return defaults.vet


def random_hits(make: Callable[..., Rows], n_hits: int, rng: np.random.Generator) -> Rows:
    """Hits that pass, fail or could not be measured, each test by itself."""
    hits = make(n_hits)
    for flag in VET_FLAGS:
        values = 10 * rng.normal(size=n_hits)
        hits[flag.column] = np.where(rng.random(n_hits) < 0.3, np.nan, values)
    return hits


def slow_flags(hit: np.void, config: VetConfig) -> list[str]:
    """The slow, obvious twin: one hit, one flag at a time."""
    names = []
    for flag in VET_FLAGS:
        value, limit = float(hit[flag.column]), np.float32(getattr(config, flag.setting))
        if np.isnan(value):
            continue
        if (flag.side == "below" and value < limit) or (flag.side == "above" and value > limit):
            names.append(flag.name)
    return names


def test_flags_are_those_of_one_hit_at_a_time(
    hits_of: Callable[..., Rows], config: VetConfig, rng: np.random.Generator
) -> None:
    hits = random_hits(hits_of, 500, rng)
    judge(hits, config)
    for hit in hits:
        assert vet_names(int(hit["VET_FLAGS"])) == slow_flags(hit, config)
    seen = np.bitwise_or.reduce(hits["VET_FLAGS"])
    assert vet_names(int(seen)) == [flag.name for flag in VET_FLAGS]


@pytest.mark.parametrize(
    "vetoes", [(), ("EDGE",), ("MASKED", "UNLIKELY"), tuple(flag.name for flag in VET_FLAGS)]
)
def test_candidates_are_the_hits_without_a_vetoing_flag(
    hits_of: Callable[..., Rows],
    config: VetConfig,
    rng: np.random.Generator,
    vetoes: tuple[str, ...],
) -> None:
    hits = random_hits(hits_of, 500, rng)
    judge(hits, config.model_copy(update={"vetoes": vetoes}))
    for hit in hits:
        ruled_out = set(vet_names(int(hit["VET_FLAGS"]))) & set(vetoes)
        assert bool(hit["CANDIDATE"]) == (not ruled_out)
    if not vetoes:
        assert hits["CANDIDATE"].all()


def test_vetoes_change_candidates_and_no_flag(
    hits_of: Callable[..., Rows], config: VetConfig, rng: np.random.Generator
) -> None:
    hits = random_hits(hits_of, 200, rng)
    judge(hits, config)
    strict = hits.copy()
    judge(strict, config.model_copy(update={"vetoes": tuple(flag.name for flag in VET_FLAGS)}))
    np.testing.assert_array_equal(strict["VET_FLAGS"], hits["VET_FLAGS"])
    assert strict["CANDIDATE"].sum() < hits["CANDIDATE"].sum()


def test_nothing_is_deleted_and_nothing_measured_is_changed(
    hits_of: Callable[..., Rows], config: VetConfig, rng: np.random.Generator
) -> None:
    hits = random_hits(hits_of, 200, rng)
    before = hits.copy()
    judge(hits, config)
    assert len(hits) == len(before)
    for name in hits.dtype.names or ():
        if name not in ("VET_FLAGS", "CANDIDATE"):
            np.testing.assert_array_equal(hits[name], before[name], err_msg=name)


def test_flags_of_an_earlier_judgement_do_not_stay(
    hits_of: Callable[..., Rows], config: VetConfig
) -> None:
    hits = hits_of(3)
    hits["VET_FLAGS"], hits["CANDIDATE"] = vet_bits(["SPIKE", "UNLIKELY"]), False
    judge(hits, config)
    assert not hits["VET_FLAGS"].any()
    assert hits["CANDIDATE"].all()


def test_no_hits_are_no_error(hits_of: Callable[..., Rows], config: VetConfig) -> None:
    hits = hits_of(0)
    judge(hits, config)
    assert len(hits) == 0
