"""run.json: what a run is, and whether it has ended.

In: a folder. Out: the record, checked; an error that says what to do where it cannot be used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from speclens.errors import RunError
from speclens.run.folder import Folder, read_json
from speclens.run.kinds import refuse_other_format

__all__ = ["read_record", "refuse_left_out"]

NEEDED = {
    "configuration": dict, "counts": dict, "inputs": list, "method": str, "seconds": dict,
    "stage": str, "versions": dict,
}  # fmt: skip
"""What the stages after a search ask of it."""

NAMED = 5


def read_record(folder: Folder) -> dict[str, Any]:
    """Read run.json.

    Parameters
    ----------
    folder : Folder
        A run, or a vetting of one.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    RunError
        If it is missing or damaged, if another version wrote what this one cannot read, or if the
        search has not ended.
    """
    path = folder.path / "run.json"
    record = read_json(path, folder.path)
    if record is None or record.get("stage") == "search":
        raise RunError(f"{folder.path}: its search has not ended; run the same search again")
    versions = record.get("versions")
    writer = versions.get("speclens", "?") if isinstance(versions, dict) else "of another version"
    found = record.get("format", 1)
    if type(found) is int:
        refuse_other_format(folder.path, folder.kind, found, str(writer))
    wrong = [key for key, type_ in NEEDED.items() if not isinstance(record.get(key), type_)]
    if wrong or type(found) is not int:
        raise RunError(
            f"{path}: damaged ({', '.join(wrong) or 'format'}); run the same search again"
        )
    return record


def refuse_left_out(folder: Folder, inputs: Sequence[str]) -> None:
    """Refuse a search that names less than the one before: spectra would vanish from the tables.

    Parameters
    ----------
    folder : Folder
        The run.
    inputs : sequence of str
        Files and folders to search, absolute.

    Raises
    ------
    RunError
        If an earlier search into this folder had inputs that are not named now.
    """
    earlier = (read_json(folder.path / "run.json", folder.path) or {}).get("inputs", [])
    left_out = [path for path in earlier if not any(_within(path, given) for given in inputs)]
    if left_out:
        raise RunError(
            f"{folder.path} holds a search of {', '.join(left_out[:NAMED])}: name that too, or "
            "choose another -o"
        )


def _within(path: str, given: str) -> bool:
    return path == given or path.startswith(given.rstrip(os.sep) + os.sep)
