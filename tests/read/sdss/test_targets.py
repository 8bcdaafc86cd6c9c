from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from speclens.read.sdss.targets import (
    blank_targets,
    keep_what_the_file_knows,
    missing_columns,
    targets_from_columns,
)


def columns_of(**changes):
    columns = {
        "PLATE": np.array([3655, 3655]),
        "MJD": np.array([55240, 55240]),
        "FIBERID": np.array([1, 1000]),
        "CLASS": np.array(["GALAXY", "STAR"]),
        "Z": np.array([0.5, 0.0], "f4"),
    }
    columns.update(changes)
    return {name: column for name, column in columns.items() if column is not None}


def test_ids_are_plate_date_and_fibre():
    targets = targets_from_columns(columns_of())
    assert targets["TARGETID"].tolist() == [3655552400001, 3655552401000]
    assert targets["CLASS"].tolist() == ["GALAXY", "STAR"]


def test_blank_rows_claim_nothing():
    blank = blank_targets(2)
    assert (blank["TARGETID"] == -1).all()
    assert np.isnan(blank["Z"]).all()
    assert (blank["CLASS"] == "").all()


def test_a_row_without_an_id_has_no_targetid():
    targets = targets_from_columns(columns_of(FIBERID=np.array([-1, 3])))
    assert targets["TARGETID"].tolist() == [-1, 3655552400003]


@pytest.mark.parametrize("name", ["PLATE", "FIBERID", "ZWARNING", "Z"])
def test_nulls_are_unknown(name):
    columns = columns_of(ZWARNING=np.array([4, 5]), Z=np.array([1, 2]))
    columns[name] = np.ma.MaskedArray(columns[name], [True, False])
    blank, known = blank_targets(1)[name][0], columns[name].data[1]
    found = targets_from_columns(columns)
    assert_array_equal(found[name], [blank, known])
    assert (found["TARGETID"] < 0).tolist() == [name in ("PLATE", "FIBERID"), False]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [("RA", "PLUG_RA"), ("RA", "PLUGRA"), ("PLATE", "PLATEID"), ("FIBERID", "FIBER")],
)
def test_other_names_of_a_field_are_known(wanted, name):
    columns = columns_of(**{"DEC": np.zeros(2), wanted: None})
    columns[name] = np.array([7, 8])
    assert targets_from_columns(columns)[wanted].tolist() == [7, 8]


def test_the_fibres_position_is_preferred_to_the_objects():
    columns = columns_of(
        RA=np.array([1.0, 2.0]), PLUG_RA=np.array([3.0, 4.0]), PLUG_DEC=np.zeros(2)
    )
    assert targets_from_columns(columns)["RA"].tolist() == [3.0, 4.0]


def test_without_noqso_columns_the_plain_ones_serve():
    targets = targets_from_columns(columns_of(ZWARNING=np.array([0, 4])))
    assert targets["CLASS_NOQSO"].tolist() == ["GALAXY", "STAR"]
    assert targets["Z_NOQSO"].tolist() == [0.5, 0.0]
    assert targets["ZWARNING_NOQSO"].tolist() == [0, 4]


def test_either_type_column_can_say_sky():
    columns = columns_of(OBJTYPE=np.array(["NA", "SKY"]), SOURCETYPE=np.array(["sky", "LRG"]))
    assert targets_from_columns(columns)["OBJTYPE"].tolist() == ["SKY", "SKY"]


def test_c7_missing_columns_are_named():
    assert missing_columns(columns_of(Z=None)) == ["Z"]
    assert missing_columns({}) == ["CLASS", "Z"]


@pytest.mark.parametrize(
    "changes",
    [
        {"Z": np.array(["low", "high"])},
        {"Z": np.zeros((2, 3))},
        {"Z": np.zeros(2, "V8")},
        {"CLASS": np.full((2, 2), "GALAXY")},
        {"SOURCETYPE": np.full((2, 2), "SKY")},
        {"PLATE": np.zeros(2, "V4")},
    ],
    ids=["text", "vectors", "bytes", "texts", "types", "ids"],
)
def test_c7_columns_of_the_wrong_kind_are_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        targets_from_columns(columns_of(**changes))


