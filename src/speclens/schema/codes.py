"""Reason codes, quality bits and vetting bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from speclens.schema.records import Flag, Reason
from speclens.schema.vet_tests import TESTS

__all__ = [
    "FLAGS",
    "REASONS",
    "VET_FLAGS",
    "VET_TESTS",
    "flag_bit",
    "flag_names",
    "status_of",
    "vet_bits",
    "vet_names",
]

REASONS = (
    Reason("not_fits", "failed", "the file is not FITS, plain or gzipped"),
    Reason("not_regular", "failed", "not a regular file (a folder, a pipe, a device, a dead link)"),
    Reason("no_permission", "failed", "a file or folder that may not be read"),
    Reason("truncated", "failed", "the file ends before its header says so"),
    Reason("bad_header", "failed", "a header contradicts itself, the standard or the file's size"),
    Reason("checksum", "failed", "an HDU disagrees with its CHECKSUM or DATASUM"),
    Reason("gzip_crc", "failed", "the gzip stream is damaged or cut short"),
    Reason("too_large", "failed", "the file would decompress to an implausible size"),
    Reason("io_error", "failed", "the operating system could not read the file"),
    Reason("unknown_layout", "failed", "of no layout that is read"),
    Reason("missing_hdu", "failed", "an HDU that the search needs is not there"),
    Reason("missing_column", "failed", "a column that the search needs is not there"),
    Reason("bad_wavelengths", "failed", "not wavelengths, or not on the grid of the survey"),
    Reason("undeclared", "failed", "a plain table that leaves a unit, or air or vacuum, unsaid"),
    Reason(
        "bad_identity",
        "failed",
        "headers, rows, companion file or name say other spectra, or several rows have one name",
    ),
    Reason("bad_values", "failed", "fluxes that no spectrum has: constant, or in another unit"),
    Reason(
        "no_catalogue", "failed", "no class and redshift: no spZbest or redrock, no catalogue given"
    ),
    Reason("internal_error", "failed", "a fault of speclens itself"),
    Reason("worker_died", "failed", "the process that read it was killed, alone too"),
    Reason("fit_failed", "failed", "the foreground fit has no solution"),
    Reason("no_probability", "failed", "the network's answer is not a number"),
    Reason("sky_fibre", "skipped", "a sky fibre, whatever its CLASS"),
    Reason(
        "unplugged", "skipped", "the fibre was not plugged, missed its target, or holds no data"
    ),
    Reason(
        "class_galaxy", "skipped", "classified as a galaxy", "CLASS is not {selection[classes]}"
    ),
    Reason("class_star", "skipped", "classified as a star", "CLASS is not {selection[classes]}"),
    Reason("class_qso", "skipped", "classified as a quasar", "CLASS is not {selection[classes]}"),
    Reason(
        "class_other",
        "skipped",
        "classified as neither galaxy, star nor quasar",
        "CLASS is not {selection[classes]}",
    ),
    Reason(
        "subclass",
        "skipped",
        "an active or star-forming galaxy, by its SUBCLASS",
        "SUBCLASS has one of {selection[refused_subclasses]}",
    ),
    Reason("z_invalid", "skipped", "the redshift is not a number, or not positive"),
    Reason("z_low", "skipped", "the redshift is below the sample's", "z <= {selection[z_min]}"),
    Reason("z_high", "skipped", "the redshift is above the sample's", "z > {selection[z_max]}"),
    Reason("zwarning", "skipped", "the pipeline warns of the redshift"),
    Reason(
        "bad_plate",
        "skipped",
        "the plate's quality is not good",
        "PLATEQUALITY is not {selection[plate_qualities]}",
    ),
    Reason("not_in_catalogue", "skipped", "the catalogue given has no row of this spectrum"),
    Reason("ambiguous_catalogue", "skipped", "rows of the catalogue contradict each other"),
    Reason(
        "no_data",
        "skipped",
        "too few good pixels in the window",
        "fewer than {preparation[min_good_pixels]}",
    ),
    Reason(
        "faint",
        "skipped",
        "too faint a spectrum for a redshift that is believed",
        "median S/N a pixel below {lines[median_snr_min]}",
    ),
    Reason(
        "broad_absorption",
        "skipped",
        "a quasar with broad absorption lines, or with a wrong redshift",
    ),
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
    Flag(1 << 6, "HEADER_CHANGED", "a header was changed after its CHECKSUM; the data are sound"),
    Flag(1 << 7, "NO_MASK", "the file masks no pixels: it has no mask"),
    Flag(1 << 8, "CATALOGUE_PLACE", "the catalogue gives another place, the file's was kept"),
    Flag(1 << 9, "COADDED", "coadded here, of the single exposures that the file holds"),
    Flag(1 << 10, "NO_SPREAD", "the file has no line spread; the usual one was taken"),
)
"""Bits of the column FLAGS of spectra.fits."""

VET_FLAGS = tuple(
    sorted(
        (replace(flag, test=test.name) for test in TESTS for flag in test.flags),
        key=lambda flag: flag.bit,
    )
)
"""Bits of the column VET_FLAGS of hits.fits, in the order of the funnel."""

VET_TESTS = tuple(dict.fromkeys(flag.test for flag in VET_FLAGS))
"""The vet tests, in the order of the funnel."""


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


def vet_bits(names: Iterable[str]) -> int:
    """Return the sum of the bits of vetting flags.

    Parameters
    ----------
    names : iterable of str
        Names of the flags.

    Returns
    -------
    int
        The bits.
    """
    bits = {flag.name: flag.bit for flag in VET_FLAGS}
    return sum(bits[name] for name in set(names))


def vet_names(value: int) -> list[str]:
    """Name the bits set in VET_FLAGS.

    Parameters
    ----------
    value : int
        The bits.

    Returns
    -------
    list of str
        Names of the flags, in the order of the funnel.
    """
    return [flag.name for flag in VET_FLAGS if value & flag.bit]
