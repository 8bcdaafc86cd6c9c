"""What every reader of survey files promises: a plate and single files are held to the same."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from speclens.read.sdss import INSTRUMENT
from speclens.read.sdss.catalogue import read_catalogue
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.schema import flag_bit
from speclens.spectra import TARGET_DTYPE, LogGrid

N_FIBRES = 8
COEFF0 = 3.5532
GRIDS = {
    "window": LogGrid.covering(3800, 5000),
    "before the file": LogGrid.covering(3000, 3100),
    "across its start": LogGrid.covering(3500, 3700),
    "across its end": LogGrid.covering(5000, 6000),
    "one pixel": LogGrid(36000, 1),
    "more than the file": LogGrid.covering(3000, 9000),
}


@pytest.fixture(scope="module")
def survey(tmp_path_factory, write_plate, write_spec, write_catalogue):
    """The same spectra as a plate, as single files, and their catalogue."""
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(5)
    shape = (N_FIBRES, 1500)
    flux = rng.standard_normal(shape).astype("f4")
    ivar = rng.random(shape).astype("f4")
    mask = rng.integers(0, 2**28, shape)
    dispersion = (1 + rng.random(shape)).astype("f4")
    fibres = [
        {"FIBERID": i + 1, "Z": 0.3 + 0.1 * i, "CLASS": ("GALAXY", "QSO")[i % 3 == 1],
         "SUBCLASS": "AGN", "OBJTYPE": ("GALAXY", "SKY")[i % 5 == 2], "ZWARNING": i}
        for i in range(N_FIBRES)
    ]  # fmt: skip
    plate = write_plate(
        folder, fibres=fibres, flux=flux, ivar=ivar, and_mask=mask, wavedisp=dispersion,
        coeff0=COEFF0, header={"QUALITY": "good"},
    )  # fmt: skip
    specs = []
    for i, row in enumerate(fibres):
        path = write_spec(
            folder / f"spec-3655-55240-{i + 1:04d}.fits", fiberid=i + 1, z=row["Z"],
            class_=row["CLASS"], subclass="AGN", objtype=row["OBJTYPE"], zwarning=i,
            flux=flux[i], ivar=ivar[i], and_mask=mask[i], wdisp=dispersion[i], coeff0=COEFF0,
        )  # fmt: skip
        specs.append(str(path))
    catalogue = write_catalogue(folder / "spAll.fits", fibres)
    return str(plate), specs, str(catalogue), {
        "flux": flux, "ivar": ivar, "mask": INSTRUMENT.is_masked(mask),
        "covered": INSTRUMENT.is_covered(mask),
    }  # fmt: skip


@pytest.fixture(params=["plate", "specs"])
def read(request, survey):
    """`read(grid, catalogue=None)`: the source over the plate or over the single files."""
    plate, specs, _, _ = survey
    with ExitStack() as stack:

        def open_source(grid, catalogue=None):
            if request.param == "plate":
                return stack.enter_context(open_plate(plate, grid, catalogue))
            return read_spec_files(specs, grid, catalogue)

        yield open_source


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_plate_and_single_files_give_the_same_spectra(survey, grid):
    plate, specs, _, _ = survey
    rows = np.arange(N_FIBRES)
    with open_plate(plate, grid) as file:
        of_plate = file.spectra(rows)
    of_specs = read_spec_files(specs, grid).spectra(rows)
    for name in ("flux", "ivar", "mask", "covered", "dispersion", "targets"):
        assert_array_equal(getattr(of_plate, name), getattr(of_specs, name))
        assert getattr(of_plate, name).dtype == getattr(of_specs, name).dtype


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_reading_a_window_is_reading_all_and_cutting(read, survey, grid):
    batch = read(grid).spectra(np.arange(N_FIBRES))
    arrays = survey[3]
    for j in range(grid.n_pixels):
        i = grid.first + j - round(COEFF0 * 1e4)
        for name in ("flux", "ivar", "mask", "covered"):
            outside = name == "mask"
            column = arrays[name][:, i] if 0 <= i < 1500 else np.full(N_FIBRES, outside)
            if (getattr(batch, name)[:, j] != column).any():
                pytest.fail(f"{name} of pixel {j}")


def test_every_source_is_aligned_with_its_targets(read):
    source = read(GRIDS["window"])
    assert source.targets.dtype == TARGET_DTYPE
    assert source.targets["FIBERID"].tolist() == list(range(1, N_FIBRES + 1))
    assert len(source.reasons) == len(source.flags) == len(source.files) == N_FIBRES
    assert (source.reasons == "").all()
    batch = source.spectra(np.array([1, 4]))
    assert batch.targets["FIBERID"].tolist() == [2, 5]
    assert batch.files == [source.files[1], source.files[4]]


def test_no_rows_are_an_empty_batch(read):
    batch = read(GRIDS["window"]).spectra(np.zeros(0, int))
    assert len(batch) == 0
    assert batch.flux.shape == (0, 1192)


def test_a_catalogue_replaces_the_files_own_rows(read, survey):
    own = read(GRIDS["window"]).targets
    given = read(GRIDS["window"], read_catalogue(survey[2])).targets
    assert_array_equal(own, given)


def test_c2_a_catalogue_of_other_plates_leaves_reasons(read, write_catalogue, tmp_path):
    path = write_catalogue(tmp_path / "spAll.fits", [{"PLATE": 1}])
    source = read(GRIDS["window"], read_catalogue(str(path)))
    assert (source.reasons == "not_in_catalogue").all()
    assert source.targets["FIBERID"].tolist() == list(range(1, N_FIBRES + 1))


def test_c2_agreeing_rows_are_flagged(read, write_catalogue, tmp_path):
    path = write_catalogue(tmp_path / "spAll.fits", [{"FIBERID": 1}] * 2 + [{"FIBERID": 2}])
    flags = read(GRIDS["window"], read_catalogue(str(path))).flags
    assert flags[:2].tolist() == [flag_bit("CATALOGUE_ROWS"), 0]
