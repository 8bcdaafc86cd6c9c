"""The structure of a FITS file, checked before a byte of data is believed.

In: a path. Out: `FitsFile`, whose HDUs are known to lie within the file, and from which single
columns, rows and pixel windows are read without reading the rest. Every fault becomes a
`SpectrumFileError` with a reason code. What the columns mean is left to `speclens.read.sdss`.

Files are told apart by their first bytes, never by their names. Nothing is memory-mapped: a file
that shrinks while it is read raises an error instead of killing the process.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

from speclens.errors import SpectrumFileError
from speclens.products import fits_checksum
from speclens.read.gzipped import GZIP_MAGIC, gunzip
from speclens.read.header import CARD, Field, Header, parse_header
from speclens.read.recording import note

__all__ = ["FitsFile", "Hdu", "open_fits"]

BLOCK = 2880
MAX_HEADER_BLOCKS = 2000
SMALL_FILE = 4 << 20
IMPLAUSIBLE_SIZE = 4 << 30
DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
END_CARD = re.compile(rb"END {77}")


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

    @property
    def name(self) -> str:
        """EXTNAME in upper case; empty when there is none."""
        return str(self.header.get("EXTNAME", "")).upper()

    @property
    def is_table(self) -> bool:
        """True for a binary table."""
        named_so = str(self.header.get("XTENSION", "")).strip() in ("BINTABLE", "A3DTABLE")
        return named_so and len(self.shape) == 2


class FitsFile:
    """An open FITS file.

    Parameters
    ----------
    path : str
        The file, for messages.
    size : int
        Its length, bytes, decompressed.
    content : bytes or None
        The whole file when it is small or compressed.
    descriptor : int
        Descriptor to read from otherwise.
    digest : xxh3_128
        Told of all that is read.
    """

    def __init__(
        self, path: str, size: int, content: bytes | None, descriptor: int, digest: xxh3_128
    ) -> None:
        self.path = path
        self.size = size
        self._content = content
        self._descriptor = descriptor
        self._digest = digest
        if content is not None:
            digest.update(content)
        self.hdus = list(self._walk())

    def fail(
        self, reason: str, detail: str, hdu: int | str | None = None, hint: str = ""
    ) -> NoReturn:
        """Raise a SpectrumFileError of this file.

        Parameters
        ----------
        reason : str
            Reason code.
        detail : str
            What is wrong.
        hdu : int or str, optional
            Where.
        hint : str, optional
            What to do.

        Raises
        ------
        SpectrumFileError
            Always.
        """
        raise SpectrumFileError(self.path, reason, detail, hdu, hint)

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes.

        Parameters
        ----------
        offset, size : int
            Place and length.

        Returns
        -------
        bytes
            Exactly `size` bytes.

        Raises
        ------
        SpectrumFileError
            If the file ends before that.
        """
        if self._content is not None:
            data = self._content[offset : offset + size]
        else:
            try:
                data = os.pread(self._descriptor, size, offset)
            except OSError as error:
                self.fail("io_error", error.strerror or str(error), hint="try again")
            self._digest.update(data)
        if len(data) != size:
            self.fail("truncated", f"{size} bytes expected at byte {offset}, {len(data)} found")
        return data

    def find(self, names: Sequence[str], position: int) -> Hdu | None:
        """Find an HDU by its name, else by its documented position.

        Parameters
        ----------
        names : sequence of str
            Names that it may carry, upper case.
        position : int
            Where it stands in a file whose HDUs carry no names.

        Returns
        -------
        Hdu or None
            None when there is no such HDU.
        """
        for hdu in self.hdus:
            if hdu.name in names:
                return hdu
        if position < len(self.hdus) and not self.hdus[position].name:
            return self.hdus[position]
        return None

    def image_rows(
        self, hdu: Hdu, rows: NDArray[np.integer], columns: slice, dtype: str
    ) -> NDArray[Any]:
        """Read a pixel window of some rows of an image.

        Parameters
        ----------
        hdu : Hdu
            A two-dimensional image.
        rows : array of shape (N,)
            Rows, increasing.
        columns : slice
            Pixels.
        dtype : str
            Native dtype to return.

        Returns
        -------
        array of shape (N, L)
            The window.
        """
        stored = np.dtype(DTYPES[hdu.header.get("BITPIX")])
        n_columns = hdu.shape[1]
        width = columns.stop - columns.start
        out = np.empty((len(rows), width), dtype)
        start = hdu.offset + columns.start * stored.itemsize
        for i, row in enumerate(rows.tolist()):
            data = self.read(start + row * n_columns * stored.itemsize, width * stored.itemsize)
            out[i] = np.frombuffer(data, stored)
        scale, zero = hdu.header.number("BSCALE", 1), hdu.header.number("BZERO", 0)
        if scale != 1 or zero != 0:
            out = (out.astype(np.float64) * scale + zero).astype(dtype)
        return out

    def table(
        self, hdu: Hdu, names: Sequence[str], start: int = 0, stop: int | None = None
    ) -> dict[str, NDArray[Any]]:
        """Read columns of a binary table.

        Parameters
        ----------
        hdu : Hdu
            A binary table.
        names : sequence of str
            Columns, upper case; those that the table lacks are left out.
        start, stop : int
            Rows.

        Returns
        -------
        dict
            Arrays of `stop - start` rows by name: native numbers, stripped text.

        Raises
        ------
        SpectrumFileError
            If the HDU is not a table, or its header contradicts itself.
        """
        if not hdu.is_table:
            self.fail("bad_header", "not a binary table", hdu.index)
        try:
            record = hdu.header.record(tuple(names))
        except ValueError as error:
            self.fail("bad_header", str(error), hdu.index, "fetch the file again")
        stop = hdu.shape[0] if stop is None else stop
        data = self.read(hdu.offset + start * record.itemsize, (stop - start) * record.itemsize)
        rows = np.frombuffer(data, record, stop - start)
        return {name: _native(rows[name], hdu.header.fields[name]) for name in record.names or ()}

    def verify(self, hdu: Hdu) -> bool | None:
        """Compare an HDU with its CHECKSUM, which covers header and data, or its DATASUM.

        Parameters
        ----------
        hdu : Hdu
            The HDU.

        Returns
        -------
        bool or None
            None when there is nothing to compare with.
        """
        stated = str(hdu.header.get("DATASUM", "")).strip()
        end = min(hdu.offset + _padded(hdu.size), self.size)
        if str(hdu.header.get("CHECKSUM", "")).strip():
            # The card is chosen so that the sum over the whole HDU is all ones: minus zero.
            return fits_checksum(self.read(hdu.start, end - hdu.start)) == 0xFFFFFFFF
        if not stated.isdecimal():
            return None
        return fits_checksum(self.read(hdu.offset, end - hdu.offset)) == int(stated)

    def _walk(self) -> Iterator[Hdu]:
        offset, index = 0, 0
        while offset < self.size:
            keyword = self.read(offset, min(8, self.size - offset))
            if index == 0 and keyword != b"SIMPLE  ":
                kind = "empty" if not self.size else f"begins with {keyword!r}"
                self.fail("not_fits", f"{kind}, not a FITS file", hint="fetch the file again")
            if index and not b"XTENSION".startswith(keyword):
                return
            start = offset
            header, offset = self._header(start, index)
            size, shape = self._data_size(header, index)
            if offset + size > self.size:
                self._too_short(index, offset + size, size)
            yield Hdu(index, header, start, offset, size, shape)
            offset += _padded(size)
            index += 1
        if index == 0:
            self.fail("not_fits", "the file is empty", hint="fetch the file again")

    def _header(self, offset: int, index: int) -> tuple[Header, int]:
        blocks = b""
        for _ in range(MAX_HEADER_BLOCKS):
            if offset + BLOCK > self.size:
                self._too_short(index, offset + BLOCK, BLOCK)
            block = self.read(offset, BLOCK)
            blocks += block
            offset += BLOCK
            end = END_CARD.search(block)
            if end and end.start() % CARD == 0:
                return parse_header(blocks), offset
        self.fail("bad_header", f"no END card in {MAX_HEADER_BLOCKS} blocks", index)

    def _data_size(self, header: Header, index: int) -> tuple[int, tuple[int, ...]]:
        bitpix, naxis = header.get("BITPIX"), header.get("NAXIS")
        if bitpix not in DTYPES:
            self.fail("bad_header", f"BITPIX = {bitpix!r}; allowed: {sorted(DTYPES)}", index)
        if type(naxis) is not int or not 0 <= naxis <= 7:
            self.fail("bad_header", f"NAXIS = {naxis!r}; allowed: 0 to 7", index)
        axes = [header.get(f"NAXIS{i}") for i in range(naxis, 0, -1)]
        extra, groups = header.get("PCOUNT", 0), header.get("GCOUNT", 1)
        if not all(type(n) is int and n >= 0 for n in (*axes, extra, groups)):
            self.fail("bad_header", f"axes {axes}, PCOUNT {extra}, GCOUNT {groups}", index)
        n_values = int(np.prod([1, *axes], dtype=object)) if naxis else 0
        return abs(bitpix) // 8 * groups * (extra + n_values), tuple(axes)

    def _too_short(self, index: int, expected: int, size: int) -> NoReturn:
        if size > IMPLAUSIBLE_SIZE and expected > 1000 * self.size:
            self.fail("bad_header", f"declares {size} bytes in a file of {self.size}", index)
        self.fail(
            "truncated", f"{expected} bytes expected, {self.size} found", index, "fetch it again"
        )


