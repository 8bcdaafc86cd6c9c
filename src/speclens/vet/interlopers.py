"""Interlopers: lines of a nearer galaxy, or of the lens itself.

In: whole spectra with the foreground taken off, hits, fits of the line. Out: the signal-to-noise
ratios of the lines that would come with it, and how much likelier they make each identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from speclens.config import VetConfig
from speclens.evidence.fixed_line import fixed_line
from speclens.hypotheses import OII, Companion, others
from speclens.lines import PIXEL_LOGLAM, SPEED_OF_LIGHT_KMS
from speclens.spectra import FittedSpectra
from speclens.vet.hit_spectra import HitSpectra
from speclens.vet.line_fits import Cutouts, cut_out, doublet, fit_lines

__all__ = [
    "companion_fluxes", "doublet_chi2", "ln_evidence", "measure", "measure_interlopers",
    "measure_lens_lines",
]  # fmt: skip

Floats = NDArray[np.float64]

N_RATIOS = 25
OII_COLUMNS = ("SNR_HBETA", "SNR_OIII4959", "SNR_OIII5007", "SNR_HALPHA")
OII_SEPARATION = float(np.log10(OII.member_waves[1] / OII.member_waves[0]) / PIXEL_LOGLAM)
"""Of the doublet's lines, pixels of the global grid."""
SHU_COLUMNS = ("SNR_HBETA", "SNR_OIII5007", "SNR_HALPHA")


def measure(spectra: HitSpectra) -> Mapping[str, NDArray[np.generic]]:
    """Measure interlopers and lines of the lens for `HitSpectra`."""
    whole, config = spectra.whole, spectra.config
    flux = np.asarray(spectra.hits["FLUX"], np.float64)
    known = {"WAVE": spectra.wave, "FLUX": flux, "SIGMA": spectra.sigma}
    along = spectra.usual_spread(whole.grid.wave)
    z_lens = np.asarray(spectra.hits["Z"], np.float64)
    return {
        **measure_interlopers(whole, spectra.cutouts, spectra.chi2, known, along, config),
        **measure_lens_lines(spectra.wave, z_lens, config),
    }


def measure_interlopers(
    spectra: FittedSpectra,
    cutouts: Cutouts,
    chi2: Floats,
    hits: Mapping[str, Floats],
    usual_dispersion: Floats,
    config: VetConfig,
) -> Mapping[str, NDArray[np.generic]]:
    """Take each line for [O II], and for other lines, and look for what would come with it.

    Parameters
    ----------
    spectra : FittedSpectra
        Whole spectra of H hits.
    cutouts : Cutouts
        The lines.
    chi2 : array of shape (H,)
        Chi2 of the fitted skew-normal lines over the cutouts.
    hits : mapping of str to array of shape (H,)
        WAVE, FLUX and SIGMA: the line's standard deviation before the spectrograph, pixels.
    usual_dispersion : array of shape (L,)
        Line spread at each pixel of `spectra` where a spectrum does not know its own, pixels.
    config : VetConfig
        Limits of the fits, and how many measurements are spoilt.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits from Z_OII to OTHER_EVIDENCE.

    Notes
    -----
    Li et al. 2019, section 4; Shu et al. 2016 refuse a hit when the filter's ratio at H beta,
    [O III] 5008 or H alpha is 2.5 or more (OII_SNR). OII_EVIDENCE is the natural logarithm of the
    likelihood of the measured fluxes if the line is [O II], over that if it comes alone: line
    ratios are lognormal, one measurement in twenty is an outlier.
    """
    z_oii = hits["WAVE"] / OII.wave - 1
    fluxes = companion_fluxes(
        spectra, hits, z_oii, OII.companions, usual_dispersion, config.companion_half_width
    )
    columns: dict[str, NDArray[np.generic]] = {"Z_OII": z_oii}
    for name, (flux, error) in zip(OII_COLUMNS, fluxes, strict=True):
        columns[name] = flux / error
    ratios = np.stack([np.asarray(columns[name], np.float64) for name in SHU_COLUMNS])
    columns["OII_SNR"] = np.where(
        np.isnan(ratios).all(0), np.nan, np.nan_to_num(ratios, nan=-np.inf).max(0)
    )
    columns["OII_EVIDENCE"] = ln_evidence(fluxes, hits["FLUX"], OII.companions, config)
    columns["DOUBLET_DCHI2"] = chi2 - doublet_chi2(cutouts, config)
    return columns | _other_lines(spectra, hits, usual_dispersion, config)


def measure_lens_lines(
    wave: Floats, z_lens: Floats, config: VetConfig
) -> Mapping[str, NDArray[np.generic]]:
    """Find the nearest emission line of the lens galaxy.

    Parameters
    ----------
    wave : array of shape (H,)
        Wavelengths of the hits, Angstrom.
    z_lens : array of shape (H,)
        Redshifts of the lenses.
    config : VetConfig
        Lines of the lens.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits: LENS_LINE, LENS_LINE_KMS.
    """
    names = np.array([line.name for line in config.lens_lines], "U12")
    lines = np.array([line.wave for line in config.lens_lines])
    rest = np.where((wave > 0) & (z_lens > -1), wave, np.nan) / np.where(z_lens > -1, 1 + z_lens, 1)
    if not len(lines):
        return {"LENS_LINE": np.zeros(len(wave), "U12"), "LENS_LINE_KMS": wave * np.nan}
    distance = np.abs(np.log(rest[:, None] / lines)) * SPEED_OF_LIGHT_KMS
    nearest = distance.argmin(axis=1)
    return {
        "LENS_LINE": np.where(np.isfinite(rest), names[nearest], ""),
        "LENS_LINE_KMS": distance.min(axis=1),
    }


