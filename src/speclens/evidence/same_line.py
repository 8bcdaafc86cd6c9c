"""The line of a hit once more: in other spectra, and in the single exposures of its own.

In: spectra and exposures as they were read, and the lines to look for in them. Out: rows of
`speclens.schema.COMPANIONS`, with a flux and its error each. Which spectra are asked is left to
`speclens.evidence.nearby`, what the fluxes tell to `speclens.vet`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evidence.fixed_line import fixed_line, line_sigma
from speclens.evidence.nearby import REQUEST_DTYPE
from speclens.lines import PIXEL_LOGLAM, pixel_width_angstrom
from speclens.read.shards import Shard
from speclens.sample.preparation import good_pixels
from speclens.schema import COMPANIONS, dtype_of
from speclens.search.scan import ScanSettings
from speclens.spectra import SpectrumBatch

__all__ = ["line_in_exposures", "line_in_spectra"]

SHIFTS = np.arange(-6, 7)
"""Pixels by which a line in a neighbouring fibre may lie beside the hit and still be seen to."""


def line_in_spectra(
    batch: SpectrumBatch, requests: NDArray[np.void], config: Config
) -> NDArray[np.void]:
    """Measure the line of each request in the spectrum that it asks for.

    Parameters
    ----------
    batch : SpectrumBatch
        The spectra asked for, one for each of R requests.
    requests : structured array of shape (R,)
        `speclens.evidence.nearby.REQUEST_DTYPE`.
    config : Config
        Which pixels are good, how many on either side of a line are fitted, and the dispersion
        where a spectrum has none of its own.

    Returns
    -------
    structured array of shape (R,)
        Rows of `speclens.schema.COMPANIONS`.
    """
    grid = batch.grid
    place = grid.pixel(requests["WAVE"])
    middle = np.round(place).astype(np.intp)
    half_width = config.vet.companion_half_width
    pixel = middle[:, None] + np.arange(-half_width, half_width + 1)
    inside = (pixel >= 0) & (pixel < grid.n_pixels)
    pixel = np.clip(pixel, 0, grid.n_pixels - 1)
    row = np.arange(len(batch))[:, None]
    good = good_pixels(batch, config.preparation)[row, pixel] & inside
    usual = np.interp(requests["WAVE"], *np.array(config.matched_filter.dispersion).T)
    known = batch.dispersion_at(requests["WAVE"])
    of_line = (
        pixel - place[:, None],
        np.where(good, batch.flux[row, pixel], 0).astype(np.float64),
        np.where(good, batch.ivar[row, pixel], 0).astype(np.float64),
        np.hypot(requests["SIGMA"], np.where(known > 0, known, usual)),
        pixel_width_angstrom(requests["WAVE"]),
    )
    rows = _companion_rows(requests, *fixed_line(*of_line))
    beside = requests["KIND"] == "neighbour"
    rows["OFFSET"][beside] = _brightest_shift(*(part[beside] for part in of_line))
    return rows


def _brightest_shift(
    offset: NDArray[np.float64], *of_line: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of `SHIFTS`, that at which the line has the highest S/N, or NaN, shape (R,)."""
    n, n_pixels = offset.shape
    shifted = (offset[:, None] - SHIFTS[:, None]).reshape(-1, n_pixels)
    flux, error = fixed_line(shifted, *(np.repeat(part, len(SHIFTS), axis=0) for part in of_line))
    snr = np.where(error > 0, flux / error, -np.inf).reshape(n, len(SHIFTS))
    return np.where(np.isfinite(snr).any(1), SHIFTS[snr.argmax(1)], np.nan)


def line_in_exposures(
    settings: ScanSettings, shard: Shard, hit: NDArray[np.intp], hits: NDArray[np.void]
) -> NDArray[np.void]:
    """Measure the lines of a file's hits in each of its single exposures.

    Parameters
    ----------
    settings : ScanSettings
        How files are read; which widths of lines are believed, how many pixels on either side are
        fitted, and the dispersion of the spectrograph.
    shard : Shard
        The file.
    hit : array of shape (H,)
        Rows of hits.fits.
    hits : structured array of shape (H,)
        Those rows.

    Returns
    -------
    structured array
        Rows of `speclens.schema.COMPANIONS`: one for each hit and exposure that covers its line.
    """
    parts = [np.zeros(0, dtype_of(COMPANIONS))]
    config = settings.config
    believed = config.vet.line_sigma_range
    for number, row in zip(hit.tolist(), hits, strict=True):
        wave = float(row["WAVE"])
        width = float(pixel_width_angstrom(wave))
        reach = config.vet.companion_half_width * width
        sigma = float(line_sigma(row["FWHM_KMS"][None], believed)[0])
        usual = float(np.interp(wave, *np.array(config.matched_filter.dispersion).T))
        for exposure in settings.exposures(shard, (wave - reach, wave + reach)):
            near = np.abs(exposure.wave - wave) < reach
            if not near.any():
                continue
            flux, error = fixed_line(
                np.log10(exposure.wave[near] / wave)[None] / PIXEL_LOGLAM,
                exposure.flux[near].astype(np.float64)[None],
                exposure.ivar[near].astype(np.float64)[None],
                np.array([np.hypot(sigma, usual)]),
                np.array([width]),
            )
            request = np.zeros(1, REQUEST_DTYPE)
            request["HIT"], request["KIND"], request["NAME"] = number, "exposure", exposure.name
            parts.append(_companion_rows(request, flux, error))
    return np.concatenate(parts)


def _companion_rows(
    requests: NDArray[np.void], flux: NDArray[np.float64], error: NDArray[np.float64]
) -> NDArray[np.void]:
    rows = np.zeros(len(requests), dtype_of(COMPANIONS))
    for name in ("HIT", "KIND", "NAME"):
        rows[name] = requests[name]
    rows["FLUX"], rows["FLUX_ERR"], rows["OFFSET"] = flux, error, np.nan
    return rows
