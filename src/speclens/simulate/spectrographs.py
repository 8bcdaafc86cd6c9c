"""The spectrographs of mock surveys: on which pixels they see, and what of them a file holds.

In: the configuration. Out: `Spectrograph`, one for BOSS's plates and one for DESI's coadds. What
stands before them is drawn in `speclens.simulate.survey`, and knows neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.config import SurveyConfig
from speclens.read.desi.identity import spectrum_texts
from speclens.read.sdss.identity import targetid
from speclens.simulate.arms import Arms, arms_noise
from speclens.simulate.coadds import GROUP, Coadd
from speclens.simulate.linear_grid import Grid
from speclens.simulate.noise_model import NoiseModel
from speclens.simulate.plates import Plate
from speclens.simulate.sky import PlateNoise
from speclens.spectra import LogGrid

__all__ = ["Spectrograph", "covered", "n_pixels", "spectrograph_of", "that_saw"]

Floats = NDArray[np.floating]

MARGIN_ANGSTROM = 10.0
"""Spectra are drawn so far beyond the pixels on which they are seen."""

MOCK_BIT, BRICK_SHIFT = 58, 22
"""Of DESI's TARGETID: what says that it is a mock's, and where the number of a brick begins."""


class Spectrograph(Protocol):
    """What turns noiseless spectra into those of a file.

    Spectra without lines are drawn on `models`, lines on `grid`; noise is drawn on the P pixels of
    the detectors.
    """

    @property
    def models(self) -> LogGrid:
        """Pixels on which spectra without lines are drawn, K of them."""

    @property
    def grid(self) -> Grid:
        """Pixels on which lines are drawn, L of them."""

    @property
    def noise(self) -> NoiseModel:
        """The noise on the detectors' pixels."""

    def name_targets(self, targets: NDArray[np.void]) -> None:
        """Fill in who the targets are, by plate, date and fibre; TARGETID increases."""

    def of_models(self, spectra: Floats) -> Floats:
        """Bring spectra (N, K) onto the detectors' pixels, (N, P)."""

    def of_lines(self, spectra: Floats) -> Floats:
        """Bring lines (N, L) onto the detectors' pixels, (N, P)."""

    def line_spread(self, dispersion: Floats) -> Floats:
        """Bring the line spread (N, P) onto the pixels on which lines are drawn, (N, L)."""

    def seen(self, targets: NDArray[np.void], model: Floats, observed: PlateNoise) -> Plate:
        """Return what a file holds."""


@dataclass(frozen=True)
class BossSpectrograph:
    """BOSS's: all pixels are those of the global grid, and every plate begins at its own.

    Parameters
    ----------
    grid : LogGrid
        The pixels.
    run2d : str
        Version of the reduction.
    """

    grid: LogGrid
    run2d: str

    @property
    def models(self) -> LogGrid:
        """The same pixels."""
        return self.grid

    @property
    def noise(self) -> NoiseModel:
        """The bundled noise of BOSS."""
        return NoiseModel.bundled().on(self.grid)

    def name_targets(self, targets: NDArray[np.void]) -> None:
        """Give targets the numbers of SDSS."""
        targets["TARGETID"] = targetid(targets["PLATE"], targets["MJD"], targets["FIBERID"])

    def of_models(self, spectra: Floats) -> Floats:
        """Return the spectra as they are."""
        return spectra

    def of_lines(self, spectra: Floats) -> Floats:
        """Return the lines as they are."""
        return spectra

    def line_spread(self, dispersion: Floats) -> Floats:
        """Return the line spread as it is."""
        return dispersion

    def seen(self, targets: NDArray[np.void], model: Floats, observed: PlateNoise) -> Plate:
        """Return a plate."""
        return Plate(targets, self.grid, np.asarray(model, np.float32), observed, self.run2d)


