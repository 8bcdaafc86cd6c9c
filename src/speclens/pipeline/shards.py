"""Shards: the unit of work, of resume and of parallel running.

In: the survey files. Out: shards - one a plate, or some hundreds of spec files - and the results
of those that are done, each stored under a key that names its content. A result that is damaged, or
was made from other files or another configuration, is not found and is made again.
"""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.products import replacing
from speclens.read.discovery import SurveyFiles
from speclens.read.plate import find_zbest

__all__ = ["Shard", "ShardStore", "fingerprint", "make_shards"]

SPECS_PER_SHARD = 400
SAMPLE_BYTES = 8192


@dataclass(frozen=True)
class Shard:
    """Files that are searched together.

    Parameters
    ----------
    kind : str
        `plate` (one spPlate file) or `specs` (single spec files).
    files : tuple of str
        The files.
    """

    kind: str
    files: tuple[str, ...]

    @property
    def read_files(self) -> tuple[str, ...]:
        """The files, and those that are read with them: the spZbest of a plate."""
        if self.kind != "plate":
            return self.files
        zbests = [find_zbest(file) for file in self.files]
        return self.files + tuple(zbest for zbest in zbests if zbest is not None)


def make_shards(files: SurveyFiles) -> list[Shard]:
    """Divide survey files into shards.

    Parameters
    ----------
    files : SurveyFiles
        The files of a search.

    Returns
    -------
    list of Shard
        Plates first; the same files give the same shards.
    """
    plates = [Shard("plate", (path,)) for path in files.plates]
    groups = [
        Shard("specs", files.specs[i : i + SPECS_PER_SHARD])
        for i in range(0, len(files.specs), SPECS_PER_SHARD)
    ]
    return plates + groups


def fingerprint(path: str) -> str:
    """Tell a file from its earlier self without reading all of it.

    Parameters
    ----------
    path : str
        Any file.

    Returns
    -------
    str
        Digest of its length, beginning and end; of its name alone when it is no readable file.
        Times play no part: clocks jump.
    """
    digest = hashlib.blake2b(os.fsencode(path), digest_size=16)
    if os.path.isfile(path):
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                digest.update(str(size).encode() + file.read(SAMPLE_BYTES))
                file.seek(max(0, size - SAMPLE_BYTES))
                digest.update(file.read(SAMPLE_BYTES))
        except OSError as error:
            digest.update(str(error.errno).encode())
    return digest.hexdigest()


class ShardStore:
    """Results of shards, on disk.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    context : str
        Digest of all else that decides a result: configuration, version, catalogue.
    """

    def __init__(self, folder: Path, context: str) -> None:
        self._folder = folder
        self.context = context

    def path(self, shard: Shard) -> Path:
        """Return the place of a shard's result.

        Parameters
        ----------
        shard : Shard
            The shard.

        Returns
        -------
        Path
            The file, present or not.
        """
        digest = hashlib.blake2b(f"{self.context}/{shard.kind}".encode(), digest_size=16)
        for file in shard.read_files:
            digest.update(fingerprint(file).encode())
        return self._folder / f"{digest.hexdigest()}.shard"


def save_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Store arrays behind their digest.

    Parameters
    ----------
    path : Path
        Final place.
    **arrays : array
        What to store.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    payload = zlib.compress(buffer.getvalue(), 1)
    with replacing(path) as file:
        file.write(_seal(path, payload) + payload)


def load_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """Read arrays that `save_arrays` stored.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict or None
        None when the file is missing, cut short, changed or something else.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, payload = content[:32], content[32:]
    if _seal(path, payload) != digest:
        return None
    with np.load(io.BytesIO(zlib.decompress(payload)), allow_pickle=False) as arrays:
        return dict(_items(arrays))


def _seal(path: Path, payload: bytes) -> bytes:
    """Digest of content and name: the result of another shard is no result of this one."""
    return hashlib.sha256(os.fsencode(path.name) + b"/" + payload).digest()


def _items(arrays: np.lib.npyio.NpzFile) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in arrays.files:
        yield name, arrays[name]
