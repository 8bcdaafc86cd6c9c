"""A plate and its spZbest file: whether they belong together."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from speclens.errors import SpectrumFileError
from speclens.read.sdss.plate import open_plate
from speclens.spectra import LogGrid

GRID = LogGrid(35800, 120)
KEEP = {"n_pixels": 200, "coeff0": 3.5780}
ZBEST = "spZbest-3655-55240.fits"


@pytest.fixture
def plate(tmp_path, write_plate):
    """`plate(header, zbest_header, rows, plugmap, **options)`: a plate with changes; its path."""

    def make(header=None, zbest_header=None, rows=None, plugmap=None, **options):
        path = write_plate(
            tmp_path, datasum=False, header=header, **{"n_fibres": 6, **KEEP} | options
        )
        for file, number, cards, values in (
            (tmp_path / ZBEST, 1, zbest_header, rows), (path, 5, None, plugmap)
        ):  # fmt: skip
            with fits.open(file, mode="update") as hdus:
                hdus[0].header.update(cards or {})
                for name, change in (values or {}).items():
                    for row, value in change.items():
                        hdus[number].data[name][row] = value
        return path

    return make


def error_of(path):
    with pytest.raises(SpectrumFileError) as caught, open_plate(str(path), GRID):
        pass
    return caught.value


@pytest.mark.parametrize(
    "changes",
    [
        {"zbest_header": {"PLATEID": 3656}},
        {"zbest_header": {"MJD": 55241}},
        {"rows": {"PLATE": dict.fromkeys(range(6), 3656)}},
        {"rows": {"MJD": dict.fromkeys(range(6), 55241)}},
        {"rows": {"PLUG_DEC": dict.fromkeys(range(6), 2.1)}},
        {"rows": {"PLUG_RA": dict.fromkeys(range(4), 12.0)}},
        {"rows": {"FIBERID": {3: 3}}},
        {"rows": {"FIBERID": {3: 900}}},
        {"plugmap": {"FIBERID": {3: 3}}},
        {"plugmap": {"FIBERID": {3: 900}}},
        {"header": {"PLATEID": 3656}},
    ],
    ids=str,
)
def test_i4_a_companion_of_another_plate_is_refused(plate, changes):
    error = error_of(plate(**changes))
    assert error.reason == "bad_identity"
    assert len(error.targets) == 6
    if "plugmap" not in changes and "header" not in changes:
        assert ZBEST in str(error)


def test_i8_of_spzbest_files_that_differ_none_is_chosen(plate, tmp_path):
    path = plate(header={"RUN2D": ""})
    zbest, other = tmp_path / ZBEST, tmp_path / "other" / ZBEST
    other.parent.mkdir()
    shutil.copy(zbest, other)
    with open_plate(str(path), GRID) as source:
        expected = source.targets["Z"].tolist()
    with fits.open(other, mode="update") as hdus:
        hdus[1].data["Z"] += 0.2
    error = error_of(path)
    assert error.reason == "bad_identity"
    assert "differ" in str(error)
    zbest.unlink()
    with open_plate(str(path), GRID) as source:
        assert source.targets["Z"].tolist() != expected


def test_i8_the_folder_that_the_plate_names_comes_first(plate, tmp_path):
    path = plate(header={"RUN2D": "v1"})
    own = tmp_path / "v1" / ZBEST
    own.parent.mkdir()
    shutil.copy(tmp_path / ZBEST, own)
    with fits.open(own, mode="update") as hdus:
        hdus[1].data["Z"] += 0.2
        expected = hdus[1].data["Z"].tolist()
    with open_plate(str(path), GRID) as source:
        assert source.targets["Z"].tolist() == pytest.approx(expected)


def test_i8_redshifts_of_another_reduction_are_refused(plate):
    error = error_of(plate(header={"RUN2D": "v1"}, zbest_header={"RUN2D": "v2"}))
    assert error.reason == "bad_identity"
    assert "v2" in str(error)


@pytest.mark.parametrize(
    "changes", [{"PLUG_DEC": 2.1}, {"PLUG_RA": 0.0}, {"PLATE": 3656}, {"MJD": 55241}], ids=str
)
def test_one_row_of_another_fibre_is_not_used(plate, changes):
    path = plate(rows={name: {2: value} for name, value in changes.items()})
    with open_plate(str(path), GRID) as file:
        assert file.reasons.tolist() == ["", "", "bad_identity", "", "", ""]
        assert file.targets["FIBERID"].tolist() == list(range(1, 7))


@pytest.mark.parametrize(
    "changes",
    [
        {"PLUG_DEC": {2: 1e308}}, {"PLUG_RA": {2: np.nan, 4: -9999.0}}, {"PLATE": {2: -1}},
        {"FIBERID": dict.fromkeys(range(6), -1)}, {"PLUG_DEC": {1: 50.0}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_unknown_or_of_a_sky_fibre_contradicts_nothing(plate, changes):
    with open_plate(str(plate(rows=changes)), GRID) as file:
        assert (file.reasons == "").all()
        assert_array_equal(file.targets["PLATE"], 3655)
        assert file.targets["FIBERID"].tolist() == list(range(1, 7))
        assert np.isfinite(file.targets["RA"]).all()


@pytest.mark.parametrize("number", [3655, 3655.0, "3655", "3655.0"])
def test_a_plates_number_is_read_however_it_is_written(plate, number):
    with open_plate(str(plate(header={"PLATEID": number})), GRID) as file:
        assert_array_equal(file.targets["PLATE"], 3655)


@pytest.mark.parametrize("known", ["name", "zbest"])
def test_what_the_header_lacks_the_name_or_the_companion_knows(plate, tmp_path, known):
    path = plate(header={"PLATEID": -1, "MJD": 0})
    if known == "zbest":
        path = path.rename(tmp_path / "spPlate.fits")
        (tmp_path / ZBEST).rename(tmp_path / "spZbest.fits")
    with open_plate(str(path), GRID) as file:
        assert file.targets["TARGETID"].tolist() == [3655552400000 + i for i in range(1, 7)]


def test_the_fibres_of_a_trimmed_plate_keep_their_numbers(plate):
    fibres = [{"FIBERID": i} for i in (3, 77, 500, 501)]
    with open_plate(str(plate(fibres=fibres)), GRID) as file:
        assert file.targets["FIBERID"].tolist() == [3, 77, 500, 501]


@pytest.mark.parametrize("known", [True, False])
def test_the_number_of_a_fibre_is_the_companions_or_unknown(plate, known):
    nobody = dict.fromkeys(range(6), -1)
    fibres = [{"FIBERID": i} for i in (3, 77, 500, 501, 502, 503)]
    path = plate(
        fibres=fibres, plugmap={"FIBERID": nobody}, rows={} if known else {"FIBERID": nobody}
    )
    with open_plate(str(path), GRID) as file:
        expected = [3, 77, 500, 501, 502, 503] if known else [-1] * 6
        assert file.targets["FIBERID"].tolist() == expected
