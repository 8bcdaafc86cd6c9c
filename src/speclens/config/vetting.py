"""The sections of the configuration that decide what becomes of the hits.

Changing them needs no new search: `speclens vet` and `speclens report` take them up.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from speclens.config.base import (
    Decides,
    Fraction,
    Interval,
    NotNegative,
    Number,
    Pair,
    Positive,
    Section,
    Wave,
    ordered,
)
from speclens.schema import VET_FLAGS

__all__ = [
    "CandidatesConfig",
    "CompanionLine",
    "LineIdentity",
    "NamedLine",
    "ReportConfig",
    "VetConfig",
]

Gathered = Decides(also=("evidence",))
"""Of keys that decide what is read of the survey's files."""

FLAG_NAMES = tuple(flag.name for flag in VET_FLAGS)


def _flags(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(names) - set(FLAG_NAMES))
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such flag; known: {', '.join(FLAG_NAMES)}")
    return names


class NamedLine(Section):
    """A line.

    Parameters
    ----------
    name : str
        Its name, which alone will do where it is known.
    wave : float
        Vacuum wavelength, Angstrom; by default that of the name.
    """

    name: str
    wave: Wave

    @model_validator(mode="before")
    @classmethod
    def _wave_of_the_name(cls, values: Any) -> Any:
        if isinstance(values, str):
            values = {"name": values}
        if isinstance(values, dict) and "wave" not in values and "name" in values:
            return {**values, "wave": values["name"]}
        return values


class CompanionLine(NamedLine):
    """A line that comes with another one.

    Parameters
    ----------
    name : str
        Its name.
    wave : float
        Vacuum wavelength, Angstrom; by default that of the name.
    ratio : float
        Median of its flux over that of the line found.
    scatter : float
        Scatter of that ratio, natural logarithm.
    """

    ratio: Positive
    scatter: Positive


class LineIdentity(NamedLine):
    """What a line may be other than Lyman alpha, and what would then be seen with it.

    Parameters
    ----------
    name : str
        Its name.
    wave : float
        Vacuum wavelength, of a doublet that of the blend, Angstrom; by default that of the name.
    companions : tuple of CompanionLine
        Other lines of the same source.
    """

    companions: tuple[CompanionLine, ...]


class VetConfig(Section):
    """The vet tests and their limits (`speclens.vet`)."""

    decides = ("vetting",)

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
    spectrum: Annotated[Interval, Gathered]
    fit_half_width: Annotated[int, Field(strict=True, ge=8)]
    fit_reach: Positive
    fit_skewness_max: Positive
    fit_sigma_range: Interval
    skewness_half_way: Positive
    spike_reach: NotNegative
    line_sigma_range: Annotated[Interval, Gathered]
    companion_half_width: Annotated[int, Field(strict=True, ge=8), Gathered]
    outlier_fraction: Annotated[float, Field(strict=True, gt=0, lt=1)]
    outlier_sigma: Annotated[float, Field(strict=True, ge=1)]
    exposure_scatter: NotNegative
    dense_bin_dex: Positive
    dense_median_bins: Annotated[int, Field(strict=True, ge=3)]
    dense_min_hits: Annotated[int, Field(strict=True, ge=0)]
    dense_chance_sigma: NotNegative
    oii_wave: Annotated[tuple[Wave, Wave], AfterValidator(ordered)]
    oii_ratios: tuple[Positive, ...]
    oii_companions: Annotated[tuple[CompanionLine, ...], Field(min_length=4, max_length=4)]
    other_lines: tuple[LineIdentity, ...]
    lens_lines: tuple[NamedLine, ...]
    repeat_arcsec: Annotated[Positive, Gathered]


class CandidatesConfig(Section):
    """What is derived of a candidate (`speclens.candidates.ranking`)."""

    decides = ("vetting",)

    cosmology: str
    vdisp_range: Interval
    vdisp_typical: Pair
    known_arcsec: Positive
    known_dz: Positive


class ReportConfig(Section):
    """The page of a run (`speclens.report.pages`)."""

    decides = ("pages",)

    rows_per_page: Annotated[int, Field(strict=True, ge=10)]
    rows_max: Annotated[int, Field(strict=True, ge=10)]
    n_profiles: Annotated[int, Field(strict=True, ge=1)]
