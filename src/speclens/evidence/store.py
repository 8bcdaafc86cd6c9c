"""What was gathered of the hits of a run: read back, and checked that it is of these hits.

In: RUN/work. Out: the spectra of the hits of each survey file, and the same lines elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.products import write_json
from speclens.run.store import load_arrays, save_arrays
from speclens.schema import COMPANIONS, dtype_of
from speclens.spectra import FittedSpectra, LogGrid

__all__ = [
    "SUFFIX",
    "Evidence",
    "evidence_of",
    "evidence_paths",
    "joined",
    "load_companions",
    "read_companions",
    "read_evidence",
    "write_companions",
    "write_manifest",
]

MANIFEST, JOINED = "evidence.json", "companions.rows"
SUFFIX = ".hits"
"""Of the files that hold what was gathered."""

OURS = re.compile(rf"[0-9a-f]{{32}}(-part)?\{SUFFIX}")


@dataclass(frozen=True)
class Evidence:
    """What was gathered from one survey file.

    Parameters
    ----------
    hit : array of shape (H,)
        Rows of hits.fits whose spectra are in this file; all are of one search.
    window, whole : FittedSpectra
        The spectrum of each: the window as it was searched, and all of it.
    companions : structured array
        Rows of `speclens.schema.COMPANIONS`, of any hits, measured in this file.
    """

    hit: NDArray[np.intp]
    window: FittedSpectra
    whole: FittedSpectra
    companions: NDArray[np.void]


def write_manifest(work: Path, hits: NDArray[np.void], names: Sequence[str]) -> None:
    """Say where what was gathered for the hits of a run is, and remove what is of other hits.

    Parameters
    ----------
    work : Path
        Folder of the run's results.
    hits : structured array of shape (H,)
        Rows of hits.fits.
    names : sequence of str
        Files in that folder.
    """
    write_json(work / MANIFEST, {"hits": _digest(hits), "files": list(names)})
    for path in work.glob(f"*{SUFFIX}"):
        if OURS.fullmatch(path.name) and path.name not in names:
            path.unlink(missing_ok=True)


def evidence_paths(work: Path, hits: NDArray[np.void]) -> list[Path]:
    """Find what was gathered for the hits of a run.

    Parameters
    ----------
    work : Path
        Folder of the run's results.
    hits : structured array of shape (H,)
        Rows of hits.fits.

    Returns
    -------
    list of Path
        One for each survey file.

    Raises
    ------
    RunError
        If it is missing, or of other hits.
    """
    try:
        manifest = json.loads((work / MANIFEST).read_text())
        names, digest = list(manifest["files"]), manifest["hits"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{work / MANIFEST}: missing or damaged; run the same search again"
        ) from error
    if digest != _digest(hits):
        raise RunError(f"{work.parent}: its hits are of another search; run the search again")
    return [work / name for name in names]


def read_evidence(path: Path) -> Evidence:
    """Read what was gathered from one survey file.

    Parameters
    ----------
    path : Path
        As `evidence_paths` gives it.

    Returns
    -------
    Evidence
        Spectra and companions.

    Raises
    ------
    RunError
        If it is missing or damaged.
    """
    return evidence_of(_load(path))


def evidence_of(stored: Mapping[str, NDArray[Any]]) -> Evidence:
    """Return what was gathered, as arrays, as spectra.

    Parameters
    ----------
    stored : mapping of str to array
        As `speclens.evidence.gather` stores it.

    Returns
    -------
    Evidence
        Spectra and companions.
    """
    grid, window = (LogGrid(*(int(n) for n in stored[name])) for name in ("grid", "window"))
    part, _ = grid.overlap(window)
    whole = FittedSpectra(grid, *(stored[name] for name in ("flux", "ivar", "model", "dispersion")))
    searched = FittedSpectra(
        window,
        whole.flux[:, part],
        stored["window_ivar"],
        stored["window_model"],
        whole.dispersion[:, part],
    )
    return Evidence(stored["hit"], searched, whole, stored["companions"])


def joined(parts: Sequence[Evidence]) -> Evidence:
    """Return what was gathered from several survey files as if they were one.

    Parameters
    ----------
    parts : sequence of Evidence
        At least one; all are of one search, on the same grids.

    Returns
    -------
    Evidence
        All of it, in order.
    """
    return Evidence(
        np.concatenate([part.hit for part in parts]),
        _stacked([part.window for part in parts]),
        _stacked([part.whole for part in parts]),
        np.concatenate([part.companions for part in parts]),
    )


def _stacked(parts: Sequence[FittedSpectra]) -> FittedSpectra:
    names = ("flux", "ivar", "model", "dispersion")
    return FittedSpectra(
        parts[0].grid,
        *(np.concatenate([getattr(part, name) for part in parts]) for name in names),
    )


def write_companions(work: Path, hits: NDArray[np.void], companions: NDArray[np.void]) -> None:
    """Keep the same lines elsewhere once more, of all files together: they are read at once.

    Parameters
    ----------
    work : Path
        Folder of the run's results.
    hits : structured array of shape (H,)
        Rows of hits.fits.
    companions : structured array
        Rows of `speclens.schema.COMPANIONS`, as `read_evidence` gives them file by file.
    """
    save_arrays(work / JOINED, hits=np.array(_digest(hits)), companions=companions)


def read_companions(work: Path, hits: NDArray[np.void]) -> NDArray[np.void]:
    """Read the same lines elsewhere, without the spectra.

    Parameters
    ----------
    work : Path
        Folder of the run's results.
    hits : structured array of shape (H,)
        Rows of hits.fits.

    Returns
    -------
    structured array
        Rows of `speclens.schema.COMPANIONS`; of a run that did not keep them together, file by
        file.

    Raises
    ------
    RunError
        If what was gathered is missing or damaged.
    """
    paths = evidence_paths(work, hits)
    joined = load_arrays(work / JOINED)
    if joined is not None and str(joined["hits"]) == _digest(hits):
        return np.asarray(joined["companions"])
    parts = [load_companions(path) for path in paths]
    return np.concatenate([np.zeros(0, dtype_of(COMPANIONS)), *parts])


def load_companions(path: Path) -> NDArray[np.void]:
    """Read only the same lines elsewhere that one survey file holds.

    Parameters
    ----------
    path : Path
        As `evidence_paths` gives it.

    Returns
    -------
    structured array
        Rows of `speclens.schema.COMPANIONS`.

    Raises
    ------
    RunError
        If it is missing or damaged.
    """
    return np.asarray(_load(path)["companions"])


def _load(path: Path) -> dict[str, NDArray[Any]]:
    stored = load_arrays(path)
    if stored is None:
        raise RunError(f"{path}: missing or damaged; run the same search again")
    return stored


def _digest(hits: NDArray[np.void]) -> str:
    """Digest of which hits they are, whatever was measured of them since."""
    digest = hashlib.sha256("\n".join(hits["FILE"].tolist()).encode())
    for name in ("ROW", "WAVE"):
        digest.update(hits[name].astype(hits[name].dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
