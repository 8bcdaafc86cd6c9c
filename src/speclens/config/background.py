"""The section of the configuration that says what lies behind the targets of a mock survey."""

from __future__ import annotations

from speclens.config.base import Interval, NotNegative, Pair, Positive, Section

__all__ = ["BackgroundConfig"]


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
    elg_sigma_kms: Interval
    lya_redshifts: Interval
