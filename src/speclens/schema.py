"""Columns, reason codes and flags of the products, each one record.

From these records come the dtypes of the tables, the units and descriptions of their columns, and
the pages of the documentation that list them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CANDIDATES",
    "FLAGS",
    "FLUX_UNIT",
    "HITS",
    "INJECTED",
    "REASONS",
    "RECOVERED",
    "SPECTRA",
    "Column",
    "Flag",
    "Reason",
    "dtype_of",
    "flag_names",
    "text_width",
]

FLUX_UNIT = "1e-17 erg / (s cm2)"


@dataclass(frozen=True)
class Column:
    """One column of a product: name, numpy dtype, unit (empty for none) and description."""

    name: str
    dtype: str
    unit: str
    description: str


@dataclass(frozen=True)
class Reason:
    """Why a spectrum was not scored: code, status it leads to, and what it means."""

    code: str
    status: str
    text: str


@dataclass(frozen=True)
class Flag:
    """One bit of a spectrum's FLAGS: bit value, name and meaning."""

    bit: int
    name: str
    text: str


REASONS = (
    Reason("not_fits", "failed", "the file is not FITS, plain or gzipped"),
    Reason("not_regular", "failed", "not a regular readable file (a pipe, a device, a dead link)"),
    Reason("truncated", "failed", "the file ends before its header says so"),
    Reason("bad_header", "failed", "a header contradicts itself, the standard or the file's size"),
    Reason("checksum", "failed", "an HDU disagrees with its CHECKSUM or DATASUM"),
    Reason("gzip_crc", "failed", "the gzip stream is damaged or cut short"),
    Reason("too_large", "failed", "the file would decompress to an implausible size"),
    Reason("io_error", "failed", "the operating system could not read the file"),
    Reason("unknown_layout", "failed", "FITS, but neither an spPlate nor a spec file"),
    Reason("missing_hdu", "failed", "an HDU that the search needs is not there"),
    Reason("missing_column", "failed", "a column that the search needs is not there"),
    Reason("bad_wavelengths", "failed", "not on the SDSS log-wavelength grid in vacuum Angstrom"),
    Reason("no_catalogue", "failed", "no class and redshift: no spZbest, no catalogue given"),
    Reason("internal_error", "failed", "a fault of speclens itself"),
    Reason("fit_failed", "failed", "the foreground fit has no solution"),
    Reason("no_probability", "failed", "the network's answer is not a number"),
    Reason("sky_fibre", "skipped", "a sky fibre, whatever its CLASS"),
    Reason("unplugged", "skipped", "the fibre was not plugged, or holds no data"),
    Reason("class_star", "skipped", "classified as a star"),
    Reason("class_qso", "skipped", "classified as a quasar"),
    Reason("class_other", "skipped", "classified, but not as a galaxy"),
    Reason("subclass", "skipped", "an active or star-forming galaxy, by its SUBCLASS"),
    Reason("z_invalid", "skipped", "the redshift is not a number, or not positive"),
    Reason("z_low", "skipped", "the redshift is below the sample's"),
    Reason("z_high", "skipped", "the redshift is above the sample's"),
    Reason("zwarning", "skipped", "the pipeline warns of the redshift"),
    Reason("bad_plate", "skipped", "the plate's quality is not good"),
    Reason("not_in_catalogue", "skipped", "the catalogue given has no row of this spectrum"),
    Reason("ambiguous_catalogue", "skipped", "rows of the catalogue contradict each other"),
    Reason("no_data", "skipped", "too few good pixels in the window"),
    Reason("duplicate", "skipped", "the same spectrum was scored from another file"),
)
"""Every reason code there is."""

FLAGS = (
    Flag(1 << 0, "UNVERIFIED", "the file carries no checksum to verify"),
    Flag(1 << 1, "CHECKSUM", "an HDU disagrees with its checksum, and --no-verify was given"),
    Flag(1 << 2, "PARTIAL_WINDOW", "the file does not cover the whole window"),
    Flag(1 << 3, "POOR_DATA", "many pixels of the window are bad"),
    Flag(1 << 4, "MANY_HITS", "more hits than a lens can give; none was kept"),
    Flag(1 << 5, "CATALOGUE_ROWS", "several agreeing catalogue rows"),
)
"""Bits of the column FLAGS of spectra.fits."""

_IDS = (
    Column("TARGETID", "i8", "", "PLATE * 10^9 + MJD * 10^4 + FIBERID; negative for a whole file"),
    Column("PLATE", "i4", "", "plate; -1 where unknown"),
    Column("MJD", "i4", "d", "modified Julian date of the observation; -1 where unknown"),
    Column("FIBERID", "i4", "", "fibre, from 1; -1 where unknown"),
    Column("RA", "f8", "deg", "right ascension, J2000"),
    Column("DEC", "f8", "deg", "declination, J2000"),
)

_FILE = Column("FILE", "U1", "", "file, as the inputs name it; unusual characters as %XX")

