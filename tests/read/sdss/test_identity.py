from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from speclens.read.fits.header import parse_header
from speclens.read.sdss.identity import (
    Ids,
    agreed,
    identified,
    ids_of_header,
    ids_of_name,
    spectrum_names,
    targetid,
)
from speclens.spectra import TARGET_DTYPE


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spec-3650-55244-0001.fits", Ids(3650, 55244, 1)),
        ("folder/spec-0266-51602-0031.fits.gz", Ids(266, 51602, 31)),
        ("SPEC-10656-58163-0366_copy.fits", Ids(10656, 58163, 366)),
        ("spec-9901-58001-10001.fits", Ids(9901, 58001, 10001)),
        ("spPlate-4055-55359-0020.fits", Ids(4055, 55359, -1)),
        ("spZbest-4055-55359.fits", Ids(4055, 55359, -1)),
        ("spec-3650-55244-0000.fits", Ids(3650, 55244, -1)),
        ("spec-015143-59205-4544978190.fits", Ids()),
        ("spec-15143-59205-4544978190.fits", Ids()),
        ("spec-99999999999999-50000-0008.fits", Ids()),
        ("my-spec-3650-55244-0001.fits", Ids()),
        ("spectrum.fits", Ids()),
    ],
)
def test_a_name_tells_the_ids_of_the_survey_and_no_others(name, expected):
    assert ids_of_name(name) == expected


def header_of(**cards):
    header = fits.Header()
    header.update(cards)
    return parse_header(header.tostring().encode("latin-1"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3650, 3650), (3650.0, 3650), ("3650", 3650), (" 3650.0", 3650), (0, -1), (-5, -1),
        (903.5, -1), (10**12, -1), (1e300, -1), (True, -1), ("no number", -1), ("3.65E3", -1),
    ],
)  # fmt: skip
def test_a_card_tells_a_whole_number_or_nothing(value, expected):
    assert ids_of_header(header_of(PLATEID=value))[0].plate == expected


def test_two_cards_of_a_header_are_compared():
    ids, contradiction = ids_of_header(header_of(PLATEID=3650, PLATE=3651, MJD=55244, FIBER=3))
    assert ids == Ids(-1, 55244, 3)
    assert "3650 by PLATEID" in contradiction
    assert "3651 by PLATE" in contradiction
    assert ids_of_header(header_of(PLATE=3651)) == (Ids(3651), "")


def test_places_agree_in_what_no_other_contradicts():
    places = {"a": Ids(3650, 55244, 1), "b": Ids(3650, -1, 2), "c": Ids()}
    ids, contradiction = agreed(places)
    assert ids == Ids(3650, 55244, -1)
    assert contradiction == "FIBERID is 1 by a and 2 by b"
    assert agreed({}) == (Ids(), "")
    assert agreed({"a": Ids(), "b": Ids()}) == (Ids(), "")


def test_targetid_is_exact_for_the_largest_plates() -> None:
    assert int(targetid(4731, 55656, 197)) == 4731556560197
    plate = np.array([99999, 3], "i4")
    found = targetid(plate, np.array([99999, 4], "i4"), np.array([1000, 5], "i4"))
    assert found.dtype == np.int64
    assert found.tolist() == [99999 * 10**9 + 99999 * 10**4 + 1000, 3_000_040_005]


@pytest.mark.parametrize(
    ("ids", "name"),
    [
        ((4055, 55359, 20), "4055-55359-0020"),
        ((266, 51630, 7), "0266-51630-0007"),
        ((15143, 59205, 10001), "15143-59205-10001"),
        ((-1, 55359, 20), ""),
        ((4055, -1, 20), ""),
        ((4055, 55359, -1), ""),
        ((4055, 55359, 0), ""),
    ],
)
def test_spectra_are_named_as_their_files_where_all_ids_are_known(
    ids: tuple[int, int, int], name: str
) -> None:
    rows = np.zeros(1, TARGET_DTYPE)
    rows["PLATE"], rows["MJD"], rows["FIBERID"] = ids
    assert spectrum_names(rows) == [name]
    assert identified(rows).tolist() == [bool(name)]


@pytest.mark.parametrize("ids", [(-1, 4, 5), (3, -1, 5), (3, 4, 0), (3, 10**5, 5), (3, 4, 10**4)])
def test_no_targetid_where_the_three_could_not_be_told_from_it(ids: tuple[int, int, int]) -> None:
    assert targetid(*ids) == -1
