"""What model.json holds: every key, its type and its limits; no others are allowed.

In: the content of the file. Out: a checked `Document`, or a refusal that names the key. What the
keys mean says `speclens.networks.model.Model`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from speclens.config import NetworkConfig
from speclens.networks.architecture import PLACE_BLOCK

__all__ = ["Document", "Inputs", "Sections"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Grid(_Part):
    first: Annotated[int, Field(strict=True)]
    n_pixels: Annotated[int, Field(strict=True, ge=1)]


class _Sources(_Part):
    kind: Literal["elg", "lya"]
    first: Annotated[int, Field(strict=True, ge=0, le=5000)]
    n_bins: Annotated[int, Field(strict=True, ge=1, le=5000)]
    names: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]
    places: tuple[Annotated[float, Field(ge=-1e5, le=1e5)], ...]

    @model_validator(mode="after")
    def _a_place_for_each(self) -> _Sources:
        if len(self.names) != len(self.places):
            raise ValueError("names and places must have the same length")
        return self


class _Network(NetworkConfig):
    kind: Literal["resnet", "redshift"]
    inputs: Annotated[
        tuple[Literal["flux", "residual", "snr", "noise", "foreground", "lens"], ...],
        Field(min_length=1),
    ]
    widths: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=4096)], ...],
        Field(min_length=3, max_length=16),
    ]
    place: Annotated[bool, Field(strict=True)]
    sources: tuple[_Sources, ...] = ()
    classes: Annotated[tuple[Literal["line", "blue", "red"], ...], Field(min_length=1)] = ("line",)

    @field_validator("widths")
    @classmethod
    def _has_the_block_of_the_place(
        cls, widths: tuple[int, ...], others: ValidationInfo
    ) -> tuple[int, ...]:
        if others.data.get("kind") == "resnet" and len(widths) <= PLACE_BLOCK:
            raise ValueError(f"{len(widths)} blocks tell no place")
        return widths

    @model_validator(mode="after")
    def _kinds_differ(self) -> _Network:
        if len({bins.kind for bins in self.sources}) < len(self.sources):
            raise ValueError("two sources are of one kind")
        return self


class _Calibration(_Part):
    slope: Annotated[float, Field(strict=True, gt=0)]
    intercept: Annotated[float, Field(strict=True)]


_Section = Annotated[dict[str, Any], Field(min_length=1)]


class Sections(_Part):
    """What the network saw in training, as the configuration says it."""

    preparation: _Section
    foreground: _Section
    noise: _Section
    matched_filter: _Section
    lines: _Section | None = None


class Inputs(_Part):
    """What is recorded of its input."""

    version: Annotated[int, Field(strict=True, ge=1)]
    sections: Sections
    sha256: str


class _Digests(_Part):
    weights: str
    probe: str


class Document(_Part):
    """The whole of it."""

    format: Literal[1, 2]
    version: str
    name: Annotated[str, Field(min_length=1)]
    grid: _Grid
    network: _Network
    calibration: _Calibration
    sections: Sections
    inputs: Inputs | None = None
    sha256: _Digests
    metadata: dict[str, Any]
    digest: str
