"""The sections of the configuration that decide what becomes of the hits.

Changing them needs no new search: `speclens vet` and `speclens report` take them up.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from speclens.config.base import (
    Fraction,
    Interval,
    NotNegative,
    Number,
    Pair,
    Positive,
    Section,
)
from speclens.schema import VET_FLAGS

__all__ = ["CandidatesConfig", "CompanionLine", "LineIdentity", "ReportConfig", "VetConfig"]

FLAG_NAMES = tuple(flag.name for flag in VET_FLAGS)


def _flags(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(names) - set(FLAG_NAMES))
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such flag; known: {', '.join(FLAG_NAMES)}")
    return names


class CompanionLine(Section):
    """A line that comes with another one.

    Parameters
    ----------
    name : str
        Its name.
    wave : float
        Vacuum wavelength, Angstrom.
    ratio : float
        Median of its flux over that of the line found.
    scatter : float
        Scatter of that ratio, natural logarithm.
    """

    name: str
    wave: Positive
    ratio: Positive
    scatter: Positive


class LineIdentity(Section):
    """What a line may be other than Lyman alpha, and what would then be seen with it.

    Parameters
    ----------
    name : str
        Its name.
    wave : float
        Vacuum wavelength, of a doublet that of the blend, Angstrom.
    companions : tuple of CompanionLine
        Other lines of the same source.
    """

    name: str
    wave: Positive
    companions: tuple[CompanionLine, ...]


class VetConfig(Section):
    """The vet tests and their limits (`speclens.vet`).

    Parameters
    ----------
    vetoes : tuple of str
        Flags that rule a hit out; the others are marks only.
    snr_min, peak_min, noise_max, good_pixels_min, edge_pixels_min, spike_dchi2_max, chi2_nu_max, \
    dense_max, skewness_min, oii_snr_max, oii_evidence_max, other_evidence_max, \
    lens_line_kms_min, neighbour_snr_max, dsigma_min, p_lya_min : float
        Limits of the flags; their columns have the units.
    spectrum : (float, float)
        Wavelengths of the whole spectrum that is read of a hit, Angstrom.
    fit_half_width : int
        Pixels on either side of the line that are fitted.
    fit_skewness_max : float
        Largest skewness of a fit, of either sign.
    fit_sigma_range : (float, float)
        Scales of the line before the spectrograph that a fit may reach, pixels.
    dense_bin_dex : float
        Bins in which hits are counted, log10 of wavelength.
    dense_median_bins : int
        Bins of the running median.
    dense_min_hits : int
        With fewer hits in the run there is no test of over-densities.
    oii_wave : (float, float)
        The [O II] doublet, vacuum Angstrom.
    oii_ratios : tuple of float
        Flux ratios of the doublet, red over blue, that are tried.
    oii_companions : tuple of CompanionLine
        H beta, [O III] 4960, [O III] 5008, H alpha.
    other_lines : tuple of LineIdentity
        Other identities of the line.
    lens_lines : dict of str to float
        Emission lines of the lens galaxy that the search does not mask, vacuum Angstrom.
    repeat_arcsec : float
        Spectra nearer to each other are of the same object.
    """

    vetoes: Annotated[tuple[str, ...], AfterValidator(_flags)]
    snr_min: NotNegative
    peak_min: NotNegative
    noise_max: Positive
    good_pixels_min: Fraction
    edge_pixels_min: NotNegative
    spike_dchi2_max: Number
    chi2_nu_max: Positive
    dense_max: Positive
    skewness_min: Number
    oii_snr_max: Number
    oii_evidence_max: Number
    other_evidence_max: Number
    lens_line_kms_min: NotNegative
    neighbour_snr_max: Number
    dsigma_min: Number
    p_lya_min: Fraction
    spectrum: Interval
    fit_half_width: Annotated[int, Field(strict=True, ge=8)]
    fit_skewness_max: Positive
    fit_sigma_range: Interval
    dense_bin_dex: Positive
    dense_median_bins: Annotated[int, Field(strict=True, ge=3)]
    dense_min_hits: Annotated[int, Field(strict=True, ge=0)]
    oii_wave: Pair
    oii_ratios: tuple[Positive, ...]
    oii_companions: Annotated[tuple[CompanionLine, ...], Field(min_length=4, max_length=4)]
    other_lines: tuple[LineIdentity, ...]
    lens_lines: dict[str, Positive]
    repeat_arcsec: Positive


class CandidatesConfig(Section):
    """What is derived of a candidate (`speclens.report.candidates`).

    Parameters
    ----------
    cosmology : str
        A cosmology of astropy.
    vdisp_range : (float, float)
        A VDISP outside, km/s, is no measurement.
    vdisp_typical : (float, float)
        Mean and standard deviation of what stands for it, km/s.
    known_arcsec : float
        A published system nearer than this is the same.
    known_dz : float
        Largest difference of source redshifts.
    """

    cosmology: str
    vdisp_range: Interval
    vdisp_typical: Pair
    known_arcsec: Positive
    known_dz: Positive


class ReportConfig(Section):
    """The page of a run (`speclens.report.pages`).

    Parameters
    ----------
    rows_per_page : int
        Candidates or hits listed on one page.
    rows_max : int
        Rows of a table that are listed, and hits that have a page: candidates first.
    n_profiles : int
        Line profiles in the figure of the run's page.
    """

    rows_per_page: Annotated[int, Field(strict=True, ge=10)]
    rows_max: Annotated[int, Field(strict=True, ge=10)]
    n_profiles: Annotated[int, Field(strict=True, ge=1)]
