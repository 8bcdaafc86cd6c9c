"""A stored set of labelled spectra: plain arrays and a manifest.

In: the folder that `speclens simulate` wrote. Out: batches of inputs, labels and places. Needs
numpy alone, and never loads a pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError

__all__ = ["FORMAT", "LabelledSet", "Split", "open_set"]

FORMAT = 1


@dataclass(frozen=True)
class Split:
    """The spectra for training, or those for the test.

    Parameters
    ----------
    inputs : sequence of arrays of shape (n, C, L)
        Channels of the spectra of each shard, memory-mapped.
    label : array of shape (N,)
        1 for a line, 0 for none; float32.
    pixel : array of shape (N,)
        Pixel of the line; -1 where there is none.
    """

    inputs: Sequence[NDArray[np.float16]]
    label: NDArray[np.float32]
    pixel: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the inputs of some spectra.

        Parameters
        ----------
        index : array of shape (n,)
            Which spectra.

        Returns
        -------
        array of shape (n, C, L)
            Their channels, float32.
        """
        ends = np.cumsum([len(part) for part in self.inputs])
        shard = np.searchsorted(ends, index, side="right")
        row = index - np.where(shard > 0, ends[shard - 1], 0)
        picked = [self.inputs[i][j] for i, j in zip(shard.tolist(), row.tolist(), strict=True)]
        return np.stack(picked).astype(np.float32)


@dataclass(frozen=True)
class LabelledSet:
    """A set of labelled spectra.

    Parameters
    ----------
    manifest : dict
        What made it: configuration, seed, channels, grid, shards with their SHA-256.
    train, test : Split
        Spectra for training and for the test; they share no galaxy.
    sha256 : str
        Digest of the manifest, and so of every array.
    """

    manifest: dict[str, Any]
    train: Split
    test: Split
    sha256: str


def open_set(folder: Path, verify: bool = True) -> LabelledSet:
    """Open a set.

    Parameters
    ----------
    folder : Path
        The set's folder.
    verify : bool, optional
        Compare every array with its SHA-256.

    Returns
    -------
    LabelledSet
        The set.

    Raises
    ------
    RunError
        If it is no set, not complete, damaged, or without spectra of both labels.
    """
    path = folder / "manifest.json"
    try:
        text = path.read_bytes()
        manifest: dict[str, Any] = json.loads(text)
        if manifest["format"] > FORMAT:
            raise RunError(f"{path}: format {manifest['format']}; a newer speclens made this set")
        if missing := [name for name in ("configuration", "seed") if name not in manifest]:
            raise ValueError(f"manifest.json has no {missing[0]}")
        if not isinstance(manifest["configuration"], dict):
            raise TypeError("the configuration in manifest.json is no table")
        splits = {name: _split(folder, manifest, name, verify) for name in ("train", "test")}
    except FileNotFoundError as error:
        raise RunError(
            f"{error.filename}: missing; a training set is what `speclens simulate -o SET` writes"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, EOFError, RecursionError) as error:
        raise RunError(f"{folder}: damaged training set ({error}); simulate it again") from error
    for name, split in splits.items():
        n_lines = int(split.label.sum())
        if n_lines in (0, len(split)):
            raise RunError(
                f"{folder}: {n_lines} of the {len(split)} {name} spectra have a line; a network "
                "needs spectra with and without (training_set.n_lines)"
            )
    return LabelledSet(manifest, splits["train"], splits["test"], hashlib.sha256(text).hexdigest())


def _split(folder: Path, manifest: dict[str, Any], name: str, verify: bool) -> Split:
    shards = [shard for shard in manifest["shards"] if shard["split"] == name]
    shape = (len(manifest["channels"]), int(manifest["grid"]["n_pixels"]))
    inputs, labels = [], []
    for shard in shards:
        n_spectra = shard["n_spectra"]
        inputs.append(_array(folder, shard["inputs"], (n_spectra, *shape), verify))
        labels.append(_array(folder, shard["labels"], (n_spectra,), verify))
    rows = np.concatenate(labels) if labels else np.zeros(0, [("LABEL", "u1"), ("WAVE", "f8")])
    grid = manifest["grid"]
    pixel = np.log10(rows["WAVE"]) / grid["step"] - grid["first"]
    inside = (rows["LABEL"] == 1) & (pixel > -0.5) & (pixel < shape[1] - 0.5)
    place = np.where(inside, np.round(np.nan_to_num(pixel)), -1).astype(np.int64)
    return Split(inputs, rows["LABEL"].astype(np.float32), place)


def _array(
    folder: Path, record: dict[str, str], shape: tuple[int, ...], verify: bool
) -> NDArray[Any]:
    path = folder / Path(record["file"]).name
    if verify:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != record["sha256"]:
                raise ValueError(f"{path.name} is not what was written")
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.shape != shape:
        raise ValueError(f"{path.name} has shape {array.shape}, expected {shape}")
    return array
