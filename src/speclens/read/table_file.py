"""Tables of survey catalogues and lists of systems, in every usual format, told by their content.

In: a file in FITS (binary and ASCII tables), VOTable, ECSV, CSV or other text, plain or gzipped.
Out: `Table`, of which the wanted columns are read in pieces. What columns mean is left to
`speclens.read.catalogue` and `speclens.read.known`.

Nothing but the file itself is ever opened, whatever it says.
"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, cast

from speclens.errors import SpectrumFileError
from speclens.read.columns import Wanted
from speclens.read.fits import open_fits
from speclens.read.fits_table import fits_tables
from speclens.read.gzipped import GZIP_MAGIC
from speclens.read.table import Table
from speclens.read.text_table import decoded, text_table
from speclens.read.votable import votables

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
        stream: BinaryIO = file
        file.seek(0)
        if start.startswith(GZIP_MAGIC):
            stream = _gunzipped(path, file)
            start = stream.read(16)
            stream.seek(0)
        if start.startswith(b"SIMPLE  "):
            with open_fits(path) as fits:
                yield _best(fits_tables(fits), wanted, path)
            return
        with decoded(stream, start) as text:
            if start.decode(text.encoding, "replace").lstrip(BEFORE_XML)[:5].lower() in XML_STARTS:
                stream.seek(0)
                yield _best(votables(path, stream), wanted, path)
            else:
                yield text_table(path, text, wanted)


def _best(tables: Sequence[Table], wanted: Wanted, path: str) -> Table:
    if not tables:
        raise SpectrumFileError(path, "missing_hdu", "a file without a table")
    return min(tables, key=lambda t: (wanted.rank(t.names), -len(wanted.columns(t.names))))


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Open a regular file; say of every fault which file and what to do."""
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SpectrumFileError(path, "not_regular", why) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SpectrumFileError(path, "not_regular", "not a regular file")
    with open(descriptor, "rb") as file:
        try:
            yield file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SpectrumFileError(path, "gzip_crc", str(error), hint="fetch it again") from error
        except OSError as error:
            raise SpectrumFileError(path, "io_error", error.strerror or str(error)) from error


def _gunzipped(path: str, file: BinaryIO) -> BinaryIO:
    """Open a gzipped text, once its CRC was verified and that it does not grow beyond reason."""
    stream = gzip.GzipFile(fileobj=file, mode="rb")
    while stream.read(GZIP_PIECE):
        if stream.tell() > MAX_RATIO * file.tell() + RATIO_SLACK:
            detail = f"{file.tell()} bytes decompress to more than {stream.tell()}"
            raise SpectrumFileError(path, "too_large", detail)
    stream.seek(0)
    return cast("BinaryIO", stream)
