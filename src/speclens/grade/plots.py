"""The numbers that the page draws of a hit: its spectrum, the window, the line and its fit.

In: a row of the tables and its spectrum. Out: plain values for JSON; arrays as base64 of float32,
which is a third of their text. Masked pixels are NaN there, and gaps in the plot.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.instrument import INSTRUMENTS
from speclens.lines import REST_LINES
from speclens.spectra import FittedSpectra
from speclens.view.fitted import dispersion_at, fitted_line
from speclens.view.hit_figure import LENS_FEATURES

__all__ = ["plot_of"]

SOURCE_LINES = (
    "Ly alpha", "[O II]", "H beta", "[O III] 4960", "[O III] 5008", "H alpha",
)  # fmt: skip
"""Lines of the source that are marked, and drawn in velocity where they are covered."""

GREEK = {"alpha": "\u03b1", "beta": "\u03b2", "delta": "\u03b4"}

Floats = NDArray[np.floating]


@np.errstate(all="ignore")
def plot_of(row: np.void, window: FittedSpectra, whole: FittedSpectra) -> dict[str, Any]:
    """Return what is drawn of a hit.

    Parameters
    ----------
    row : record
        Its row of hits.fits or candidates.*.
    window, whole : FittedSpectra
        One spectrum: the window as it was searched, and all of it.

    Returns
    -------
    dict
        For JSON: wavelengths in Angstrom, flux densities in 1e-17 erg/s/cm2/Angstrom; None for
        numbers that are not known.
    """
    dispersion = dispersion_at(window, float(row["FIT_WAVE"]))
    survey = INSTRUMENTS.get(str(row["SURVEY"]))
    return {
        "z_lens": _number(row["Z"]),
        "z_source": _number(row["Z_SOURCE"]),
        "wave": _number(row["WAVE"]),
        "lens": [
            (_greek(REST_LINES[name].symbol), REST_LINES[name].wave) for name in LENS_FEATURES
        ],
        "source": [(_greek(name), REST_LINES[name].wave) for name in SOURCE_LINES],
        "sky": list(survey.sky_lines) if survey else [],
        "whole": _spectrum(whole),
        "window": _spectrum(window)
        | {"fit": _packed(fitted_line(row, window.grid.wave, dispersion))},
    }


def _spectrum(spectrum: FittedSpectra) -> dict[str, Any]:
    good = (spectrum.ivar[0] > 0) & np.isfinite(spectrum.flux[0])
    return {
        # log10 of the first wavelength, in pixels of 1e-4: the page makes the others.
        "first": spectrum.grid.first,
        "flux": _packed(np.where(good, spectrum.flux[0], np.nan)),
        "error": _packed(np.where(good, spectrum.ivar[0], np.nan) ** -0.5),
        "model": _packed(spectrum.model[0]),
        # What was measured there all the same, to be seen faintly.
        "masked": _packed(np.where(good, np.nan, spectrum.flux[0])),
    }


def _packed(values: Floats) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode("ascii")


def _greek(name: str) -> str:
    """Return the name of a line as it is written."""
    for spelled, letter in GREEK.items():
        name = name.replace(f" {spelled}", letter)
    return name


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
