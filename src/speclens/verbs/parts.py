"""Parts of a run for job arrays: `speclens search --shard I/N`, then `speclens merge`.

In: what the user asks for, which part of the shards. Out: a folder of each part in RUN/parts, with
the stored results of its shards; of all parts together the run that one search would have made, to
the byte. Parts share nothing while they work, so that they may do so on any number of machines.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from speclens.errors import ConfigError, RunError
from speclens.products import write_json
from speclens.read.discovery import find_survey_files
from speclens.read.shards import Shard, make_shards
from speclens.read.table.known import read_known
from speclens.run.clock import Clock
from speclens.run.folder import Folder, differences, existing_folder, locked_folder
from speclens.run.kinds import MARKER, PART, PARTS, RUN
from speclens.run.marker import examined, read_json
from speclens.run.progress import Progress, Silent
from speclens.verbs.request import SearchRequest
from speclens.verbs.stages import (
    BYTES_A_SPECTRUM,
    scan_shards,
    setup_of,
    shared_by_shards,
    start_engines,
)
from speclens.verbs.weigh import weights_for

__all__ = ["NAMED", "Part", "PartSummary", "Share", "digest_of", "read_parts", "search_part"]

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
        shards : sequence of Shard
            All shards, sorted.

        Returns
        -------
        list of Shard
            Those of the part; none where there are more parts than shards.
        """
        return list(shards[self.number - 1 :: self.of])


@dataclass(frozen=True)
class PartSummary:
    """What came of a part.

    Parameters
    ----------
    path : Path
        Its folder, in that of the run.
    share : Share
        Which part.
    n_shards, n_new : int
        Shards that it has, spectra searched now.
    n_failures : int
        Lines told of files that failed.
    """

    path: Path
    share: Share
    n_shards: int
    n_new: int
    n_failures: int


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


def search_part(
    request: SearchRequest, share: Share, progress: Progress | None = None
) -> PartSummary:
    """Search one part of the shards.

    Parameters
    ----------
    request : SearchRequest
        What the user asks for; the part is written below its output.
    share : Share
        Which part.
    progress : Progress, optional
        Told of stages and failures.

    Returns
    -------
    PartSummary
        What was done.

    Raises
    ------
    SpeclensError
        If the part cannot be searched; what is done is kept.
    """
    listener = progress or Silent()
    # The merge may be called from elsewhere, and reads the files of hits by what is stored here.
    request = replace(request, inputs=[os.path.abspath(path) for path in request.inputs])
    files, setup = find_survey_files(request.inputs), setup_of(request)
    _refuse_what_cannot_be_merged(request, setup)
    place = request.output / PARTS / f"{share.number}-of-{share.of}"
    with locked_folder(place, PART, request.inputs) as folder:
        clock = Clock()
        folder.check(setup)
        shards = make_shards(files)
        own = share.among(shards)
        folder.require(BYTES_A_SPECTRUM * sum(shard.n_spectra for shard in own))
        shared = shared_by_shards(request, files, folder)
        engine = start_engines(shared.settings, listener)
        folder.claim(setup)
        clock.done("prepare")
        # Until it ends its results may not be of these files.
        with suppress(FileNotFoundError):
            (folder.path / RECORD).unlink()
        scans = scan_shards(shared.settings, folder, own, request.n_workers, engine, listener)
        clock.done("search")
        content = {
            "share": [share.number, share.of],
            "asked": _asked(request, setup, shards),
            "engine": scans.engine,
            "n_new": scans.n_new,
            "seconds": clock.seconds,
        }
        write_json(folder.path / RECORD, content)
    return PartSummary(place, share, len(own), scans.n_new, len(scans.told))


def _refuse_what_cannot_be_merged(request: SearchRequest, setup: Mapping[str, Any]) -> None:
    """Refuse before the work, not after that of all parts, what the merge will meet."""
    place, is_marked = examined(request.output, RUN, request.inputs, beside=(PARTS,))
    if is_marked:
        Folder(place, RUN).check(setup)
    if request.known:
        read_known(request.known)
    weights_for(request.purpose, request.config, setup, request.output)


def _asked(request: SearchRequest, setup: Mapping[str, Any], shards: Sequence[Shard]) -> Any:
    """Return all in which the parts of a run agree, as JSON."""
    return {
        "setup": setup,
        "configuration": request.config.model_dump(mode="json"),
        "inputs": list(request.inputs),
        "catalogue": request.catalogue and os.path.abspath(request.catalogue),
        "known": request.known and os.path.abspath(request.known),
        "verify": request.verify,
        "purpose": asdict(request.purpose),
        "shards": digest_of(shards),
    }


def digest_of(shards: Sequence[Shard]) -> str:
    """Return the digest of which files all shards hold, and how they are cut.

    Parameters
    ----------
    shards : sequence of Shard
        All shards of a run.

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.sha256()
    for shard in shards:
        for name in (shard.kind.name, *shard.files, ""):
            digest.update(os.fsencode(name) + b"\0")
    return digest.hexdigest()


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
    differing = [f"--shard: {first.share} there, {part.share} now"] * (
        first.share.of != part.share.of
    )
    differing += differences(first.asked, part.asked)
    if differing:
        raise RunError(
            f"{first.named} and {part.named} are not of one run ({'; '.join(differing[:NAMED])}): "
            "delete the folder of the one that is not wanted, or search it again as the other was"
        )
