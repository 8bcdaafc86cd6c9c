"""The selection function of one kind of source: its levels, and what stands for what is not told.

In: the sources that were put in. Out: `OfKind`: completeness at any flux, wavelength and noise; and
the fluxes at which half and nine tenths come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.evaluate.levels import LEVELS, reached
from speclens.evaluate.selection_fit import Selection, fit_selection
from speclens.schema import LIMITS, dtype_of

__all__ = ["OfKind", "Typical", "limits_table"]

N_KNOTS = 12
"""Wavelengths at which the usual noise is told."""

FLUXES = 400
"""Fluxes among which a limit is looked for, evenly in ideal signal-to-noise ratio."""

Floats = NDArray[np.float64]
Rows = NDArray[np.void]


@dataclass(frozen=True)
class Typical:
    """What stands for what is not told of a source or its spectrum: medians.

    Parameters
    ----------
    wave, noise : array of shape (K,)
        Wavelengths, Angstrom, and the median error of a line's flux there, 1e-17 erg/s/cm2.
    z_lens, width, foreground : float
        Redshift of the target, width of the line, Angstrom, flux density around it.
    """

    wave: Floats
    noise: Floats
    z_lens: float
    width: float
    foreground: float

    @classmethod
    def of_lines(cls, lines: Rows) -> Typical:
        """Take the medians of sources.

        Parameters
        ----------
        lines : structured array of shape (N,)
            Rows of lines.fits.

        Returns
        -------
        Typical
            Their medians.
        """
        edges = np.unique(np.quantile(lines["WAVE"], np.linspace(0, 1, N_KNOTS + 1)))
        bins = np.clip(np.searchsorted(edges, lines["WAVE"], "right") - 1, 0, len(edges) - 2)
        numbers = np.unique(bins)
        wave, noise = (
            np.array([np.median(lines[name][bins == i]) for i in numbers], np.float64)
            for name in ("WAVE", "IDEAL_ERR")
        )
        rest = (float(np.nanmedian(lines[name])) for name in ("Z", "WIDTH", "FOREGROUND"))
        return cls(wave, noise, *rest)

    @property
    def content(self) -> dict[str, Any]:
        """The same as JSON."""
        arrays = {"wave": self.wave.tolist(), "noise": self.noise.tolist()}
        numbers = ("z_lens", "width", "foreground")
        return arrays | {name: getattr(self, name) for name in numbers}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Typical:
        """Return what `content` gave."""
        wave, noise = (np.array(content[name], np.float64) for name in ("wave", "noise"))
        rest = (float(content[name]) for name in ("z_lens", "width", "foreground"))
        return cls(wave, noise, *rest)


@dataclass(frozen=True)
class OfKind:
    """The selection function of one kind of source.

    Parameters
    ----------
    levels : dict of str to Selection
        By level.
    typical : Typical
        What stands for what is not told.
    """

    levels: Mapping[str, Selection]
    typical: Typical

    @classmethod
    def of_lines(cls, lines: Rows, top: int) -> OfKind:
        """Fit the completeness of sources of a kind.

        Parameters
        ----------
        lines : structured array of shape (N,)
            Rows of lines.fits.
        top : int
            The last rank of the top.

        Returns
        -------
        OfKind
            The functions.
        """
        typical = Typical.of_lines(lines)
        names = {"z_lens": "Z", "width": "WIDTH", "foreground": "FOREGROUND"}
        told = {key: np.asarray(lines[name], np.float64) for key, name in names.items()}
        values = _values(
            lines["FLUX"], lines["WAVE"], np.asarray(lines["IDEAL_ERR"], np.float64), told, typical
        )
        back = reached(lines, top)
        levels = {name: fit_selection(values, back[name], lines["TARGETID"]) for name in LEVELS}
        return cls(levels, typical)

    def __call__(
        self,
        flux: Floats,
        wave: Floats,
        level: str = "candidate",
        noise: Floats | None = None,
        sigma: float = 1.0,
        **told: Floats,
    ) -> tuple[Floats, Floats, Floats]:
        """Return the completeness of sources.

        Parameters
        ----------
        flux, wave : array of shape (N,)
            Flux, 1e-17 erg/s/cm2, and observed wavelength, Angstrom, of the (strongest) line.
        level : str, optional
            One of `speclens.evaluate.levels.LEVELS`.
        noise : array of shape (N,), optional
            Error of the line's flux at best, 1e-17 erg/s/cm2; the usual one of its wavelength when
            not given.
        sigma : float, optional
            Half width of the interval, standard deviations.
        **told : array of shape (N,)
            `z_lens`, `width` and `foreground`; the usual ones where not given or not known.

        Returns
        -------
        completeness, low, high : array of shape (N,)
            Fraction of such sources that come back, and its interval.
        """
        if noise is None:
            noise = np.interp(wave, self.typical.wave, self.typical.noise)
        return self.levels[level](_values(flux, wave, noise, told, self.typical), sigma)

    @property
    def content(self) -> dict[str, Any]:
        """The same as JSON."""
        levels = {name: level.content for name, level in self.levels.items()}
        return {"levels": levels, "typical": self.typical.content}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> OfKind:
        """Return what `content` gave."""
        levels = {name: Selection.of(level) for name, level in content["levels"].items()}
        return cls(levels, Typical.of(content["typical"]))


def _values(
    flux: Floats, wave: Floats, noise: Floats, told: Mapping[str, Floats], typical: Typical
) -> dict[str, Floats]:
    """Return what the completeness depends on."""
    known = {}
    for name in ("z_lens", "width", "foreground"):
        usual = getattr(typical, name)
        given = np.asarray(told.get(name, np.full(np.shape(flux), usual)), np.float64)
        known[name] = np.where(np.isfinite(given), given, usual)
    return {
        "snr": np.asarray(flux / noise, np.float64),
        "wave": np.asarray(wave, np.float64),
        "ln_noise": np.log(noise),
        "z_lens": known["z_lens"],
        "ln_width": np.log(np.maximum(known["width"], 0.1)),
        "foreground": np.arcsinh(known["foreground"] / noise),
    }


def limits_table(kinds: Mapping[tuple[str, str], OfKind], snr_max: float) -> Rows:
    """Tell at which fluxes half and nine tenths of the sources come back, by wavelength.

    Parameters
    ----------
    kinds : mapping of (str, str) to OfKind
        The selection functions, by search and kind of source.
    snr_max : float
        Highest ideal signal-to-noise ratio that was put in.

    Returns
    -------
    structured array
        `speclens.schema.LIMITS`.
    """
    rows = []
    ratio = np.linspace(1, snr_max, FLUXES)
    for (search, kind), function in kinds.items():
        typical = function.typical
        for level in LEVELS:
            for wave, noise in zip(typical.wave, typical.noise, strict=True):
                curve, low, high = function(ratio * noise, np.full(FLUXES, wave), level)
                # Where completeness is at its highest the limit is lowest.
                limits = [
                    _first(ratio, own, share) * noise
                    for share in (0.5, 0.9)
                    for own in (curve, high, low)
                ]
                rows.append((search, kind, level, wave, noise, *limits))
    return np.array(rows, dtype_of(LIMITS))


def _first(ratio: Floats, curve: Floats, share: float) -> float:
    """Return the ratio from which on a curve stays above a share; NaN where it does not."""
    # At faint fluxes, where no source is, an interval may reach anywhere.
    least = np.minimum.accumulate(curve[::-1])[::-1]
    if least[-1] < share:
        return float("nan")
    return float(np.interp(share, least, ratio))
