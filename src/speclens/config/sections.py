"""The sections of the configuration: every key, its type and its limits.

The sections of the searches are in `speclens.config.searching`, those of the networks in
`speclens.config.training`, those of what follows in `speclens.config.vetting`. Numbers of science
live in the TOML files only, and so does what each key means: the models here have no defaults.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from speclens.config.background import BackgroundConfig
from speclens.config.base import (
    Count,
    Decides,
    Fraction,
    Interval,
    NotNegative,
    Number,
    Pair,
    Positive,
    Section,
    Share,
    Stage,
    Unseen,
    Wave,
    ordered,
)
from speclens.config.reading import TablesConfig
from speclens.config.searching import (
    LinesConfig,
    MatchedFilterConfig,
    SearchConfig,
    ThresholdsConfig,
)
from speclens.config.training import NetworkConfig, TrainingConfig, TrainingSetConfig
from speclens.config.vetting import CandidatesConfig, ReportConfig, VetConfig

__all__ = [
    "ComparisonConfig",
    "Config",
    "EmittersConfig",
    "EvaluationConfig",
    "ForegroundConfig",
    "LinesConfig",
    "MatchedFilterConfig",
    "NetworkConfig",
    "NoiseConfig",
    "NoiseRates",
    "PreparationConfig",
    "SearchConfig",
    "SelectionConfig",
    "SurveyConfig",
    "TablesConfig",
    "ThresholdsConfig",
    "TrainingConfig",
    "TrainingSetConfig",
]


class SelectionConfig(Section):
    """Who is searched (`speclens.sample.selection`)."""

    decides = ("search", "training set")

    columns: Literal["Z", "Z_NOQSO"]
    classes: tuple[str, ...]
    refused_subclasses: tuple[str, ...]
    z_min: Number
    z_max: Number
    refuse_zwarning: bool
    plate_qualities: tuple[str, ...]


class PreparationConfig(Section):
    """What the search sees (`speclens.sample.preparation`)."""

    decides = ("search", "network", "training set", "survey")

    window: Pair
    lens_lines: tuple[Wave, ...]
    lens_features: tuple[Wave, ...]
    sky_lines: tuple[Positive, ...]
    mask_half_width: Annotated[int, Field(strict=True, ge=0)]
    flux_limit: Positive
    ivar_limit: Positive
    step_range: Annotated[Interval, Unseen]
    error_range: Annotated[Interval, Unseen]
    spike_snr: Annotated[NotNegative, Unseen]
    spike_dchi2: Annotated[Positive, Unseen]
    dip_snr: Annotated[Positive, Unseen]
    defect_width: Annotated[int, Field(strict=True, ge=1), Unseen]
    defect_share: Annotated[Fraction, Unseen]
    min_good_pixels: Annotated[int, Field(strict=True, gt=20)]
    poor_fraction: Annotated[Fraction, Unseen]

    @model_validator(mode="after")
    def _window_in_order(self) -> PreparationConfig:
        if not 2000 <= self.window[0] < self.window[1] <= 12000:
            raise ValueError("window must be two increasing wavelengths within 2000-12000 Angstrom")
        return self


class ForegroundConfig(Section):
    """The fit of the lens galaxy (`speclens.sample.foreground`)."""

    decides = ("search", "network", "training set")

    templates: str
    n_components: Annotated[int, Field(strict=True, ge=1)]
    n_polynomial: Annotated[int, Field(strict=True, ge=0)]


class NoiseConfig(Section):
    """How the stated errors grow (`speclens.sample.noise`)."""

    decides = ("search", "network", "training set")

    growth: Annotated[str, Unseen]
    sky_knot_spacing: Annotated[Positive, Unseen]
    sky_emission: Annotated[tuple[Positive, ...], Unseen]
    sky_emission_half_width: Annotated[Positive, Unseen]
    sky_chi2_max: Annotated[Positive, Unseen]
    sky_min_fibres: Annotated[int, Field(strict=True, ge=1), Unseen]
    quantiles: tuple[Fraction, Fraction]
    quantile_divisor: Positive
    quantile_min_pixels: Annotated[int, Field(strict=True, ge=1)]

    @model_validator(mode="after")
    def _quantiles_in_order(self) -> NoiseConfig:
        if not self.quantiles[0] < self.quantiles[1]:
            raise ValueError("quantiles must increase")
        return self


class NoiseRates(Section):
    """Rates and amplitudes of what the noise model of mock spectra does not hold."""

    sky_line_rms: NotNegative
    sky_line_common_rms: NotNegative
    sky_line_plate_scatter: NotNegative
    sky_plate_scatter: NotNegative
    sky_fibre_scatter: NotNegative
    error_ratio_scatter: NotNegative
    error_ratio_plate_scatter: NotNegative
    error_ratio_jitter: NotNegative
    error_jitter: NotNegative
    error_of_counts: NotNegative
    sky_fibre_ratio: NotNegative
    low_order_rms: NotNegative
    spike_rate: NotNegative
    spike_negative: Fraction
    spike_snr_min: NotNegative
    spike_index: Positive
    spike_wide: Fraction
    damage_rate: NotNegative
    damage_snr_range: Interval
    damage_pixels: Annotated[int, Field(strict=True, ge=1)]
    bad_run_rate: NotNegative
    bad_run_pixels: Annotated[float, Field(strict=True, ge=1)]


class EmittersConfig(Section):
    """Lensed Lyman-alpha lines (`speclens.simulate.emitters`)."""

    decides = ("survey", "training set", "evaluation")

    flux_median: Positive
    flux_sigma_low: Positive
    flux_sigma_high: Positive
    flux_range: Interval
    width_median: Positive
    width_sigma: Positive
    width_range: Interval
    skewness_median: Positive
    skewness_sigma: Positive
    skewness_max: Positive
    blue_fraction: Fraction


Untrained = Decides(but_not=("training set",))
"""Of keys of quasars and of what lies behind targets: training spectra have neither, but for those
of the recipe `sources`."""


class SurveyConfig(Section):
    """The mock survey (`speclens.simulate.survey`)."""

    decides = ("survey", "training set")

    instrument: Literal["sdss", "desi"]
    arms: Annotated[tuple[Literal["B", "R", "Z"], ...], Field(min_length=1)]
    n_plates: Annotated[int, Field(strict=True, ge=1)]
    n_fibres: Annotated[int, Field(strict=True, ge=20)]
    first_plate: Annotated[int, Field(strict=True, ge=1)]
    first_mjd: Annotated[int, Field(strict=True, ge=1)]
    run2d: str
    first_pixel_range: Annotated[tuple[int, int], AfterValidator(ordered)]
    n_pixels: Annotated[int, Field(strict=True, ge=100)]
    sky_fraction: Fraction
    star_fraction: Fraction
    quasar_fraction: Fraction
    redshift_means: tuple[Positive, ...]
    redshift_sigmas: tuple[Positive, ...]
    redshift_weights: tuple[Positive, ...]
    redshift_range: Interval
    flux_median: Positive
    flux_redshift_slope: Number
    flux_sigma: Positive
    redshift_error: Positive
    lya_fraction: Fraction
    oii_fraction: Fraction
    line_fraction: Fraction
    spike_fraction: Fraction
    sky_line_fraction: Fraction
    elg_fraction: Annotated[Fraction, Untrained]
    quasar_elg_fraction: Annotated[Fraction, Untrained]
    quasar_lya_fraction: Annotated[Fraction, Untrained]
    quasar_redshifts: Annotated[Interval, Untrained]
    quasar_magnitudes: Annotated[Pair, Untrained]
    quasar_magnitude_range: Annotated[Interval, Untrained]
    decoy_flux_range: Interval
    decoy_fwhm_kms: Interval
    line_spread: Positive
    spike_sigma: Positive
    sky_line_sigma: Positive
    sky_lines: tuple[Positive, ...]
    noise: NoiseRates
    background: Annotated[BackgroundConfig, Untrained]

    @model_validator(mode="after")
    def _parts_agree(self) -> SurveyConfig:
        if self.star_fraction + self.quasar_fraction > 1:
            raise ValueError("star_fraction and quasar_fraction add up to more than 1")
        if self.quasar_elg_fraction + self.quasar_lya_fraction > 1:
            raise ValueError("the fractions of quasars with a source add up to more than 1")
        fractions = {name for name in type(self).model_fields if name.endswith("_fraction")}
        others = {name for name in fractions if name.startswith(("sky_fr", "star_", "quasar_"))}
        if sum(getattr(self, name) for name in fractions - others) > 1:
            raise ValueError("the fractions of galaxies with a line add up to more than 1")
        if not (
            len(self.redshift_means) == len(self.redshift_sigmas) == len(self.redshift_weights) > 0
        ):
            raise ValueError("redshift_means, _sigmas and _weights must have the same length")
        return self


class EvaluationConfig(Section):
    """Injection and recovery (`speclens.evaluate`)."""

    decides = ("evaluation",)

    ideal_snr_range: Interval
    bin_width: Positive
    bright_snr: Positive
    bias_snr_range: Interval
    decoy_share: NotNegative
    foreground_pixels: Count
    top: Count
    bins: Count
    match_pixels: Positive
    lens_hits: tuple[Count, Count]
    hits_per_lens: dict[Literal["lya", "oii", "line"], NotNegative]


class ComparisonConfig(Section):
    """Searches side by side (`speclens.evaluate.side_by_side`)."""

    decides = ("comparison",)

    alarm_rates: Annotated[tuple[Share, ...], Field(min_length=1)]
    prevalences: Annotated[tuple[Share, ...], Field(min_length=1)]
    vetted_rate: Share
    elg_dz: Positive


class Config(Section):
    """Everything that decides a result.

    A run may hold several searches of the same spectra, each with a configuration of its own: the
    first, and in `searches` the others, by `search.name`.
    """

    tables: TablesConfig
    selection: SelectionConfig
    preparation: PreparationConfig
    foreground: ForegroundConfig
    noise: NoiseConfig
    search: SearchConfig
    matched_filter: MatchedFilterConfig
    lines: LinesConfig
    thresholds: ThresholdsConfig
    vet: VetConfig
    candidates: CandidatesConfig
    report: ReportConfig
    emitters: EmittersConfig
    survey: SurveyConfig
    training_set: TrainingSetConfig
    network: NetworkConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    comparison: ComparisonConfig
    searches: dict[str, Config] = {}

    @model_validator(mode="after")
    def _names_differ(self) -> Config:
        if self.search.name in self.searches:
            raise ValueError(f"search.name: {self.search.name!r} is the name of two searches")
        return self

    @property
    def each(self) -> dict[str, Config]:
        """Return all searches, by name, the first one first."""
        alone = self.model_copy(update={"searches": {}})
        return {self.search.name: alone, **self.searches}

    def of(self, search: str) -> Config:
        """Return the configuration of a search.

        Parameters
        ----------
        search : str
            Its name.

        Returns
        -------
        Config
            That of the first one for a name that is unknown.
        """
        return self.searches.get(search, self)

    @classmethod
    def sections_deciding(cls, *stages: Stage) -> list[str]:
        """Return the sections that decide some stages.

        Parameters
        ----------
        *stages : str
            The stages.

        Returns
        -------
        list of str
            Names of sections with at least one key that decides one of them.
        """
        types = {name: key.annotation for name, key in cls.model_fields.items()}
        return [
            name
            for name, section in types.items()
            if isinstance(section, type)
            and issubclass(section, Section)
            and any(section.keys_deciding(stage) for stage in stages)
        ]

    def deciding(self, stage: Stage) -> dict[str, dict[str, Any]]:
        """Return all that decides a stage.

        Parameters
        ----------
        stage : str
            The stage.

        Returns
        -------
        dict
            Keys and values as JSON, by section; sections without such keys are left out. Those of
            other searches stand under `searches`.
        """
        content = self.model_dump(mode="json", include=set(self.sections_deciding(stage)))
        keys = {name: getattr(self, name).keys_deciding(stage) for name in content}
        deciding = {name: {key: content[name][key] for key in keys[name]} for name in content}
        others = {name: config.deciding(stage) for name, config in self.searches.items()}
        return {**deciding, "searches": others} if others else deciding

    @property
    def digest(self) -> str:
        """SHA-256 of the configuration, hexadecimal."""
        return hashlib.sha256(
            json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()
        ).hexdigest()
