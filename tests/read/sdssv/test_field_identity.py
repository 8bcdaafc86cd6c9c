"""Which spectrum of SDSS-V a file holds: names of all releases, headers, columns; who disagrees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.fields import CATALOGID, FIELD, MJD
from speclens.read.sdss.spec import read_spec_files
from speclens.read.sdss.survey import SPECS, Sdss
from speclens.read.sdss.targets import blank_targets
from speclens.read.sdssv.dialect import SDSSV
from speclens.read.sdssv.identity import (
    FieldIds,
    field_numbers,
    ids_of_field_name,
    ids_of_name,
    object_texts,
    spectrum_names,
    spectrum_text,
)
from speclens.read.sdssv.survey import FIELD_SPECS, FIELDS, SdssV
from speclens.read.sdssv.targets import identify
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800, 5000)
BIG = 2**63 - 1

NAMES = {
    "spec-15143-59205-04544978190.fits": "015143-59205-4544978190",
    "spec-015143-59205-4544978190.fits": "015143-59205-4544978190",
    "spec-015143-59205-4544978190.fits.gz": "015143-59205-4544978190",
    "SPEC-102359-60089-27021598149616104.FITS": "102359-60089-27021598149616104",
    "spec-allepoch-60000-27021598054114233.fits": "allepoch-60000-27021598054114233",
    "spec-allepoch_lco-60000-63050395106956948.fits": "allepoch_lco-60000-63050395106956948",
    "spec-112360-60000-u095551.9+013108.2.fits": "112360-60000-u095551.9+013108.2",
    "spec-112360-60000-u095551.9-013108.2.fits": "112360-60000-u095551.9-013108.2",
    "spec-15143-59205-00000000123.fits": "015143-59205-123",
    f"spec-1-59205-{BIG}.fits": f"000001-59205-{BIG}",
}
OTHERS = [
    "spec-3655-55240-0001.fits", "spec-10000-57346-0001.fits", "spec-0266-51602-0031.fits",
    "spec-lens.fits", "spec-55859-F5902_sp01-001.fits", "spec-3655-55240-12345.fits",
]  # fmt: skip


@pytest.mark.parametrize(("name", "spectrum"), NAMES.items())
def test_names_of_all_releases_tell_who_a_spectrum_is(name, spectrum):
    assert spectrum_text(ids_of_name(f"/some/folder/{name}")) == spectrum
    assert SdssV().kind_of_name(name) is FIELD_SPECS
    assert Sdss().kind_of_name(name) is None
    assert len(spectrum) <= blank_targets(1)["SPECTRUM"].dtype.itemsize // 4


@pytest.mark.parametrize("name", OTHERS)
def test_names_of_plates_are_not_taken_for_fields(name):
    assert ids_of_name(name) == FieldIds()
    assert SdssV().kind_of_name(name) is None
    assert Sdss().kind_of_name(name) is SPECS


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("spField-15143-59205.fits", FieldIds("15143", 59205)),
        ("spField-015143-59205.fits.gz", FieldIds("15143", 59205)),
        ("spFullsky-allepoch_apo-60000.fits", FieldIds("allepoch_apo", 60000)),
        ("spField-mine.fits", FieldIds()),
    ],
)
def test_names_of_fields(name, ids):
    assert ids_of_field_name(name) == ids
    assert SdssV().kind_of_name(name) is FIELDS
    assert Sdss().kind_of_name(name) is None


@given(st.integers(1, 999_999), st.integers(1, 99_999), st.integers(10**6, BIG))
def test_c1_identifiers_are_exact_to_the_last_digit(field, mjd, catalogid):
    rows = blank_targets(1)
    identify(rows, FieldIds(str(field), mjd, str(catalogid)))
    (name,) = spectrum_names(rows)
    assert ids_of_name(f"spec-{name.replace(f'-{mjd}-', f'-{mjd:05d}-')}.fits") == FieldIds(
        str(field), mjd, str(catalogid)
    )
    assert rows["CATALOGID"].tolist() == [catalogid]
    assert rows["TARGETID"].tolist() == [-1]
    assert field_numbers([name]).tolist() == [field * 10**5 + mjd]


@pytest.mark.parametrize(
    "ids",
    [FieldIds("", 59205, "4544978190"), FieldIds("15143", -1, "4544978190"),
     FieldIds("15143", 59205), FieldIds()],
)  # fmt: skip
def test_what_is_known_in_part_names_no_spectrum(ids):
    rows = blank_targets(2)
    identify(rows, ids)
    assert spectrum_names(rows) == ["", ""]
    assert SdssV().detector_places(rows).tolist() == [-1, -1]


def test_c1_rounded_identifiers_name_nothing():
    assert object_texts(np.array([4.5e9, 2.7e16])) == ["", ""]
    assert object_texts(np.array([0, -1, -999, CATALOGID])) == ["", "", "", str(CATALOGID)]
    words = np.array(["2.7021598E+16", "0", "", "u1+2", "000004544978190", str(CATALOGID)])
    assert object_texts(words) == ["", "", "", "u1+2", "4544978190", str(CATALOGID)]


def test_the_file_under_another_name_is_known_by_its_row(tmp_path, write_field_spec):
    path = write_field_spec(tmp_path, name="lens.fits")
    (failures,) = [read_spec_files([str(path)], GRID, dialect=SDSSV)]
    assert not failures.failures
    assert failures.targets["SPECTRUM"].tolist() == [f"{FIELD}-{MJD}-{CATALOGID}"]
    assert SdssV().kind_of_content(str(path)) is FIELD_SPECS
    assert Sdss().kind_of_content(str(path)) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"header": {"FIELDID": 102360}}, "FIELD is 102359 by the file's name and 102360"),
        ({"header": {"MJD": 60090}}, "MJD is 60089 by the file's name and 60090"),
        ({"row": {"CATALOGID": CATALOGID + 1, "SPEC_FILE": ""}}, f"{CATALOGID + 1} by its cat"),
        ({"row": {"SPEC_FILE": f"spec-{FIELD}-{MJD}-{CATALOGID + 7}.fits"}}, f"{CATALOGID + 7}"),
        ({"row": {"FIELD": 7, "SPEC_FILE": ""}}, "FIELD is 102359 by"),
    ],
)
def test_i4_places_that_disagree_are_refused(tmp_path, write_field_spec, change, said):
    path = write_field_spec(tmp_path, **change)
    specs = read_spec_files([str(path)], GRID, dialect=SDSSV)
    (error,) = specs.failures
    assert error.reason == "bad_identity"
    assert said in str(error)
    assert len(error.targets) == 1


@pytest.mark.parametrize("header", [{"FIELDID": 102237, "MJD": 59600}, {"FIELDID": ""}])
def test_parts_of_a_coadd_over_fields_do_not_contradict_it(tmp_path, write_field_spec, header):
    path = write_field_spec(
        tmp_path, field="allepoch_apo", mjd=59373, header=header, row={"FIELD": 102237}
    )
    specs = read_spec_files([str(path)], GRID, dialect=SDSSV)
    assert not specs.failures
    assert SdssV().spectrum_names(specs.targets) == [f"allepoch_apo-59373-{CATALOGID}"]
    assert SdssV().detector_places(specs.targets).tolist() == [-1]


def test_the_field_of_the_imaging_is_not_the_field(tmp_path, write_field_spec):
    path = write_field_spec(tmp_path, release=18, field=15143, mjd=59205, catalogid=4544978190)
    specs = read_spec_files([str(path)], GRID, dialect=SDSSV)
    assert not specs.failures
    assert path.name == "spec-15143-59205-04544978190.fits"
    assert specs.targets["SPECTRUM"].tolist() == ["015143-59205-4544978190"]


def test_a_file_that_cannot_be_read_keeps_the_identity_of_its_name():
    target = SdssV().target_of_name(f"/a/spec-015143-59205-{CATALOGID}.fits")
    assert SdssV().spectrum_names(target) == [f"015143-59205-{CATALOGID}"]
    assert target["CATALOGID"].tolist() == [CATALOGID]
    field = SdssV().target_of_name("/a/spField-015143-59205.fits")
    assert SdssV().spectrum_names(field) == [""]
    assert field["MJD"].tolist() == [59205]
