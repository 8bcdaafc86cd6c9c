"""What other packages add: surveys, by entry points.

In: nothing. Out: what the installed packages offer. One that cannot be loaded is left out, with a
line that names it: it never costs the others, nor the searches of surveys that are known here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from multiprocessing import parent_process
from typing import TypeVar

__all__ = ["INSTRUMENTS_GROUP", "SURVEYS_GROUP", "offered"]

SURVEYS_GROUP = "speclens.surveys"
"""Classes that answer what `speclens.read.survey.Survey` asks."""

INSTRUMENTS_GROUP = "speclens.instruments"
"""Packages with a file `instruments.toml`, as that of this one."""

Offer = TypeVar("Offer")


def offered(group: str, take: Callable[[EntryPoint], Offer]) -> Iterator[Offer]:
    """Take what packages offer, one after the other.

    Parameters
    ----------
    group : str
        Group of entry points.
    take : callable
        Loads and checks one; what it raises leaves that one out.

    Yields
    ------
    object
        What was taken, sorted by name.
    """
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        try:
            yield take(entry)
        except Exception as error:  # noqa: BLE001 - whatever another package does wrong
            _tell(entry, error)


def _tell(entry: EntryPoint, error: Exception) -> None:
    # Every worker loads them again, and would say it again.
    if parent_process() is not None:
        return
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
    why = " ".join(f"{type(error).__name__}: {error}".split())
    logging.getLogger("speclens").warning(
        "speclens: package %s: %s %r cannot be used and is left out (%s); update or uninstall it",
        package, entry.group.removeprefix("speclens.").removesuffix("s"), entry.name, why,
    )  # fmt: skip
