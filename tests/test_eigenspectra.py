"""Eigenspectra: files, redshifts and coverage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from speclens.eigenspectra import Eigenspectra
from speclens.errors import RunError
from speclens.lines import gaussian_pixels
from speclens.spectra import LogGrid

REST = LogGrid(33000, 4000)  # 1995 to 5012 Angstrom
WINDOW = LogGrid.covering(3800.0, 5000.0)


@pytest.fixture
def write_templates(tmp_path: Path) -> Callable[..., Path]:
    def write(image: NDArray[np.generic] | None, **cards: object) -> Path:
        hdu = fits.PrimaryHDU(image)
        hdu.header.update({"COEFF0": 3.3, "COEFF1": 1e-4, **cards})
        path = tmp_path / "templates.fits"
        hdu.writeto(path)
        return path

    return write


@pytest.fixture(scope="module")
def basis() -> Eigenspectra:
    rng = np.random.default_rng(1)
    line = gaussian_pixels(np.arange(REST.n_pixels) - REST.pixel(2800.0), 3.0)
    return Eigenspectra(np.stack([line, rng.normal(size=REST.n_pixels)]), REST, "test")


@pytest.mark.parametrize("z", [0.4, 0.45678, 0.61, 0.7])
def test_a_feature_is_found_at_its_redshifted_wavelength(basis: Eigenspectra, z: float) -> None:
    shifted, covered = basis.at(np.array([z]), WINDOW)
    assert covered.all()
    line = shifted[0, 0]
    centre = (line * np.arange(WINDOW.n_pixels)).sum() / line.sum()
    assert centre == pytest.approx(float(WINDOW.pixel(2800.0 * (1 + z))), abs=1 / 16 + 0.005)


@pytest.mark.parametrize("n_shift", [1700, 2345, 2750])
def test_a_redshift_of_whole_pixels_moves_the_components_exactly(
    basis: Eigenspectra, n_shift: int
) -> None:
    z = np.array([10 ** (n_shift * 1e-4) - 1])
    shifted, covered = basis.at(z, WINDOW)
    first = WINDOW.first - n_shift - REST.first
    assert covered.all()
    np.testing.assert_allclose(
        shifted[0], basis.components[:, first : first + WINDOW.n_pixels], atol=1e-12
    )


def test_components_of_many_redshifts_are_those_of_each(basis: Eigenspectra) -> None:
    z = np.array([0.3, 0.41, 0.9, 1.6])  # the last is not covered at its blue end
    together, covered = basis.at(z, WINDOW)
    assert together.shape == (4, 2, WINDOW.n_pixels)
    assert covered[:3].all()
    assert not covered[3].all()
    for i in range(len(z)):
        alone, alone_covered = basis.at(z[i : i + 1], WINDOW)
        np.testing.assert_array_equal(alone[0], together[i])
        np.testing.assert_array_equal(alone_covered[0], covered[i])


def test_pixels_that_the_components_do_not_reach_are_reported(basis: Eigenspectra) -> None:
    z = np.array([0.0, 1.2])
    components, covered = basis.at(z, LogGrid.covering(4500.0, 6000.0))
    wave = LogGrid.covering(4500.0, 6000.0).wave
    reaches = (wave / 1.0 <= REST.wave[-1]) & (wave >= REST.wave[0])
    assert abs(int(covered[0].sum()) - int(reaches.sum())) <= 1
    assert not covered[0, -1]
    assert covered[1].all()
    assert np.isfinite(components).all()
    beyond = components[0][:, ~covered[0]]
    np.testing.assert_allclose(beyond, np.tile(basis.components[:, -1:], beyond.shape[1]))


def test_only_the_first_components_are_used_when_asked(basis: Eigenspectra) -> None:
    z = np.array([0.5])
    np.testing.assert_array_equal(basis.at(z, WINDOW, 1)[0][:, 0], basis.at(z, WINDOW)[0][:, 0])
    assert basis.at(z, WINDOW, 1)[0].shape == (1, 1, WINDOW.n_pixels)


def test_a_file_of_the_pipeline_is_read(write_templates: Callable[..., Path]) -> None:
    image = np.random.default_rng(2).normal(size=(4, 300)).astype("f4")
    path = write_templates(image)
    found = Eigenspectra.read(str(path))
    np.testing.assert_array_equal(found.components, image)
    assert found.grid == LogGrid(33000, 300)
    assert found.source == str(path)


@pytest.mark.parametrize(
    ("image", "cards", "message"),
    [
        (np.ones((2, 50)), {"COEFF1": 2e-4}, "step of 1e-4"),
        (np.ones((2, 50)), {"COEFF0": 3.30004}, "multiples of 1e-4"),
        (np.ones((2, 50)), {"COEFF1": "a step"}, "COEFF1"),
        (np.full((2, 50), np.nan), {}, "not finite"),
        (None, {}, "spEigen"),
        (np.ones((2, 3, 50)), {}, "spEigen"),
        (np.ones((2, 1)), {}, "spEigen"),
    ],
)
def test_a_wrong_file_is_refused_with_what_was_expected(
    write_templates: Callable[..., Path],
    image: NDArray[np.generic] | None,
    cards: dict[str, object],
    message: str,
) -> None:
    path = write_templates(image, **cards)
    with pytest.raises(RunError, match=message) as caught:
        Eigenspectra.read(str(path))
    assert str(path) in str(caught.value)


def test_a_file_without_wavelengths_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(np.ones((2, 50))).writeto(path)
    with pytest.raises(RunError, match="COEFF0"):
        Eigenspectra.read(str(path))


@pytest.mark.parametrize("content", [b"", b"<html>", bytes(5000)])
def test_a_file_that_is_not_fits_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junk.fits"
    path.write_bytes(content)
    with pytest.raises(RunError, match="spEigen"):
        Eigenspectra.read(str(path))


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_a_file_cut_short_is_refused(write_templates: Callable[..., Path]) -> None:
    path = write_templates(np.ones((4, 2000)))
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(RunError, match="spEigen"):
        Eigenspectra.read(str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no\.fits"):
        Eigenspectra.read(str(tmp_path / "no.fits"))
