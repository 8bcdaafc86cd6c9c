"""The section of the configuration that says what lies behind the targets of a mock survey."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from speclens.config.base import Interval, NotNegative, Number, Pair, Positive, Section

__all__ = ["BackgroundConfig"]

FaintSlope = Annotated[float, Field(strict=True, gt=-2, lt=0)]


class BackgroundConfig(Section):
    """Sources behind targets (`speclens.simulate.background`)."""

    z_margin: NotNegative
    flux_min: Positive
    impact_max: Positive
    source_radius: Positive
    fibre_radius: Positive
    seeing_sigma: Positive
    quasar_vdisp: Pair
    elg_redshifts: Interval
    elg_luminosity: tuple[Number, Number]
    elg_density: Number
    elg_slope: FaintSlope
    elg_sigma_kms: Interval
    lya_redshifts: Interval
    lya_luminosity: tuple[Number, Number]
    lya_density: Number
    lya_slope: FaintSlope
