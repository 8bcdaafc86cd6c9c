"""The line of a hit close up, in the frame of its emitter: data, errors and the fit.

In: a row of the tables, its spectrum with the foreground. Out: what a figure shows of it, and a
panel that shows it. Masked pixels are gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.lines import LYMAN_ALPHA
from speclens.spectra import FittedSpectra
from speclens.view.fitted import REST_RANGE, dispersion_at, fitted_line
from speclens.view.palette import ACCENT, DATA, QUIET
from speclens.view.panels import Panel, Sheet

__all__ = ["FLUX_LABEL", "CloseUp", "close_up", "flux_limits", "shown", "undisturbed"]

FLUX_LABEL = "f\u03bb (10\u207b\u00b9\u2077 erg s\u207b\u00b9 cm\u207b\u00b2 \u00c5\u207b\u00b9)"

ROOM = 0.07
HIGHEST_FLUX = 1e15
"""Flux densities beyond are drawn at the edge of the panel: no axis reaches so far."""

N_FIT = 200
"""Points of the fitted line."""

Floats = NDArray[np.float64]

undisturbed = np.errstate(divide="ignore", invalid="ignore", over="ignore")
"""What a damaged spectrum holds becomes a gap."""


@dataclass(frozen=True)
class CloseUp:
    """A line in the frame of its emitter.

    Parameters
    ----------
    line : float
        Its wavelength at rest, Angstrom.
    ends : (float, float)
        Wavelengths at rest between which it is shown, Angstrom.
    rest : array of shape (P,)
        Wavelengths at rest of the pixels between them, Angstrom.
    flux, error : array of shape (P,)
        Flux density without the foreground and its standard error, 1e-17 erg/s/cm2/Angstrom; NaN
        where masked.
    expected : array of shape (P,)
        What the fit says there; NaN where nothing was fitted.
    fit : (array, array)
        Wavelengths at rest and flux density of the fitted line, finer.
    """

    line: float
    ends: tuple[float, float]
    rest: Floats
    flux: Floats
    error: Floats
    expected: Floats
    fit: tuple[Floats, Floats]

    def draw(self, sheet: Sheet, place: tuple[float, float, float, float]) -> Panel:
        """Draw it.

        Parameters
        ----------
        sheet : Sheet
            Where.
        place : (float, float, float, float)
            Left, top, width, height, pixels.

        Returns
        -------
        Panel
            Without its frame.
        """
        panel = Panel(sheet, place, self.ends, flux_limits(self.flux, self.fit[1], (0, 100)))
        panel.band(self.rest, self.flux - self.error, self.flux + self.error, QUIET)
        panel.rules(y=[0], color=QUIET, width=0.8)
        panel.rules(x=[self.line], color=QUIET, width=0.8, dashes="10 30")
        panel.line(self.rest, self.flux, DATA, 1.2, stepped=True)
        panel.line(*self.fit, ACCENT, 1.8, "60 40")
        return panel


def close_up(row: np.void, spectrum: FittedSpectra, line: float = LYMAN_ALPHA) -> CloseUp:
    """Return a line in the frame of its emitter.

    Parameters
    ----------
    row : record
        Its row of hits.fits or candidates.*.
    spectrum : FittedSpectra
        One spectrum.
    line : float, optional
        Its wavelength at rest, Angstrom.

    Returns
    -------
    CloseUp
        The line, its errors and its fit.
    """
    stretch = 1 + float(row["Z_SOURCE"])
    if not stretch > 0:
        stretch = np.nan
    ends = REST_RANGE[0] * line / LYMAN_ALPHA, REST_RANGE[1] * line / LYMAN_ALPHA
    rest = spectrum.grid.wave / stretch
    near = (rest > ends[0]) & (rest < ends[1])
    ivar = spectrum.ivar[0][near].astype(np.float64)
    dispersion = dispersion_at(spectrum, float(row["FIT_WAVE"]))
    fine = np.linspace(*ends, N_FIT)
    return CloseUp(
        line,
        ends,
        rest[near],
        shown(spectrum, spectrum.residual[0])[near],
        1 / np.sqrt(np.where(ivar > 0, ivar, np.nan)),
        fitted_line(row, spectrum.grid.wave[near], dispersion),
        (fine, fitted_line(row, fine * stretch, dispersion)),
    )


def shown(spectrum: FittedSpectra, values: NDArray[np.float32]) -> Floats:
    """Return what is shown of the values of one spectrum.

    Parameters
    ----------
    spectrum : FittedSpectra
        One spectrum.
    values : array of shape (L,)
        A value of each of its pixels.

    Returns
    -------
    array of shape (L,)
        The values, NaN where the spectrum holds no measurement.
    """
    good = (spectrum.ivar[0] > 0) & np.isfinite(values)
    return np.where(good, values, np.nan).astype(np.float64)


def flux_limits(values: Floats, also: Floats, percent: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of a flux axis.

    Parameters
    ----------
    values, also : array
        Flux densities; NaN where there is none.
    percent : (float, float)
        Percentiles of `values` that shall be seen; of `also` all shall.

    Returns
    -------
    low, high : float
        The ends, with some room.
    """
    finite, extra = (array[np.abs(array) < HIGHEST_FLUX] for array in (values, also))
    if not len(finite):
        return -1.0, 1.0
    low, high = np.percentile(finite, percent)
    low, high = min(low, extra.min(initial=low)), max(high, extra.max(initial=high))
    height = max(high - low, 1e-3, 1e-6 * abs(high))
    return float(low - ROOM * height), float(high + ROOM * height)
