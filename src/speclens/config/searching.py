"""The sections of the configuration that say how is searched, and what is called a hit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from speclens.config.base import (
    Count,
    Decides,
    Fraction,
    Interval,
    LineName,
    NotNegative,
    Number,
    Pair,
    Positive,
    Section,
    Unseen,
    Wave,
    ordered,
)
from speclens.methods import METHODS

__all__ = ["LinesConfig", "MatchedFilterConfig", "SearchConfig", "ThresholdsConfig"]


def _known_method(name: str) -> str:
    if name not in METHODS:
        raise ValueError(f"no such search; known: {', '.join(METHODS)}")
    return name


class SearchConfig(Section):
    """Which search, and what it calls a hit (`speclens.search`)."""

    decides = ("search",)

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,8}$")]
    sources: tuple[Literal["lya", "elg"], ...]
    foregrounds: tuple[Literal["galaxy", "qso"], ...]
    method: Annotated[str, AfterValidator(_known_method)]
    model: str
    probability_min: Annotated[float, Field(strict=True, gt=0, lt=1)]
    snr_certain: NotNegative
    place_half_width: Annotated[int, Field(strict=True, ge=1)]
    second_share_min: Fraction
    snr_weight: NotNegative
    snr_weighed: Interval


class MatchedFilterConfig(Section):
    """The filter and its threshold (`speclens.search.matched_filter`)."""

    decides = ("search", "network", "training set")

    line_fwhm_kms: tuple[NotNegative, ...]
    sigma_pixels: tuple[Positive, ...]
    dispersion: tuple[Pair, ...]
    half_width: Annotated[int, Field(strict=True, ge=1)]
    min_coverage: Fraction
    snr_min: Annotated[Positive, Unseen]
    max_hits: Annotated[int, Field(strict=True, ge=1), Unseen]

    @model_validator(mode="after")
    def _one_bank_and_ordered_dispersion(self) -> MatchedFilterConfig:
        if bool(self.line_fwhm_kms) == bool(self.sigma_pixels):
            raise ValueError("give either line_fwhm_kms or sigma_pixels, and the other empty")
        waves = [wave for wave, _ in self.dispersion]
        if not waves or waves != sorted(set(waves)):
            raise ValueError("dispersion must be pairs (wavelength, pixels) that increase")
        return self


OfTheLens = Decides(also=("redshifts",))
"""Of keys that say what of a spectrum is the lens's: a network of redshifts does not see it."""


class LinesConfig(Section):
    """The search of lines (`speclens.search.lines`)."""

    decides = ("search",)

    growth: Literal["galaxies", "quasars"]
    growth_fraction: Annotated[float, Field(strict=True, gt=0, le=1)]
    growth_min_spectra: Count
    z_margin: NotNegative
    n_sources: Count
    ln_evidence_min: Positive
    sigma_pixels: Annotated[tuple[Positive, ...], Field(min_length=1), OfTheLens]
    half_width: Annotated[int, Field(strict=True, ge=1), OfTheLens]
    min_coverage: Annotated[Fraction, OfTheLens]
    level_pixels: Annotated[int, Field(strict=True, ge=20), OfTheLens]
    rest_range: Annotated[tuple[NotNegative, NotNegative], AfterValidator(ordered), OfTheLens]
    lens_lines: Annotated[tuple[Wave, ...], OfTheLens]
    lens_snr: Annotated[Positive, OfTheLens]
    lens_half_width: Annotated[int, Field(strict=True, ge=1), OfTheLens]
    absorption_snr: Annotated[NotNegative, OfTheLens]
    balnicity_max: NotNegative
    median_snr_min: NotNegative
    line_snr: Positive
    n_weighed: Annotated[int, Field(strict=True, ge=1)]
    same_dz: Positive
    flux_floor: NotNegative
    spoilt_fraction: Annotated[float, Field(strict=True, gt=0, lt=1)]
    spoilt_sigma: Annotated[float, Field(strict=True, ge=1)]
    fibre_radius: Positive
    magnification: Positive
    artefact_rate: Positive
    count_slope: Number


class ThresholdsConfig(Section):
    """The search of lines by thresholds (`speclens.search.thresholds`)."""

    decides = ("search",)

    lines: Annotated[tuple[LineName, ...], Field(min_length=1)]
    required: tuple[LineName, ...]
    n_lines: Count
    first_snr: NotNegative
    line_snr: NotNegative
    total_snr: NotNegative
    total_over_first: NotNegative
    lone: tuple[LineName, ...]
    lone_snr: NotNegative
    same_dz: Positive
    z_margin: NotNegative
    lya_margin: NotNegative
    lens_masks: tuple[tuple[Wave, Positive], ...]
    cubic_snr: NotNegative
    cubic_half_width: Count

    @model_validator(mode="after")
    def _lines_are_searched(self) -> ThresholdsConfig:
        if not {*self.required, *self.lone} <= {*self.lines}:
            raise ValueError("required and lone must name lines that lines names too")
        return self
