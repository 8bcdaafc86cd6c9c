"""Fields of SDSS-V: spField and spZbest, what belongs together, and what lacks something."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from fixtures.fields import CATALOGID, FIELD, MJD
from speclens.errors import SpectrumFileError
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.plate import open_plate
from speclens.read.sdssv.field import open_field
from speclens.read.sdssv.survey import FIELDS, SdssV
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800, 5000)
RELEASES = (18, 19, 20)


def refusal_of(path):
    with pytest.raises(SpectrumFileError) as caught, open_field(str(path), GRID):
        pass
    return caught.value


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("zbest", ["beside", "run2d"])
def test_a_field_of_every_release(tmp_path, write_field, release, zbest):
    targets = [{"Z": 0.3 + 0.01 * i, "VDISP": 200.0 + i} for i in range(6)]
    path = write_field(tmp_path, release=release, targets=targets, zbest=zbest)
    assert find_survey_files([str(tmp_path)]).of_kind == {FIELDS: [str(path)]}
    companions = SdssV().companions(FIELDS, str(path))
    assert [c.rpartition("/")[2] for c in companions] == [path.name.replace("Field", "Zbest")]
    with open_field(str(path), GRID) as field:
        assert (field.reasons == "").all()
        rows = field.targets
        assert rows["SPECTRUM"].tolist() == [f"{FIELD}-{MJD}-{CATALOGID + i}" for i in range(6)]
        assert rows["CATALOGID"].tolist() == [CATALOGID + i for i in range(6)]
        assert_allclose(rows["Z"], [0.3 + 0.01 * i for i in range(6)], rtol=1e-6)
        assert_allclose(rows["RA"], [150.1 + 0.1 * i for i in range(6)])
        assert rows["VDISP"].tolist() == [200.0 + i for i in range(6)]
        assert rows["SDSS_ID"].tolist() == [54000001 + i if release > 18 else -1 for i in range(6)]
        assert rows["FIBERID"].tolist() == [1, 2, 3, 4, 5, 6]
        assert (rows["PLATE"] == -1).all()
        assert (rows["TARGETID"] == -1).all()
        batch = field.spectra(np.array([1, 4]))
        here, there = GRID.overlap(LogGrid(35515, 1730))
        assert_array_equal(batch.flux[:, here], fits.getdata(path, 0)[[1, 4]][:, there])


def test_fibres_without_a_target(tmp_path, write_field):
    targets = [
        {"OBJTYPE": "SKY", "ASSIGNED": "0 0"}, {"CATALOGID": "u095551.9-013108.2", "ASSIGNED": "0"},
        {"ZWARNING": 1}, {"FIBERID_LIST": "4 5"}, {}, {},
    ]  # fmt: skip
    with open_field(str(write_field(tmp_path, targets=targets)), GRID) as field:
        assert field.targets["OBJTYPE"].tolist() == [
            "SKY", "UNPLUGGED", "SKY", "SCIENCE", "SCIENCE", "SCIENCE",
        ]  # fmt: skip
        names = SdssV().spectrum_names(field.targets)
        assert names[1] == f"{FIELD}-{MJD}-u095551.9-013108.2"
        places = SdssV().detector_places(field.targets)
        assert (np.diff(places)[[0, 1, 4]] == 1).all()
        assert places[3] == -1


def test_a_fibre_without_a_target_goes_by_its_number_in_release_18(tmp_path, write_field):
    path = write_field(tmp_path, release=18, targets=[{}, {"CATALOGID": 0, "FIBERID": 77}])
    with open_field(str(path), GRID) as field:
        assert SdssV().spectrum_names(field.targets)[1] == f"{FIELD}-{MJD}-77"
        assert field.targets["CATALOGID"].tolist() == [CATALOGID, -1]


def test_in_release_18_redshifts_count_targets_and_not_fibres(tmp_path, write_field):
    targets = [{"FIBERID": 500 - i, "Z": 0.3 + 0.1 * i} for i in range(3)]
    with open_field(str(write_field(tmp_path, release=18, targets=targets)), GRID) as field:
        assert field.targets["FIBERID"].tolist() == [500, 499, 498]
        assert_allclose(field.targets["Z"], [0.3, 0.4, 0.5], rtol=1e-6)


def test_neighbours_end_at_the_spectrograph(tmp_path, write_field):
    fibres = [1, 2, 499, 500, 501, 502]
    targets = [{"FIBERID_LIST": f"{fibre} {fibre}"} for fibre in fibres]
    with open_field(str(write_field(tmp_path, targets=targets)), GRID) as field:
        steps = np.diff(SdssV().detector_places(field.targets))
    assert (steps == 1).tolist() == [True, False, True, False, True]


def test_rows_belong_together_by_the_number_of_the_target(tmp_path, write_field):
    targets = [{"Z": 0.3 + 0.1 * i} for i in range(4)]
    path = write_field(tmp_path, targets=targets, zbest_order=[2, 0, 3, 1])
    with open_field(str(path), GRID) as field:
        assert_allclose(field.targets["Z"], [0.3, 0.4, 0.5, 0.6], rtol=1e-6)


def test_i4_redshifts_of_others_are_refused(tmp_path, write_field):
    ours = write_field(tmp_path / "one", n_targets=4)
    other = [{"CATALOGID": CATALOGID + 100 + i} for i in range(4)]
    theirs = write_field(tmp_path / "two", targets=other)
    zbest = ours.with_name(ours.name.replace("Field", "Zbest"))
    zbest.write_bytes(theirs.with_name(zbest.name).read_bytes())
    error = refusal_of(ours)
    assert error.reason == "bad_identity"
    assert f"CATALOGID {CATALOGID + 100}" in str(error)
    assert SdssV().spectrum_names(error.targets) == [
        f"{FIELD}-{MJD}-{CATALOGID + i}" for i in range(4)
    ]


def test_one_row_of_another_target_costs_that_one(tmp_path, write_field):
    path = write_field(tmp_path, n_targets=4)
    zbest = path.with_name(path.name.replace("Field", "Zbest"))
    with fits.open(zbest, mode="update", checksum=True) as hdus:
        hdus[1].data["CATALOGID"][2] += 1
    with open_field(str(path), GRID) as field:
        assert field.reasons.tolist() == ["", "", "bad_identity", ""]


@pytest.mark.parametrize(
    ("options", "reason", "said"),
    [
        ({"zbest": None}, "no_catalogue", "fetch spZbest too"),
        ({"without": ["IVAR"]}, "missing_hdu", "IVAR"),
        ({"without": ["ANDMASK"]}, "missing_hdu", "ANDMASK"),
        ({"without": ["PLUGMAP"]}, "missing_hdu", "PLUGMAP"),
        ({"header": {"FIELDID": 5}}, "bad_identity", "FIELD is 5 by the header and 102359"),
        ({"header": {"VACUUM": False}}, "bad_wavelengths", "air"),
        ({"header": {"BUNIT": "Jy"}}, "bad_values", "Jy"),
        ({"zbest_header": {"FIELDID": 7}}, "bad_identity", "FIELD is"),
        ({"zbest_header": {"MJD": 59999}}, "bad_identity", "MJD is"),
        ({"zbest_header": {"RUN2D": "v6_0_0"}}, "bad_identity", "RUN2D"),
        ({"zbest_order": [0, 1, 2]}, "bad_identity", "TARGET_INDEX 4"),
        ({"zbest_order": [0, 1, 2, 3, 3]}, "bad_identity", "a row twice"),
    ],
)  # fmt: skip
def test_a_field_that_lacks_something_says_what(tmp_path, write_field, options, reason, said):
    error = refusal_of(write_field(tmp_path, n_targets=4, **options))
    assert error.reason == reason
    assert said in str(error)
    assert len(error.targets) == 4
    assert (error.targets["MJD"] == MJD).all()


def test_a_cut_field_tells_how_many_spectra_are_lost(tmp_path, write_field):
    path = write_field(tmp_path, n_targets=4)
    path.write_bytes(path.read_bytes()[:-2881])
    error = refusal_of(path)
    assert error.reason == "truncated"
    assert len(error.targets) == 4


def test_fields_and_plates_are_told_apart(tmp_path, write_field, write_plate):
    field, plate = write_field(tmp_path), write_plate(tmp_path)
    with (
        pytest.raises(SpectrumFileError, match="rename it to spField"),
        open_plate(str(field), GRID),
    ):
        pass
    assert "an spPlate file" in str(refusal_of(plate))
    assert SdssV().kind_of_content(str(plate)) is None


def test_a_coadd_over_fields(tmp_path, write_field):
    path = write_field(tmp_path, field=102237, n_targets=3)
    names = ("spFullsky-allepoch_apo-60000.fits", "spZbest-allepoch_apo-60000.fits")
    with fits.open(path, mode="update", checksum=True) as hdus:
        del hdus[0].header["FIELDID"]
    path.with_name(path.name.replace("Field", "Zbest")).rename(tmp_path / names[1])
    path = path.rename(tmp_path / names[0])
    assert find_survey_files([str(tmp_path)]).of_kind == {FIELDS: [str(path)]}
    with open_field(str(path), GRID) as field:
        assert SdssV().spectrum_names(field.targets) == [
            f"allepoch_apo-60000-{CATALOGID + i}" for i in range(3)
        ]
        assert (SdssV().detector_places(field.targets) == -1).all()


def test_a_field_of_the_time_of_plates_goes_by_its_plug_map(tmp_path, write_field):
    path = write_field(tmp_path, field=15000, mjd=59216, release=18, n_targets=3)
    with fits.open(path, mode="update", checksum=True) as hdus:
        del hdus[0].header["FIELDID"]
        hdus[0].header["PLATEID"] = 15000
    plate = path.with_name("spPlate-15000-59216.fits")
    path.rename(plate)
    with (
        pytest.raises(SpectrumFileError, match="rename it to spField-FIELD-MJD"),
        open_plate(str(plate), GRID),
    ):
        pass
    with open_field(str(plate.rename(path)), GRID) as field:
        assert field.targets["SPECTRUM"].tolist() == [
            f"015000-59216-{CATALOGID + i}" for i in range(3)
        ]
