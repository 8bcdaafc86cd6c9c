"""Units of the products, as FITS writes them."""

from __future__ import annotations

__all__ = ["FLUX_DENSITY_UNIT", "FLUX_UNIT"]

FLUX_UNIT = "1e-17 erg / (s cm2)"
FLUX_DENSITY_UNIT = "1e-17 erg / (Angstrom s cm2)"
