"""Single exposures of full spec files.

In: the path of a spec file, the wavelengths that matter. Out: `Exposure`, one for each exposure and
camera that reaches them, on the pixels of the detector. Lite files hold none. What an exposure says
of a hit is left to `speclens.vet`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.instrument import Instrument
from speclens.lines import PIXEL_LOGLAM
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu, Verdict
from speclens.read.fits.header import HeaderError
from speclens.read.fits.opening import open_fits
from speclens.read.fits.scaling import as_type
from speclens.read.sdss import INSTRUMENT
from speclens.read.sdss.wavelengths import FIRST_PIXELS
from speclens.read.source import Exposure
from speclens.read.values import plausible_dispersion

__all__ = ["read_exposures"]

FIRST_EXPOSURE = 4
"""HDU of the first exposure; before it stand the coadd, the catalogue row and the lines."""

REQUIRED = ("FLUX", "LOGLAM", "IVAR")
EXPOSURE_COLUMNS = {"FLUX": "f4", "LOGLAM": "f8", "IVAR": "f4", "MASK": "i8", "WDISP": "f4"}
MASKS = ("MASK", "AND_MASK")
"""What the mask is called: by SDSS-V, whose exposures are coadds of two cameras, as in a coadd."""


def read_exposures(
    path: str, wave_range: tuple[float, float], instrument: Instrument = INSTRUMENT
) -> list[Exposure]:
    """Read the single exposures of a spec file.

    Parameters
    ----------
    path : str
        The file, full or lite.
    wave_range : (float, float)
        Exposures that do not reach between these are left out, vacuum Angstrom; the others are
        given whole.
    instrument : Instrument, optional
        Of the survey.

    Returns
    -------
    list of Exposure
        In the order of the file; empty for a lite file. An HDU that is damaged, disagrees with its
        checksum or lacks a column is left out.

    Raises
    ------
    SpectrumFileError
        If the file itself cannot be read.
    """
    with open_fits(path) as file:
        read = (_read_exposure(file, hdu, instrument) for hdu in file.hdus[FIRST_EXPOSURE:])
        blue, red = wave_range
        return [e for e in read if e is not None and e.wave[0] <= red and e.wave[-1] >= blue]


def _read_exposure(file: FitsFile, hdu: Hdu, instrument: Instrument) -> Exposure | None:
    try:
        name, columns = hdu.name, _sound_columns(file, hdu)
    except (SpectrumFileError, HeaderError) as error:
        if isinstance(error, SpectrumFileError) and error.reason != "bad_header":
            raise
        return None
    if columns is None:
        return None
    loglam = columns["LOGLAM"]
    first, last = (pixel * PIXEL_LOGLAM for pixel in FIRST_PIXELS)
    step = np.diff(loglam)
    # NaN fails every comparison.
    if not (len(step) and (step > 0).all() and first < loglam[0] and loglam[-1] < last):
        return None
    flux, ivar, wdisp = (columns[name] for name in ("FLUX", "IVAR", "WDISP"))
    good = np.isfinite(flux) & (ivar > 0) & np.isfinite(ivar)
    good &= ~instrument.is_masked(columns["MASK"])
    # The file states the line spread in pixels of the global grid, as for the coadd.
    spread = plausible_dispersion(wdisp, instrument.line_spread_limits)
    return Exposure(
        name.encode("ascii", "replace").decode() or f"HDU {hdu.index}",
        10**loglam,
        np.where(np.isfinite(flux), flux, np.float32(0)),
        np.where(good, ivar, np.float32(0)),
        (spread * (PIXEL_LOGLAM / np.gradient(loglam))).astype(np.float32),
    )


def _sound_columns(file: FitsFile, hdu: Hdu) -> dict[str, NDArray[Any]] | None:
    """Columns of an exposure, the optional ones filled in; None where the HDU is not to be used."""
    if not hdu.is_table:
        return None
    columns = file.table(hdu, (*EXPOSURE_COLUMNS, *MASKS))
    for name in MASKS[1:]:
        other = columns.pop(name, None)
        if other is not None:
            columns.setdefault(MASKS[0], other)
    sound = file.verify(hdu) is not Verdict.DAMAGED and all(name in columns for name in REQUIRED)
    columns.setdefault("MASK", np.zeros(hdu.shape[0], np.int32))
    columns.setdefault("WDISP", np.zeros(hdu.shape[0], np.float32))
    sound &= all(column.ndim == 1 and column.dtype.kind in "fiu" for column in columns.values())
    sound &= columns["MASK"].dtype.kind in "iu"
    if not sound:
        return None
    return {name: as_type(column, EXPOSURE_COLUMNS[name]) for name, column in columns.items()}
