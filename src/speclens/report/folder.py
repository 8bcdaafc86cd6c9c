"""A folder of many files that takes its name only when it is complete.

In: its final place. Out: the same place, old until the new one is whole. The folder lists what was
written into it; whatever else somebody put there stays.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speclens.errors import RunError
from speclens.products import refuse_link

__all__ = ["LIST", "replacing_folder"]

LIST = "files.json"
"""Names what was written, itself too."""


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Make a folder beside its place, and put it there when the block ends without an error.

    Parameters
    ----------
    folder : Path
        Final place; what stands there stays until the new folder is whole, and files that no
        earlier call wrote stay for ever.

    Yields
    ------
    Path
        An empty folder to write into.

    Raises
    ------
    RunError
        If something cannot be written (a full disk, a read-only folder), or somebody else's file
        or a link stands in its place.

    Notes
    -----
    The names beside it are fixed: a run is locked, so that what stands there is left from a
    process that was killed.
    """
    new, old = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "old"))
    for place in (folder, new, old):
        refuse_link(place)
    try:
        _move_on(old, folder)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        names = sorted({*_files_of(new), LIST})
        (new / LIST).write_text(json.dumps(names, indent=0) + "\n")
        _refuse_foreign(folder, names)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        _move_on(old, folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise RunError(f"{folder}: cannot write: {error.strerror or error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _files_of(folder: Path) -> list[str]:
    """Name all that is no folder, links too, relative to the folder."""
    return [
        os.path.relpath(os.path.join(place, name), folder)
        for place, folders, names in os.walk(folder)
        for name in (*names, *(f for f in folders if os.path.islink(os.path.join(place, f))))
    ]


def _listed(folder: Path) -> set[str]:
    """Return what was written into a folder by an earlier call."""
    try:
        return set(map(str, json.loads((folder / LIST).read_bytes())))
    except (OSError, ValueError, TypeError, RecursionError):
        return set()


def _refuse_foreign(folder: Path, names: list[str]) -> None:
    """Refuse to write where somebody else's file stands, or through a link."""
    ours = _listed(folder)
    steps = {step for name in names for step in (folder / name).relative_to(folder).parents}
    for step in sorted(steps):
        refuse_link(folder / step)
        if os.path.lexists(folder / step) and not (folder / step).is_dir():
            raise RunError(f"{folder / step}: not written by speclens; move it away")
    for name in names:
        if os.path.lexists(folder / name) and name not in ours:
            raise RunError(f"{folder / name}: not written by speclens; move it away")


def _move_on(old: Path, folder: Path) -> None:
    """Bring what is not ours from the old folder into the new one, and remove the rest."""
    if not old.exists():
        return
    if not folder.exists():
        old.rename(folder)
        return
    ours = _listed(old)
    for name in _files_of(old):
        if name in ours:
            # The list goes last: until then it says what is ours.
            if name != LIST:
                (old / name).unlink()
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).rename(folder / name)
    if LIST in ours:
        (old / LIST).unlink()
    ours_too = {os.fspath(step) for name in ours for step in Path(name).parents}
    for place, _, _ in os.walk(old, topdown=False):
        if (name := os.path.relpath(place, old)) not in ours_too:
            (folder / name).mkdir(parents=True, exist_ok=True)
        os.rmdir(place)
