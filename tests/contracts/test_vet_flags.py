"""What every vet flag promises: just beyond its limit a hit is marked, within it never."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import VetConfig, load_config
from speclens.schema import (
    HITS,
    TESTS,
    VET_FLAGS,
    VET_TESTS,
    VetFlag,
    VetTest,
    dtype_of,
    vet_bits,
    vet_names,
)
from speclens.vet.judge import judge

every_flag = pytest.mark.parametrize("flag", VET_FLAGS, ids=[flag.name for flag in VET_FLAGS])


@pytest.fixture(scope="module")
def config() -> VetConfig:
    return load_config().vet


def names_of(flag: VetFlag, value: float, config: VetConfig) -> list[str]:
    """Flags of a hit of which nothing is known but one column."""
    hits: NDArray[np.void] = np.zeros(1, dtype_of(HITS, FILE=1))
    for column in HITS:
        if hits.dtype[column.name].kind == "f":
            hits[column.name] = np.nan
    hits[flag.column] = value
    judge(hits, config)
    return vet_names(int(hits["VET_FLAGS"][0]))


def beyond(flag: VetFlag, limit: float) -> tuple[float, float]:
    """The numbers next to a limit: the one that is marked, and the one that is not."""
    below, above = (float(np.nextafter(np.float32(limit), end)) for end in (-np.inf, np.inf))
    return (below, above) if flag.side == "below" else (above, below)


@every_flag
def test_a_hit_just_beyond_the_limit_is_marked_and_just_within_is_not(
    flag: VetFlag, config: VetConfig
) -> None:
    limit = getattr(config, flag.setting)
    marked, kept = beyond(flag, limit)
    assert flag.name in names_of(flag, marked, config)
    assert flag.name not in names_of(flag, kept, config)
    assert flag.name not in names_of(flag, limit, config)


@every_flag
@pytest.mark.parametrize("limit", [0.25, 0.75])
def test_the_limit_is_the_configuration_s(flag: VetFlag, config: VetConfig, limit: float) -> None:
    asked = config.model_copy(update={flag.setting: limit})
    marked, kept = beyond(flag, limit)
    assert flag.name in names_of(flag, marked, asked)
    assert flag.name not in names_of(flag, kept, asked)


@every_flag
def test_what_could_not_be_measured_rules_nothing_out(flag: VetFlag, config: VetConfig) -> None:
    assert names_of(flag, np.nan, config) == []


@every_flag
def test_no_value_is_too_large_to_judge(flag: VetFlag, config: VetConfig) -> None:
    worst, best = (-np.inf, np.inf) if flag.side == "below" else (np.inf, -np.inf)
    assert flag.name in names_of(flag, worst, config)
    assert flag.name not in names_of(flag, best, config)


@every_flag
def test_a_flag_names_a_column_a_setting_and_a_meaning(flag: VetFlag, config: VetConfig) -> None:
    columns = {column.name: column for column in HITS}
    assert columns[flag.column].dtype[0] == "f", "only a float can say that it was not measured"
    assert isinstance(getattr(config, flag.setting), float)
    assert flag.side in ("below", "above")
    assert flag.setting.endswith("_min" if flag.side == "below" else "_max")
    assert flag.text
    assert flag.name == flag.name.upper()
    assert flag.test in VET_TESTS
    assert vet_names(vet_bits([flag.name])) == [flag.name]


def test_bits_and_names_are_of_one_flag_each_and_fit_the_column() -> None:
    bits = [flag.bit for flag in VET_FLAGS]
    assert len(set(bits)) == len({flag.name for flag in VET_FLAGS}) == len(VET_FLAGS)
    assert all(bit > 0 and bit & (bit - 1) == 0 for bit in bits)
    dtype = dtype_of(HITS, FILE=1)["VET_FLAGS"]
    assert sum(bits) <= np.iinfo(dtype).max
    assert vet_names(sum(bits)) == [flag.name for flag in VET_FLAGS]


def test_default_vetoes_are_flags_and_a_wrong_name_is_refused(config: VetConfig) -> None:
    assert set(config.vetoes) <= {flag.name for flag in VET_FLAGS}
    with pytest.raises(ValueError, match="SPIKES"):
        VetConfig.model_validate(config.model_dump() | {"vetoes": ["SPIKES"]})


@pytest.mark.parametrize("test", TESTS, ids=[test.name for test in TESTS])
def test_every_test_has_a_module_of_its_name(test: VetTest) -> None:
    assert import_module(f"speclens.vet.{test.name}").__doc__
