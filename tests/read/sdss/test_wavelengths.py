from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from speclens.errors import SpectrumFileError
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800, 5000)
COEFF0 = 3.5515
N_PIXELS = 1730
LOGLAM = COEFF0 + 1e-4 * np.arange(N_PIXELS)
WAVE = 10**LOGLAM


def read(path):
    specs = read_spec_files([str(path)], GRID)
    if specs.failures:
        raise specs.failures[0]
    return specs.batch


def refusal(path):
    with pytest.raises(SpectrumFileError) as caught:
        read(path)
    assert caught.value.reason == "bad_wavelengths"
    return str(caught.value)


def column(name, values, unit=None, form="D"):
    return fits.Column(name, form, unit=unit, array=values)


@pytest.mark.parametrize("name", ["WAVELENGTH", "wave", "Lambda", "LAM"])
@pytest.mark.parametrize("form", ["D", "E"])
def test_a_column_of_wavelengths_must_not_contradict(tmp_path, write_spec, name, form):
    expected = read(write_spec(tmp_path / "plain.fits"))
    same = write_spec(tmp_path / "a.fits", extra_columns=[column(name, WAVE, "Angstrom", form)])
    assert_array_equal(read(same).flux, expected.flux)
    other = column(name, 10 ** (LOGLAM + 0.01), "Angstrom", form)
    for options in ({"with_loglam": False}, {"with_coeffs": False}, {}):
        text = refusal(write_spec(tmp_path / "b.fits", extra_columns=[other], **options))
        assert name.upper() in text


@pytest.mark.parametrize("name", ["WAVE", "LAMBDA", "LOGWAVE"])
def test_a_column_of_wavelengths_serves_alone(tmp_path, write_spec, name):
    expected = read(write_spec(tmp_path / "plain.fits"))
    values = LOGLAM if name == "LOGWAVE" else WAVE
    path = write_spec(
        tmp_path / "a.fits", with_loglam=False, with_coeffs=False,
        extra_columns=[column(name, values)],
    )  # fmt: skip
    assert_array_equal(read(path).flux, expected.flux)


def test_loglam_of_a_spectrum_that_was_cut_counts(tmp_path, write_spec):
    first = COEFF0 + 0.002
    expected = read(write_spec(tmp_path / "a.fits", coeff0=first, with_coeffs=False))
    found = read(write_spec(tmp_path / "b.fits", coeff0=first, header={"COEFF0": COEFF0}))
    assert_array_equal(found.flux, expected.flux)


def test_i12_loglam_beyond_the_longest_plate_was_not_cut(tmp_path, write_spec):
    long = {"n_pixels": 4650, "header": {"COEFF0": COEFF0 - 0.01}}
    assert "COEFF0" in refusal(write_spec(tmp_path / "a.fits", **long))


def test_i12_two_axes_of_one_image_must_agree(tmp_path, write_spec):
    axis = {"CRVAL1": COEFF0, "CD1_1": 1e-4}
    assert len(read(write_spec(tmp_path / "a.fits", with_loglam=False, header=axis))) == 1
    other = axis | {"CRVAL1": COEFF0 + 0.01}
    text = refusal(write_spec(tmp_path / "b.fits", with_loglam=False, header=other))
    assert "CRVAL1" in text


def test_loglam_does_not_begin_before_the_plate(tmp_path, write_spec):
    path = write_spec(tmp_path / "a.fits", header={"COEFF0": COEFF0 + 0.002})
    assert "COEFF0" in refusal(path)


@pytest.mark.parametrize("header", [{"COEFF1": 2e-4}, {"COEFF0": 3.55154}])
def test_a_header_on_another_grid_contradicts_loglam(tmp_path, write_spec, header):
    assert "COEFF" in refusal(write_spec(tmp_path / "a.fits", header=header))


AIR = [
    {"VACUUM": value} for value in (False, 0, "F", "FALSE", "false", "N", "no", "air", 0.0)
] + [
    {"VACWAVE": False}, {"INAIR": True}, {"AIRWAV": "T"}, {"WAVEMODE": "AIR"}, {"LAMTYPE": "air"},
    {"AIRORVAC": "air"}, {"AIRORVAC": "AIR "}, {"CTYPE1": "AWAV"}, {"CTYPE1": "AWAV-LOG"},
    {"WAVETYPE": "air"}, {"WAVE_AIR": True}, {"CUNIT1": "nm"}, {"CUNIT1": "um"}, {"CUNIT1": "m"},
]  # fmt: skip
VACUUM = [
    {"VACUUM": value} for value in (True, 1, "T", "true", "YES", "vacuum")
] + [
    {"AIRORVAC": "vac"}, {"CTYPE1": "WAVE-LOG"}, {"CTYPE1": "LINEAR"}, {"WAVETYPE": "vacuum"},
    {"CUNIT1": "Angstrom"}, {"CUNIT1": "log10(Angstrom)"}, {"AIRTEMP": 10.8}, {"AIRMASS": 1.2},
]  # fmt: skip


@pytest.mark.parametrize("cards", AIR, ids=str)
def test_a18_every_way_to_say_air_or_another_unit_is_heard(
    tmp_path, write_spec, write_plate, cards
):
    (key,) = cards
    assert key in refusal(write_spec(tmp_path / "a.fits", header=cards))
    with pytest.raises(SpectrumFileError, match=key) as caught:
        open_plate(str(write_plate(tmp_path, n_fibres=2, header=cards)), GRID).__enter__()
    assert caught.value.reason == "bad_wavelengths"


@pytest.mark.parametrize("cards", VACUUM, ids=str)
def test_vacuum_is_vacuum(tmp_path, write_spec, cards):
    assert len(read(write_spec(tmp_path / "a.fits", header=cards))) == 1


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("WAVE_AIR", "Angstrom"), ("air_wavelength", None), ("LAMBDA_AIR", None), ("AWAV", None),
        ("WAVELENGTH", "nm"), ("WAVELENGTH", "micron"), ("WAVE", "um"), ("WAVE", "m"),
        ("WAVE", "Angstrom (air)"), ("LAMBDA", "Hz"),
    ],
)  # fmt: skip
def test_a18_columns_in_air_or_another_unit_are_refused_by_name(tmp_path, write_spec, name, unit):
    path = write_spec(tmp_path / "a.fits", extra_columns=[column(name, WAVE, unit)])
    assert name.upper() in refusal(path) or unit.upper() in refusal(path)


@pytest.mark.parametrize("unit", ["Angstrom", "ANGSTROMS", "Ang", "A", "AA", "0.1 nm"])
def test_angstrom_is_angstrom(tmp_path, write_spec, unit):
    path = write_spec(tmp_path / "a.fits", extra_columns=[column("WAVE", WAVE, unit)])
    assert len(read(path)) == 1


@pytest.mark.parametrize(
    "values", [WAVE[::-1], WAVE / 10, np.full(N_PIXELS, np.nan), -WAVE, WAVE * 0]
)
def test_a18_wavelengths_off_the_grid_are_refused(tmp_path, write_spec, values):
    path = write_spec(
        tmp_path / "a.fits", with_loglam=False, with_coeffs=False,
        extra_columns=[column("WAVE", values)],
    )  # fmt: skip
    assert "wave" in refusal(path)
