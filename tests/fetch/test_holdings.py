"""Names of what is wanted, in every form in which they are written."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclens.errors import ConfigError
from speclens.fetch.holdings import Holding, as_files, read_name, release_for
from speclens.releases import release_named

RELEASES = ("dr12", "dr17", "dr18", "dr19", "dr20", "desi-dr1")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("4055-55359", Holding("plate", (4055, 55359, None))),
        ("266-51602", Holding("plate", (266, 51602, None))),
        ("spPlate-4055-55359.fits", Holding("plate", (4055, 55359, None))),
        ("spZbest-4055-55359.fits.gz", Holding("plate", (4055, 55359, None))),
        ("4055-55359-0020", Holding("plate", (4055, 55359, 20))),
        ("spec-4055-55359-0020.fits", Holding("plate", (4055, 55359, 20))),
        ("015143-59205", Holding("field", (15143, 59205, None))),
        ("spField-015143-59205.fits", Holding("field", (15143, 59205, None))),
        ("015143-59205-4544978190", Holding("field", (15143, 59205, 4544978190))),
        ("15143-59205-4544978190", Holding("field", (15143, 59205, 4544978190))),
        ("main-dark-10016", Holding("healpix", ("main", "dark", 10016))),
        ("coadd-sv3-bright-0.fits", Holding("healpix", ("sv3", "bright", 0))),
        ("redrock-3-406-thru20210406.fits", Holding("tile", (406, 20210406, 3))),
    ],
)
def test_names(text: str, wanted: Holding) -> None:
    assert read_name(text) == [wanted]
    assert read_name(str(wanted)) == [wanted]


def test_a_tile_has_ten_petals() -> None:
    found = read_name("406-thru20210406")
    assert [wanted.ids for wanted in found] == [(406, 20210406, petal) for petal in range(10)]


@pytest.mark.parametrize("text", [
    "", "4055", "4055-5535", "4055-55359-", "4055-55359-00000", "0-55359", "4055-00000", "-1-55359",
    "4055-55359-1-2", "../4055-55359", "main-dark", "main-dark-x", "Main-dark-1", "a/b-dark-1",
    "406-thru2021040", "12-406-thru20210406", "4055-55359\n", "\u0664055-55359", "4055-55359.fits",
    "spec-../../x.fits", "spec-4055-55359-0020.fits/..", "39627641234567890",
])  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    assert read_name(text) == []


def test_the_release_tells_fields_from_plates() -> None:
    assert read_name("15143-59205", release_named("dr19"))[0].kind == "field"
    assert read_name("15143-59205", release_named("dr17"))[0].kind == "plate"
    assert read_name("4055-55359", release_named("dr20"))[0].kind == "plate"


@pytest.mark.parametrize("text", ["015143-59205", "4055-55359-4544978190"])
def test_what_can_be_a_field_alone_is_refused_to_a_release_of_plates(text: str) -> None:
    (wanted,) = read_name(text, release_named("dr17"))
    assert wanted.kind == "field"
    with pytest.raises(ConfigError, match="has no such field; releases with them: dr18"):
        release_for(wanted, release_named("dr17"))


@given(st.text(max_size=60))
def test_no_name_leads_out_of_a_folder(text: str) -> None:
    for release in map(release_named, RELEASES):
        for wanted in read_name(text, release):
            for places in wanted.places(release):
                for place in places:
                    parts = PurePosixPath(place.path).parts
                    assert not {"..", ".", "/", ""} & set(parts)
                    assert place.url.startswith("https://")


def test_files_of_another_sort() -> None:
    (spectrum,) = read_name("4055-55359-0020")
    assert as_files(spectrum, "plates") == Holding("plate", (4055, 55359, None))
    assert as_files(spectrum, "full").full
    assert not as_files(as_files(spectrum, "full"), "lite").full
    (pixel,) = read_name("main-dark-10016")
    assert as_files(pixel, "full") == as_files(pixel, "plates") == pixel
    with pytest.raises(ConfigError, match="a whole plate, and --files lite is of single spectra"):
        as_files(spectrum.whole, "lite")


def test_the_release_that_is_fetched_from() -> None:
    (plate,) = read_name("4055-55359")
    assert release_for(plate, None).name == "dr17"
    assert release_for(plate, release_named("dr12")).name == "dr12"
    with pytest.raises(ConfigError, match=r"Data Release 20 has no such plate.*dr12, .*dr17$"):
        release_for(plate, release_named("dr20"))
    (pixel,) = read_name("main-dark-10016")
    with pytest.raises(ConfigError, match="has no such healpix; releases with them: desi-dr1"):
        release_for(pixel, release_named("dr12"))