def companion_fluxes(
    spectra: FittedSpectra,
    hits: Mapping[str, Floats],
    z: Floats,
    companions: Sequence[Companion],
    usual_dispersion: Floats,
    half_width: int,
) -> list[tuple[Floats, Floats]]:
    """Measure the lines that would come with a line.

    Parameters
    ----------
    spectra : FittedSpectra
        Whole spectra of H hits.
    hits : mapping of str to array of shape (H,)
        SIGMA: standard deviation of the line before the spectrograph, pixels.
    z : array of shape (H,)
        Redshift of the source.
    companions : sequence of Companion
        The lines to measure.
    usual_dispersion : array of shape (L,)
        Line spread at each pixel of `spectra` where a spectrum does not know its own, pixels.
    half_width : int
        Pixels on either side of a line that are fitted.

    Returns
    -------
    list of (array of shape (H,), array of shape (H,))
        Flux and standard error of each line, 1e-17 erg/s/cm2; NaN where it cannot be seen.
    """
    fluxes = []
    grid = spectra.grid
    for line in companions:
        wave = line.wave * (1 + z)
        inside = (wave > grid.wave[0]) & (wave < grid.wave[-1]) & (z > 0)
        wave = np.where(inside, wave, np.nan)
        spread = usual_dispersion[grid.nearest(np.where(inside, wave, grid.wave[0]))]
        cutouts = cut_out(spectra, wave, half_width, spread)
        offset = cutouts.offset - cutouts.centre[:, None]
        sigma = np.hypot(hits["SIGMA"], cutouts.dispersion)
        flux, error = fixed_line(offset, cutouts.flux, cutouts.ivar, sigma, cutouts.pixel_width)
        fluxes.append((np.where(inside, flux, np.nan), np.where(inside, error, np.nan)))
    return fluxes


def ln_evidence(
    fluxes: Sequence[tuple[Floats, Floats]],
    flux: Floats,
    companions: Sequence[Companion],
    config: VetConfig,
) -> Floats:
    """Compare the likelihood of companion lines with that of none.

    Parameters
    ----------
    fluxes : sequence of (array of shape (H,), array of shape (H,))
        Measured flux and error of each companion; NaN where it was not measured.
    flux : array of shape (H,)
        Flux of the line found, 1e-17 erg/s/cm2.
    companions : sequence of Companion
        What is expected.
    config : VetConfig
        How many measurements are spoilt, and how much.

    Returns
    -------
    array of shape (H,)
        Natural logarithm of the likelihood ratio; NaN where no companion could be measured.
    """
    total = np.zeros(len(flux))
    seen = np.zeros(len(flux), bool)
    x = np.linspace(-3, 3, N_RATIOS)
    weight = -0.5 * x**2
    weight = weight - logsumexp(weight)
    for (found, error), line in zip(fluxes, companions, strict=True):
        measured = np.isfinite(found) & (error > 0) & np.isfinite(error) & np.isfinite(flux)
        found, error = np.where(measured, found, 0.0), np.where(measured, error, 1.0)
        expected = (
            np.nan_to_num(flux)[:, None] * line.ratio * np.exp(line.scatter * x)
        )  # (H, N_RATIOS)
        with_line = logsumexp(
            _ln_likelihood(found[:, None], expected, error[:, None], config) + weight, axis=1
        )
        without = _ln_likelihood(found, 0 * found, error, config)
        total += np.where(measured, with_line - without, 0)
        seen |= measured
    return np.asarray(np.where(seen, total, np.nan))


def doublet_chi2(cutouts: Cutouts, config: VetConfig, separation: float = OII_SEPARATION) -> Floats:
    """Fit a resolved [O II] doublet to each line.

    Parameters
    ----------
    cutouts : Cutouts
        H lines.
    config : VetConfig
        Limits of the fit.
    separation : float, optional
        Distance of the two lines, pixels; on the global grid it is everywhere the same.

    Returns
    -------
    array of shape (H,)
        Chi2 over the cutouts, for the best of the ratios that are tried.
    """
    ratios = np.array(OII.ratios)
    fits = fit_lines(cutouts, doublet(separation), ratios, config.fit_sigma_range, config.fit_reach)
    return np.asarray(fits.chi2.min(axis=1))


def _ln_likelihood(found: Floats, expected: Floats, error: Floats, config: VetConfig) -> Floats:
    """Logarithm of a Gaussian with a few outliers."""
    x, wider = (found - expected) / error, config.outlier_sigma
    plain = np.log1p(-config.outlier_fraction) - 0.5 * x**2
    wild = np.log(config.outlier_fraction / wider) - 0.5 * (x / wider) ** 2
    return np.asarray(np.logaddexp(plain, wild) - np.log(error))


def _other_lines(
    spectra: FittedSpectra, hits: Mapping[str, Floats], usual_dispersion: Floats, config: VetConfig
) -> dict[str, NDArray[np.generic]]:
    """Find the likeliest of the other hypotheses."""
    names = np.array([line.name for line in others()], "U12")
    evidence = np.full((len(names), len(spectra)), -np.inf)
    for i, line in enumerate(others()):
        z = hits["WAVE"] / line.wave - 1
        fluxes = companion_fluxes(
            spectra, hits, z, line.companions, usual_dispersion, config.companion_half_width
        )
        found = ln_evidence(fluxes, hits["FLUX"], line.companions, config)
        evidence[i] = np.where(np.isfinite(found), found, -np.inf)
    best = evidence.argmax(axis=0)
    highest = evidence.max(axis=0)
    tested = np.isfinite(highest)
    return {
        "OTHER_LINE": np.where(tested, names[best], ""),
        "OTHER_EVIDENCE": np.where(tested, highest, np.nan),
    }
