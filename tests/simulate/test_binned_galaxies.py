"""Artificial galaxies: like the observed ones without their noise, and nobody's copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.errors import ConfigError
from speclens.lines import PIXEL_LOGLAM
from speclens.simulate import binned_galaxies
from speclens.simulate.binned_galaxies import MARGIN_PIXELS, BinnedGalaxies
from speclens.simulate.galaxies import GalaxyPopulation, principal_components
from speclens.spectra import LogGrid

Floats = NDArray[np.float64]

WINDOW = LogGrid.covering(4150.0, 4400.0)
GRID = LogGrid(WINDOW.first - MARGIN_PIXELS, WINDOW.n_pixels + 2 * MARGIN_PIXELS)
INSIDE = slice(MARGIN_PIXELS, -MARGIN_PIXELS)
BIN = 0.0025
FEATURE = 2800.0


class Observed(NamedTuple):
    """Galaxies as observed on `GRID`, and what they are without noise."""

    truth: Floats
    flux: Floats
    ivar: Floats
    z: Floats

    def fit(self, **changes: Any) -> BinnedGalaxies:
        settings = {"redshift_bin": BIN, "n_components": 6, "min_galaxies": 200, **changes}
        robust = {"diversity": 0.3, "clip_sigma": 5.0}
        return BinnedGalaxies.fit(self.flux, self.ivar, self.z, GRID, **settings, **robust)


def observe(z: Floats, snr: float, seed: int = 1, truth: Floats | None = None) -> Observed:
    """Observe galaxies with a mean S/N a pixel; a fiftieth of the pixels is masked and NaN."""
    rng = np.random.default_rng(seed)
    if truth is None:
        truth = GalaxyPopulation.bundled().draw(z, GRID, rng)[0].astype(np.float64)
        truth *= np.exp(0.35 * rng.standard_normal(len(z)))[:, None] / truth.mean()
    sigma = np.linspace(1.4, 0.7, GRID.n_pixels) / snr
    flux = truth + sigma * rng.standard_normal(truth.shape)
    ivar = np.broadcast_to(sigma**-2, flux.shape).copy()
    masked = rng.random(flux.shape) < 0.02
    flux[masked], ivar[masked] = np.nan, 0
    return Observed(truth, flux, ivar, z)


def redshifts(n: int, low: float = 0.5, high: float = 0.505) -> Floats:
    return np.random.default_rng(0).uniform(low, high, n)


def with_feature(z: Floats, depth: Floats) -> Floats:
    """Return flat spectra with an absorption line at rest `FEATURE`."""
    offset = np.arange(GRID.n_pixels) - GRID.pixel(FEATURE * (1 + z))[:, None]
    return np.asarray(1 - depth[:, None] * np.exp(-0.5 * (offset / 2) ** 2))


def depth_of(flux: NDArray[np.floating], z: Floats) -> Floats:
    """Return the depth at `FEATURE`, in units of the mean flux."""
    pixel = np.rint(WINDOW.pixel(FEATURE * (1 + z))).astype(int)
    around = pixel[:, None] + np.arange(-1, 2)
    return np.asarray(1 - np.take_along_axis(flux, around, axis=1).min(axis=1) / flux.mean(axis=1))


def scatter(flux: NDArray[np.floating]) -> float:
    """Return the noise from pixel to pixel, blind to what is smooth."""
    second = flux[:, 2:] - 2 * flux[:, 1:-1] + flux[:, :-2]
    return float(np.median(np.abs(second)) / 0.6745 / np.sqrt(6))


@pytest.fixture(scope="module")
def noisy() -> Observed:
    """Return galaxies with the noise of a survey."""
    return observe(redshifts(400), snr=0.6)


@pytest.fixture(scope="module")
def fitted(noisy: Observed) -> BinnedGalaxies:
    return noisy.fit()


def test_artificial_galaxies_lie_in_the_space_of_noiseless_ones(rng: np.random.Generator) -> None:
    galaxies = observe(redshifts(400), snr=10.0).fit()
    flux, z, _ = galaxies.draw(300, WINDOW, rng)
    for bin_ in galaxies.bins:
        unshifted = np.abs(np.log10((1 + z) / (1 + bin_.z))) < 0.4 * PIXEL_LOGLAM
        assert unshifted.sum() > 3
        noiseless, _ = GalaxyPopulation.bundled().draw(np.full(300, bin_.z), WINDOW, rng)
        space = principal_components(noiseless, np.ones(noiseless.shape), 10)
        artificial = flux[unshifted]
        residual = artificial - artificial @ space.T @ space
        assert np.sqrt((residual**2).mean() / (artificial**2).mean()) < 0.03


def test_artificial_galaxies_are_as_bright_as_the_observed(
    noisy: Observed, fitted: BinnedGalaxies, rng: np.random.Generator
) -> None:
    flux, _, galaxy = fitted.draw(4000, WINDOW, rng)
    drawn, true = flux.mean(axis=1), noisy.truth[:, INSIDE].mean(axis=1)
    percent = [5, 25, 50, 75, 95]
    np.testing.assert_allclose(
        np.percentile(drawn, percent), np.percentile(true, percent), rtol=0.1
    )
    assert np.corrcoef(drawn, true[galaxy])[0, 1] > 0.97


def test_artificial_galaxies_have_hardly_any_noise(
    noisy: Observed, fitted: BinnedGalaxies, rng: np.random.Generator
) -> None:
    flux, _, _ = fitted.draw(1000, WINDOW, rng)
    assert scatter(flux) < 0.3 * scatter(np.nan_to_num(noisy.flux[:, INSIDE]))


def test_damaged_pixels_leave_no_trace() -> None:
    clean = observe(redshifts(300), snr=3.0)
    flux = clean.flux.copy()
    damaged = np.arange(0, 300, 3), np.random.default_rng(5).integers(GRID.n_pixels, size=100)
    flux[damaged] = 50.0
    highest = []
    for observed in (clean, clean._replace(flux=flux)):
        drawn, _, _ = observed.fit().draw(1000, WINDOW, np.random.default_rng(6))
        highest.append(np.max(drawn / drawn.mean(axis=1, keepdims=True)))
    assert highest[1] == pytest.approx(highest[0], rel=0.1)


def test_a_few_bright_galaxies_do_not_decide_what_the_others_look_like(
    rng: np.random.Generator,
) -> None:
    z = redshifts(300)
    bright = np.arange(300) < 6
    truth = with_feature(z, np.where(bright, 0.0, 0.5))
    bump = np.sin(np.arange(GRID.n_pixels)[None] * np.arange(1, 7)[:, None] / 9)
    truth[bright] *= 100 * (1 + 0.2 * bump)
    drawn, z_drawn, galaxy = observe(z, 2.0, truth=truth).fit().draw(600, WINDOW, rng)
    assert np.median(depth_of(drawn, z_drawn)[~bright[galaxy]]) == pytest.approx(0.45, abs=0.1)


def test_a_galaxy_with_hardly_a_pixel_is_an_ordinary_one(noisy: Observed) -> None:
    ivar = noisy.ivar.copy()
    ivar[:5, :150], ivar[:5, 153:] = 0, 0
    galaxies = noisy._replace(ivar=ivar).fit()
    for bin_ in galaxies.bins:
        poor = bin_.galaxies < 5
        assert bin_.brightness[poor].max(initial=0) < bin_.brightness[~poor].max()
        assert np.abs(bin_.coefficients[poor]).max() < 2 * np.abs(bin_.coefficients).max()


def test_a_pixel_that_no_galaxy_has_is_bridged(rng: np.random.Generator) -> None:
    clean = observe(np.full(100, 0.50125), snr=20.0)
    ivar = clean.ivar.copy()
    hole = slice(MARGIN_PIXELS + 100, MARGIN_PIXELS + 104)
    ivar[:, hole] = 0
    flux, _, galaxy = clean._replace(ivar=ivar).fit(min_galaxies=100).draw(50, WINDOW, rng)
    level = flux[:, 100:104].mean(axis=1) / clean.truth[galaxy][:, hole].mean(axis=1)
    np.testing.assert_allclose(level, 1, atol=0.25)


def test_features_move_with_the_redshift(rng: np.random.Generator) -> None:
    z = redshifts(400)
    truth = with_feature(z, np.full(400, 0.8))
    flux, drawn_z, _ = observe(z, 10.0, truth=truth).fit().draw(200, WINDOW, rng)
    expected = WINDOW.pixel(FEATURE * (1 + drawn_z))
    assert np.ptp(expected) > 10
    assert np.abs(flux.argmin(axis=1) - expected).max() < 2


def test_redshifts_are_uniform_in_bins_drawn_in_proportion_to_their_galaxies(
    rng: np.random.Generator,
) -> None:
    z = np.concatenate([redshifts(150, 0.5, 0.5025), redshifts(50, 0.505, 0.5075)])
    galaxies = observe(z, snr=2.0).fit()
    _, drawn, galaxy = galaxies.draw(8000, WINDOW, rng)
    counts = np.histogram(drawn, [0.5, 0.50125, 0.5025, 0.505, 0.50625, 0.5075])[0]
    np.testing.assert_allclose(counts, [3000, 3000, 0, 1000, 1000], atol=250)
    assert (np.abs(z[galaxy] - drawn) < BIN).all()


def test_no_two_are_the_same_and_the_generator_alone_decides(fitted: BinnedGalaxies) -> None:
    one, again, other = (fitted.draw(300, WINDOW, np.random.default_rng(s)) for s in (1, 1, 2))
    for values, same in zip(one, again, strict=True):
        np.testing.assert_array_equal(values, same)
    flux, z, galaxy = one
    assert flux.shape == (300, WINDOW.n_pixels)
    assert flux.dtype == np.float32
    assert z.shape == galaxy.shape == (300,)
    assert not np.array_equal(flux, other[0])
    scaled = flux / flux.mean(axis=1, keepdims=True)
    assert len(np.unique(scaled.round(6), axis=0)) == 300


def test_f7_spectra_drawn_among_disjoint_galaxies_share_none(rng: np.random.Generator) -> None:
    z = redshifts(400)
    deep = np.random.default_rng(3).random(400) < 0.5
    galaxies = observe(z, 20.0, truth=with_feature(z, np.where(deep, 0.8, 0.0))).fit()
    for among, expected in ((deep, 0.75), (~deep, 0.0)):
        flux, drawn, galaxy = galaxies.draw(400, WINDOW, rng, among)
        assert among[galaxy].all()
        np.testing.assert_allclose(depth_of(flux, drawn), expected, atol=0.25)
    # Were the second of each pair not restricted, its share would show.
    flux, drawn, galaxy = galaxies.draw(400, WINDOW, rng)
    assert depth_of(flux, drawn)[~deep[galaxy]].max() > 0.1


def test_thin_bins_borrow_the_nearest_and_say_so() -> None:
    z = np.concatenate([redshifts(250, 0.5, 0.5025), redshifts(30, 0.505, 0.5075), [0.7]])
    galaxies = observe(z, snr=2.0).fit(min_galaxies=200)
    np.testing.assert_array_equal(galaxies.borrowed, [[250, 250], [30, 200], [1, 0]])
    thin = galaxies.bins[1]
    assert (thin.n_own, len(galaxies.bins)) == (30, 2)
    nearest = np.argsort(np.abs(z - thin.z))[:200]
    assert set(thin.galaxies) == set(nearest)
    assert "1 of 3 bins" in galaxies.summary
    assert "1 more (1 galaxies)" in galaxies.summary
    assert galaxies.n_galaxies == 281


def test_borrowed_galaxies_are_never_the_first_and_empty_bins_make_nothing(
    rng: np.random.Generator,
) -> None:
    z = np.concatenate([redshifts(120, 0.5, 0.5025), redshifts(40, 0.505, 0.5075)])
    galaxies = observe(z, snr=2.0).fit()
    _, drawn, galaxy = galaxies.draw(500, WINDOW, rng)
    np.testing.assert_array_equal(np.floor(drawn / BIN), np.floor(z[galaxy] / BIN))
    _, drawn, galaxy = galaxies.draw(100, WINDOW, rng, np.arange(160) >= 120)
    assert (drawn > 0.505).all()
    assert (galaxy >= 120).all()


def test_a_borrowed_galaxy_reaches_the_whole_window() -> None:
    z = np.concatenate([redshifts(100, 0.5, 0.5025), redshifts(100, 0.53, 0.5325)])
    galaxies = observe(z, snr=2.0).fit()
    assert (galaxies.borrowed == 100).all()
    near = np.concatenate([redshifts(100, 0.5, 0.5025), redshifts(100, 0.515, 0.5175)])
    assert (observe(near, snr=2.0).fit().borrowed[:, 1] == 200).all()


def test_spectra_are_shifted_by_whole_pixels_and_end_in_zeros(rng: np.random.Generator) -> None:
    spectra = rng.random((4, 9))
    shift = np.array([0, 2, -3, 20])
    slow = np.zeros((4, 9))
    for row in range(4):
        for pixel in range(9):
            if 0 <= pixel - shift[row] < 9:
                slow[row, pixel] = spectra[row, pixel - shift[row]]
    np.testing.assert_array_equal(binned_galaxies._shifted(spectra, shift), slow)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda o: o._replace(flux=o.flux[:0], ivar=o.ivar[:0], z=o.z[:0]),
            "0 galaxies .* need 60",
        ),
        (
            lambda o: o._replace(flux=o.flux[:5], ivar=o.ivar[:5], z=o.z[:5]),
            "5 galaxies .* need 60",
        ),
        (lambda o: o._replace(ivar=0 * o.ivar), "0 galaxies with good pixels"),
        (lambda o: o._replace(z=o.z * np.nan), "0 galaxies with good pixels"),
        (lambda o: o._replace(z=np.linspace(0.3, 3.0, len(o.z))), "too thinly spread"),
    ],
)
def test_too_few_galaxies_are_refused(
    noisy: Observed, change: Callable[[Observed], Observed], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        change(noisy).fit()


def test_more_components_than_galaxies_are_refused(noisy: Observed) -> None:
    few = Observed(*(values[:15] for values in noisy))
    assert few.fit(min_galaxies=10, n_components=2).bins
    with pytest.raises(ConfigError, match="16 principal components need 16"):
        few.fit(min_galaxies=10, n_components=16)


def test_bins_too_wide_for_the_margin_are_refused(noisy: Observed) -> None:
    with pytest.raises(ConfigError, match=r"redshift_bin = 0\.05: .* pixels wide"):
        noisy.fit(redshift_bin=0.05)


def test_a_draw_that_cannot_be_made_is_refused(
    fitted: BinnedGalaxies, rng: np.random.Generator
) -> None:
    with pytest.raises(ConfigError, match="none of the galaxies"):
        fitted.draw(5, WINDOW, rng, np.zeros(400, bool))
    with pytest.raises(ValueError, match="must exceed the window"):
        fitted.draw(5, LogGrid(WINDOW.first - 1, WINDOW.n_pixels), rng)
    with pytest.raises(ValueError, match="must exceed the window"):
        fitted.draw(5, LogGrid(WINDOW.first, WINDOW.n_pixels + 1), rng)
    assert fitted.draw(0, WINDOW, rng)[0].shape == (0, WINDOW.n_pixels)
