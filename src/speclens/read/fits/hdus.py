"""One HDU of a FITS file: its header, the place and shape of its data, what its checksums say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from weakref import WeakKeyDictionary

from speclens.read.fits.header import Header, HeaderError

__all__ = ["BLOCK", "DTYPES", "Hdu", "Verdict", "data_size", "padded"]

BLOCK = 2880
DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
MAX_AXES = 7


class Verdict(Enum):
    """What the checksums of an HDU say."""

    SOUND = "header and data are as they were written"
    UNKNOWN = "the HDU carries no checksum"
    HEADER_CHANGED = "the header was changed after the CHECKSUM was written; the data are sound"
    DAMAGED = "the data, or where only a CHECKSUM tells the header, disagree"


@dataclass(frozen=True)
class Hdu:
    """One HDU: its header and the place of its data in the file.

    Parameters
    ----------
    index : int
        Number of the HDU, from 0.
    header : Header
        Its cards.
    start : int
        Place of the header, bytes.
    offset, size : int
        Place and length of the data, bytes, without padding.
    shape : tuple of int
        Axes, slowest first.
    """

    index: int
    header: Header
    start: int
    offset: int
    size: int
    shape: tuple[int, ...]

    @cached_property
    def name(self) -> str:
        """EXTNAME in upper case; empty when there is none."""
        return str(self.header.get("EXTNAME", "")).upper()

    @cached_property
    def is_table(self) -> bool:
        """True for a binary table."""
        named_so = str(self.header.get("XTENSION", "")).strip() in ("BINTABLE", "A3DTABLE")
        return named_so and len(self.shape) == 2 and self.header.get("BITPIX") == 8


_known: WeakKeyDictionary[Header, tuple[int, tuple[int, ...]]] = WeakKeyDictionary()
"""Sizes by headers, as long as these are kept: many files share those of their tables."""


def data_size(header: Header) -> tuple[int, tuple[int, ...]]:
    """Return the length and the shape of an HDU's data.

    Parameters
    ----------
    header : Header
        Its header.

    Returns
    -------
    size : int
        Length, bytes, without padding.
    shape : tuple of int
        Axes, slowest first.

    Raises
    ------
    HeaderError
        If the header allows for no data.
    """
    if header not in _known:
        _known[header] = _data_size(header)
    return _known[header]


def _data_size(header: Header) -> tuple[int, tuple[int, ...]]:
    bitpix, naxis = header.get("BITPIX"), header.get("NAXIS")
    if type(bitpix) is not int or bitpix not in DTYPES:
        raise HeaderError(header, f"BITPIX = {bitpix!r}; allowed: {sorted(DTYPES)}")
    if type(naxis) is not int or not 0 <= naxis <= MAX_AXES:
        raise HeaderError(header, f"NAXIS = {naxis!r}; allowed: 0 to {MAX_AXES}")
    axes = [header.get(f"NAXIS{i}") for i in range(naxis, 0, -1)]
    extra, groups = header.get("PCOUNT", 0), header.get("GCOUNT", 1)
    if not all(type(n) is int and n >= 0 for n in (*axes, extra, groups)):
        raise HeaderError(header, f"axes {axes}, PCOUNT {extra}, GCOUNT {groups}")
    n_values = math.prod(axes) if naxis else 0
    return abs(bitpix) // 8 * groups * (extra + n_values), tuple(axes)


def padded(size: int) -> int:
    """Return the length of data with the padding to whole blocks.

    Parameters
    ----------
    size : int
        Length, bytes.

    Returns
    -------
    int
        Length, bytes.
    """
    return -(-size // BLOCK) * BLOCK
