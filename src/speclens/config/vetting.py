"""The sections of the configuration that decide what becomes of the hits.

Changing them needs no new search: `speclens vet` and `speclens report` take them up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, create_model, model_validator

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
)
from speclens.schema import VET_FLAGS

__all__ = [
    "CandidatesConfig",
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


KINDS: dict[str, Any] = {
    "number": Number,
    "not negative": NotNegative,
    "positive": Positive,
    "fraction": Fraction,
}
"""The type of a limit, by what its record allows."""

if TYPE_CHECKING:
    _Limits = Section
else:
    # The limits are those of the flags, and of no other list.
    _Limits = create_model(
        "_Limits",
        __base__=Section,
        vetoes=(Annotated[tuple[str, ...], AfterValidator(_flags)], ...),
        **{flag.setting: (KINDS[flag.allowed], ...) for flag in VET_FLAGS},
    )


class VetConfig(_Limits):
    """The vet tests, and the limits of their flags (`speclens.vet`).

    Beside the keys below stand `vetoes`, names of flags that rule a hit out, and the limits that
    `speclens.schema.VET_FLAGS` name.
    """

    decides = ("vetting",)

    if TYPE_CHECKING:
        vetoes: tuple[str, ...]
        dense_max: float

    spectrum: Annotated[Interval, Gathered]
    fit_half_width: Annotated[int, Field(strict=True, ge=8)]
    fit_reach: Positive
    fit_skewness_max: Positive
    fit_sigma_range: Interval
    skewness_half_way: Positive
    spike_reach: NotNegative
    line_sigma_range: Annotated[Interval, Gathered]
    crosstalk_max: Annotated[float, Field(strict=True, gt=0, le=1)]
    crosstalk_snr: Positive
    crosstalk_pixels: Annotated[float, Field(strict=True, ge=0, le=4)]
    companion_half_width: Annotated[int, Field(strict=True, ge=8), Gathered]
    outlier_fraction: Annotated[float, Field(strict=True, gt=0, lt=1)]
    outlier_sigma: Annotated[float, Field(strict=True, ge=1)]
    exposure_scatter: NotNegative
    dense_bin_dex: Positive
    dense_median_bins: Annotated[int, Field(strict=True, ge=3)]
    dense_min_hits: Annotated[int, Field(strict=True, ge=0)]
    dense_chance_sigma: NotNegative
    lens_lines: tuple[NamedLine, ...]
    repeat_arcsec: Annotated[Positive, Gathered]
    same_line_kms: NotNegative


class CandidatesConfig(Section):
    """What is derived of hits and candidates (`speclens.candidates`)."""

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