@contextmanager
def open_fits(path: str | Path) -> Iterator[FitsFile]:
    """Open a FITS file, plain or gzipped, and check its structure.

    Parameters
    ----------
    path : str or Path
        The file.

    Yields
    ------
    FitsFile
        The open file.

    Raises
    ------
    SpectrumFileError
        If it is not a readable, complete FITS file.
    """
    name = os.fspath(path)
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise SpectrumFileError(
            name, "not_regular", getattr(error, "strerror", None) or str(error)
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SpectrumFileError(name, "not_regular", "not a regular file")
        digest = xxh3_128(str(status.st_size).encode())
        try:
            yield _load(name, descriptor, status.st_size, digest)
        finally:
            note(name, digest.hexdigest())
    except OSError as error:
        raise SpectrumFileError(name, "io_error", error.strerror or str(error)) from error
    finally:
        os.close(descriptor)


def _load(name: str, descriptor: int, size: int, digest: xxh3_128) -> FitsFile:
    if os.pread(descriptor, 2, 0) == GZIP_MAGIC:
        content = gunzip(name, descriptor, size)
        return FitsFile(name, len(content), content, descriptor, digest)
    if size <= SMALL_FILE:
        content = os.pread(descriptor, size, 0)
        return FitsFile(name, len(content), content, descriptor, digest)
    return FitsFile(name, size, None, descriptor, digest)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _native(column: NDArray[Any], field: Field) -> NDArray[Any]:
    if column.dtype.kind == "S":
        text = np.char.decode(column, "latin-1")
        return np.char.strip(text, " \0")
    column = column.astype(column.dtype.newbyteorder("="))
    if field.scale == 1 and field.zero == 0:
        return column
    if column.dtype.kind in "iu" and field.scale == 1 and float(field.zero).is_integer():
        # The standard's way to store unsigned integers: exact, never through a float.
        return np.asarray(column.astype(object) + int(field.zero)).astype(
            f"u{column.dtype.itemsize}" if field.zero > 0 else column.dtype
        )
    return column * field.scale + field.zero
