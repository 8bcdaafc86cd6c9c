"""Files of other layouts: named, with what to fetch instead, and no one else's identity."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from speclens.errors import SpectrumFileError
from speclens.read.discovery import find_survey_files
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.layouts import is_plate
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.read.sdss.survey import PLATES, SPECS
from speclens.spectra import LogGrid

GRID = LogGrid(35800, 120)
ROW = {"PLATE": 3655, "MJD": 55240, "FIBERID": 1}
SDSS = {"PLATEID": 3655, "MJD": 55240}
LOGLAM = {"COEFF0": 3.58, "COEFF1": 1e-4}


def image(*shape, name="", **cards):
    hdu = fits.ImageHDU(np.ones(shape, "f4"))
    if name:
        hdu.name = name
    hdu.header.update(cards)
    return hdu


def primary(*shape, **cards):
    hdu = fits.PrimaryHDU(np.ones(shape, "f4") if shape else None)
    hdu.header.update(cards)
    return hdu


def table(name, n_rows=1, **columns):
    made = []
    for key, form in columns.items():
        value = "x" if form.endswith("A") else 1
        count = int("".join(c for c in form if c.isdigit()) or 1)
        shape = (n_rows,) if form.endswith("A") or count == 1 else (n_rows, count)
        made.append(fits.Column(key, form, array=np.full(shape, value)))
    hdu = fits.BinTableHDU.from_columns(made)
    hdu.header["EXTNAME"] = name
    return hdu


PIXELS = {"FLUX": "E", "IVAR": "E", "LOGLAM": "E"}
CATALOGUE = {"PLATE": "J", "MJD": "J", "FIBERID": "J", "CLASS": "6A", "Z": "E", "ZWARNING": "J"}

OTHERS = {
    "LAMOST, an image": (
        "spec-55859-F5902_sp01-001.fits", "LAMOST",
        [primary(5, 400, TELESCOP="LAMOST", FIBERID=1, MJD=55859, PLANID="F5902", **LOGLAM)],
    ),
    "LAMOST, a table": (
        "spec-55859-F5902_sp01-001.fits", "LAMOST",
        [primary(TELESCOP="LAMOST"),
         table("COADD", FLUX="300E", IVAR="300E", WAVELENGTH="300E", ANDMASK="300E")],
    ),
    "LAMOST, medium resolution": (
        "med-58000-HIP1_sp02-003.fits", "LAMOST",
        [primary(ORIGIN="NAOC-LAMOST"), table("COADD_B", FLUX="300E"), table("COADD_R", FLUX="9E")],
    ),
    "spSpec": (
        "spSpec-55240-3655-001.fit", "spSpec",
        [primary(5, 400, FIBERID=1, TARGETTY="GALAXY", **SDSS, **LOGLAM),
         table("", 3, WAVE="E", SIGMA="E")],
    ),
    "spSpec under another name": (
        "galaxy.fits", "spSpec", [primary(5, 400, FIBERID=1, **SDSS, **LOGLAM)],
    ),
    "DESI coadd": (
        "coadd-main-dark-1.fits", "DESI",
        [primary(), table("FIBERMAP", TARGETID="K"), image(300, name="B_WAVELENGTH"),
         image(1, 300, name="B_FLUX")],
    ),
    "DESI without FIBERMAP": ("spec-desi.fits", "DESI", [primary(), image(5, 300, name="R_FLUX")]),
    "redrock": (
        "redrock-main-dark-1.fits", "DESI",
        [primary(), table("REDSHIFTS", TARGETID="K", Z="D", SPECTYPE="6A")],
    ),
    "SDSS-V": (
        "spec-015143-59205-4544978190.fits", "SDSS-V",
        [primary(FIELDID=15143, MJD=59205, **LOGLAM), table("COADD", 300, **PIXELS),
         table("SPALL", FIELD="K", MJD="K", CATALOGID="K", CLASS="6A", Z="E"),
         table("ZALL", Z="E")],
    ),
    "SDSS-V without FIELDID": (
        "spec-015143-59205-4544978190.fits", "SDSS-V",
        [primary(MJD=59205), table("COADD", 300, **PIXELS),
         table("SPALL", FIELD="K", MJD="K", CATALOGID="K", CLASS="6A", Z="E")],
    ),
    "SDSS-V field": (
        "spField-015143-59205.fits", "SDSS-V",
        [primary(5, 400, FIELDID=15143, MJD=59205, **LOGLAM), image(5, 400, name="IVAR")],
    ),
    "IRAF multispec": (
        "spPlate-0001-50000.fits", "IRAF",
        [primary(5, 400, CTYPE1="MULTISPE", WAT0_001="system=multispec", WCSDIM=2)],
    ),
    "IRAF linear": ("spec-1-1-1.fits", "IRAF", [primary(400, CTYPE1="LINEAR", CRVAL1=3800.0)]),
    "AAOmega": (
        "spPlate-0001-50000.fits", "AAOmega",
        [primary(5, 400, INSTRUME="AAOMEGA-2dF", CRVAL1=4700.0), image(5, 400, name="VARIANCE"),
         table("FIBRES", 5, NAME="8A")],
    ),
    "2dF": ("obj.fits", "AAOmega", [primary(5, 400), table("FIBRES", 5, NAME="8A")]),
    "spCFrame": (
        "spCFrame-b1-00123456.fits", "frame",
        [primary(5, 400, CAMERAS="b1", PLATEID=3655, MJD=55240), image(5, 400)],
    ),
    "spFrame under the name of a plate": (
        "spPlate-3655-55240.fits", "frame", [primary(5, 400, CAMERAS="b1", **SDSS)],
    ),
    "spAll": ("spAll-v5_13_0.fits", "--catalogue", [primary(), table("SPALL", 5, **CATALOGUE)]),
    "specObj": ("specObj-dr17.fits", "--catalogue", [primary(), table("", 5, **CATALOGUE)]),
    "spAll in the name of a spectrum": (
        "spec-1-1-1.fits", "--catalogue", [primary(), table("SPALL", 5, **CATALOGUE)],
    ),
    "spZbest": (
        "spZbest-3655-55240.fits", "spPlate",
        [primary(**SDSS), table("", 5, **CATALOGUE), image(5, 400)],
    ),
    "spZbest renamed": (
        "best.fits", "spZbest", [primary(**SDSS), table("", 5, **CATALOGUE), image(5, 400)],
    ),
    "an image of the sky": (
        "spPlate-3655-55240.fits", "sky",
        [primary(5, 400, CTYPE1="RA---TAN", CTYPE2="DEC--TAN", FILTER="i")],
    ),
    "a mask": ("mask.fits", "known layout", [primary(5, 400)]),
    "a mask of numbers": (
        "spPlate-1-1.fits", "known layout", [fits.PrimaryHDU(np.ones((5, 9), "i2"))],
    ),
    "templates": ("spEigenGal-55740.fits", "known layout", [primary(4, 400, **LOGLAM)]),
    "a MaNGA cube": (
        "manga-1-1-LOGCUBE.fits", "MaNGA", [primary(MANGAID="1-1"), image(3, 4, 5, name="FLUX")],
    ),
    "APOGEE": ("apVisit-1-2-3.fits", "APOGEE", [primary(TELESCOP="apo25m"), image(3, 400)]),
    "compressed tiles": (
        "spPlate-3655-55240.fits.fz", "funpack",
        [fits.PrimaryHDU(), fits.CompImageHDU(np.ones((5, 100), "f4"))],
    ),
    "one table of something": (
        "spec-1-1-1.fits", "known layout", [primary(), table("X", 3, A="E", B="E")],
    ),
}  # fmt: skip


def failures_of(path):
    """What a search makes of a file that is named outright, whichever reader it gets."""
    files = find_survey_files([str(path)])
    assert len(files.paths) == 1
    if SPECS in files.of_kind:
        return read_spec_files(files.paths, GRID).failures
    with pytest.raises(SpectrumFileError) as caught, open_plate(str(path), GRID):
        pass
    return [caught.value]


@pytest.mark.parametrize("other", OTHERS, ids=str)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_i13_another_layout_is_refused_by_its_name(tmp_path, write_hdus, other, ending):
    name, said, hdus = OTHERS[other]
    path = write_hdus(tmp_path / f"{name}{ending}", hdus, False)
    (error,) = failures_of(path)
    assert error.reason == "unknown_layout"
    assert said in str(error)
    assert "again" not in str(error)
    assert "\n" not in str(error)
    own = other.startswith("spSpec")
    assert error.targets["TARGETID"].tolist() == [3655552400001 if own else -1]
    if own:
        assert "spec-3655-55240-0001.fits" in str(error)


@pytest.mark.parametrize("other", ["DESI coadd", "spCFrame", "one table of something"])
def test_what_was_found_is_listed(tmp_path, write_hdus, other):
    name, _, hdus = OTHERS[other]
    (error,) = failures_of(write_hdus(tmp_path / name, hdus))
    expected = {
        "DESI coadd": ["FIBERMAP", "B_WAVELENGTH (300)", "B_FLUX (1 x 300)"],
        "spCFrame": ["5 x 400"],
        "one table of something": ["A, B", "3 rows"],
    }
    assert all(text in str(error) for text in expected[other])


@pytest.mark.parametrize("other", ["DESI coadd", "SDSS-V", "LAMOST, an image", "spSpec"])
def test_i13_damage_of_another_layout_is_damage(tmp_path, write_hdus, other):
    name, _, hdus = OTHERS[other]
    path = write_hdus(tmp_path / name, hdus)
    os.truncate(path, path.stat().st_size - 2881)
    (error,) = failures_of(path)
    assert error.reason == "truncated"


@pytest.mark.parametrize("name", ["spPlate-3655-55240.FIT", "SPPLATE-3655-55240.fits.gz"])
def test_an_sdss_plate_is_one_in_any_name(tmp_path, write_plate, name):
    gz = name.endswith(".gz")
    path = write_plate(tmp_path, n_fibres=2, n_pixels=200, coeff0=3.578, gz=gz).rename(
        tmp_path / name
    )
    assert find_survey_files([str(tmp_path)]).of_kind == {PLATES: [str(path)]}
    with open_plate(str(path), GRID) as plate:
        assert len(plate.targets) == 2


@pytest.mark.parametrize("missing", ["PLATEID", "MJD", "COEFF0"])
def test_a_plate_that_lacks_a_keyword_is_still_a_plate(tmp_path, write_plate, missing):
    path = write_plate(tmp_path, n_fibres=2, n_pixels=200, coeff0=3.578, datasum=False)
    with fits.open(path, mode="update") as hdus:
        del hdus[0].header[missing]
    with open_fits(path) as file:
        assert is_plate(file)


def test_a_plate_of_too_many_fibres_is_refused(tmp_path):
    header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 1,
                          "NAXIS2": 10**9, **SDSS, **LOGLAM})  # fmt: skip
    path = tmp_path / "spPlate-3655-55240.fits"
    path.write_bytes(header.tostring(padding=True).encode())
    os.truncate(path, 4 * 10**9 + 5760)
    (error,) = failures_of(path)
    assert error.reason == "too_large"


def test_files_under_each_others_names_are_told_what_they_are(tmp_path, write_spec, write_plate):
    spec = write_spec(tmp_path / "spPlate-1-1.fits", n_pixels=200, coeff0=3.578)
    plate = Path(write_plate(tmp_path, n_fibres=2)).rename(tmp_path / "spec-1-1-1.fits")
    for path in (spec, plate):
        (error,) = failures_of(path)
        assert error.reason == "unknown_layout"
        assert "rename it" in str(error)
