"""The section of the configuration that says what plain tables of spectra leave unsaid."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator

from speclens.config.base import NotNegative, Section

__all__ = ["TablesConfig"]


class TablesConfig(Section):
    """What is meant where plain tables do not say it (`speclens.read.arrays`)."""

    decides = ("search",)

    medium: Literal["", "vacuum", "air"]
    wave_unit: str
    flux_unit: str
    resolution: NotNegative

    @field_validator("wave_unit", "flux_unit")
    @classmethod
    def _is_unit(cls, unit: str) -> str:
        if unit:
            from astropy import units  # only where it is asked for: it takes long to load

            try:
                units.Unit(unit)
            except ValueError as error:
                meant = re.search(r"id you mean [^?]*\?", str(error))
                text = "unknown unit" + (f"; d{meant[0]}" if meant else "")
                raise ValueError(text) from error
        return unit
