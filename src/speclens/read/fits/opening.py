"""Opening FITS files, plain or gzipped, and telling what was read of them.

In: a path. Out: an open `FitsFile`, whose structure is sound.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.disk import DiskContent
from speclens.read.fits.file import FitsFile
from speclens.read.fits.gzipped import GZIP_MAGIC, MAX_SPECTRA, GzipContent
from speclens.read.fits.header import HeaderError
from speclens.run.recording import note

__all__ = ["open_fits"]


@contextmanager
def open_fits(
    path: str | Path,
    streamed: bool = False,
    declared: Callable[[FitsFile], NDArray[np.void] | None] | None = None,
) -> Iterator[FitsFile]:
    """Open a FITS file, plain or gzipped, and check its structure.

    Parameters
    ----------
    path : str or Path
        The file.
    streamed : bool, optional
        For a catalogue of any size: where it is gzipped, it is decompressed as its first table is
        read, in the order of its rows, and its CRC verified at the end.
    declared : callable, optional
        Tells which rows a file that fails was to hold, as far as it can be read: `targets` of an
        error that has none.

    Yields
    ------
    FitsFile
        The open file.

    Raises
    ------
    SpectrumFileError
        If it is not a readable, complete FITS file; also when a header that is used inside
        contradicts itself.
    """
    name = os.fspath(path)
    opened: list[FitsFile] = []
    plain = DiskContent.open(name)
    try:
        file = _load(name, plain, streamed, opened)
        try:
            yield file
        except HeaderError as error:
            file.blame(error)
            raise
        if streamed:
            file.finish()
    except SpectrumFileError as error:
        if error.targets is None and declared is not None and opened:
            error.targets = declared(opened[0])
        raise
    finally:
        (opened[-1] if opened else plain).close()
        note(name, f"{plain.size} {opened[-1].digest.hexdigest() if opened else ''}")


def _load(name: str, plain: DiskContent, streamed: bool, opened: list[FitsFile]) -> FitsFile:
    try:
        content: DiskContent | GzipContent = plain
        if plain.read_each([0], len(GZIP_MAGIC)) == [GZIP_MAGIC]:
            content = GzipContent(name, plain, None if streamed else MAX_SPECTRA)
        try:
            file = FitsFile(name, content, opened)
        except SpectrumFileError as error:
            if error.reason not in ("gzip_crc", "too_large", "io_error"):
                # What came out of a damaged stream is not to blame.
                content.finish()
            raise
    except OSError as error:
        raise SpectrumFileError(
            name, "io_error", error.strerror or str(error), hint="try again"
        ) from error
    if not streamed:
        file.finish()
    return file
