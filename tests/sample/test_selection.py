"""Who is searched, and the reason of each refusal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.read.sdss.targets import mark_lost_fibres
from speclens.sample.selection import is_sky, redshifts, refusals
from speclens.schema import REASONS

Targets = Callable[..., NDArray[np.void]]


def reason(targets: NDArray[np.void], config: Config) -> str:
    mark_lost_fibres(targets)
    return str(refusals(targets, config.selection)[0])


def test_a_good_galaxy_is_in_both_samples(
    make_targets: Targets, config: Config, shu: Config
) -> None:
    assert reason(make_targets(), config) == ""
    assert reason(make_targets(), shu) == ""


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"OBJTYPE": "SKY"}, "sky_fibre"),
        ({"ZWARNING": 1}, "sky_fibre"),
        ({"ZWARNING": 1 << 7}, "unplugged"),
        ({"ZWARNING": 1 << 8}, "unplugged"),
        ({"ZWARNING": 1 << 9}, "unplugged"),
        ({"CLASS": "STAR"}, "class_star"),
        ({"CLASS": "QSO"}, "class_qso"),
        ({"CLASS": ""}, "class_other"),
        ({"CLASS": "CELL"}, "class_other"),
        ({"SUBCLASS": "AGN"}, "subclass"),
        ({"SUBCLASS": "STARFORMING"}, "subclass"),
        ({"SUBCLASS": "BROADLINE"}, "subclass"),
        ({"SUBCLASS": "AGN BROADLINE"}, "subclass"),
        ({"SUBCLASS": "STARBURST BROADLINE"}, "subclass"),
        ({"Z": np.nan}, "z_invalid"),
        ({"Z": np.inf}, "z_invalid"),
        ({"Z": -np.inf}, "z_invalid"),
        ({"Z": -0.1}, "z_invalid"),
        ({"Z": 0.0}, "z_invalid"),
        ({"Z": 0.3}, "z_low"),
        ({"Z": 0.05}, "z_low"),
        ({"Z": 1.51}, "z_high"),
        ({"Z": 7.0}, "z_high"),
    ],
)
def test_b3_each_cut_has_its_reason(
    make_targets: Targets, config: Config, columns: dict[str, object], code: str
) -> None:
    assert reason(make_targets(**columns), config) == code
    assert code in {r.code for r in REASONS}


@pytest.mark.parametrize(
    "columns",
    [
        {"Z": 0.3001},
        {"Z": 1.5},
        {"SUBCLASS": "STARBURST"},
        {"SUBCLASS": "AGNES"},
        {"ZWARNING": 1 << 2},
        {"PLATEQUALITY": "bad"},
        {"PLATEQUALITY": ""},
        {"CLASS_NOQSO": "QSO", "Z_NOQSO": np.nan, "ZWARNING_NOQSO": 4},
    ],
)
def test_b3_what_the_paper_does_not_cut_stays(
    make_targets: Targets, config: Config, columns: dict[str, object]
) -> None:
    assert reason(make_targets(**columns), config) == ""


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"ZWARNING_NOQSO": 4}, "zwarning"),
        ({"CLASS_NOQSO": "STAR"}, "class_star"),
        ({"CLASS_NOQSO": "QSO"}, "class_qso"),
        ({"Z_NOQSO": np.nan}, "z_invalid"),
        ({"Z_NOQSO": 2.0}, "z_high"),
        ({"PLATEQUALITY": "bad"}, "bad_plate"),
        ({"PLATEQUALITY": "marginal"}, "bad_plate"),
        ({"CLASS": "QSO", "Z": np.nan, "ZWARNING": 4}, ""),
        ({"SUBCLASS": "AGN BROADLINE"}, ""),
        ({"Z_NOQSO": 0.02}, ""),
        ({"PLATEQUALITY": ""}, ""),
        ({"ZWARNING": 1 << 7}, "unplugged"),
    ],
)
def test_b3_the_rival_uses_the_noqso_columns(
    make_targets: Targets, shu: Config, columns: dict[str, object], code: str
) -> None:
    assert reason(make_targets(**columns), shu) == code


def test_redshifts_are_those_of_the_configuration(
    make_targets: Targets, config: Config, shu: Config
) -> None:
    targets = make_targets(2, Z=0.4, Z_NOQSO=0.6)
    assert redshifts(targets, config.selection).tolist() == [0.4, 0.4]
    assert redshifts(targets, shu.selection).tolist() == [0.6, 0.6]


@pytest.mark.parametrize("name", ["GALAXY", "STAR", "QSO", ""])
@pytest.mark.parametrize("mark", [{"OBJTYPE": "SKY"}, {"ZWARNING": 1}, {"ZWARNING": 1 | 4}])
def test_sky_fibres_never_pass_whatever_their_class(
    make_targets: Targets, config: Config, shu: Config, name: str, mark: dict[str, object]
) -> None:
    targets = make_targets(CLASS=name, CLASS_NOQSO=name, **mark)
    assert reason(targets, config) == reason(targets, shu) == "sky_fibre"
    assert is_sky(targets).all()


def test_the_first_cut_gives_the_reason(make_targets: Targets, shu: Config) -> None:
    worst = {
        "OBJTYPE": "SKY", "ZWARNING": 1 << 7, "CLASS_NOQSO": "STAR", "Z_NOQSO": np.nan,
        "ZWARNING_NOQSO": 4, "PLATEQUALITY": "bad",
    }  # fmt: skip
    order = ["sky_fibre", "unplugged", "class_star", "z_invalid", "zwarning", "bad_plate"]
    found = []
    for name in list(worst):
        found.append(reason(make_targets(**worst), shu))
        del worst[name]
    assert found == order


def test_reasons_do_not_depend_on_the_neighbours(make_targets: Targets, config: Config) -> None:
    targets = make_targets(7)
    targets["Z"] = [np.nan, 0.5, 0.1, 9, 0.6, 0.7, -1]
    targets["SUBCLASS"][4] = "AGN"
    together = refusals(targets, config.selection)
    assert together.tolist() == ["z_invalid", "", "z_low", "z_high", "subclass", "", "z_invalid"]
    alone = [reason(targets[i : i + 1], config) for i in range(7)]
    assert alone == together.tolist()


def test_c2_no_targets_give_no_reasons(make_targets: Targets, config: Config) -> None:
    assert len(refusals(make_targets(0), config.selection)) == 0
