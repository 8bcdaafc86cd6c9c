"""Parts of a run for job arrays: `speclens search --shard I/N`, then `speclens merge`.

In: what the user asks for, which part of the shards. Out: a folder of each part in RUN/parts, with
the stored results of its shards, which `speclens.run.parts` reads; of all parts together the run
that one search would have made, to the byte. Parts share nothing while they work, so that they may
do so on any number of machines.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from speclens.products import write_json
from speclens.read.discovery import find_survey_files
from speclens.read.shards import Shard, make_shards
from speclens.read.table.known import read_known
from speclens.run.clock import Clock
from speclens.run.folder import Folder, locked_folder
from speclens.run.kinds import PART, PARTS, RUN
from speclens.run.marker import examined
from speclens.run.parts import RECORD, Share, refuse_strangers
from speclens.run.progress import Progress, Silent
from speclens.verbs.request import SearchRequest
from speclens.verbs.stages import (
    BYTES_A_SPECTRUM,
    scan_shards,
    setup_of,
    shared_by_shards,
)
from speclens.verbs.weigh import weights_for

__all__ = ["PartSummary", "digest_of", "search_part"]


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
    _refuse_what_cannot_be_merged(request, setup, share)
    place = request.output / PARTS / f"{share.number}-of-{share.of}"
    with locked_folder(place, PART, request.inputs) as folder:
        clock = Clock()
        folder.check(setup)
        shards = make_shards(files)
        own = share.among(shards)
        folder.require(BYTES_A_SPECTRUM * sum(shard.n_spectra for shard in own))
        shared = shared_by_shards(request, files, folder)
        clock.done("prepare")
        # Until it ends its results may not be of these files.
        forget = partial((folder.path / RECORD).unlink, missing_ok=True)
        scans = scan_shards(
            shared.settings, folder, own, request.n_workers, listener, setup, before=forget
        )
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


def _refuse_what_cannot_be_merged(
    request: SearchRequest, setup: Mapping[str, Any], share: Share
) -> None:
    """Refuse before the work, not after that of all parts, what the merge will meet."""
    refuse_strangers(request.output, share)
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