def magnitudes_of(*i_magnitudes):
    """A column of u g r i z, of which only i is plausible."""
    column = np.full((len(i_magnitudes), 5), 99.0, "f4")
    column[:, 3] = i_magnitudes
    return column


MAGNITUDES = {
    "FIBER2MAG": magnitudes_of(20.5, 21.0),
    "FIBER2MAG_I": np.array([20.5, 21.0]),
    "FIBERMAG": magnitudes_of(20.5, 21.0),
    "FIBERMAG_I": np.array(["20.5", " 21.0"]),
    "MAG_I": np.array(["20.5", "2.10e1"]),
    "MAG": magnitudes_of(20.5, 21.0).astype("f8"),
}


@pytest.mark.parametrize("name", MAGNITUDES)
def test_the_i_magnitude_is_found_under_each_name(name):
    assert targets_from_columns(columns_of(**{name: MAGNITUDES[name]}))["MAG_I"].tolist() == [
        20.5, 21.0,
    ]  # fmt: skip


def test_the_magnitude_within_the_smaller_fibre_is_preferred():
    columns = columns_of(
        MAG=magnitudes_of(19, 19), FIBERMAG=magnitudes_of(20, 20), FIBER2MAG=magnitudes_of(21, 0)
    )
    magnitude = targets_from_columns(columns)["MAG_I"]
    assert magnitude[0] == 21
    # One table has one aperture: another column does not fill the gap.
    assert np.isnan(magnitude[1])


@pytest.mark.parametrize(
    "value", [0.0, -0.0, -9999.0, 30.0, 99.0, np.inf, -np.inf, np.nan, 1e38, 1e300]
)
@pytest.mark.parametrize("name", ["FIBER2MAG", "FIBER2MAG_I"])
def test_b1_a_magnitude_that_is_none_is_unknown(name, value):
    column = np.full((2, 5), value) if name == "FIBER2MAG" else np.array([value, value])
    assert np.isnan(targets_from_columns(columns_of(**{name: column}))["MAG_I"]).all()


@pytest.mark.parametrize(
    "column",
    [
        np.array([20.5, 21.0]),
        np.full((2, 4), 20.5),
        np.zeros((2, 0)),
        np.full((2, 5, 2), 20.5),
        np.array(["[20, 20, 20, 20.5, 20]"] * 2),
        np.full((2, 5), "20.5"),
        np.zeros(2, "V20"),
    ],
    ids=["scalar", "four", "none", "a cube", "text", "texts", "bytes"],
)
def test_c7_a_magnitude_column_of_another_shape_is_passed_over(column):
    targets = targets_from_columns(columns_of(FIBER2MAG=column))
    assert targets["CLASS"].tolist() == ["GALAXY", "STAR"]
    assert np.isnan(targets["MAG_I"]).all()
    both = columns_of(FIBER2MAG=column, FIBERMAG=magnitudes_of(20, 22))
    assert targets_from_columns(both)["MAG_I"].tolist() == [20, 22]


def test_c7_a_magnitude_that_is_no_number_is_unknown():
    targets = targets_from_columns(columns_of(MAG_I=np.array(["", "faint"])))
    assert np.isnan(targets["MAG_I"]).all()


def test_no_catalogue_at_all_has_no_magnitudes():
    assert targets_from_columns({})["MAG_I"].shape == (0,)
    assert np.isnan(blank_targets(2)["MAG_I"]).all()


def test_a_magnitude_that_the_catalogue_lacks_is_the_files():
    targets = targets_from_columns(columns_of(MAG_I=np.array(["20", ""])))
    file = blank_targets(2)
    file["MAG_I"] = 19, 22
    keep_what_the_file_knows(targets, file)
    assert targets["MAG_I"].tolist() == [20, 22]
