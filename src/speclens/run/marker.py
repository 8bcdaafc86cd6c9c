"""The marker of an output folder, which tells what it is for, and what has none.

In: the path of a folder. Out: whether it may be written into, and what it is for. Nothing is
created here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speclens.errors import RunError
from speclens.products import refuse_link
from speclens.run.kinds import MARKER, PARTS, RUN, Kind, refuse_other_format

__all__ = ["check_marker", "examined", "read_json", "refuse_older"]


def examined(
    path: Path, kind: Kind, inputs: Sequence[str], beside: Sequence[str] = ()
) -> tuple[Path, bool]:
    """Look whether a folder may be written into.

    Parameters
    ----------
    path : Path
        The folder, which need not be there.
    kind : Kind
        What it is to be for.
    inputs : sequence of str
        Files and folders that are read: none of them is written into.
    beside : sequence of str, optional
        Names that may stand in the folder before it is ours.

    Returns
    -------
    place : Path
        The folder, links resolved.
    is_marked : bool
        Whether it is ours.

    Raises
    ------
    RunError
        If it is somebody else's, of another kind, or cannot be looked at.
    """
    try:
        place = _place(path, inputs)
        names = sorted(entry.name for entry in os.scandir(place)) if place.exists() else []
    except OSError as error:
        raise RunError(f"{path}: cannot use as output folder: {error.strerror}") from error
    if MARKER in names:
        check_marker(place, (kind,))
    elif foreign := [
        name for name in names if not name.startswith(f".{MARKER}.") and name not in beside
    ]:
        refuse_older(place)
        if foreign == [PARTS]:
            raise RunError(f"{path}: holds parts of a run; speclens merge {path} joins them")
        raise RunError(
            f"{path}: not empty ({foreign[0]}), and no {kind.name} of speclens; choose another -o"
        )
    return place, MARKER in names


def check_marker(place: Path, kinds: Sequence[Kind]) -> Kind:
    """Read the marker of a folder, and refuse a folder of another kind or version.

    Parameters
    ----------
    place : Path
        The folder, links resolved.
    kinds : sequence of Kind
        What it may be for.

    Returns
    -------
    Kind
        What it is for.

    Raises
    ------
    RunError
        If it is none of these.
    """
    path = place / MARKER
    refuse_link(path)
    marker = read_json(path, place) or {}
    name, found = marker.get("kind"), marker.get("format")
    kind = next((kind for kind in kinds if kind.name == name), None)
    if not isinstance(name, str) or type(found) is not int:
        raise RunError(f"{path}: damaged; choose another -o")
    if kind is None:
        raise RunError(f"{place}: it is speclens' {name}, not {kinds[0].named}")
    refuse_other_format(place, kind, found, str(marker.get("speclens", "of another version")))
    return kind


def refuse_older(place: Path) -> None:
    """Say so if a folder without a marker is a run of a version that wrote none.

    Parameters
    ----------
    place : Path
        The folder.

    Raises
    ------
    RunError
        If it is.
    """
    try:
        record = json.loads((place / "run.json").read_bytes())
        found, writer = record.get("format", 1), record["versions"]["speclens"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return
    if type(found) is int:
        refuse_other_format(place, RUN, found, str(writer))


def read_json(path: Path, folder: Path) -> dict[str, Any] | None:
    """Read a JSON object that the package wrote.

    Parameters
    ----------
    path : Path
        The file.
    folder : Path
        The folder that is lost when it is damaged.

    Returns
    -------
    dict or None
        None when there is no such file.

    Raises
    ------
    RunError
        If it is damaged, or cannot be read now.
    """
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path}: cannot read: {error.strerror or error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{path}: damaged ({error}); delete the folder {folder}") from error


def _place(path: Path, inputs: Sequence[str]) -> Path:
    """Resolve the links of an output folder, and refuse what must never be one."""
    place = Path(os.path.realpath(path))
    if any(step.is_symlink() and not step.exists() for step in (path, *path.parents)):
        raise RunError(f"{path}: a link leads to {place}, which is not there; choose another -o")
    if place.exists() and not place.is_dir():
        raise RunError(f"{path}: cannot use as output folder: it is a file; choose another -o")
    if place == Path(place.anchor) or place == Path(os.path.realpath(os.path.expanduser("~"))):
        raise RunError(f"{path}: give -o a folder of its own, e.g. {path / 'run'}")
    for given in inputs:
        if Path(os.path.realpath(given)) == place:
            raise RunError(f"{path}: it is an input; choose another -o")
    return place
