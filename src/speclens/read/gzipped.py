"""Gzipped files, decompressed in memory: the only way that verifies their CRC.

In: an open file. Out: its content, or a `SpectrumFileError`. A file that would grow beyond reason
is refused before it does.
"""

from __future__ import annotations

import os
import zlib

from speclens.errors import SpectrumFileError

__all__ = ["GZIP_MAGIC", "gunzip"]

GZIP_MAGIC = b"\x1f\x8b"
MAX_DECOMPRESSED = 2 << 30
MAX_GZIP_RATIO = 200
GZIP_SLACK = 64 << 20
GZIP_PIECE = 1 << 16


def gunzip(name: str, descriptor: int, size: int) -> bytes:
    """Decompress in memory, which verifies the CRC, within bounds of size and ratio."""
    parts: list[bytes] = []
    consumed = produced = 0
    inflate = zlib.decompressobj(wbits=31)
    pending = b""
    try:
        while consumed < size or pending:
            if len(pending) < 2:  # a member may end one byte before the piece does
                more = os.pread(descriptor, GZIP_PIECE, consumed)
                consumed += len(more)
                pending += more
                if not pending:
                    break
            if inflate.eof:
                if not pending.startswith(GZIP_MAGIC):
                    break
                inflate = zlib.decompressobj(wbits=31)
            part = inflate.decompress(pending, 1 << 24)
            pending = inflate.unconsumed_tail or inflate.unused_data
            parts.append(part)
            produced += len(part)
            if produced > min(MAX_DECOMPRESSED, MAX_GZIP_RATIO * consumed + GZIP_SLACK):
                raise SpectrumFileError(
                    name, "too_large", f"{size} bytes decompress to more than {produced}"
                )
    except zlib.error as error:
        raise SpectrumFileError(
            name, "gzip_crc", str(error), hint="fetch the file again"
        ) from error
    if not inflate.eof:
        raise SpectrumFileError(
            name, "gzip_crc", "the compressed stream is cut short", hint="fetch the file again"
        )
    return b"".join(parts)
