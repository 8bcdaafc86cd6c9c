"""Shards: the unit of work, of resume and of parallel running.

In: the survey files. Out: shards - one a plate, or some hundreds of spec files - and the results
of those that are done, each stored under a key that names its files and the configuration, with a
digest of what was read of them. A result that is damaged, or was made from other content or another
configuration, is not found and is made again.
"""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from speclens.products import replacing
from speclens.read.discovery import SurveyFiles
from speclens.read.plate import find_zbest

__all__ = ["Shard", "ShardStore", "load_arrays", "load_current", "make_shards", "save_arrays"]

SPECS_PER_SHARD = 400
"""Single files of a shard, on average; from five to eleven eighths of that."""


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
        Plates first; the same files give the same shards, and a file that is added or taken away
        changes one or two of them.
    """
    plates = [Shard("plate", (path,)) for path in files.plates]
    starts = _starts(files.specs)
    ends = [*starts[1:], len(files.specs)]
    spans = zip(starts, ends, strict=True)
    groups = [Shard("specs", files.specs[i:j]) for i, j in spans if j > i]
    return plates + groups


def _starts(files: Sequence[str]) -> list[int]:
    """Cut a list of files where their names say, not at fixed places in the list.

    Of the files at which a shard may end, it ends before the one whose name has the lowest hash: a
    file that is added in front moves the places, and not the cuts.
    """
    rank = [xxh3_64_intdigest(os.fsencode(os.path.basename(file))) for file in files]
    fewest, most = max(1, SPECS_PER_SHARD * 5 // 8), SPECS_PER_SHARD * 11 // 8
    starts = [0]
    while len(files) - starts[-1] > SPECS_PER_SHARD:
        last = min(starts[-1] + most, len(files) - 1)
        starts.append(min(range(starts[-1] + fewest, last + 1), key=rank.__getitem__))
    return starts


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
            The file, present or not; of what content of the files it was made, it says itself.
        """
        digest = hashlib.blake2b(f"{self.context}/{shard.kind}".encode(), digest_size=16)
        for file in shard.files:
            digest.update(os.fsencode(file) + b"\0")
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


def load_current(path: Path, hint: str) -> dict[str, NDArray[Any]] | None:
    """Read arrays that were made of files which have not changed since.

    Parameters
    ----------
    path : Path
        What `save_arrays` stored, `hint` among it.
    hint : str
        Of the files as they are now, from `hint_of`.

    Returns
    -------
    dict or None
        None when they are missing, damaged, or of other content.
    """
    stored = load_arrays(path)
    if stored is None or not hint or str(stored["hint"]) != hint:
        return None
    return stored


def _seal(path: Path, payload: bytes) -> bytes:
    """Digest of content and name: the result of another shard is no result of this one."""
    return hashlib.sha256(os.fsencode(path.name) + b"/" + payload).digest()


def _items(arrays: np.lib.npyio.NpzFile) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in arrays.files:
        yield name, arrays[name]
