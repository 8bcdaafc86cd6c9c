"""Parts of a run on disk: which there are, whether they are done, whether they are of one run.

In: folders that were the output of `speclens search --shard I/N`. Out: each part once, in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from speclens.errors import ConfigError, RunError
from speclens.run.folder import Folder, differences, existing_folder
from speclens.run.kinds import MARKER, PART, PARTS
from speclens.run.marker import read_json

__all__ = ["NAMED", "RECORD", "Part", "Share", "read_parts", "refuse_strangers"]

Shard = TypeVar("Shard")

RECORD = "part.json"
"""Written when all shards of a part are done."""

NAMED = 5

NO_PARTS = "no parts of a run there; speclens search --shard I/N makes them"


@dataclass(frozen=True)
class Share:
    """Which part of the shards: every `of`-th of them, from the `number`-th.

    Parameters
    ----------
    number, of : int
        From 1 to `of`.
    """

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> Share:
        """Read I/N.

        Parameters
        ----------
        text : str
            Two whole numbers.

        Returns
        -------
        Share
            The part.

        Raises
        ------
        ConfigError
            If it is no such text, or I is not from 1 to N.
        """
        number, slash, of = text.partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise ConfigError(f"--shard {text}: expected I/N with I from 1 to N, e.g. 3/20")
        return cls(int(number), int(of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def among(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return the shards of this part.

        Parameters
        ----------
        shards : sequence
            All shards, sorted.

        Returns
        -------
        list
            Those of the part; none where there are more parts than shards.
        """
        return list(shards[self.number - 1 :: self.of])


@dataclass(frozen=True)
class Part:
    """A part that is done."""

    folder: Folder
    share: Share
    asked: dict[str, Any]
    content: dict[str, Any]

    @property
    def named(self) -> str:
        """What it is called in messages."""
        return f"part {self.share} ({self.folder.path})"


def refuse_strangers(run: Path, share: Share) -> None:
    """Refuse a part where parts of another division are: they would not merge.

    Parameters
    ----------
    run : Path
        Output of the part.
    share : Share
        The part.

    Raises
    ------
    RunError
        If there is one, done or not.
    """
    for place in sorted((run / PARTS).glob("*-of-*")):
        of = place.name.rpartition("-")[2]
        if of.isdecimal() and int(of) != share.of:
            raise RunError(
                f"{place}: a part of {of}, which does not merge with --shard {share}: delete it, "
                "or choose another -o"
            )


def read_parts(runs: Sequence[Path]) -> list[Part]:
    """Read all parts of a run, none of which is at work.

    Parameters
    ----------
    runs : sequence of Path
        Folders that were the output of parts, or parts themselves.

    Returns
    -------
    list of Part
        Each once, in order.

    Raises
    ------
    RunError
        If one is missing, unfinished, at work, or of another run.

    Notes
    -----
    They are not held until the merge ends, for they may be more than the files that a process may
    have open: one that is searched again meanwhile has the same results.
    """
    parts = []
    for place in (place for run in runs for place in _places(run)):
        with existing_folder(place, PART, untouched=True) as folder:
            parts.append(_read(folder))
    first = parts[0]
    for part in parts[1:]:
        _refuse_another(first, part)
    # A part that was searched twice has the same results twice.
    found = {part.share.number: part for part in reversed(parts)}
    missing = [Share(i, first.share.of) for i in range(1, first.share.of + 1) if i not in found]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise RunError(
            f"{', '.join(map(str, runs))}: no part {', '.join(map(str, missing[:NAMED]))}{more}; "
            f"run speclens search with --shard {missing[0]}"
        )
    return [found[number] for number in sorted(found)]


def _places(run: Path) -> Iterator[Path]:
    """Yield the folders of parts: that of one, or those in a run."""
    if (run / RECORD).exists() or not (run / PARTS).is_dir():
        if not (run / MARKER).exists():
            raise RunError(f"{run}: {NO_PARTS}")
        yield run
        return
    places = sorted(path for path in (run / PARTS).iterdir() if path.is_dir())
    if not places:
        raise RunError(f"{run}: {NO_PARTS}")
    yield from places


def _read(folder: Folder) -> Part:
    content = read_json(folder.path / RECORD, folder.path)
    if content is None:
        raise RunError(f"{folder.path}: this part has not ended; run its search again")
    try:
        number, of = content["share"]
        part = Part(folder, Share(int(number), int(of)), dict(content["asked"]), content)
        float(content["seconds"]["search"]), int(content["n_new"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder.path / RECORD}: damaged; run its search again") from error
    return part


def _refuse_another(first: Part, part: Part) -> None:
    """Refuse parts of different runs."""
    differing = [f"--shard: was {first.share}, now {part.share}"] * (
        first.share.of != part.share.of
    )
    differing += differences(first.asked, part.asked)
    if differing:
        raise RunError(
            f"{first.named} and {part.named} are not of one run ({'; '.join(differing[:NAMED])}): "
            "delete the folder of the one that is not wanted, or search it again as the other was"
        )
