"""`speclens search`: survey files to the tables of a run.

In: files and folders, a configuration, an output folder. Out: the RUN of the documentation. The
stages are called shard by shard; what is done is kept, so that a second call goes on where the
first stopped.
"""

from __future__ import annotations

import os

from speclens.read.discovery import find_survey_files
from speclens.read.shards import make_shards
from speclens.read.table.known import read_known
from speclens.run.clock import Clock
from speclens.run.folder import locked_folder
from speclens.run.kinds import RUN
from speclens.run.progress import Progress, Silent
from speclens.run.record import refuse_left_out
from speclens.run.workers import sharing_processes
from speclens.verbs.request import Asked as Asked
from speclens.verbs.request import Purpose as Purpose
from speclens.verbs.request import RunSummary as RunSummary
from speclens.verbs.request import SearchRequest as SearchRequest
from speclens.verbs.stages import (
    BYTES_A_SPECTRUM,
    complete,
    scan_shards,
    setup_of,
    shared_by_shards,
)
from speclens.verbs.weigh import weights_for

__all__ = ["search"]


@sharing_processes()
def search(request: SearchRequest, progress: Progress | None = None) -> RunSummary:
    """Search survey files for emission lines that are not the target's.

    Parameters
    ----------
    request : SearchRequest
        Files, configuration, output folder.
    progress : Progress, optional
        Told of stages and failures.

    Returns
    -------
    RunSummary
        Counts; the tables are in the folder.

    Raises
    ------
    SpeclensError
        If the run cannot be done; what is done is kept.
    """
    listener = progress or Silent()
    files, setup = find_survey_files(request.inputs), setup_of(request)
    known = read_known(request.known) if request.known else None
    # Refused before the work, not after it.
    weights_for(request.purpose, request.config, setup, request.output)
    with locked_folder(request.output, RUN, request.inputs) as folder:
        clock = Clock()
        folder.check(setup)
        refuse_left_out(folder, [os.path.abspath(path) for path in request.inputs])
        shards = make_shards(files)
        folder.require(BYTES_A_SPECTRUM * sum(shard.n_spectra for shard in shards))
        shared = shared_by_shards(request, files, folder)
        clock.done("prepare")
        scans = scan_shards(shared.settings, folder, shards, request.n_workers, listener, setup)
        clock.done("search")
        return complete(request, files, shared, scans, folder, known, clock, listener)