SPECTRA = (
    *_IDS,
    Column("Z", "f8", "", "redshift of the target as used by the search"),
    Column("CLASS", "U8", "", "class of the target in the survey's catalogue"),
    Column("SUBCLASS", "U24", "", "subclass in the survey's catalogue"),
    _FILE,
    Column("STATUS", "U8", "", "scored, skipped or failed"),
    Column("REASON", "U24", "", "reason code; empty when scored"),
    Column("FLAGS", "i4", "", "quality bits"),
    Column("PROBABILITY", "f4", "", "probability of a line, from the network; NaN without one"),
    Column("SNR", "f4", "", "highest matched-filter signal-to-noise ratio in the window"),
    Column(
        "RESIDUAL_RMS",
        "f4",
        "",
        "root mean square of residual * sqrt(ivar), errors as stated",
    ),
    Column("GOOD_FRACTION", "f4", "", "fraction of the window's pixels that were searched"),
)
"""Columns of spectra.fits: one row for every input spectrum."""

HITS = (
    *_IDS,
    _FILE,
    Column("Z", "f8", "", "redshift of the target, the would-be lens"),
    Column("METHOD", "U16", "", "search that fired"),
    Column("PROBABILITY", "f4", "", "probability of a line, from the network; NaN without one"),
    Column("SNR", "f4", "", "matched-filter signal-to-noise ratio"),
    Column("WAVE", "f8", "Angstrom", "observed line centre, vacuum"),
    Column("WAVE_ERR", "f4", "Angstrom", "standard error of WAVE"),
    Column("FLUX", "f4", FLUX_UNIT, "line flux"),
    Column("FLUX_ERR", "f4", FLUX_UNIT, "standard error of FLUX"),
    Column("FWHM_KMS", "f4", "km/s", "line width of the best filter, without the instrument's"),
    Column("Z_SOURCE", "f8", "", "redshift of the source if the line is Lyman alpha"),
    Column("VET_FLAGS", "i4", "", "vetting bits; 0 before vetting"),
    Column("CANDIDATE", "?", "", "true when no vetoing flag is set"),
)
"""Columns of hits.fits: one row a hit."""

CANDIDATES = (
    Column("NAME", "U32", "", "SDSS JHHMMSS.ss+DDMMSS.s, truncated"),
    Column("SPECTRUM", "U16", "", "plate-mjd-fibre"),
    *HITS,
)
"""Columns of the candidate tables."""

INJECTED = (
    Column("TARGETID", "i8", "", "identifier of the spectrum"),
    Column("KIND", "U16", "", "what was put in: lya, oii, line, spike or sky_line"),
    Column("WAVE", "f8", "Angstrom", "observed wavelength of the line's mean, vacuum"),
    Column("FLUX", "f8", FLUX_UNIT, "line flux"),
    Column("WIDTH", "f8", "Angstrom", "scale of the observed skew-normal profile"),
    Column("SKEWNESS", "f8", "", "shape parameter of the skew-normal profile"),
    Column("IDEAL_SNR", "f8", "", "signal-to-noise ratio if noise, continuum and shape were known"),
)
"""Columns of a truth table: one row a line put in."""


RECOVERED = (
    *INJECTED,
    Column("SEARCHED", "?", "", "whether the line's wavelength is not masked"),
    Column("FOUND", "?", "", "whether a hit lies at the line"),
    Column("SNR_FOUND", "f4", "", "signal-to-noise ratio of that hit"),
    Column("WAVE_FOUND", "f8", "Angstrom", "its line centre, vacuum"),
    Column("FLUX_FOUND", "f4", FLUX_UNIT, "its line flux"),
    Column("FLUX_ERR_FOUND", "f4", FLUX_UNIT, "standard error of that"),
)
"""Columns of an evaluation: one row a line put in, with what was measured of it."""


def dtype_of(columns: Iterable[Column], **widths: int) -> np.dtype[np.void]:
    """Return the numpy dtype of a table.

    Parameters
    ----------
    columns : iterable of Column
        The columns.
    **widths : int
        Widths of text columns that depend on the data, by name.

    Returns
    -------
    numpy.dtype
        A structured dtype.
    """
    return np.dtype(
        [(c.name, f"U{widths[c.name]}" if c.name in widths else c.dtype) for c in columns]
    )


def text_width(rows: NDArray[np.void], name: str) -> int:
    """Return the width of a text column.

    Parameters
    ----------
    rows : structured array of shape (N,)
        A table.
    name : str
        The column.

    Returns
    -------
    int
        Number of characters that it can hold.
    """
    return rows.dtype[name].itemsize // np.dtype("U1").itemsize


def flag_names(value: int) -> list[str]:
    """Name the bits set in FLAGS.

    Parameters
    ----------
    value : int
        The bits.

    Returns
    -------
    list of str
        Names of the flags.
    """
    return [flag.name for flag in FLAGS if value & flag.bit]


def flag_bit(name: str) -> int:
    """Return the bit of a flag.

    Parameters
    ----------
    name : str
        Name of the flag.

    Returns
    -------
    int
        The bit.
    """
    return next(flag.bit for flag in FLAGS if flag.name == name)


def status_of(reasons: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the status that reason codes lead to.

    Parameters
    ----------
    reasons : array of shape (N,)
        Reason codes, empty for a scored spectrum.

    Returns
    -------
    array of shape (N,)
        scored, skipped or failed.
    """
    by_code = {reason.code: reason.status for reason in REASONS} | {"": "scored"}
    return np.array([by_code[str(code)] for code in reasons], "U8")
