"""How many spectra are lost with a plate, and which."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from astropy.io import fits

from speclens.errors import SpectrumFileError
from speclens.read.sdss import fibres
from speclens.read.sdss.plate import open_plate
from speclens.spectra import LogGrid

GRID = LogGrid(35800, 120)
KEEP = {"n_pixels": 200, "coeff0": 3.5780}


def error_of(path):
    with pytest.raises(SpectrumFileError) as caught, open_plate(str(path), GRID):
        pass
    return caught.value


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("packed", [False, True])
def test_a2_a_plate_cut_short_counts_its_fibres(tmp_path, write_plate, rng, fraction, packed):
    flux = rng.standard_normal((30, 200)).astype("f4")
    rows = [{"FIBERID": i + 1} for i in range(30)]
    path = write_plate(tmp_path, fibres=rows, flux=flux, ivar=flux**2, coeff0=3.578)
    content = path.read_bytes()
    if packed:
        content = gzip.compress(content[: int(fraction * len(content))])[:-9]
    else:
        content = content[: int(fraction * len(content))]
    path.write_bytes(content)
    error = error_of(path)
    assert error.reason in ("truncated", "gzip_crc")
    if fraction > 0.2:
        assert len(error.targets) == 30
        assert (error.targets["PLATE"] == 3655).all()
        # Thirty fibres are no whole plate, and which they are the plug map would have told.
        assert (error.targets["FIBERID"] == -1).all()


def test_the_rows_of_a_whole_plate_are_its_fibres(tmp_path, write_plate, monkeypatch):
    monkeypatch.setattr(fibres, "WHOLE_PLATES", (12,))
    path = write_plate(tmp_path, n_fibres=12, **KEEP)
    path.write_bytes(path.read_bytes()[:9000])
    assert error_of(path).targets["FIBERID"].tolist() == list(range(1, 13))


def test_a_plug_map_that_numbers_some_fibres(tmp_path, write_plate, monkeypatch):
    def numbers(stated):
        path = write_plate(
            tmp_path, n_fibres=4, datasum=False, zbest_columns=["CLASS", "Z"], **KEEP
        )
        with fits.open(path, mode="update") as hdus:
            hdus[5].data["FIBERID"] = stated
        with open_plate(str(path), GRID) as plate:
            return plate.targets["FIBERID"].tolist()

    assert numbers([1, -1, 3, 4]) == [1, -1, 3, 4]
    monkeypatch.setattr(fibres, "WHOLE_PLATES", (4,))
    assert numbers([1, -1, 3, 4]) == [1, 2, 3, 4]
    assert numbers([1, -1, 4, 3]) == [1, -1, 4, 3]


@pytest.mark.parametrize(
    "cards", [{}, {"PLATEID": 3655, "FIBERID": 7, "COEFF0": 3.578}, {"COEFF0": 3.578}], ids=str
)
def test_an_image_that_is_no_plate_is_one_spectrum(tmp_path, write_hdus, cards):
    image = fits.PrimaryHDU(np.ones((5, 200), "f4"))
    image.header.update(cards)
    error = error_of(write_hdus(tmp_path / "image.fits", [image]))
    assert error.reason == "unknown_layout"
    assert error.targets is None or len(error.targets) == 1


def test_a7_a_header_that_lies_makes_up_no_fibres(tmp_path, write_plate):
    path = write_plate(tmp_path, n_fibres=2, datasum=False, **KEEP)
    content = path.read_bytes()
    lie = f"NAXIS2  = {10**9:>20}".ljust(80).encode()
    place = content.index(b"NAXIS2  =")
    path.write_bytes(content[:place] + lie + content[place + 80 :])
    assert error_of(path).targets is None