@dataclass(frozen=True)
class DesiSpectrograph:
    """DESI's: arms of linear pixels, which overlap.

    Parameters
    ----------
    arms : Arms
        The arms, L pixels that they share, and P that they have side by side.
    """

    arms: Arms

    @property
    def models(self) -> LogGrid:
        """Pixels of the global grid, wider than the arms' own; galaxies have nothing narrower."""
        wave = self.arms.grid.wave
        return LogGrid.covering(wave[0] - MARGIN_ANGSTROM, wave[-1] + MARGIN_ANGSTROM)

    @property
    def grid(self) -> Grid:
        """The pixels that all arms share."""
        return self.arms.grid

    @property
    def noise(self) -> NoiseModel:
        """The bundled noise of DESI."""
        return arms_noise(self.arms)

    def name_targets(self, targets: NDArray[np.void]) -> None:
        """Give targets the numbers of mocks of DESI."""
        brick = targets["PLATE"].astype(np.int64) << BRICK_SHIFT
        targets["TARGETID"] = (1 << MOCK_BIT) | brick | targets["FIBERID"]
        targets["SPECTRUM"] = spectrum_texts(GROUP, targets["TARGETID"])

    def of_models(self, spectra: Floats) -> Floats:
        """Interpolate spectra by cubics through four pixels, and lay the arms side by side."""
        place = self.models.pixel(self.grid.wave)
        left = np.floor(place).astype(np.intp)
        x = (place - left).astype(np.float32)
        weights = (
            -x * (x - 1) * (x - 2) / 6, (x + 1) * (x - 1) * (x - 2) / 2,
            -(x + 1) * x * (x - 2) / 2, (x + 1) * x * (x - 1) / 6,
        )  # fmt: skip
        cubic = np.zeros((len(spectra), len(place)), np.float32)
        for shift, weight in enumerate(weights, start=-1):
            cubic += weight * spectra[:, left + shift]
        return cubic[:, self.arms.places]

    def of_lines(self, spectra: Floats) -> Floats:
        """Lay the arms side by side."""
        return spectra[:, self.arms.places]

    def line_spread(self, dispersion: Floats) -> Floats:
        """Take the mean of arms where they overlap."""
        return self.arms.joined(np.asarray(dispersion, np.float32))

    def seen(self, targets: NDArray[np.void], model: Floats, observed: PlateNoise) -> Plate:
        """Return a coadd."""
        return Coadd(targets, self.models, np.asarray(model, np.float32), observed, "", self.arms)


def spectrograph_of(config: SurveyConfig, rng: np.random.Generator) -> Spectrograph:
    """Return the spectrograph of a mock survey.

    Parameters
    ----------
    config : SurveyConfig
        Its instrument and pixels.
    rng : numpy.random.Generator
        Source of randomness: where a plate of BOSS begins.

    Returns
    -------
    Spectrograph
        The spectrograph.
    """
    if config.instrument == "desi":
        return DesiSpectrograph(Arms.of(config.arms))
    first, last = config.first_pixel_range
    return BossSpectrograph(
        LogGrid(int(rng.integers(first, last + 1)), config.n_pixels), config.run2d
    )


def that_saw(plate: Plate) -> Spectrograph:
    """Return the spectrograph of a mock plate, or coadd.

    Parameters
    ----------
    plate : Plate
        The plate.

    Returns
    -------
    Spectrograph
        The spectrograph, which brings the plate's `model` onto the pixels of its `observed`.
    """
    if isinstance(plate, Coadd):
        return DesiSpectrograph(plate.arms)
    return BossSpectrograph(plate.grid, plate.run2d)


def covered(config: SurveyConfig) -> list[tuple[float, float]]:
    """Return the wavelengths that all files of a mock survey cover.

    Parameters
    ----------
    config : SurveyConfig
        Its instrument and pixels.

    Returns
    -------
    list of (float, float)
        First and last, Angstrom, of each part without a gap.
    """
    if config.instrument == "desi":
        return Arms.of(config.arms).covered
    first, last = config.first_pixel_range
    wave = LogGrid(last, config.n_pixels - (last - first)).wave
    return [(float(wave[0]), float(wave[-1]))]


def n_pixels(config: SurveyConfig) -> int:
    """Return how many pixels a file of a mock survey holds of a spectrum, in all arms together.

    Parameters
    ----------
    config : SurveyConfig
        Its instrument and pixels.

    Returns
    -------
    int
        Number of pixels.
    """
    return len(Arms.of(config.arms).places) if config.instrument == "desi" else config.n_pixels
