"""Single exposures of full spec files, read as astropy reads them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from speclens.errors import SpectrumFileError
from speclens.read.sdss import INSTRUMENT
from speclens.read.sdss.exposures import read_exposures
from speclens.read.sdss.spec import read_spec_files
from speclens.spectra import LogGrid

WINDOW = (3800.0, 5000.0)
BAD = INSTRUMENT.bad_mask_bits
NAMES = [f"B1-{i:08d}-00000099-00000098" for i in range(100, 104)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spec-3655-55240-0001.fits"


def read(path, wave_range=WINDOW):
    return read_exposures(str(path), wave_range)


def column_of(path, hdu, name):
    """A column of an exposure as astropy reads it; 0 is the first exposure."""
    return fits.getdata(path, 4 + hdu)[name].astype(float)


@pytest.mark.parametrize(
    "layout", [{}, {"upper_case": True}, {"datasum": False}, {"hdu_names": False}], ids=str
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_the_exposures_that_reach_the_window_are_read(path, write_full_spec, layout, ending):
    path = write_full_spec(str(path) + ending, **layout)
    exposures = read(path)
    assert [e.name for e in exposures] == NAMES
    for i, exposure in enumerate(exposures):
        assert_array_equal(exposure.flux, column_of(path, i, "flux"))
        assert_array_equal(exposure.ivar, column_of(path, i, "ivar"))
        assert_allclose(exposure.wave, 10 ** column_of(path, i, "loglam"), rtol=1e-12)


@pytest.mark.parametrize(
    ("wave_range", "number"),
    [
        (WINDOW, 4), ((3800, 5760), 5), ((5760, 5770), 1), ((5400, 5500), 0),
        ((3000, 3300), 0), ((7000, 9000), 0), ((4000.01, 4000.02), 4),
    ],
)  # fmt: skip
def test_those_elsewhere_are_left_out(path, write_full_spec, wave_range, number):
    exposures = read(write_full_spec(path), wave_range)
    assert len(exposures) == number
    assert [e.name for e in read(path, (3000, 9000))][-1].startswith("R1-")


def test_a_lite_file_has_none(path, write_spec):
    assert read(write_spec(path)) == []
    assert read(write_spec(path, catalogue=None)) == []


def test_the_coadd_of_a_full_file_is_the_mean_of_its_exposures(path, write_full_spec):
    grid = LogGrid.covering(*WINDOW)
    batch = read_spec_files([str(write_full_spec(path))], grid).batch
    wave = grid.wave
    inside = (wave > 4200) & (wave < 4700)
    mean = np.mean([e.flux[(e.wave > 4200) & (e.wave < 4700)].mean() for e in read(path)])
    assert batch.flux[0, inside].mean() == pytest.approx(mean, abs=0.02)


def test_the_line_spread_is_in_pixels_of_the_exposure(path, write_full_spec):
    # 1.1 pixels of 1e-4 are fewer of these wider ones.
    for exposure in read(write_full_spec(path, dispersion=1.1)):
        step = np.diff(np.log10(exposure.wave)).mean()
        assert_allclose(exposure.dispersion * step, 1.1e-4, rtol=0.01)
        assert step > 1.15e-4


@pytest.mark.parametrize("bit", range(31))
def test_bad_pixels_weigh_nothing_and_others_what_they_did(path, write_full_spec, bit):
    n = len(read(write_full_spec(path))[1].wave)
    mask = np.zeros(n, int)
    mask[700] = 1 << bit
    exposures = read(write_full_spec(path, exposures={1: {"mask": mask}}))
    assert (exposures[1].ivar[700] == 0) == (bit in BAD)
    assert (np.delete(exposures[1].ivar, 700) > 0).all()
    assert (exposures[0].ivar > 0).all()


def test_without_a_mask_no_pixel_is_masked_and_without_wdisp_it_is_unknown(path, write_full_spec):
    (only,) = read(
        write_full_spec(path, n_exposures=1, exposures={0: {"mask": None, "wdisp": None}})
    )
    assert (only.ivar > 0).all()
    assert (only.dispersion == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
@pytest.mark.parametrize("name", ["flux", "ivar", "wdisp"])
def test_b1_values_that_are_none_are_marked_not_passed_on(path, write_full_spec, name, value):
    write_full_spec(path, n_exposures=1)
    column = column_of(path, 0, name)
    column[500] = value
    (only,) = read(write_full_spec(path, n_exposures=1, exposures={0: {name: column}}))
    for array in (only.flux, only.ivar, only.dispersion):
        assert np.isfinite(array).all()
    assert (only.ivar >= 0).all()
    assert (only.dispersion >= 0).all()
    bad = name == "ivar" or (name == "flux" and not np.isfinite(value))
    assert (only.ivar[500] == 0) == bad
    assert (only.dispersion[500] == 0) == (name == "wdisp")
    assert (np.delete(only.ivar, 500) > 0).all()


def waves(change):
    loglam = 3.56 + 1.2e-4 * np.arange(900)
    return change(loglam)


DAMAGES = {
    "no flux": {"flux": None},
    "no ivar": {"ivar": None},
    "no loglam": {"loglam": None},
    "descending": {"loglam": waves(lambda x: x[::-1])},
    "in angstrom": {"loglam": waves(lambda x: 10**x)},
    "repeated": {"loglam": waves(lambda x: np.repeat(x[::2], 2))},
    "no number": {"loglam": waves(lambda x: np.where(x == x[40], np.nan, x))},
    "vectors": {"flux": np.zeros((900, 3))},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_exposure_is_left_out_and_the_others_are_read(path, write_full_spec, damage):
    columns = {name: np.ones(900) for name in ("flux", "ivar", "wdisp")}
    columns |= {"loglam": waves(np.array), "mask": np.zeros(900, int)}
    assert len(read(write_full_spec(path, exposures={2: columns}))) == 4
    write_full_spec(path, exposures={2: columns | DAMAGES[damage]})
    assert [e.name for e in read(path)] == [NAMES[0], NAMES[1], NAMES[3]]


def test_a4_a_flipped_bit_loses_its_exposure_alone(path, write_full_spec):
    write_full_spec(path)
    with fits.open(path) as hdus:
        start = hdus[5].fileinfo()["datLoc"]
    content = bytearray(path.read_bytes())
    content[start + 1001] ^= 4
    path.write_bytes(content)
    assert [e.name for e in read(path)] == [NAMES[0], *NAMES[2:]]


def test_images_and_empty_tables_are_no_exposures(tmp_path, path, write_hdus, write_full_spec):
    with fits.open(write_full_spec(tmp_path / "whole.fits", n_exposures=2), memmap=False) as hdus:
        empty = fits.BinTableHDU(hdus[4].data[:0], name="EMPTY")
        image = fits.ImageHDU(np.ones((3, 3)), name="IMAGE")
        write_hdus(path, [*hdus[:4], image, fits.BinTableHDU(), empty, *hdus[4:]])
    assert [e.name for e in read(path)] == NAMES[:2]


@pytest.mark.parametrize(
    ("card", "lie"),
    [
        (b"TFORM1  = '1E ", b"TFORM1  = '1Z "),
        (b"TFORM4  = 'J ", b"TFORM4  = 'Q "),
        (b"TFIELDS =                    5", b"TFIELDS =                    4"),
        (b"TFIELDS =                    5", b"TFIELDS =                    0"),
        (b"TTYPE3  = 'ivar", b"TTYPE3  = 'ivor"),
    ],
)
def test_a7_a_header_that_lies_loses_its_exposure_alone(path, write_full_spec, card, lie):
    write_full_spec(path, datasum=False)
    with fits.open(path) as hdus:
        start = hdus[6].fileinfo()["hdrLoc"]
    content = path.read_bytes()
    head, rest = content[:start], content[start:]
    assert card in rest[:2880]
    path.write_bytes(head + rest.replace(card, lie, 1))
    assert [e.name for e in read(path)] == [NAMES[0], NAMES[1], NAMES[3]]


@pytest.mark.parametrize("offset", ["0", "2147483648", "-3", "5", "1E300"])
def test_a7_no_offset_of_integers_stops_the_others(path, write_full_spec, offset):
    write_full_spec(path, n_exposures=2, datasum=False)
    with fits.open(path) as hdus:
        assert hdus[4].columns.names[3] == "mask"
        start = hdus[4].fileinfo()["hdrLoc"]
    head, rest = path.read_bytes()[:start], path.read_bytes()[start:]
    where = rest.index(b"EXTNAME = ")
    zero = f"TZERO4  = {offset:>20}".ljust(80).encode()
    path.write_bytes(head + rest[:where] + zero + rest[where + 80 :])
    assert NAMES[1] in [e.name for e in read(path)]


def with_header(path, old, new, hdu=5):
    """Replace the first card of one HDU that begins so."""
    content = path.read_bytes()
    with fits.open(path) as hdus:
        start = hdus[hdu].fileinfo()["hdrLoc"]
    at = content.index(old.encode(), start)
    path.write_bytes(content[:at] + new.ljust(80).encode() + content[at + 80 :])


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        ("TTYPE3  =", "TTYPE3  = 'FLUX'", 3),
        ("GCOUNT  =", "EXTNAME = 'another'", 3),
        ("GCOUNT  =", "TZERO1  = 'none'", 3),
        ("GCOUNT  =", "TNULL4  = 0", 4),
        ("GCOUNT  =", "TDISP1  = 'F9.9'", 4),
    ],
)
def test_i6_what_stands_twice_or_scales_nothing_loses_its_exposure_alone(
    path, write_full_spec, old, new, left
):
    write_full_spec(path, datasum=False)
    with_header(path, old, new)
    exposures = read(path)
    assert len(exposures) == left
    if "TNULL4" in new:
        # The mask of every pixel is unknown: none weighs anything.
        assert [(e.ivar > 0).any() for e in exposures] == [True, False, True, True]


def test_a4_a_header_that_was_changed_leaves_its_exposure(path, write_full_spec):
    write_full_spec(path)
    with_header(path, "GCOUNT  =", "GCOUNT  = 1 / edited")
    assert len(read(path)) == 4


def test_a1_a_file_that_cannot_be_read_is_an_error(path, write_full_spec):
    with pytest.raises(SpectrumFileError, match="not_regular"):
        read(path)
    content = write_full_spec(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SpectrumFileError, match="truncated"):
        read(path)
    path.write_bytes(b"<html></html>")
    with pytest.raises(SpectrumFileError, match="not_fits"):
        read(path)


def test_an_exposure_without_a_name_has_its_number(path, write_full_spec):
    write_full_spec(path, n_exposures=1, datasum=False)
    content = path.read_bytes()
    at = content.index(b"EXTNAME = 'B1-")
    path.write_bytes(content[:at] + b"COMMENT".ljust(80) + content[at + 80 :])
    assert [e.name for e in read(path)] == ["HDU 4"]


def test_a_line_in_one_exposure_is_there_alone_and_a_part_of_it_in_the_coadd(path, write_full_spec):
    write_full_spec(path, exposure_lines={2: [(4300.0, 80.0)]}, lines=[(4600.0, 30.0)])
    exposures = read(path)

    def flux_at(wave, flux, centre):
        near = np.abs(wave - centre) < 12
        level = np.median(flux[np.abs(wave - centre) < 60])
        return ((flux - level) * np.gradient(wave))[near].sum()

    error = 2 * 0.3 * np.sqrt(24.0)
    for i, exposure in enumerate(exposures):
        once = flux_at(exposure.wave, exposure.flux, 4300)
        assert once == pytest.approx(80 if i == 2 else 0, abs=4 * error)
        every = flux_at(exposure.wave, exposure.flux, 4600)
        assert every == pytest.approx(30, abs=4 * error)
    grid = LogGrid.covering(*WINDOW)
    coadd = read_spec_files([str(path)], grid).batch.flux[0]
    assert flux_at(grid.wave, coadd, 4300) == pytest.approx(20, abs=2 * error)
    assert flux_at(grid.wave, coadd, 4600) == pytest.approx(30, abs=2 * error)
