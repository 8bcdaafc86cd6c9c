"""Folders that verbs write: known by a marker, used by one process at a time, for one request.

In: the path that the user gave with `-o`. Out: `Folder`, locked while it is open. A folder that is
not empty belongs to somebody unless its marker says that this package made it for the same purpose;
the marker is written first of all. No link is followed for writing, and only what the package wrote
is removed. The lock belongs to the process and ends with it, however it ends; the file says who
holds it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import speclens
from speclens.errors import RunError
from speclens.products import refuse_link, write_json
from speclens.run.kinds import MARKER, OWN_FILES, Kind
from speclens.run.lock import locked
from speclens.run.marker import check_marker, examined, read_json, refuse_older
from speclens.run.recording import digest_of_file, hint_of

__all__ = [
    "Folder", "differences", "existing_folder", "locked_folder", "marked_folder",
]  # fmt: skip

LONGEST_SAID = 80
"""Letters of a value in a message."""

SETUP, FILES = "setup.json", "files.json"
MAX_DIFFERENCES = 5
PART = re.compile(r"\..+\.\d+\.part", re.DOTALL)
"""A file that is being written, as `speclens.products.replacing` names it."""


@dataclass(frozen=True)
class Folder:
    """A locked output folder.

    Parameters
    ----------
    path : Path
        The folder, links resolved.
    kind : Kind
        What it is for.
    """

    path: Path
    kind: Kind

    @property
    def work(self) -> Path:
        """What is kept so that the work can go on."""
        return self.path / "work"

    def check(self, setup: Mapping[str, Any]) -> None:
        """Check that the work may go on here.

        Parameters
        ----------
        setup : mapping
            All that decides the results, beside the content of files.

        Raises
        ------
        RunError
            If it was begun with another setup.
        """
        found = read_json(self.work / SETUP, self.path)
        if found is not None:
            self.refuse_other(found, setup)

    def claim(self, setup: Mapping[str, Any]) -> None:
        """Bind the folder to a setup.

        Parameters
        ----------
        setup : mapping
            All that decides the results, beside the content of files.
        """
        if not (self.work / SETUP).exists():
            write_json(self.work / SETUP, setup)

    def digest_of(self, path: str) -> str:
        """Return the digest of a whole file, read only if it may have changed.

        Parameters
        ----------
        path : str
            The file.

        Returns
        -------
        str
            Hexadecimal; empty for what is no readable file.
        """
        kept = read_json(self.work / FILES, self.path) or {}
        hint, found = hint_of([path]), kept.get(os.path.abspath(path))
        if hint and isinstance(found, list) and len(found) == 2 and found[0] == hint:
            return str(found[1])
        digest = digest_of_file(path)
        write_json(self.work / FILES, kept | {os.path.abspath(path): [hint, digest]})
        return digest

    def refuse_other(self, found: Mapping[str, Any], setup: Mapping[str, Any]) -> None:
        """Refuse another setup.

        Parameters
        ----------
        found, setup : mapping
            What the folder was begun with, and what is asked for now.

        Raises
        ------
        RunError
            If they differ.
        """
        named = list(differences(found, json.loads(json.dumps(setup))))
        if named:
            more = len(named) - MAX_DIFFERENCES
            raise RunError(
                f"{self.path} holds {self.kind.named} with another setup "
                f"({'; '.join(named[:MAX_DIFFERENCES])}{f'; and {more} more' if more > 0 else ''})"
                ": choose another -o, or delete it"
            )

    def require(self, n_bytes: int) -> None:
        """Check that there is room for what is to be written.

        Parameters
        ----------
        n_bytes : int
            About how much that is.

        Raises
        ------
        RunError
            If there is not.
        """
        free = shutil.disk_usage(self.path).free
        if free < n_bytes:
            raise RunError(
                f"{self.path}: {free / 1e6:.0f} MB are free there, and this takes about "
                f"{n_bytes / 1e6:.0f} MB; make room, or choose another -o"
            )


@contextmanager
def locked_folder(
    path: Path, kind: Kind, inputs: Sequence[str] = (), beside: Sequence[str] = ()
) -> Iterator[Folder]:
    """Create and lock an output folder.

    Parameters
    ----------
    path : Path
        The folder: new, empty, or made for the same purpose before. A link to a folder is followed
        once, here.
    kind : Kind
        What it is for.
    inputs : sequence of str, optional
        Files and folders that are read: none of them is written into.
    beside : sequence of str, optional
        Names that may stand in the folder before it is ours.

    Yields
    ------
    Folder
        The folder, ours until the block ends.

    Raises
    ------
    RunError
        If it is somebody else's, if another process holds it, or if it cannot be created.
    """
    with _opened(_marked(path, kind, inputs, beside=beside)) as folder:
        _clear_parts(folder)
        yield folder


def marked_folder(path: Path, kind: Kind, setup: Mapping[str, Any]) -> Folder:
    """Create an output folder without a lock, of which the marker holds the setup.

    Parameters
    ----------
    path : Path
        The folder: new, empty, or made for the same purpose before.
    kind : Kind
        What it is for.
    setup : mapping
        All that decides its content.

    Returns
    -------
    Folder
        The folder, for whoever has the lock of what it is a part of.

    Raises
    ------
    RunError
        If it is somebody else's, if it cannot be created, or has another setup.
    """
    folder = _marked(path, kind, (), {"setup": setup})
    found = (read_json(folder.path / MARKER, folder.path) or {}).get("setup")
    folder.refuse_other(found if isinstance(found, dict) else {}, setup)
    _clear_parts(folder)
    return folder


@contextmanager
def existing_folder(path: Path, *kinds: Kind, untouched: bool = False) -> Iterator[Folder]:
    """Lock a folder that was made before.

    Parameters
    ----------
    path : Path
        The folder.
    *kinds : Kind
        What it may be for.
    untouched : bool, optional
        Only read from it: others may read it too, and no byte of it changes.

    Yields
    ------
    Folder
        The folder, ours until the block ends.

    Raises
    ------
    RunError
        If it is none of these, or another process holds it.
    """
    place = Path(os.path.realpath(path))
    if not os.path.lexists(place / MARKER):
        refuse_older(place)
        raise RunError(f"{path}: no {kinds[0].name} of speclens; give the -o of a search")
    kind = check_marker(place, kinds)
    if not (place / "work").is_dir():
        raise RunError(f"{path}: its subfolder work is missing; {kind.remedy}")
    with _opened(Folder(place, kind), untouched) as folder:
        if not untouched:
            _clear_parts(folder)
        yield folder


@contextmanager
def _opened(folder: Folder, untouched: bool = False) -> Iterator[Folder]:
    refuse_link(folder.work)
    with locked(folder.work / "lock", folder.path, untouched):
        yield folder


def _marked(
    path: Path,
    kind: Kind,
    inputs: Sequence[str],
    more: Mapping[str, Any] | None = None,
    beside: Sequence[str] = (),
) -> Folder:
    """Create a folder with its marker, or find it so."""
    place, is_marked = examined(path, kind, inputs, beside)
    if not is_marked:
        marker = {"kind": kind.name, "format": kind.format, "speclens": speclens.__version__}
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path}: cannot use as output folder: {error.strerror}") from error
        write_json(place / MARKER, {**marker, **(more or {})})
    return Folder(place, kind)


def _clear_parts(folder: Folder) -> None:
    """Remove what an interrupted write of ours left behind; never through a link."""
    for product in (*OWN_FILES, *folder.kind.products):
        parent, _, name = product.rpartition("/")
        for path in folder.path.glob(f"{parent}/.{name}.*.part".lstrip("/")):
            straight = os.path.realpath(path.parent) == os.fspath(path.parent)
            if PART.fullmatch(path.name) and straight and not path.is_symlink():
                path.unlink(missing_ok=True)


def differences(
    found: Mapping[str, Any], wanted: Mapping[str, Any], path: str = ""
) -> Iterator[str]:
    """Tell in what two setups differ.

    Parameters
    ----------
    found, wanted : mapping
        What is there, and what is asked for now.
    path : str, optional
        Where both stand in a larger one.

    Yields
    ------
    str
        A key, with both values.
    """
    for key in sorted({*found, *wanted}):
        old, new = found.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new, f"{path}{key}.")
        elif old != new:
            yield f"{path}{key}: was {_said(old)}, now {_said(new)}"


def _said(value: object) -> str:
    """Name a value in a message; a whole section would hide what to do."""
    if value is None or value == "":
        return "none"
    if isinstance(value, dict):
        return "a section"
    text = repr(value)
    whole = isinstance(value, str) or len(text) <= LONGEST_SAID
    return text if whole else f"{text[:LONGEST_SAID]}..."
