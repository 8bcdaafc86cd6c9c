"""Releases: the addresses of their files, and records that users write."""

from __future__ import annotations

from pathlib import Path

import pytest

from speclens.errors import ConfigError
from speclens.fetch.holdings import as_files, read_name
from speclens.releases import fetch_line, newest, release_named, release_of

SAS, DESI = "https://data.sdss.org/sas", "https://data.desi.lbl.gov/public/dr1/spectro/redux/iron"

# As the archives, the data models and published scripts write them.
PLATES = {
    "dr12": f"{SAS}/dr12/boss/spectro/redux/v5_7_0/4055/spPlate-4055-55359.fits",
    "dr13": f"{SAS}/dr13/eboss/spectro/redux/v5_9_0/4055/spPlate-4055-55359.fits",
    "dr14": f"{SAS}/dr14/eboss/spectro/redux/v5_10_0/4055/spPlate-4055-55359.fits",
    "dr15": f"{SAS}/dr15/eboss/spectro/redux/v5_10_0/4055/spPlate-4055-55359.fits",
    "dr16": f"{SAS}/dr16/eboss/spectro/redux/v5_13_0/4055/spPlate-4055-55359.fits",
    "dr17": f"{SAS}/dr17/eboss/spectro/redux/v5_13_2/4055/spPlate-4055-55359.fits",
}
SPECTRA = [
    ("dr12", "lite", "3586-55181-0190",
     f"{SAS}/dr12/boss/spectro/redux/v5_7_0/spectra/lite/3586/spec-3586-55181-0190.fits"),
    ("dr12", "full", "3655-55240-0040",
     f"{SAS}/dr12/boss/spectro/redux/v5_7_0/spectra/3655/spec-3655-55240-0040.fits"),
    ("dr12", "lite", "0908-52373-0302",
     f"{SAS}/dr12/sdss/spectro/redux/26/spectra/lite/0908/spec-0908-52373-0302.fits"),
    ("dr14", "lite", "4055-55359-596",
     f"{SAS}/dr14/eboss/spectro/redux/v5_10_0/spectra/lite/4055/spec-4055-55359-0596.fits"),
    ("dr16", "lite", "4055-55359-596",
     f"{SAS}/dr16/eboss/spectro/redux/v5_13_0/spectra/lite/4055/spec-4055-55359-0596.fits"),
    ("dr17", "full", "3586-55181-0016",
     f"{SAS}/dr17/eboss/spectro/redux/v5_13_2/spectra/full/3586/spec-3586-55181-0016.fits"),
    ("dr17", "lite", "10235-58127-0006",
     f"{SAS}/dr17/eboss/spectro/redux/v5_13_2/spectra/lite/10235/spec-10235-58127-0006.fits"),
    ("dr17", "full", "2895-54567-0346",
     f"{SAS}/dr17/sdss/spectro/redux/26/spectra/full/2895/spec-2895-54567-0346.fits"),
    ("dr18", "lite", "15143-59205-4544978190",
     f"{SAS}/dr18/spectro/boss/redux/v6_0_4/spectra/lite/15143p/59205/"
     "spec-15143-59205-04544978190.fits"),
    ("dr19", "lite", "15000-59146-4375924756",
     f"{SAS}/dr19/spectro/boss/redux/v6_1_3/spectra/lite/015000/59146/"
     "spec-015000-59146-4375924756.fits"),
    ("dr20", "full", "112053-60334-63050396111356292",
     f"{SAS}/dr20/spectro/boss/redux/v6_2_1/spectra/daily/full/112XXX/112053/60334/"
     "spec-112053-60334-63050396111356292.fits"),
]  # fmt: skip


def urls(release: str, name: str, choice: str = "plates") -> list[list[str]]:
    of = release_named(release)
    (wanted,) = read_name(name, of)
    found = as_files(wanted, choice).places(of)  # type: ignore[arg-type]
    return [[place.url for place in places] for places in found]


@pytest.mark.parametrize("release", PLATES)
def test_plates_of_boss_and_eboss(release: str) -> None:
    (plate, zbest), *_ = urls(release, "4055-55359")
    assert plate == PLATES[release]
    run2d = plate.split("/")[-3]
    assert zbest == plate.replace("spPlate", f"{run2d}/spZbest")


def test_a_plate_is_sought_in_all_reductions_of_its_survey() -> None:
    found = urls("dr12", "4055-55359")
    assert [places[0].split("/")[-3] for places in found] == ["v5_7_0", "v5_7_2"]
    found = urls("dr12", "0266-51602")
    assert [places[0].split("/")[-3] for places in found] == ["26", "103", "104"]
    assert found[0][1] == f"{SAS}/dr12/sdss/spectro/redux/26/0266/spZbest-0266-51602.fits"


@pytest.mark.parametrize(("release", "choice", "name", "url"), SPECTRA)
def test_single_spectra(release: str, choice: str, name: str, url: str) -> None:
    assert urls(release, name, choice)[0] == [url]


