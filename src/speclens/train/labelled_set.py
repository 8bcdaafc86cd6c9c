"""A stored set of labelled spectra: plain arrays and a manifest.

In: the folder that `speclens simulate` wrote. Out: batches of inputs, labels and places. Needs
numpy alone, and never loads a pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.networks.source_bins import SourceBins, around_lens

__all__ = ["FORMAT", "LabelledSet", "Split", "bins_of", "open_set"]

FORMAT = 2
"""1: one draw. It is read as well."""


@dataclass(frozen=True)
class Split:
    """The spectra of one draw for training, or those for the test.

    Parameters
    ----------
    inputs : sequence of arrays of shape (n, C, L)
        Channels of the spectra of each shard, memory-mapped.
    label : array of shape (N,)
        1 for a line, 0 for none; float32.
    pixel : array of shape (N,)
        Pixel of the line; -1 where there is none.
    skew : array of shape (N,)
        Sign of its skewness; 0 where it is symmetric, or none.
    sources : array of shape (N, 4)
        Of whole spectra the first cell that is not before the lens, the first one behind, and the
        places of up to two galaxies among the P bins of redshift, -1 for none; else of shape
        (N, 0).
    """

    inputs: Sequence[NDArray[np.float16]]
    label: NDArray[np.float32]
    pixel: NDArray[np.int64]
    skew: NDArray[np.int64]
    sources: NDArray[np.int64]

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
    folder : Path
        The set's folder.
    manifest : dict
        What made it: configuration, seed, channels, grid, shards with their SHA-256.
    n_train : sequence of int
        Number of spectra for training in each draw.
    test : Split
        Spectra for the test; they share no galaxy with those for training.
    sha256 : str
        Digest of the manifest, and so of every array.
    """

    folder: Path
    manifest: dict[str, Any]
    n_train: Sequence[int]
    test: Split
    sha256: str

    def draw_of(self, epoch: int) -> int:
        """Return which draw an epoch, from 0, goes through."""
        return epoch % len(self.n_train)

    def train(self, epoch: int = 0) -> Split:
        """Open the spectra of an epoch: the draws in turn.

        They are closed when the caller lets go of them. All draws at once would be more files than
        a process may have open.

        Parameters
        ----------
        epoch : int, optional
            The epoch, from 0.

        Returns
        -------
        Split
            Spectra for training.

        Raises
        ------
        RunError
            If they are no longer those that were there when the set was opened.
        """
        with _refusing_damage(self.folder):
            return _split(self.folder, self.manifest, "train", self.draw_of(epoch), verify=False)


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
    with _refusing_damage(folder):
        text = path.read_bytes()
        manifest: dict[str, Any] = json.loads(text)
        if manifest["format"] > FORMAT:
            raise RunError(f"{path}: format {manifest['format']}; a newer speclens made this set")
        if missing := [name for name in ("configuration", "seed") if name not in manifest]:
            raise ValueError(f"manifest.json has no {missing[0]}")
        if not isinstance(manifest["configuration"], dict):
            raise TypeError("the configuration in manifest.json is no table")
        n_train = []
        for draw in range(_n_draws(manifest)):
            train = _split(folder, manifest, "train", draw, verify)
            _refuse_one_label(folder, "train", train)
            n_train.append(len(train))
        test = _split(folder, manifest, "test", 0, verify)
        _refuse_one_label(folder, "test", test)
    return LabelledSet(folder, manifest, n_train, test, hashlib.sha256(text).hexdigest())


@contextmanager
def _refusing_damage(folder: Path) -> Iterator[None]:
    """Say what is wrong with a set that cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise RunError(
            f"{error.filename}: missing; a training set is what `speclens simulate -o SET` writes"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, EOFError, RecursionError) as error:
        raise RunError(f"{folder}: damaged training set ({error}); simulate it again") from error


def _refuse_one_label(folder: Path, name: str, split: Split) -> None:
    n_lines = int(split.label.sum())
    if n_lines in (0, len(split)):
        raise RunError(
            f"{folder}: {n_lines} of the {len(split)} {name} spectra have a line; a network "
            "needs spectra with and without (training_set.n_lines)"
        )


def _n_draws(manifest: dict[str, Any]) -> int:
    """Count the draws; a set of format 1 has one, and its shards do not say which."""
    draws = {shard.get("draw", 0) for shard in manifest["shards"] if shard["split"] == "train"}
    if draws - set(range(len(draws))):
        raise ValueError(f"its draws are {sorted(draws)}")
    return max(len(draws), 1)


def _split(folder: Path, manifest: dict[str, Any], name: str, draw: int, verify: bool) -> Split:
    shards = [
        shard
        for shard in manifest["shards"]
        if shard["split"] == name and shard.get("draw", 0) == draw
    ]
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
    # Sets of before do not tell it.
    skew = rows["SKEW"] if "SKEW" in (rows.dtype.names or ()) else np.zeros(len(rows))
    label = rows["LABEL"].astype(np.float32)
    return Split(inputs, label, place, skew.astype(np.int64), _sources(manifest, rows))


def _sources(manifest: dict[str, Any], rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Return what a network of redshifts is told of spectra, as `Split.sources`."""
    if "sources" not in manifest:
        return np.zeros((len(rows), 0), np.int64)
    places = np.full((len(rows), 2), -1)
    start = 0
    for bins in bins_of(manifest):
        own = bins.bin_of(rows["Z_SOURCES"])
        places = np.where((rows["SOURCES"] == bins.kind) & (own >= 0), own + start, places)
        start += bins.n_bins
    around = around_lens(rows["Z"], float(manifest["z_margin"]))
    return np.column_stack([around, places]).astype(np.int64)


def bins_of(manifest: dict[str, Any]) -> tuple[SourceBins, ...]:
    """Return the redshifts and lines of the sources of a set.

    Parameters
    ----------
    manifest : dict
        Of the set.

    Returns
    -------
    tuple of SourceBins
        One for each kind; none where spectra are windows.
    """
    return tuple(SourceBins.of_record(record) for record in manifest.get("sources", ()))


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
