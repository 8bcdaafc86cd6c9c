"""Files in the survey's own layout."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from speclens.config import Config, load_config
from speclens.errors import RunError
from speclens.simulate.plates import Plate, write_plate, write_spall
from speclens.simulate.survey import make_plate

N_FIBRES, N_PIXELS = 24, 400
HDUS = (
    ("PRIMARY", ">f4"), ("IVAR", ">f4"), ("ANDMASK", ">i4"), ("ORMASK", ">i4"),
    ("WAVEDISP", ">f4"), ("PLUGMAP", None), ("SKY", ">f4"),
)  # fmt: skip


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(None, [f"survey.n_fibres={N_FIBRES}", f"survey.n_pixels={N_PIXELS}"])


@pytest.fixture(scope="module")
def plate(config: Config) -> Plate:
    return make_plate(4, config, np.random.default_rng(2))[0]


@pytest.fixture(scope="module")
def written(plate: Plate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plates")
    assert write_plate(folder, plate) == folder / "9905" / "spPlate-9905-58005.fits"
    return folder


def test_the_spplate_has_the_survey_s_hdus(written: Path, plate: Plate) -> None:
    with fits.open(written / "9905" / "spPlate-9905-58005.fits") as hdus:
        assert [hdu.name for hdu in hdus] == [name for name, _ in HDUS]
        for hdu, (_, dtype) in zip(hdus, HDUS, strict=True):
            if dtype is not None:
                assert hdu.data.shape == (N_FIBRES, N_PIXELS)
                assert hdu.data.dtype == dtype
        observed = plate.observed
        np.testing.assert_array_equal(hdus[0].data, observed.flux)
        np.testing.assert_array_equal(hdus[1].data, observed.ivar)
        np.testing.assert_array_equal(hdus[2].data, observed.and_mask)
        np.testing.assert_array_equal(hdus[3].data, observed.or_mask)
        np.testing.assert_array_equal(hdus[4].data, observed.dispersion)
        np.testing.assert_array_equal(hdus[6].data, observed.sky)
        table = hdus[5].data
        assert table["FIBERID"].tolist() == list(range(1, N_FIBRES + 1))
        assert table["OBJTYPE"].tolist() == plate.targets["OBJTYPE"].tolist()
        assert table["MAG"].shape == (N_FIBRES, 5)
        header = hdus[0].header
    grid = 10 ** (header["COEFF0"] + header["COEFF1"] * np.arange(N_PIXELS))
    np.testing.assert_allclose(grid, plate.grid.wave, rtol=1e-9)
    assert (header["PLATEID"], header["MJD"], header["RUN2D"]) == (9905, 58005, "v5_7_0")
    assert header["BUNIT"] == "1E-17 erg/cm^2/s/Ang"
    assert header["MOCK"] is True


def test_the_spzbest_is_in_the_folder_of_the_reduction_with_a_model_image(
    written: Path, plate: Plate
) -> None:
    assert sorted(path.name for path in (written / "9905").iterdir()) == [
        "spPlate-9905-58005.fits",
        "v5_7_0",
    ]
    with fits.open(written / "9905" / "v5_7_0" / "spZbest-9905-58005.fits") as hdus:
        assert len(hdus) == 3
        rows = hdus[1].data
        assert len(rows) == N_FIBRES
        for name in ("PLATE", "MJD", "FIBERID", "OBJTYPE", "CLASS", "ZWARNING", "CLASS_NOQSO"):
            assert rows[name].tolist() == plate.targets[name].tolist()
        np.testing.assert_allclose(rows["Z"], plate.targets["Z"], rtol=1e-6)
        np.testing.assert_allclose(rows["Z_NOQSO"], rows["Z"])
        np.testing.assert_array_equal(rows["PLUG_RA"], plate.targets["RA"])
        np.testing.assert_array_equal(hdus[2].data, plate.model)
        assert hdus[2].data.dtype == ">f4"


def test_the_catalogue_has_a_row_for_each_target(tmp_path: Path, plate: Plate) -> None:
    targets = np.concatenate([plate.targets, plate.targets])
    write_spall(tmp_path / "spAll.fits", targets)
    rows = fits.getdata(tmp_path / "spAll.fits", 1)
    assert len(rows) == 2 * N_FIBRES
    assert rows["FIBERID"].tolist() == targets["FIBERID"].tolist()
    assert rows["PLATEQUALITY"].tolist() == ["good"] * len(targets)


def test_magnitudes_are_written_as_the_survey_does_unknown_ones_as_zero(
    tmp_path: Path, plate: Plate
) -> None:
    targets = plate.targets.copy()
    targets["MAG_I"] = np.linspace(19, 22, N_FIBRES)
    targets["MAG_I"][3] = np.nan
    expected = np.nan_to_num(targets["MAG_I"])
    path = write_plate(tmp_path, replace(plate, targets=targets))
    write_spall(tmp_path / "spAll.fits", targets)
    tables = {"MAG": fits.getdata(path, 5), "FIBER2MAG": fits.getdata(tmp_path / "spAll.fits", 1)}
    for name, table in tables.items():
        np.testing.assert_array_equal(table[name][:, 3], expected)
        assert (table[name][:, [0, 1, 2, 4]] == 0).all()


def test_e2_writing_twice_gives_the_same_bytes(written: Path, plate: Plate, tmp_path: Path) -> None:
    write_plate(tmp_path, plate)
    for path in written.rglob("*.fits"):
        assert (tmp_path / path.relative_to(written)).read_bytes() == path.read_bytes()


def test_d2_a_full_disk_leaves_no_half_plate(
    tmp_path: Path, plate: Plate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"spZbest.*No space left"):
        write_plate(tmp_path, plate)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
