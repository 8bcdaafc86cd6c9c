"""Survey catalogues: what their rows name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from speclens.errors import RunError
from speclens.fetch.catalogue import Listed, of_catalogue
from speclens.releases import release_named


def names(listed: Listed) -> list[str]:
    return [str(wanted) for wanted in listed.wanted]


def csv(folder: Path, text: str) -> str:
    path = folder / "catalogue.csv"
    path.write_text(text)
    return str(path)


def test_plates_of_a_survey_catalogue(tmp_path: Path, write_catalogue: Callable[..., Path]) -> None:
    rows = [
        {"PLATE": plate, "MJD": 55000 + plate, "FIBERID": fibre}
        for plate in (11, 7) for fibre in (1, 2, 3)
    ]  # fmt: skip
    path = str(write_catalogue(tmp_path / "spAll.fits", rows))
    assert names(of_catalogue(path, None, whole=True)) == ["0011-55011", "0007-55007"]
    assert names(of_catalogue(path, None, whole=False))[:2] == [
        "0011-55011-0001",
        "0011-55011-0002",
    ]


def test_by_specobjid(tmp_path: Path) -> None:
    path = csv(tmp_path, "specobjid,z\n299489952322840576,0.5\n3.72236E+18,0.3\n")
    listed = of_catalogue(path, None, whole=False)
    assert len(listed.wanted) == 1
    assert names(listed)[0].startswith("0266-51")
    assert listed.notes == [
        f"catalogue {path}: it has rows without usable identifiers; they are left out"
    ]


def test_an_sdss_v_catalogue_is_one_of_fields(tmp_path: Path) -> None:
    table = Table({
        "FIELD": np.array([15143, 15143, 112360], ">i4"), "MJD": [59205, 59205, 60287],
        "CATALOGID": np.array([4544978190, 4544978191, 27021603143302004], ">i8"),
        "SURVEY": ["BHM"] * 3, "PROGRAM": ["x"] * 3, "HEALPIX": [1, 2, 3],
        "SPECOBJID": ["7084023500000005918702060103"] * 3,
    })  # fmt: skip
    table.write(tmp_path / "spAll.fits")
    path = str(tmp_path / "spAll.fits")
    assert names(of_catalogue(path, None, whole=False)) == [
        "015143-59205-4544978190", "015143-59205-4544978191", "112360-60287-27021603143302004",
    ]  # fmt: skip
    assert names(of_catalogue(path, None, whole=True)) == ["015143-59205", "112360-60287"]


def test_a_desi_catalogue_by_healpix(tmp_path: Path) -> None:
    table = Table({
        "TARGETID": np.array([39627641234567890, -5, 3, 4], ">i8"), "SURVEY": ["main"] * 3 + [""],
        "PROGRAM": ["dark", "dark", "bright", "dark"], "HEALPIX": [10016, 10016, 0, 3],
    })  # fmt: skip
    table.write(tmp_path / "zpix.fits")
    for whole in (True, False):
        listed = of_catalogue(str(tmp_path / "zpix.fits"), None, whole)
        assert names(listed) == ["main-dark-10016", "main-bright-0"]
        assert listed.notes


def test_a_desi_catalogue_by_tile(tmp_path: Path) -> None:
    path = csv(tmp_path, "TILEID,LASTNIGHT,PETAL_LOC\n406,20210406,0\n406,20210406,3\n")
    assert names(of_catalogue(path, None, whole=False)) == [
        "0-406-thru20210406", "3-406-thru20210406",
    ]  # fmt: skip
    path = csv(tmp_path, "TILEID,LASTNIGHT\n406,20210406\n")
    assert len(names(of_catalogue(path, None, whole=False))) == 10


def test_unknown_identifiers_name_nothing(tmp_path: Path) -> None:
    table = Table({
        "PLATE": MaskedColumn([4055, 4055, -1, 4055, 0], mask=[False, True, False, False, False]),
        "MJD": [55359, 55359, 55359, 999999, 55359], "FIBERID": [20, 21, 22, 23, 24],
    })  # fmt: skip
    table.write(tmp_path / "masked.ecsv")
    listed = of_catalogue(str(tmp_path / "masked.ecsv"), None, whole=False)
    assert names(listed) == ["4055-55359-0020"]
    assert listed.notes


def test_paths_in_a_catalogue_lead_nowhere(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "SURVEY,PROGRAM,HEALPIX\n../..,dark,1\nmain,/etc,1\nmain,dark,../1\nmain,dark,2\n",
    )
    assert names(of_catalogue(path, None, whole=False)) == ["main-dark-2"]


def test_the_release_decides_between_columns(tmp_path: Path) -> None:
    path = csv(tmp_path, "PLATE,FIELD,MJD,CATALOGID\n4055,15143,59205,7\n")
    assert names(of_catalogue(path, release_named("dr12"), whole=True)) == ["4055-59205"]
    assert names(of_catalogue(path, release_named("dr20"), whole=True)) == ["015143-59205"]
    with pytest.raises(RunError, match="that DESI Data Release 1 has"):
        of_catalogue(path, release_named("desi-dr1"), whole=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ra,dec,z\n1,2,3\n", "no columns of plate, mjd, fiberid.*found ra, dec, z"),
        ("plate,mjd,fiberid\n-1,-1,-1\n", "none of its 1 rows names a spectrum"),
    ],
)
def test_c7_a_catalogue_that_names_nothing(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RunError, match=words):
        of_catalogue(csv(tmp_path, text), None, whole=True)


def test_a_catalogue_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none\.fits"):
        of_catalogue(str(tmp_path / "none.fits"), None, whole=True)
