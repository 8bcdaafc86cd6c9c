"""What a search sees of galaxies whose foreground is fitted to more or less of the spectrum.

In: whole spectra, lines to be put into them. Out: residuals on the window that is searched, with
the errors as stated; the highest S/N in them, their scatter, and what is left of a line. Which
spectra, and what it comes to, is left to `levers.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mock_plates import FIRST_PIXELS
from speclens.config import Config, load_config
from speclens.sample.noise import error_growth
from speclens.sample.preparation import Preparation, good_pixels
from speclens.search.matched_filter import MatchedFilter
from speclens.simulate.emitters import Lines, ideal_snr, line_spectra
from speclens.simulate.training_set import survey_of_galaxies
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["AS_IT_IS", "FITS", "N_FIBRES", "Fit", "LeverSearch", "Residuals"]

N_FIBRES = 1000
AS_IT_IS = "as it is"
FITS = {
    AS_IT_IS: ((3800, 5000), 6),
    "wider": ((3600, 6200), 6),
    "wider still": ((3700, 7000), 10),
    "whole spectrum": ((3600, 9200), 10),
}
"""Wavelengths and eigenspectra of the fit of the foreground."""

LENS_LINES = (
    "[Ne V] 3347", "[Ne V] 3427", "[O II]", "[Ne III]", "H beta", "[O III] 4960", "[O III] 5008",
    "H alpha", "[N II] 6550", "[N II] 6585",
)  # fmt: skip
"""Masked; those that the default does not mask are never in the window that is searched."""

OUTLIER = 5.0
"""Pixels further off count for no standard deviation: spikes."""

MIDDLE = 1
"""Width of the bank whose S/N is looked at pixel by pixel."""

Floats = NDArray[np.float32]
Residuals = tuple[Floats, Floats]
"""Residuals and their stated inverse variance on the window."""


class Fit:
    """A fit of the foreground, errors left as stated."""

    def __init__(self, window: tuple[float, float], n_components: int, target: LogGrid) -> None:
        low, high = window
        lines = ", ".join(f'"{name}"' for name in LENS_LINES)
        changed = [
            f"preparation.window=[{float(low)}, {float(high)}]",
            f"preparation.lens_lines=[{lines}]",
            f"foreground.n_components={n_components}",
            f"noise.quantile_min_pixels={10**6}",
        ]
        self._prepare = Preparation(load_config(None, changed))
        self.grid = self._prepare.grid
        self._part, _ = self.grid.overlap(target)

    def __call__(self, batch: SpectrumBatch, z: NDArray[np.float64]) -> tuple[Residuals, float]:
        """Return the residuals of whole spectra, and the seconds that each took."""
        start = time.process_time()
        fitted = self._prepare(batch.on(self.grid), z)
        seconds = (time.process_time() - start) / len(z)
        return (fitted.residual[:, self._part], fitted.ivar[:, self._part]), seconds


@dataclass
class LeverSearch:
    """What all plates share."""

    seed: int

    @cached_property
    def config(self) -> Config:
        """Plates that hold galaxies alone."""
        config = load_config(None, [f"survey.first_pixel_range={list(FIRST_PIXELS)}"])
        return survey_of_galaxies(config, N_FIBRES)

    @cached_property
    def grid(self) -> LogGrid:
        """The window that is searched."""
        return LogGrid.covering(*self.config.preparation.window)

    @cached_property
    def bank(self) -> MatchedFilter:
        """The search."""
        return MatchedFilter(self.grid, self.config.matched_filter)

    @cached_property
    def fits(self) -> dict[str, Fit]:
        """Each choice of window and terms."""
        return {name: Fit(*choice, self.grid) for name, choice in FITS.items()}

    def shapes(self, lines: Lines, batch: SpectrumBatch, snr: NDArray[np.floating]) -> Floats:
        """Return lines as bright as their ideal S/N asks; 0 where they cannot be seen."""
        window = batch.on(self.grid)
        unit = replace(lines, flux=np.ones(len(lines)))
        shapes = line_spectra(unit, self.grid, window.dispersion_at(lines.wave))
        good = good_pixels(window, self.config.preparation)
        ideal = ideal_snr(shapes, np.where(good, window.ivar, 0))
        factor = np.divide(snr, ideal, out=np.zeros(len(lines)), where=ideal > 0)
        return np.asarray(shapes * factor[:, None], np.float32)

    def added(self, batch: SpectrumBatch, shapes: Floats) -> SpectrumBatch:
        """Put lines into whole spectra."""
        flux = batch.flux.copy()
        flux[:, batch.grid.overlap(self.grid)[0]] += shapes
        return replace(batch, flux=flux)

    def searched(self, residuals: Residuals) -> dict[str, NDArray[np.floating]]:
        """Return the highest S/N, the growth of the errors, and mean squares by stated ones."""
        residual, ivar = residuals
        snr = self.bank.apply(residual, ivar).snr
        growth = error_growth(residual, ivar, self.config.noise)
        return {
            "FREE": snr.max(axis=(1, 2)) / growth,
            "GROWTH": growth,
            "RESIDUAL": _mean_square(residual * np.sqrt(ivar)),
            "FILTERED": _mean_square(snr[:, MIDDLE]),
        }

    def signal(
        self, before: Residuals, after: Residuals, shapes: Floats, pixel: NDArray[np.intp]
    ) -> dict[str, NDArray[np.floating]]:
        """Return the S/N of lines that the fit leaves, and that which they had before it."""
        ivar = np.minimum(before[1], after[1])
        rows = np.arange(len(ivar))
        left, whole = (
            self.bank.apply(flux, ivar).snr[rows, MIDDLE, pixel]
            for flux in (after[0] - before[0], np.where(ivar > 0, shapes, np.float32(0)))
        )
        return {"SIGNAL": left, "OFFERED": whole}


def _mean_square(values: NDArray[np.floating]) -> NDArray[np.float64]:
    inside = (values != 0) & (np.abs(values) < OUTLIER)
    total = (np.where(inside, values, 0) ** 2).sum(axis=1)
    return np.asarray(total / np.maximum(inside.sum(axis=1), 1), np.float64)