def test_fields_of_sdss_v() -> None:
    boss = f"{SAS}/dr20/spectro/boss/redux/v6_2_1/fields/015XXX/015143"
    assert urls("dr20", "015143-59205") == [
        [f"{boss}/spField-015143-59205.fits", f"{boss}/v6_2_1/spZbest-015143-59205.fits"]
    ]
    assert urls("dr18", "15143-59205")[0][0] == (
        f"{SAS}/dr18/spectro/boss/redux/v6_0_4/15143p/spField-15143-59205.fits"
    )


def test_desi_by_healpix_and_by_tile() -> None:
    healpix = f"{DESI}/healpix/main/dark/100/10016"
    assert urls("desi-dr1", "main-dark-10016") == [
        [f"{healpix}/coadd-main-dark-10016.fits", f"{healpix}/redrock-main-dark-10016.fits"]
    ]
    assert urls("desi-dr1", "sv3-bright-7")[0][0] == (
        f"{DESI}/healpix/sv3/bright/0/7/coadd-sv3-bright-7.fits"
    )
    tile = f"{DESI}/tiles/cumulative/406/20210406"
    assert urls("desi-dr1", "3-406-thru20210406") == [
        [f"{tile}/coadd-3-406-thru20210406.fits", f"{tile}/redrock-3-406-thru20210406.fits"]
    ]


def test_desi_lists_its_digests() -> None:
    release = release_named("desi-dr1")
    for name, folder, last in (
        ("main-dark-10000", "healpix/main/dark/100/10000", "healpix_main_dark_100_10000"),
        ("0-406-thru20210406", "tiles/cumulative/406/20210406", "tiles_cumulative_406_20210406"),
    ):
        places = next(read_name(name)[0].places(release))
        sums = f"iron/{folder}/redux_iron_{last}.sha256sum"
        assert {place.checksums for place in places} == {sums}


def test_the_newest_release_of_each_kind() -> None:
    assert [newest(kind).name for kind in ("plate", "field", "healpix", "tile")] == [
        "dr17", "dr20", "desi-dr1", "desi-dr1",
    ]  # fmt: skip


def test_a_reduction_tells_its_release() -> None:
    assert release_of("v5_7_2") == "dr12"
    assert release_of("v5_10_0") == "dr15"
    assert release_of("26") == release_of("") == release_of("v9_9_9") == ""
    assert fetch_line("3655-55240", "v5_7_0") == (
        "speclens fetch 3655-55240 --release dr12 -o FOLDER"
    )
    assert fetch_line("3655-55240", "mine") == "speclens fetch 3655-55240 -o FOLDER"


RECORD = """
[releases.mine]
title = "mine"
trees = [{ layout = "LAYOUT", address = "ADDRESS", run2d = ["RUN2D"] }]
[layouts.own]
of = "plate"
files = ["PATTERN"]
"""


def record(folder: Path, **values: str) -> str:
    text = RECORD
    known = {"LAYOUT": "own", "ADDRESS": "https://a.org/b/", "RUN2D": "v1"}
    known["PATTERN"] = "{plate:04}/x-{mjd}.fits"
    for name, value in {**known, **values}.items():
        text = text.replace(name, value)
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_new_release_is_a_record_and_no_code(tmp_path: Path) -> None:
    release = release_named(record(tmp_path))
    (wanted,) = read_name("1234-55000", release)
    assert [p.url for p in next(wanted.places(release))] == ["https://a.org/b/1234/x-55000.fits"]
    assert list(as_files(read_name("1234-55000-1", release)[0], "full").places(release)) == []
    assert release_named(record(tmp_path, LAYOUT="boss")).trees[0].layout.of == "plate"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ADDRESS": "file:///etc/"}, "address of http or https"),
        ({"ADDRESS": "ftp://a.org/"}, "address of http or https"),
        ({"ADDRESS": "https://me:secret@a.org/"}, "address of http or https"),
        ({"ADDRESS": "https://a.org"}, "ends in /"),
        ({"PATTERN": "../{plate}.fits"}, "relative path"),
        ({"PATTERN": "/etc/{plate}.fits"}, "relative path"),
        ({"PATTERN": "a/../../{plate}.fits"}, "relative path"),
        ({"PATTERN": "a//{plate}.fits"}, "relative path"),
        ({"PATTERN": "{plate.__class__}.fits"}, "relative path"),
        ({"PATTERN": "{plate!r}.fits"}, "relative path"),
        ({"PATTERN": "{catalogid}.fits"}, r"no \{catalogid\} for a plate"),
        ({"RUN2D": ".."}, "run2d"),
        ({"RUN2D": "a/b"}, "run2d"),
        ({"LAYOUT": "none"}, "layout 'none' is not known"),
        ({"title": "titel"}, "title: Field required"),
        ({"= \"mine\"": "= 3"}, "title"),
        ({"[releases.mine]": "[releases.mine"}, "mine.toml"),
        ({"[releases.mine]": "[releases.other]\ntitle='x'\ntrees=[]\n[releases.mine]"}, "trees"),
    ],
)  # fmt: skip
def test_a_record_is_checked(tmp_path: Path, values: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        release_named(record(tmp_path, **values))


def test_a_release_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'dr7': not known; known: dr12, dr13"):
        release_named("dr7")
    with pytest.raises(ConfigError, match="cannot be read"):
        release_named(str(tmp_path / "none.toml"))
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(ConfigError, match="releases: Field required"):
        release_named(str(tmp_path / "empty.toml"))
