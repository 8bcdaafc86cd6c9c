"""Results on disk: arrays behind their digest, under the key of what decides them.

In: arrays, the files and the configuration that they are made of. Out: the same arrays. A result
that is damaged, or was made from other content or another configuration, is not found and is made
again.
"""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.products import replacing

__all__ = ["AS_IT_IS", "ShardStore", "load_arrays", "load_current", "save_arrays"]

AS_IT_IS = 0
"""Level of compression that compresses nothing."""


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

    def part(self, name: str) -> ShardStore:
        """Return the store of other results of the same shards, in the same folder.

        Parameters
        ----------
        name : str
            What sets them apart.

        Returns
        -------
        ShardStore
            The store.
        """
        return ShardStore(self._folder, f"{self.context}/{name}")

    def path(self, kind: str, files: Sequence[str]) -> Path:
        """Return the place of a shard's result.

        Parameters
        ----------
        kind : str
            What sort of files they are.
        files : sequence of str
            The files.

        Returns
        -------
        Path
            The file, present or not; of what content of the files it was made, it says itself.
        """
        digest = hashlib.blake2b(f"{self.context}/{kind}".encode(), digest_size=16)
        for file in files:  # by whatever way they were named
            digest.update(os.fsencode(os.path.abspath(file)) + b"\0")
        return self._folder / f"{digest.hexdigest()}.shard"


def save_arrays(path: Path, level: int = 1, /, **arrays: NDArray[np.generic]) -> None:
    """Store arrays behind their digest.

    Parameters
    ----------
    path : Path
        Final place.
    level : int, optional
        Of compression, as zlib has it; `AS_IT_IS` for noise, which would get no smaller.
    **arrays : array
        What to store.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    payload = zlib.compress(buffer.getvalue(), level)
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
    try:
        with np.load(io.BytesIO(zlib.decompress(payload)), allow_pickle=False) as arrays:
            return dict(_items(arrays))
    except ValueError:
        # Objects, which numpy would have to run code for: sealed, but not by us.
        return None


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
