"""Angles in every spelling; those of whole columns at once are those of astropy one by one."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import Angle
from hypothesis import given
from hypothesis import strategies as st

from speclens.read.table import angles as angles_module
from speclens.read.table.angles import degrees, position_of_name, scale_of_unit


def cells(*values: object) -> np.ndarray:
    return np.array([*values], object)


@given(
    st.sampled_from("+- "),
    st.integers(0, 23),
    st.integers(0, 59),
    st.floats(0, 59.99),
    st.sampled_from(["{}:{}:{}", "{} {} {}", "{}h{}m{}s", "{}d{}m{}s"]),
    st.booleans(),
)
def test_they_are_those_of_astropy(
    sign: str, whole: int, minutes: int, seconds: float, form: str, is_ra: bool
) -> None:
    text = sign.strip() + form.format(whole, minutes, f"{seconds:.3f}")
    if "h" in form and not is_ra:
        return
    unit = units.hourangle if is_ra else units.deg
    values, sexagesimal, bad = degrees(cells(text), is_ra)
    assert values[0] == pytest.approx(Angle(text, unit=unit).to_value(units.deg), abs=1e-10)
    assert sexagesimal[0]
    assert not bad[0]


@pytest.mark.parametrize(
    ("text", "is_ra", "value"),
    [
        ("14h43m", True, 220.75),
        ("14h43.5m", True, 220.875),
        ("33d42m", False, 33.7),
        ("00:44:54S", False, -0.748333),
        ("-0d44m54s", False, -0.748333),
    ],
)
def test_rarer_spellings_are_left_to_astropy(text: str, is_ra: bool, value: float) -> None:
    assert degrees(cells(text), is_ra)[0][0] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("text", ["high", "14:43", "12:60:00", "1h2h3", "d", "north", "J0912"])
def test_what_is_no_angle_is_said_to_be_none(text: str) -> None:
    values, _, bad = degrees(cells(text, "", "1.5"), True)
    np.testing.assert_array_equal(values, [np.nan, np.nan, 1.5])
    assert bad.tolist() == [True, False, False]


def test_a_column_of_nonsense_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(angles_module, "MAX_SPELLINGS", 10)
    monkeypatch.setattr(angles_module, "_spelled", lambda cell, _: calls.append(cell) or np.nan)
    assert degrees(cells(*[f"{i}d?" for i in range(1000)]), False)[2].all()
    assert len(calls) == 10


@pytest.mark.parametrize(("unit", "degree"), [("deg", 1), ("", 1), ("h", 15), ("hourangle", 15)])
def test_units_that_a_table_states_are_followed(unit: str, degree: float) -> None:
    assert scale_of_unit(unit) == degree
    assert degrees(np.array([2.0]), True, unit)[0].tolist() == [2 * degree]
    assert degrees(cells("2.0"), True, unit)[0].tolist() == [2 * degree]


def test_names_tell_where_they_are_as_finely_as_they_say() -> None:
    names = ["SDSS J091205.31+002901.2", "J0912+0029", "J091205+002901", "B1938+666", ""]
    ra, _, arcsec = position_of_name(names)
    assert np.isfinite(ra).tolist() == [True, False, False, False, False]
    np.testing.assert_allclose(arcsec, [0.15, np.nan, 15, np.nan, np.nan])
