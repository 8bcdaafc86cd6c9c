"""A folder of many files that takes its name only when it is complete.

In: its final place. Out: the same place, old until the new one is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speclens.errors import RunError

__all__ = ["replacing_folder"]


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Make a folder beside its place, and put it there when the block ends without an error.

    Parameters
    ----------
    folder : Path
        Final place; what stands there stays until the new folder is whole.

    Yields
    ------
    Path
        An empty folder to write into.

    Raises
    ------
    RunError
        If something cannot be written (a full disk, a read-only folder).

    Notes
    -----
    The names beside it are fixed: a run is locked, so that what stands there is left from a
    process that was killed.
    """
    new, old = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "old"))
    try:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise RunError(f"{folder}: cannot write: {error.strerror or error}") from error
    finally:
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
