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

__all__ = ["INSTRUMENTS_GROUP", "SURVEYS_GROUP", "offered", "package_of", "tell"]

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
            what = entry.group.removeprefix("speclens.").removesuffix("s")
            why = " ".join(f"{type(error).__name__}: {error}".split())
            tell(
                f"package {package_of(entry)}: {what} {entry.name!r} cannot be used and is left "
                f"out ({why}); update or uninstall it"
            )


def package_of(entry: EntryPoint) -> str:
    """Name the package that offers something, with its version."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module


def tell(text: str) -> None:
    """Tell of a fault of another package, once: every worker meets it again."""
    if parent_process() is None:
        logging.getLogger("speclens").warning("speclens: %s", text)
