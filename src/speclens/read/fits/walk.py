"""The walk through a FITS file, from header to header, as far as the file goes.

In: a file that can be read. Out: its HDUs, each as soon as its header is known. A file that ends
before its headers say so is an error; what follows the last HDU is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn, Protocol

from speclens.read.fits.hdus import BLOCK, Hdu, data_size, padded
from speclens.read.fits.header import CARD, Header, HeaderError, parse_header

__all__ = ["walk"]

MAX_HEADER = 2000 * BLOCK
FIRST_PIECE, HEADER_PIECE = 4 * BLOCK, 12 * BLOCK
"""Most headers end in the first, and a wide table's in the one after it."""
IMPLAUSIBLE_SIZE = 4 << 30
END_CARD = b"END".ljust(CARD)


class Readable(Protocol):
    """A file as the walk needs it; see `speclens.read.fits.file.FitsFile`."""

    @property
    def size(self) -> int:
        """Length as far as it is known, bytes."""

    def reaches(self, end: int) -> bool:
        """Say whether the file is as long as that."""

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes."""

    def fail(
        self, reason: str, detail: str, hdu: int | str | None = None, hint: str = ""
    ) -> NoReturn:
        """Raise a SpectrumFileError of this file."""


def walk(file: Readable, to_first_table: bool = False) -> Iterator[Hdu]:
    """Find the HDUs of a file.

    Parameters
    ----------
    file : Readable
        The file.
    to_first_table : bool, optional
        End there, before its data.

    Yields
    ------
    Hdu
        The next HDU; that its data are all there is known when the one after it comes.

    Raises
    ------
    SpectrumFileError
        If the file is no FITS file, ends too soon, or a header allows for no data.
    """
    offset, index = 0, 0
    while file.reaches(offset + 1):
        piece = _piece(file, offset, FIRST_PIECE)
        keyword = piece[:8]
        if index == 0 and keyword != b"SIMPLE  ":
            file.fail(
                "not_fits", f"begins with {keyword!r}, not a FITS file", hint="fetch the file again"
            )
        if index and not b"XTENSION".startswith(keyword):
            return
        start = offset
        header, offset = _header(file, start, piece, index)
        try:
            hdu = Hdu(index, header, start, offset, *data_size(header))
            last = to_first_table and hdu.is_table
        except HeaderError as error:
            file.fail("bad_header", str(error), index, error.hint)
        yield hdu
        if last:
            return
        if hdu.size and not file.reaches(offset + hdu.size):
            _too_short(file, index, offset + hdu.size, hdu.size)
        offset += padded(hdu.size)
        index += 1
    if index == 0:
        file.fail("not_fits", "the file is empty", hint="fetch the file again")


def _header(file: Readable, start: int, piece: bytes, index: int) -> tuple[Header, int]:
    """Read the header that begins at a place, with a piece: its cards, and where it ends."""
    cards = b""
    while len(cards) < MAX_HEADER:
        whole_blocks = len(piece) // BLOCK * BLOCK
        if not whole_blocks:
            _too_short(file, index, start + len(cards) + BLOCK, BLOCK)
        n_seen = len(cards) // CARD
        cards += piece[:whole_blocks]
        end = _end(cards, n_seen)
        if end >= 0:
            # The first tells of this file alone, others may be those of many files.
            parse = parse_header if index else Header
            return parse(cards[:end]), start + padded(end + CARD)
        piece = _piece(file, start + len(cards), HEADER_PIECE)
    file.fail("bad_header", f"no END card in {MAX_HEADER} bytes", index)


def _piece(file: Readable, offset: int, size: int) -> bytes:
    """Read from a place on, as far as the file goes."""
    file.reaches(offset + size)
    return file.read(offset, min(size, file.size - offset))


def _end(cards: bytes, n_seen: int) -> int:
    """Find the END card behind those that were seen; -1 where there is none."""
    # Card by card: headers are full of blanks, in which the blanks after END are sought in vain.
    thirds = cards[2::CARD]
    i = thirds.find(END_CARD[2], n_seen)
    while i >= 0 and not cards.startswith(END_CARD, i * CARD):
        i = thirds.find(END_CARD[2], i + 1)
    return i * CARD if i >= 0 else -1


def _too_short(file: Readable, index: int, expected: int, size: int) -> NoReturn:
    if size > IMPLAUSIBLE_SIZE and expected > 1000 * file.size:
        file.fail("bad_header", f"declares {size} bytes in a file of {file.size}", index)
    file.fail("truncated", f"{expected} bytes expected, {file.size} found", index, "fetch it again")
