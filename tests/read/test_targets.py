from __future__ import annotations

import numpy as np
import pytest

from speclens.read.targets import blank_targets, missing_columns, targets_from_columns


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


@pytest.mark.parametrize(
    ("wanted", "name"),
    [("RA", "PLUG_RA"), ("RA", "PLUGRA"), ("PLATE", "PLATEID"), ("FIBERID", "FIBER")],
)
def test_other_names_of_a_field_are_known(wanted, name):
    columns = columns_of(**{wanted: None})
    columns[name] = np.array([7, 8])
    assert targets_from_columns(columns)[wanted].tolist() == [7, 8]


def test_the_fibres_position_is_preferred_to_the_objects():
    columns = columns_of(RA=np.array([1.0, 2.0]), PLUG_RA=np.array([3.0, 4.0]))
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
        {"Z": np.array(["0.5", "high"])},
        {"Z": np.zeros((2, 3))},
        {"PLATE": np.array([3655, 3655 + 2**32])},
        {"FIBERID": np.array(["1", "3.7E+18"])},
    ],
    ids=["text", "vectors", "too many digits", "rounded text"],
)
def test_c1_c7_values_of_the_wrong_kind_are_refused(changes):
    with pytest.raises((TypeError, ValueError)):
        targets_from_columns(columns_of(**changes))
