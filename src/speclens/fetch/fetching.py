"""All that is wanted, from a few connections at a time.

In: what is wanted. Out: an `Outcome` each, as they come. What is there and whole is left alone;
what cannot be had is named, and all else is fetched. Servers that answer nothing any more end the
run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from speclens.errors import RunError
from speclens.fetch.archive import Archive
from speclens.fetch.download import Downloads
from speclens.fetch.faults import LostError, NotThereError, PassingError
from speclens.fetch.holdings import Holding
from speclens.fetch.threads import in_threads
from speclens.releases import Place, Release

__all__ = ["Outcome", "fetch_each"]

MAX_SILENT = 5
"""After so many in a row that no server answered for, the rest would fare no better."""


@dataclass
class Outcome:
    """What became of something that is wanted.

    Parameters
    ----------
    wanted : Holding
        What it is.
    n_files, n_bytes : int
        Files that were fetched, or would be.
    n_unknown : int
        Those of them of which the server does not say how long they are.
    n_there : int
        Files that were there and whole.
    lost : list of str
        A sentence for each file that could not be had.
    is_silent : bool
        True where no server answered for it.
    """

    wanted: Holding
    n_files: int = 0
    n_bytes: int = 0
    n_unknown: int = 0
    n_there: int = 0
    lost: list[str] = field(default_factory=list)
    is_silent: bool = False


def fetch_each(
    wanted: Sequence[tuple[Holding, Release]],
    archive: Archive,
    downloads: Downloads,
    dry_run: bool = False,
) -> Generator[Outcome, None, None]:
    """Fetch all that is wanted.

    Parameters
    ----------
    wanted : sequence of (Holding, Release)
        What, and from which release.
    archive : Archive
        The servers.
    downloads : Downloads
        Writes into the folder.
    dry_run : bool, optional
        Only ask for the lengths.

    Yields
    ------
    Outcome
        One for each, in the order in which they end.

    Raises
    ------
    RunError
        If nothing can be written, or the servers do not answer any more.
    """
    get = downloads.size if dry_run else downloads.fetch
    n_silent = 0
    with closing(in_threads(partial(_outcome, downloads, get), wanted, archive.stop)) as outcomes:
        for outcome in outcomes:
            yield outcome
            n_silent = n_silent + 1 if outcome.is_silent else 0
            if n_silent == MAX_SILENT:
                raise RunError(
                    f"{n_silent} in a row could not be had, so no more are asked for "
                    f"({outcome.lost[-1]}); what came is kept: run the same command later to go on"
                )


def _outcome(
    downloads: Downloads, get: Callable[[Place], int | None], item: tuple[Holding, Release]
) -> Outcome:
    """Fetch the files of one thing that is wanted, from the first reduction that has it."""
    wanted, release = item
    outcome = Outcome(wanted)
    choices = sorted(wanted.places(release), key=lambda places: not downloads.has(places[0]))
    if not choices:
        outcome.lost.append(f"{wanted}: {release.title} has no files of such a name")
    for number, places in enumerate(choices, 1):
        try:
            _get(places[0], outcome, downloads, get)
        except NotThereError as fault:
            if number == len(choices):
                outcome.lost.append(
                    f"{wanted}: {release.title} has no {places[0].name} ({fault}); compare the "
                    "name, or choose another --release"
                )
            continue
        except (LostError, PassingError) as fault:
            _lose(outcome, fault)
        for place in places[1:]:
            try:
                _get(place, outcome, downloads, get)
            except (LostError, PassingError) as fault:
                _lose(outcome, fault)
        break
    return outcome


def _get(
    place: Place, outcome: Outcome, downloads: Downloads, get: Callable[[Place], int | None]
) -> None:
    if downloads.has(place):
        outcome.n_there += 1
        return
    length = get(place)
    outcome.n_files += 1
    outcome.n_bytes += length or 0
    outcome.n_unknown += length is None


def _lose(outcome: Outcome, fault: LostError | PassingError) -> None:
    outcome.lost.append(f"{outcome.wanted}: {fault}")
    outcome.is_silent = outcome.is_silent or isinstance(fault, PassingError)
