"""Gzipped files, decompressed in memory: the only way that verifies their CRC.

In: an open file. Out: its content, as far as it is asked for, or a `SpectrumFileError`. A file that
would grow beyond reason is refused before it does: whoever reads it knows how long it should be
(`speclens.read.fits.file` from the headers as they come), and nothing more is decompressed.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NoReturn

from speclens.errors import SpectrumFileError
from speclens.read.disk import DiskContent

__all__ = ["GZIP_MAGIC", "MAX_SPECTRA", "GzipContent", "gunzip"]

GZIP_MAGIC = b"\x1f\x8b"

MAX_SPECTRA = 144 << 20
"""Largest content of a compressed file of spectra, bytes: 1000 fibres of BOSS take 112 MiB."""

MAX_TEXT = 1 << 30
"""Largest content of a compressed list, bytes."""

MAX_RATIO = 200
SLACK = 32 << 20
"""Content beyond MAX_RATIO times the compressed bytes, and after the end of the data, bytes."""

PIECE = 1 << 16
UNPACKED_PIECE = 1 << 22


class GzipContent:
    """Content of a gzipped file.

    Parameters
    ----------
    name : str
        The file, to blame.
    packed : DiskContent
        The file as it is.
    limit : int or None
        Longest content that is kept, bytes; None for any: only what is read last is kept then, and
        places are read in the order of the file.

    Attributes
    ----------
    forward_only : bool
        True where there is no limit.
    """

    def __init__(self, name: str, packed: DiskContent, limit: int | None) -> None:
        self.forward_only = limit is None
        self._name, self._packed, self._limit = name, packed, limit
        self._inflate = zlib.decompressobj(wbits=31)
        self._pending = b""
        self._consumed = self._produced = 0
        self._kept, self._start = bytearray(), 0

    @property
    def size(self) -> int:
        """Length of the content as far as it is known, bytes."""
        return self._start + len(self._kept)

    def close(self) -> None:
        """Close the file, and forget what is in it."""
        self._packed.close()
        self._kept.clear()
        self._pending = b""

    def reach(self, end: int) -> int:
        """Decompress up to a place.

        Parameters
        ----------
        end : int
            The place, bytes.

        Returns
        -------
        int
            Length of the content that is known; less than `end` where it ends before.

        Raises
        ------
        SpectrumFileError
            If the stream is damaged, or the content grows beyond reason.
        """
        if self._limit is not None and end > self._limit:
            self._refuse(end)
        while self.size < end:
            part = self._next()
            if not part:
                break
            self._kept += part
        return self.size

    def read_each(self, offsets: Sequence[int], size: int) -> list[bytes]:
        """Read pieces of one length.

        Parameters
        ----------
        offsets : sequence of int
            Their places.
        size : int
            Their length, bytes.

        Returns
        -------
        list of bytes
            The pieces; shorter where the content ends.
        """
        return [self._read(offset, size) for offset in offsets]

    def _read(self, offset: int, size: int) -> bytes:
        if self.forward_only:
            self._forget(offset)
        self.reach(offset + size)
        first = offset - self._start
        return bytes(memoryview(self._kept)[first : first + size])

    def finish(self) -> int:
        """Decompress the rest, which is not kept, and verify the CRC.

        Returns
        -------
        int
            Length of the rest, bytes.

        Raises
        ------
        SpectrumFileError
            If the stream is damaged, or much follows what was asked for.
        """
        before = self._produced
        while self._next():
            if self._produced - before > SLACK and not self.forward_only:
                self._refuse(self._produced)
        return self._produced - before

    def _forget(self, offset: int) -> None:
        """Drop what lies before a place."""
        if offset < self._start:
            raise ValueError("a compressed file without limit is read forwards")
        while self.size < offset:
            part = self._next()
            if not part:
                return
            self._start = self.size
            self._kept[:] = part
        del self._kept[: offset - self._start]
        self._start = offset

    def _next(self) -> bytes:
        """Decompress the next piece; nothing at the end of the content."""
        while True:
            if len(self._pending) < 2:  # a member may end one byte before the piece does
                (more,) = self._packed.read_each([self._consumed], PIECE)
                self._consumed += len(more)
                self._pending += more
            if not self._pending and not self._inflate.eof:
                self._damaged("the compressed stream is cut short")
            if self._inflate.eof:
                if not self._pending.startswith(GZIP_MAGIC):
                    return b""
                self._inflate = zlib.decompressobj(wbits=31)
            try:
                part = self._inflate.decompress(self._pending, UNPACKED_PIECE)
            except zlib.error as error:
                self._damaged(str(error))
            self._pending = self._inflate.unconsumed_tail or self._inflate.unused_data
            if part:
                self._produced += len(part)
                if self._produced > MAX_RATIO * self._consumed + SLACK:
                    self._refuse(self._produced)
                return part

    def _damaged(self, detail: str) -> NoReturn:
        raise SpectrumFileError(
            self._name, "gzip_crc", detail, hint="fetch the file again"
        ) from None

    def _refuse(self, size: int) -> NoReturn:
        raise SpectrumFileError(
            self._name, "too_large",
            f"{self._packed.size} bytes decompress to {size} or more",
            hint="if that is right, decompress it first",
        )  # fmt: skip


def gunzip(name: str, descriptor: int, size: int) -> bytes:
    """Decompress a list or a table in text, and verify its CRC.

    Parameters
    ----------
    name : str
        The file, to blame.
    descriptor : int
        Descriptor to read from.
    size : int
        Length of the file, bytes.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    SpectrumFileError
        If the stream is damaged, or decompresses to more than MAX_TEXT.
    """
    content = GzipContent(name, DiskContent(descriptor, size), MAX_TEXT)
    (whole,) = content.read_each([0], MAX_TEXT)
    if content.finish() or content.size > MAX_TEXT:
        content.reach(MAX_TEXT + 1)
    return whole
