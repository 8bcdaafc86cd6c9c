"""Artificial galaxies from observed ones: principal components in bins of redshift.

In: noisy spectra of early-type galaxies of any survey on a grid somewhat wider than the window, and
their redshifts. Out: noiseless spectra that no galaxy has, but any could have. Which galaxies are
early types is decided in `speclens.sample`; sky, noise and lines are left to the rest of the stage.
Shape letters: N galaxies or spectra, L pixels, M components, B bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.errors import ConfigError
from speclens.lines import PIXEL_LOGLAM
from speclens.simulate.galaxies import MIXING, principal_components
from speclens.spectra import LogGrid

__all__ = ["MARGIN_PIXELS", "Bin", "BinnedGalaxies"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

MARGIN_PIXELS = 60
"""Pixels by which the grid of the observed galaxies reaches beyond the window at either end: a
galaxy is never shifted so far that it leaves the window."""

GALAXIES_PER_COMPONENT = 10
"""With fewer galaxies the components would be copies of their noise."""

N_FILLS = 3
N_PRIOR_STEPS = 5


@dataclass(frozen=True)
class Bin:
    """The galaxies of one bin of redshift.

    Parameters
    ----------
    z : float
        Redshift of its centre, to which the components are shifted.
    components : array of shape (M, L)
        Components, not orthogonal.
    galaxies : array of shape (K,)
        Numbers of the galaxies used, those of the bin itself first.
    coefficients : array of shape (K, M)
        Their amplitudes.
    brightness : array of shape (K,)
        Their mean flux density, always positive.
    n_own : int
        Number of them that are of the bin itself.
    """

    z: float
    components: Floats
    galaxies: Indices
    coefficients: Floats
    brightness: Floats
    n_own: int


@dataclass(frozen=True)
class BinnedGalaxies:
    """Principal components of observed galaxies, by redshift.

    Parameters
    ----------
    grid : LogGrid
        Observed wavelengths, L pixels.
    redshift_bin : float
        Width of a bin.
    bins : sequence of Bin
        The bins that make spectra.
    n_galaxies : int
        Number of galaxies given to `fit`.
    borrowed : array of shape (B, 2)
        Number of own and of used galaxies of each bin that has any, by redshift; a bin has used
        none where there were too few even with those of its neighbours, and makes no spectra.

    Notes
    -----
    Li et al. 2019, section 3.2 i.
    """

    grid: LogGrid
    redshift_bin: float
    bins: Sequence[Bin]
    n_galaxies: int
    borrowed: Indices

    @property
    def summary(self) -> str:
        """What the bins were made of, in one line."""
        n_own, n_used = self.borrowed.T
        left_out = n_used == 0
        text = (
            f"{(n_used > n_own).sum()} of {len(n_own)} bins of redshift were filled up with "
            "galaxies of their neighbours"
        )
        if left_out.any():
            text += (
                f"; {left_out.sum()} more ({n_own[left_out].sum()} galaxies) have too few even so "
                "and make no spectra"
            )
        return text

    @classmethod
    def fit(
        cls,
        flux: NDArray[np.floating],
        ivar: NDArray[np.floating],
        z: NDArray[np.floating],
        grid: LogGrid,
        redshift_bin: float,
        n_components: int,
        min_galaxies: int,
        diversity: float,
        clip_sigma: float,
    ) -> BinnedGalaxies:
        """Analyse the galaxies of each bin of redshift.

        Parameters
        ----------
        flux : array of shape (N, L)
            Observed spectra, flux density.
        ivar : array of shape (N, L)
            Its inverse variance, 0 where masked.
        z : array of shape (N,)
            Redshifts.
        grid : LogGrid
            Wavelengths, `MARGIN_PIXELS` more than those of `draw` at either end.
        redshift_bin : float
            Width of a bin.
        n_components : int
            Number of components M.
        min_galaxies : int
            A bin with fewer takes the nearest in redshift from its neighbours.
        diversity : float
            Galaxies differ from their mean by about this fraction.
        clip_sigma : float
            Pixels this far from the mean galaxy, in units of noise and diversity, are damage.

        Returns
        -------
        BinnedGalaxies
            The bins, and in `borrowed` what they were made of.

        Raises
        ------
        ConfigError
            If there are too few galaxies for any bin, or the bins are too wide.

        Notes
        -----
        Differs: components are found from spectra in units of the noise, because those of a faint
        survey otherwise describe its noisiest pixels; amplitudes have the galaxies' own
        distribution as their prior, so that a noisy spectrum gives a dull galaxy, not a wild one.
        """
        usable = np.flatnonzero((ivar > 0).any(axis=1) & np.isfinite(z))
        needed = max(n_components, min(min_galaxies, GALAXIES_PER_COMPONENT * n_components))
        if len(usable) < needed:
            raise ConfigError(
                f"{len(usable)} galaxies with good pixels: {n_components} principal components "
                f"need {needed} or more; give more spectra of early-type galaxies, or lower "
                "training_set.n_components"
            )
        redshifts: Floats = np.asarray(z, np.float64)
        order = usable[np.argsort(redshifts[usable], kind="stable")]
        redshift: Floats = redshifts[order]
        number = np.floor(redshift / redshift_bin).astype(np.intp)
        bins, borrowed = [], []
        for k in np.unique(number):
            centre = (k + 0.5) * redshift_bin
            own = np.flatnonzero(number == k)
            used = order[_with_neighbours(own, redshift, centre, redshift_bin, min_galaxies)]
            if len(used) < needed:
                borrowed.append((len(own), 0))
                continue
            borrowed.append((len(own), len(used)))
            shift = _whole_pixels(redshifts[used], centre)
            shifted = _shifted(flux[used], shift), _shifted(ivar[used], shift)
            mean = _mean_galaxy(*shifted, diversity, clip_sigma)
            bins.append(_analysed(*shifted, *mean, centre, used, len(own), n_components))
        if not bins:
            raise ConfigError(
                f"{len(usable)} galaxies at redshifts from {redshift[0]:.3f} to {redshift[-1]:.3f} "
                f"are too thinly spread: {n_components} principal components need {needed} or more "
                f"within {MARGIN_PIXELS} pixels; give more spectra of early-type galaxies, or "
                "lower training_set.n_components"
            )
        return cls(grid, redshift_bin, bins, len(z), np.array(borrowed, np.intp))

    def draw(
        self,
        n_spectra: int,
        window: LogGrid,
        rng: np.random.Generator,
        among: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float32], Floats, Indices]:
        """Draw artificial galaxies.

        Parameters
        ----------
        n_spectra : int
            Number of spectra N.
        window : LogGrid
            Observed wavelengths, L pixels.
        rng : numpy.random.Generator
            Source of randomness.
        among : array of shape (K,), optional
            True for those of the galaxies of `fit` that may be used; all when not given.

        Returns
        -------
        flux : array of shape (N, L)
            Noiseless spectra, flux density, float32.
        z : array of shape (N,)
            Redshifts, uniform within the bins.
        galaxy : array of shape (N,)
            Number of the galaxy that gives most of the spectrum, and its brightness.

        Raises
        ------
        ConfigError
            If none of the galaxies allowed is in a bin that makes spectra.
        ValueError
            If the window is too close to the ends of the grid of `fit`.

        Notes
        -----
        Each is a mean of two galaxies of its bin, the second with a weight below 0.3 (see
        `GalaxyPopulation.draw`), both of those allowed. Spectra drawn among disjoint sets have no
        galaxy in common; what they share are the components.
        """
        spare = window.first - self.grid.first
        if min(spare, self.grid.n_pixels - window.n_pixels - spare) < MARGIN_PIXELS:
            raise ValueError(f"the grid of `fit` must exceed the window by {MARGIN_PIXELS} pixels")
        allowed = [
            np.arange(len(bin_.galaxies)) if among is None else np.flatnonzero(among[bin_.galaxies])
            for bin_ in self.bins
        ]
        n_own = [int((a < b.n_own).sum()) for a, b in zip(allowed, self.bins, strict=True)]
        if sum(n_own) == 0:
            raise ConfigError(
                "none of the galaxies to draw from is in a bin of redshift that could be analysed; "
                "give more spectra of early-type galaxies, or another training_set.test_fraction"
            )
        which = np.repeat(np.arange(len(n_own)), n_own)[rng.integers(sum(n_own), size=n_spectra)]
        chance = rng.random((4, n_spectra))
        flux = np.empty((n_spectra, window.n_pixels), np.float32)
        z, galaxy = np.empty(n_spectra), np.empty(n_spectra, np.intp)
        for k in np.unique(which):
            rows, bin_ = np.flatnonzero(which == k), self.bins[k]
            first, coefficients = _mixed(bin_, allowed[k], n_own[k], chance[:3, rows])
            galaxy[rows] = bin_.galaxies[first]
            z[rows] = bin_.z + (chance[3, rows] - 0.5) * self.redshift_bin
            start = spare - _whole_pixels(bin_.z, z[rows])
            for pixel in np.unique(start):
                same = start == pixel
                seen = bin_.components[:, pixel : pixel + window.n_pixels]
                flux[rows[same]] = coefficients[same] @ seen
        return flux, z, galaxy


def _pixels_between(z_from: Floats | float, z_to: Floats | float) -> Floats:
    """Return by how much a spectrum shifts to the red from one redshift to another."""
    return np.asarray(np.log10((1 + z_to) / (1 + z_from)) / PIXEL_LOGLAM, np.float64)


def _whole_pixels(z_from: Floats | float, z_to: Floats | float) -> Indices:
    return np.rint(_pixels_between(z_from, z_to)).astype(np.intp)


def _with_neighbours(
    own: Indices, redshift: Floats, centre: float, redshift_bin: float, min_galaxies: int
) -> Indices:
    """Return the rows of a bin, and the nearest around it that it lacks, of sorted redshifts."""
    half_bin = float(np.ceil(_pixels_between(centre - redshift_bin / 2, centre)))
    if 2 * half_bin > MARGIN_PIXELS:
        raise ConfigError(
            f"training_set.redshift_bin = {redshift_bin:g}: a bin at redshift {centre:.3f} is "
            f"{2 * half_bin:.0f} pixels wide; at most {MARGIN_PIXELS} are allowed"
        )
    reach = 10 ** ((MARGIN_PIXELS - half_bin) * PIXEL_LOGLAM)
    low, high = np.searchsorted(redshift, [(1 + centre) / reach - 1, (1 + centre) * reach - 1])
    around = np.setdiff1d(np.arange(low, high), own)
    nearest = around[np.argsort(np.abs(redshift[around] - centre), kind="stable")]
    return np.concatenate([own, nearest[: max(min_galaxies - len(own), 0)]])


def _shifted(spectra: NDArray[np.floating], shift: Indices) -> Floats:
    """Shift spectra (N, L) to the red by whole pixels (N,); 0 where they do not reach."""
    n_pixels = spectra.shape[1]
    pixel = np.arange(n_pixels) - shift[:, None]
    inside = (pixel >= 0) & (pixel < n_pixels)
    moved = np.take_along_axis(spectra, np.clip(pixel, 0, n_pixels - 1), axis=1)
    return np.where(inside, moved, 0).astype(np.float64)


def _analysed(
    flux: Floats,
    ivar: Floats,
    model: Floats,
    weight: Floats,
    z: float,
    galaxies: Indices,
    n_own: int,
    n_components: int,
) -> Bin:
    """Find the components of a bin's shifted spectra (K, L), and each galaxy's amplitudes.

    Where a spectrum has no pixel stands what the components give there, in turns.
    """
    flux = np.where(ivar > 0, flux, 0.0)
    known = weight > 0
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    of_galaxy = np.maximum(weight.sum(axis=1, keepdims=True) / count, np.finfo(float).tiny)
    count = known.sum(axis=0)
    of_pixel = np.where(count > 0, (weight / of_galaxy).sum(axis=0) / np.maximum(count, 1), 1.0)
    by_galaxy, by_pixel = np.sqrt(of_galaxy), np.sqrt(of_pixel)
    equal = np.ones_like(flux)
    for _ in range(N_FILLS):
        filled = np.where(known, flux, model) * by_pixel
        basis = principal_components(filled * by_galaxy, equal, n_components)
        components = basis / by_pixel
        coefficients = _amplitudes(components, flux, weight, filled @ basis.T)
        model = coefficients @ components
    brightness = model.mean(axis=1)
    lit = brightness > 0
    return Bin(
        z, components, galaxies[lit], coefficients[lit], brightness[lit], int(lit[:n_own].sum())
    )


def _mean_galaxy(
    flux: Floats, ivar: Floats, diversity: float, clip_sigma: float
) -> tuple[Floats, Floats]:
    """Return the mean galaxy as bright as each (K, L), and the weights of undamaged pixels.

    A pixel is never known better than galaxies are diverse, so that a few bright ones do not decide
    what a bin looks like.
    """
    flux = np.where(ivar > 0, flux, 0.0)
    total = ivar.sum(axis=0)
    known = np.flatnonzero(total)
    mean = (ivar * flux).sum(axis=0)[known] / total[known]
    shape = np.interp(np.arange(len(total)), known, mean)
    squares = np.maximum(ivar @ shape**2, np.finfo(float).tiny)
    model = ((ivar * flux) @ shape / squares)[:, None] * shape
    variance = np.divide(1.0, ivar, out=np.ones_like(ivar), where=ivar > 0)
    variance += (diversity * model) ** 2
    good = (ivar > 0) & ((flux - model) ** 2 < clip_sigma**2 * variance)
    return model, np.where(good, 1 / variance, 0.0)


def _amplitudes(components: Floats, flux: Floats, weight: Floats, start: Floats) -> Floats:
    """Fit spectra (K, L) with components (M, L); their distribution is the prior of each (K, M)."""
    n_components = len(components)
    products = (components[:, None] * components).reshape(n_components**2, -1)
    normal = (weight @ products.T).reshape(-1, n_components, n_components)
    right = (weight * flux) @ components.T
    amplitudes: Floats = start
    covariance: Floats = np.zeros_like(normal)
    for _ in range(N_PRIOR_STEPS):
        mean = amplitudes.mean(axis=0)
        offset = amplitudes - mean
        spread = offset.T @ offset / len(offset) + covariance.mean(axis=0)
        ridge = 1e-9 * np.trace(spread) + np.finfo(float).tiny
        precision = np.linalg.inv(spread + ridge * np.eye(n_components))
        covariance = np.asarray(np.linalg.inv(normal + precision), np.float64)
        amplitudes = np.einsum("kml,kl->km", covariance, right + precision @ mean)
    return amplitudes


def _mixed(bin_: Bin, allowed: Indices, n_own: int, chance: Floats) -> tuple[Indices, Floats]:
    """Mix pairs of the allowed galaxies of a bin, of which the first `n_own` are its own.

    Returns the first of each pair (N,), and amplitudes (N, M) that keep its brightness.
    """
    place = (chance[0] * n_own).astype(np.intp)
    ahead = 1 + (chance[1] * (len(allowed) - 1)).astype(np.intp)
    first, second = allowed[place], allowed[(place + ahead) % len(allowed)]
    share = MIXING * chance[2]
    mixed = (1 - share)[:, None] * bin_.coefficients[first]
    mixed += share[:, None] * bin_.coefficients[second]
    brightness = (1 - share) * bin_.brightness[first] + share * bin_.brightness[second]
    return first, mixed * (bin_.brightness[first] / brightness)[:, None]
