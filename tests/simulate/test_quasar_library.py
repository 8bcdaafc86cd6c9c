"""The library of model quasars: the survey's mean, with what makes quasars different."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from speclens.eigenspectra import Eigenspectra
from speclens.lines import REST_LINES
from speclens.simulate.quasar_library import library_of_quasars, quasar_components
from speclens.spectra import LogGrid

GRID = LogGrid.covering(1250, 6000)
N = 150

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def template() -> Floats:
    """A pipeline's mean quasar, with broad lines and another component, noisy."""
    rng = np.random.default_rng(2)
    mean = (GRID.wave / 3000) ** -1.5
    for name, height in (("C IV", 2.0), ("C III]", 0.8), ("Mg II", 1.0), ("H beta", 0.7)):
        line = REST_LINES[name].wave
        mean = mean * (1 + height * np.exp(-0.5 * (np.log(GRID.wave / line) / 0.008) ** 2))
    tilt = mean * np.log(GRID.wave / 3000)
    return np.array([mean, tilt]) * (1 + 0.01 * rng.standard_normal((2, GRID.n_pixels)))


@pytest.fixture(scope="module")
def library(template: Floats) -> Floats:
    return library_of_quasars(template, GRID, N, np.random.default_rng(5))


def test_the_seed_alone_decides(template: Floats, library: Floats) -> None:
    again = library_of_quasars(template, GRID, N, np.random.default_rng(5))
    other = library_of_quasars(template, GRID, N, np.random.default_rng(6))
    np.testing.assert_array_equal(again, library)
    assert library.shape == other.shape == (N, GRID.n_pixels)
    assert not np.allclose(other, library)


def test_each_quasar_has_mean_one_and_all_together_the_surveys_mean(
    library: Floats,
) -> None:
    np.testing.assert_allclose(library.mean(axis=1), 1, rtol=1e-6)
    # Over the mean quasar, the mean of the library is 1 beyond the widths of lines.
    smooth = gaussian_filter1d(library.mean(axis=0), 100)[200:-200]
    np.testing.assert_allclose(smooth, 1, atol=0.1)


def test_quasars_differ_in_their_lines_and_continua(library: Floats) -> None:
    line = GRID.nearest(np.array([REST_LINES[name].wave for name in ("C IV", "Mg II")]))
    assert (library[:, line].std(axis=0) > 0.1).all()
    blue, red = library[:, :1000].mean(axis=1), library[:, -1000:].mean(axis=1)
    assert 0.1 < (blue - red).std() < 3
    assert np.isfinite(library).all()


def test_components_come_by_importance_and_span_the_library(
    template: Floats, library: Floats
) -> None:
    mean = template[0]
    components = quasar_components(library, mean, 12)
    assert components.shape == (12, GRID.n_pixels)
    smooth = gaussian_filter1d(mean, 2.0)
    left = []
    for n in (1, 4, 12):
        basis = (components[:n] / smooth).T
        fit, *_ = np.linalg.lstsq(basis, library.T, rcond=None)
        left.append(float(np.sqrt(((library.T - basis @ fit) ** 2).mean())))
    assert left == sorted(left, reverse=True)
    assert left[2] < 0.3 * left[0]
    # A mock quasar that the library does not hold is described likewise.
    other = library_of_quasars(template, GRID, 40, np.random.default_rng(7)).T
    fit, *_ = np.linalg.lstsq((components / smooth).T, other, rcond=None)
    assert np.sqrt(((other - (components / smooth).T @ fit) ** 2).mean()) < 1.5 * left[2]


def test_the_bundled_components_describe_quasars_and_no_narrow_line() -> None:
    basis = Eigenspectra.read("quasars")
    assert len(basis.components) >= 20
    assert basis.grid.wave[0] < 1262
    assert basis.grid.wave[-1] > 7300
    # A source is as narrow as the spectrograph: the components must not fit it.
    pixel = np.arange(basis.grid.n_pixels)
    for wave in (1500.0, 2200.0, 3200.0, 4500.0, 5600.0):
        line = np.exp(-0.5 * ((pixel - basis.grid.nearest(np.array([wave]))) / 1.6) ** 2)
        fit, *_ = np.linalg.lstsq(basis.components.T, line, rcond=None)
        assert ((line - fit @ basis.components) ** 2).sum() > 0.9 * (line**2).sum()
