"""The section of the configuration that says what plain tables of spectra leave unsaid."""

from __future__ import annotations

from typing import Literal

from speclens.config.base import NotNegative, Section

__all__ = ["TablesConfig"]


class TablesConfig(Section):
    """What is meant where plain tables do not say it (`speclens.read.arrays`)."""

    decides = ("search",)

    medium: Literal["", "vacuum", "air"]
    wave_unit: str
    flux_unit: str
    resolution: NotNegative
