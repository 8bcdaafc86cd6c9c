"""The wavelength grid and the batch of spectra."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.spectra import (
    TARGET_DTYPE,
    LogGrid,
    SpectrumBatch,
)


def make_batch(n_spectra: int, n_pixels: int, **changed: object) -> SpectrumBatch:
    shape = (n_spectra, n_pixels)
    fields: dict[str, object] = {
        "flux": np.arange(n_spectra * n_pixels, dtype="f4").reshape(shape),
        "ivar": np.ones(shape, "f4"),
        "mask": np.zeros(shape, bool),
        "covered": np.ones(shape, bool),
        "dispersion": np.ones(shape, "f4"),
        "targets": np.zeros(n_spectra, TARGET_DTYPE),
        "files": [f"file{i}" for i in range(n_spectra)],
    }
    return SpectrumBatch(LogGrid(35800, n_pixels), **{**fields, **changed})  # type: ignore[arg-type]


def test_window_of_the_paper_has_1192_pixels() -> None:
    grid = LogGrid.covering(3800.0, 5000.0)
    assert grid.n_pixels == 1192
    assert grid.wave[0] >= 3800
    assert grid.wave[-1] <= 5000
    assert grid.wave[0] * 10**-1e-4 < 3800
    assert grid.wave[-1] * 10**1e-4 > 5000


def test_pixels_are_whole_multiples_of_the_step() -> None:
    grid = LogGrid(35797, 10)
    np.testing.assert_allclose(grid.loglam, [3.5797 + i * 1e-4 for i in range(10)], atol=1e-13)


def test_pixel_of_a_wavelength_is_the_inverse_of_its_wave() -> None:
    grid = LogGrid.covering(3800.0, 5000.0)
    np.testing.assert_allclose(grid.pixel(grid.wave), np.arange(1192), atol=1e-7)
    assert float(grid.pixel(grid.wave[7] * 10**0.5e-4)) == pytest.approx(7.5, abs=1e-6)


@pytest.mark.parametrize(
    ("first", "n_pixels", "mine", "theirs"),
    [
        (100, 50, (0, 50), (0, 50)),
        (90, 100, (0, 50), (10, 60)),
        (110, 10, (10, 20), (0, 10)),
        (140, 50, (40, 50), (0, 10)),
        (60, 50, (0, 10), (40, 50)),
    ],
)
def test_overlap_names_the_same_pixels_of_both_grids(
    first: int, n_pixels: int, mine: tuple[int, int], theirs: tuple[int, int]
) -> None:
    here, there = LogGrid(100, 50), LogGrid(first, n_pixels)
    found = here.overlap(there)
    assert found == (slice(*mine), slice(*theirs))
    np.testing.assert_array_equal(here.loglam[found[0]], there.loglam[found[1]])


@pytest.mark.parametrize("first", [10, 50, 150, 1000])
def test_grids_apart_share_no_pixel(first: int) -> None:
    mine, theirs = LogGrid(100, 50).overlap(LogGrid(first, 40))
    assert len(np.arange(50)[mine]) == 0
    assert len(np.arange(40)[theirs]) == 0


@pytest.mark.parametrize("name", ["flux", "ivar", "mask", "covered", "dispersion"])
def test_an_array_of_another_shape_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make_batch(2, 5, **{name: np.zeros((2, 4), "f4")})


def test_files_and_targets_must_agree() -> None:
    with pytest.raises(ValueError, match="1 files for 2 spectra"):
        make_batch(2, 5, files=["one"])
    with pytest.raises(ValueError, match="shape"):
        make_batch(2, 5, targets=np.zeros(3, TARGET_DTYPE))


@pytest.mark.parametrize(
    "rows", [np.array([2, 0]), np.array([True, False, True]), slice(1, None), np.array([], int)]
)
def test_rows_of_a_batch_stay_together(rows: np.ndarray | slice) -> None:
    batch = make_batch(3, 4)
    batch.targets["TARGETID"] = [10, 11, 12]
    part, index = batch[rows], np.arange(3)[rows]
    assert len(part) == len(index)
    assert part.targets["TARGETID"].tolist() == (index + 10).tolist()
    assert list(part.files) == [f"file{i}" for i in index]
    np.testing.assert_array_equal(part.flux, batch.flux[index])
