"""The structure of a FITS file, checked before a byte of data is believed.

In: a path. Out: `FitsFile`, whose HDUs are known to lie within the file, and from which single
columns, rows and pixel windows are read without reading the rest. Every fault becomes a
`SpectrumFileError` with a reason code. What the columns mean is left to
`speclens.read.sdss.checks`, calls that fail for a while to `speclens.read.disk`.

Files are told apart by their first bytes, never by their names. Nothing is memory-mapped: a file
that shrinks while it is read raises an error instead of killing the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

from speclens.errors import SpectrumFileError
from speclens.products import fits_checksum
from speclens.read.disk import DiskContent
from speclens.read.fits.gzipped import GzipContent
from speclens.read.fits.hdus import DTYPES, Hdu, Verdict, padded
from speclens.read.fits.header import HeaderError, Scaling
from speclens.read.fits.scaling import as_type, native
from speclens.read.fits.walk import walk

__all__ = ["FitsFile"]

MAX_READ = 256 << 20
ROWS_AT_ONCE = 64
VERIFIED_AT_ONCE = 1 << 22
"""Bytes, a multiple of 4; as much as stays in the processor's cache."""


class FitsFile:
    """An open FITS file.

    Parameters
    ----------
    path : str
        The file, for messages.
    content : DiskContent or GzipContent
        What is in it. Of a content that is read forwards only, HDUs up to the first table are
        known.
    opened : list of FitsFile, optional
        Gets this file; of one whose structure is at fault it has the HDUs whose headers were found.

    Attributes
    ----------
    digest : xxh3_128
        Told of all that is read.
    """

    def __init__(
        self,
        path: str,
        content: DiskContent | GzipContent,
        opened: list[FitsFile] | None = None,
    ) -> None:
        self.path = path
        self._content = content
        self.digest = xxh3_128()
        self.hdus: list[Hdu] = []
        if opened is not None:
            opened.append(self)
        for hdu in walk(self, to_first_table=content.forward_only):
            self.hdus.append(hdu)

    @property
    def size(self) -> int:
        """Length of the file as far as it is known, bytes, decompressed."""
        return self._content.size

    def close(self) -> None:
        """Close it: who still holds it can blame it, and keeps none of its content."""
        self._content.close()

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
            If the file ends before that, or cannot be read, or no memory should hold so much.
        """
        return bytes(self.read_each([offset], size))

    def read_each(self, offsets: Sequence[int], size: int) -> bytes | memoryview:
        """Read pieces of one length; all that is read of a file is read here.

        Parameters
        ----------
        offsets : sequence of int
            Their places.
        size : int
            Their length.

        Returns
        -------
        bytes or memoryview
            Pieces of exactly `size` bytes, one after the other; a view is of all that is in memory.

        Raises
        ------
        SpectrumFileError
            As `read`.
        """
        if size * len(offsets) > MAX_READ:
            self.fail("too_large", f"{size} bytes at byte {offsets[0]}; allowed: {MAX_READ}")
        try:
            pieces = self._content.read_each(offsets, size)
        except OSError as error:
            self._unreadable(error)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(data) != size * len(offsets):
            short = next(i for i, piece in enumerate(pieces) if len(piece) != size)
            self.fail(
                "truncated", f"{size} bytes expected at byte {offsets[short]}, "
                f"{len(pieces[short])} found", hint="fetch the file again",
            )  # fmt: skip
        self.digest.update(data)
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

        Raises
        ------
        SpectrumFileError
            If there are several of these names.
        """
        named = [hdu for hdu in self.hdus if hdu.name in names]
        if len(named) > 1:
            places = " and ".join(str(hdu.index) for hdu in named)
            self.fail("bad_header", f"HDUs {places} are both named {named[0].name}", named[1].index)
        if named:
            return named[0]
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
        scaling = hdu.header.scaling("BSCALE", "BZERO", "BLANK")
        n_columns = hdu.shape[1]
        width = columns.stop - columns.start
        out = np.empty((len(rows), width), dtype)
        start = hdu.offset + columns.start * stored.itemsize
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            places = start + rows[part].astype(np.int64) * (n_columns * stored.itemsize)
            data = self.read_each(places.tolist(), width * stored.itemsize)
            block = np.frombuffer(data, stored).reshape(-1, width)
            out[part] = as_type(self._native(hdu, "the image", block, scaling), dtype)
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
            Arrays of `stop - start` rows by name: native numbers, stripped text. A column in which
            a null stands (TNULL) is a masked array.

        Raises
        ------
        SpectrumFileError
            If the HDU is not a table, or its header contradicts itself.
        """
        return self.columns(hdu, self.stored_rows(hdu, names, start, stop))

    def stored_rows(
        self, hdu: Hdu, names: Sequence[str], start: int = 0, stop: int | None = None
    ) -> NDArray[np.void]:
        """Read columns of a binary table as they stand in the file.

        Parameters
        ----------
        hdu, names, start, stop
            As for `table`.

        Returns
        -------
        structured array of shape (N,)
            The rows; to be copied by who keeps them, for they may be a view of all of the file.

        Raises
        ------
        SpectrumFileError
            If the HDU is not a table, or its header contradicts itself.
        """
        if not hdu.is_table:
            self.fail("bad_header", "not a binary table", hdu.index)
        try:
            record = hdu.header.record(tuple(names))
        except HeaderError as error:
            self.fail("bad_header", str(error), hdu.index, error.hint)
        stop = hdu.shape[0] if stop is None else stop
        width = record.dtype.itemsize
        data = self.read_each([hdu.offset + start * width], (stop - start) * width)
        return np.frombuffer(data, record.dtype, stop - start)

    def columns(self, hdu: Hdu, rows: NDArray[np.void]) -> dict[str, NDArray[Any]]:
        """Turn stored rows into columns.

        Parameters
        ----------
        hdu : Hdu
            The table.
        rows : structured array of shape (N,)
            What stands in it, or in others with the same header.

        Returns
        -------
        dict
            As of `table`.

        Raises
        ------
        SpectrumFileError
            If a number is beyond all range.
        """
        scalings = hdu.header.record(rows.dtype.names or ()).scalings
        return {
            name: self._native(hdu, name, rows[name], scaling) for name, scaling in scalings.items()
        }

    def verify(self, hdu: Hdu) -> Verdict:
        """Compare an HDU with its DATASUM, and with its CHECKSUM, which covers its header too.

        Parameters
        ----------
        hdu : Hdu
            The HDU.

        Returns
        -------
        Verdict
            What they say.
        """
        stated = str(hdu.header.get("DATASUM", "")).strip()
        whole = bool(str(hdu.header.get("CHECKSUM", "")).strip())
        if not whole and not stated.isdecimal():
            return Verdict.UNKNOWN
        end = min(hdu.offset + padded(hdu.size), self.size)
        data = 0
        for place in range(hdu.offset, end, VERIFIED_AT_ONCE):
            data = fits_checksum(self.read(place, min(VERIFIED_AT_ONCE, end - place)), data)
        if stated.isdecimal() and data != int(stated):
            return Verdict.DAMAGED
        if not whole:
            return Verdict.SOUND
        # The card is chosen so that the sum over the whole HDU is all ones: minus zero.
        header = self.read(hdu.start, hdu.offset - hdu.start)
        if fits_checksum(header, data) == 0xFFFFFFFF:
            return Verdict.SOUND
        return Verdict.HEADER_CHANGED if stated.isdecimal() else Verdict.DAMAGED

    def finish(self) -> None:
        """Verify what comes after the data, of a gzipped file its CRC.

        Raises
        ------
        SpectrumFileError
            If the file is damaged.
        """
        try:
            self._content.finish()
        except OSError as error:
            self._unreadable(error)

    def blame(self, error: HeaderError) -> None:
        """Turn the error of a header into one of this file, if it is one of its headers.

        Parameters
        ----------
        error : HeaderError
            The error.

        Raises
        ------
        SpectrumFileError
            If the header stands in this file.
        """
        for hdu in self.hdus:
            if hdu.header is error.header:
                self.fail("bad_header", str(error), hdu.index, error.hint)

    def _native(self, hdu: Hdu, what: str, stored: NDArray[Any], scaling: Scaling) -> NDArray[Any]:
        try:
            return native(stored, scaling)
        except ValueError as error:
            self.fail("bad_header", f"{what}: {error}", hdu.index)

    def _unreadable(self, error: OSError) -> NoReturn:
        self.fail("io_error", error.strerror or str(error), hint="try again")

    def reaches(self, end: int) -> bool:
        """Say whether the file is as long as that; a gzipped one is decompressed so far.

        Parameters
        ----------
        end : int
            A place, bytes.

        Returns
        -------
        bool
            False when it ends before.

        Raises
        ------
        SpectrumFileError
            If it cannot be read so far.
        """
        try:
            return end <= self._content.size or self._content.reach(end) >= end
        except OSError as error:
            self._unreadable(error)
