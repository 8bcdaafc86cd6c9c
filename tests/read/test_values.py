from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from speclens.read.sdss.targets import targets_from_columns
from speclens.read.values import numbers, plausible_dispersion, texts, whole

IMPOSSIBLE = [np.nan, np.inf, -np.inf, 1e308, -1e308, 1e38, -9999.0]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([3650, 0, -1, -(2**31)], "i4"), [3650, -1, -1, -1]),
        (np.array([3650, 2**32 + 3650, -(2**63), 2**63 - 1]), [3650, -1, -1, -1]),
        (np.array([3650, 2**63 + 3650, 2**64 - 1], "u8"), [3650, -1, -1]),
        (np.array([3650.0, 903.5, np.nan, np.inf, 1e308, 1e-310, -0.0]), [3650] + [-1] * 6),
        (np.array([3650.0, 903.5], "f4"), [3650, -1]),
        (np.array([True, False]), [1, -1]),
        (np.array(["3650", " 3650.0 ", "903.5", "", "null", "3.65E+03", "-3", "9" * 40]),
         [3650, 3650, -1, -1, -1, -1, -1, -1]),
        (np.array(["3650", "3651"]), [3650, 3651]),
    ],
)  # fmt: skip
def test_an_id_is_a_whole_number_in_its_limits_or_unknown(column, expected):
    assert whole(column, (1, 2**31 - 1)).tolist() == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([1, 2], "i2"), [1, 2]),
        (np.array(["0.5", " 1e3 ", "", "null", "inf"]), [0.5, 1e3, np.nan, np.nan, np.inf]),
        (np.array(["", ""]), [np.nan, np.nan]),
        (np.array([], "U1"), []),
    ],
)
def test_what_is_no_number_is_unknown(column, expected):
    assert_array_equal(numbers(column), expected)


def test_a_column_of_words_is_no_column_of_numbers():
    with pytest.raises(ValueError, match="high"):
        numbers(np.array(["high", "low", ""]))
    with pytest.raises(TypeError):
        numbers(np.zeros(2, "V8"))


def test_a_text_that_is_too_long_is_never_taken_for_another():
    found = texts(np.array(["GALAXY", "GALAXY      ", "GALAXY__", "GALAXY__X", "G" * 300]), 8)
    assert found.tolist() == ["GALAXY", "GALAXY", "GALAXY__", "GALAXY_~", "GGGGGGG~"]
    assert texts(np.array([1.5, np.nan]), 8).tolist() == ["1.5", ""]


def test_a_line_spread_that_no_spectrograph_has_is_unknown():
    limits = low, high = 0.3, 5.0
    known = np.array([low, 0.7, 1.4, high], "f4")
    assert_array_equal(plausible_dispersion(known, limits), known)
    unknown = np.array([np.nan, np.inf, -np.inf, 1e38, 1e-40, -1, 0, 0.1, 12], "f4")
    assert_array_equal(plausible_dispersion(unknown, limits), 0)


def row_of(**values):
    """One target row of columns of one value each."""
    columns = {"CLASS": np.array(["GALAXY"]), "Z": np.array([0.5])}
    columns |= {name: np.array([value]) for name, value in values.items()}
    return targets_from_columns(columns)[0]


@pytest.mark.parametrize(
    ("field", "column", "good", "bad"),
    [
        ("Z", "Z", [-0.001, 0, 0.5, 7.5], [-1.0, 21.0, 1e30]),
        ("Z_NOQSO", "Z_NOQSO", [0.3], [-1.0, 100.0]),
        ("VDISP", "VDISP", [50, 220.0, 850.0], [0, -3.0, 5e3]),
        ("VDISP_ERR", "VDISP_ERR", [0.5, 20.0], [0, -1.0, -4.0]),
        ("MAG_I", "FIBER2MAG_I", [14.5, 22.3], [0, 30.0, 99.0]),
    ],
)
def test_a_measurement_lies_in_its_limits_or_is_unknown(field, column, good, bad):
    for value in good:
        assert row_of(**{column: value})[field] == pytest.approx(value)
    for value in [*bad, *IMPOSSIBLE]:
        assert np.isnan(row_of(**{column: value})[field])


@pytest.mark.parametrize(
    ("ra", "dec", "expected"),
    [
        (0.0, 0.0, (0, 0)), (360.0, -90.0, (0, -90)), (359.9, 90.0, (359.9, 90)),
        (-1e-6, 0.0, None), (360.1, 0.0, None), (10.0, 90.1, None), (10.0, -9999.0, None),
        (np.nan, 1.0, None), (1.0, np.nan, None), (1.0, 1e308, None), (-np.inf, 1.0, None),
    ],
)  # fmt: skip
def test_a_position_is_on_the_sky_or_unknown(ra, dec, expected):
    row = row_of(PLUG_RA=ra, PLUG_DEC=dec)
    found = (row["RA"], row["DEC"])
    if expected is None:
        assert np.isnan(found).all()
    else:
        assert found == expected


def test_half_a_position_is_none():
    assert np.isnan(row_of(RA=10.0)["RA"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, -(2.0**40), 2.0**40, 0.5])
def test_a_warning_that_can_be_none_warns_of_nothing(value):
    assert row_of(ZWARNING=value)["ZWARNING"] == 0
    assert row_of(ZWARNING=4.0)["ZWARNING"] == 4


@pytest.mark.parametrize(
    "ids", [(0, 55240, 1), (3650, 0, 1), (3650, 55240, 0), (3650, 10**5, 1), (3650, 55240, 10**4)]
)
def test_a_targetid_is_given_where_it_tells_its_parts(ids):
    row = row_of(**dict(zip(("PLATE", "MJD", "FIBERID"), ids, strict=True)))
    assert row["TARGETID"] == -1
    assert row_of(PLATE=3650, MJD=55240, FIBERID=9999)["TARGETID"] == 3650552409999


def test_ids_that_would_collide_are_kept_apart():
    one = row_of(PLATE=9901, MJD=58001, FIBERID=10001)
    other = row_of(PLATE=9901, MJD=58002, FIBERID=1)
    assert one["FIBERID"] == 10001
    assert (one["TARGETID"], other["TARGETID"]) == (-1, 9901580020001)


def test_a_null_is_unknown():
    masked = np.ma.MaskedArray(np.array([999999, 3], "i4"), [True, False])
    rows = targets_from_columns(
        {"Z": masked, "CLASS": np.array(["QSO", "QSO"]), "PLATE": masked, "ZWARNING": masked}
    )
    assert_array_equal(rows["Z"], [np.nan, 3])
    assert rows["PLATE"].tolist() == [-1, 3]
    assert rows["ZWARNING"].tolist() == [0, 3]
