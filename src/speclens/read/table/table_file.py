"""Tables of survey catalogues and lists of systems, in every usual format, told by their content.

In: a file in FITS (binary and ASCII tables), VOTable, ECSV, CSV or other text, plain or gzipped.
Out: its first `Table` that has what is wanted, read in pieces. What columns mean is left to
`speclens.read.sdss.catalogue` and `speclens.read.table.known`.

Nothing but the file itself is ever opened, whatever it says.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, cast

from speclens.errors import SpectrumFileError
from speclens.read.disk import DiskContent
from speclens.read.fits.gzipped import GZIP_MAGIC
from speclens.read.fits.opening import open_fits
from speclens.read.table.columns import Wanted
from speclens.read.table.fits_table import fits_tables
from speclens.read.table.table import Table
from speclens.read.table.text_table import decoded, text_table
from speclens.read.table.votable import votables

__all__ = ["open_table"]

MAX_RATIO, RATIO_SLACK = 200, 4 << 20
"""Most bytes that one compressed byte of a text may stand for, and how many come before that."""

GZIP_PIECE = 1 << 20
BEFORE_XML = "\ufeff \t\r\n"
XML_STARTS = ("<?xml", "<vota", "<!doc")


@contextmanager
def open_table(path: str, wanted: Wanted) -> Iterator[Table]:
    """Open the first table of a file that has what is wanted.

    Parameters
    ----------
    path : str
        The file.
    wanted : Wanted
        The fields that are looked for. They tell the header of a text from its other lines, too.

    Yields
    ------
    Table
        That table; where none has all that is wanted, the one that has most.

    Raises
    ------
    SpectrumFileError
        If the file is not a readable table.
    """
    with _opened(path) as file:
        start = file.read(16)
        file.seek(0)
        stream: BinaryIO = file
        if start.startswith(GZIP_MAGIC):
            start = gzip.GzipFile(fileobj=file, mode="rb").read(16)
            file.seek(0)
        if start.startswith(b"SIMPLE  "):
            with _fits_table(path, wanted) as table:
                yield table
            return
        if file.read(2) == GZIP_MAGIC:
            stream = _gunzipped(path, file)
        stream.seek(0)
        with decoded(stream, start) as text:
            if start.decode(text.encoding, "replace").lstrip(BEFORE_XML)[:5].lower() in XML_STARTS:
                yield _best(votables(path, stream), wanted, path)
            else:
                yield text_table(path, text, wanted)


@contextmanager
def _fits_table(path: str, wanted: Wanted) -> Iterator[Table]:
    """Open a table of a FITS file; of a gzipped one that is too large to be kept, the first."""
    with ExitStack() as stack:
        forwards = False
        try:
            file = stack.enter_context(open_fits(path))
        except SpectrumFileError as error:
            if error.reason != "too_large":
                raise
            forwards = True
            file = stack.enter_context(open_fits(path, streamed=True))
        yield _best(fits_tables(file, forwards), wanted, path)


def _best(tables: Sequence[Table], wanted: Wanted, path: str) -> Table:
    if not tables:
        raise SpectrumFileError(path, "missing_hdu", "a file without a table")
    return min(tables, key=lambda t: (wanted.rank(t.names), -len(wanted.columns(t.names))))


class _Bytes(io.RawIOBase):
    """The content of a file as a stream; calls that fail for a while are tried again."""

    def __init__(self, content: DiskContent) -> None:
        self._content, self._place = content, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        (data,) = self._content.read_each([self._place], len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._content.size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        return self._place


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Open a regular file; say of every fault which file and what to do."""
    content = DiskContent.open(path)
    try:
        with io.BufferedReader(_Bytes(content)) as file:
            yield cast("BinaryIO", file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SpectrumFileError(path, "gzip_crc", str(error), hint="fetch it again") from error
    except OSError as error:
        why = error.strerror or str(error)
        raise SpectrumFileError(path, "io_error", why, hint="try again") from error
    finally:
        content.close()


def _gunzipped(path: str, file: BinaryIO) -> BinaryIO:
    """Open a gzipped text, once its CRC was verified and that it does not grow beyond reason."""
    file.seek(0)
    stream = gzip.GzipFile(fileobj=file, mode="rb")
    while stream.read(GZIP_PIECE):
        if stream.tell() > MAX_RATIO * file.tell() + RATIO_SLACK:
            detail = f"{file.tell()} bytes decompress to more than {stream.tell()}"
            raise SpectrumFileError(
                path, "too_large", detail, hint="if that is right, decompress it first"
            )
    return cast("BinaryIO", stream)
