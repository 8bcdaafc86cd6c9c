"""The sections of the configuration that say what a network is, and how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from speclens.config.base import Fraction, NotNegative, Pair, Positive, Section

__all__ = ["NetworkConfig", "TrainingConfig", "TrainingSetConfig"]


class TrainingSetConfig(Section):
    """Spectra to train a network on (`speclens.simulate.training_set`)."""

    decides = ("training set",)

    recipe: Literal["survey", "li2019", "sources"]
    n_spectra: Annotated[int, Field(strict=True, ge=100)]
    n_lines: Annotated[int, Field(strict=True, ge=1)]
    n_draws: Annotated[int, Field(strict=True, ge=1)]
    test_fraction: Annotated[float, Field(strict=True, gt=0, lt=1)]
    line_kinds: dict[Literal["lya", "oii", "line"], NotNegative]
    artefact_fractions: dict[Literal["spike", "sky_line"], Fraction]
    source_kinds: dict[Literal["elg", "lya"], NotNegative]
    source_flux_min: Positive
    source_brighter: Annotated[float, Field(strict=True, ge=1)]
    decoy_fractions: dict[Literal["before", "line"], Fraction]
    own_lines_fraction: Fraction
    damage_rate: NotNegative
    second_line_fraction: Fraction
    redshift_bin: Positive
    n_components: Annotated[int, Field(strict=True, ge=1)]
    min_galaxies: Annotated[int, Field(strict=True, ge=10)]
    galaxy_diversity: Positive
    clip_sigma: Positive
    flux_median: Positive
    flux_sigma: Positive
    gaussian_fwhm_kms: Pair
    gaussian_fwhm_min: Positive
    gaussian_peak_min: Positive

    @model_validator(mode="after")
    def _fewer_lines_than_spectra(self) -> TrainingSetConfig:
        if not self.n_lines < self.n_spectra:
            raise ValueError("n_lines must be below n_spectra: both labels are needed")
        for name in ("line_kinds", "source_kinds"):
            if not sum(getattr(self, name).values()) > 0:
                raise ValueError(f"{name} must have a share above 0")
        for name in ("artefact_fractions", "decoy_fractions"):
            if sum(getattr(self, name).values()) > 1:
                raise ValueError(f"{name} add up to more than 1")
        return self


class NetworkConfig(Section):
    """The network and what it sees (`speclens.networks.layers`, `speclens.networks.inputs`)."""

    decides = ("training set", "training")

    kind: Literal["resnet", "redshift", "lenet", "alexnet"]
    inputs: tuple[Literal["flux", "residual", "snr", "noise", "foreground", "lens"], ...]
    widths: tuple[Annotated[int, Field(strict=True, ge=1)], ...]
    dropout: Annotated[float, Field(strict=True, ge=0, lt=1)]
    classes: Annotated[tuple[Literal["line", "blue", "red"], ...], Field(min_length=1)]


class TrainingConfig(Section):
    """How the network is trained (`speclens.train`)."""

    decides = ("training set", "training")

    epochs: Annotated[int, Field(strict=True, ge=1)]
    batch_size: Annotated[int, Field(strict=True, ge=2)]
    optimizer: Literal["adamw", "adam", "sgd"]
    learning_rate: Positive
    warm_up: Annotated[float, Field(strict=True, gt=0, lt=1)]
    weight_decay: NotNegative
    gradient_max: Positive
    focal_gamma: NotNegative
    place_weight: NotNegative
    probability_prior: Annotated[float, Field(strict=True, ge=0, lt=1)]
