"""What published searches say of themselves, of data of their own.

In: nothing. Out: the numbers of `data/published.toml`, the only place where they stand.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["LABEL", "PublishedNumber", "published_numbers"]

LABEL = "published, other data"
"""What stands over them wherever they are shown beside measured ones."""


@dataclass(frozen=True)
class PublishedNumber:
    """A number as published.

    Parameters
    ----------
    search : str
        The search.
    what : str
        What the number is.
    value : str
        The number.
    of : str
        The data that it was measured on.
    where : str
        Where it stands.
    """

    search: str
    what: str
    value: str
    of: str
    where: str


def published_numbers() -> list[PublishedNumber]:
    """Return the published numbers.

    Returns
    -------
    list of PublishedNumber
        In the order of the file.
    """
    text = (files("speclens") / "data" / "published.toml").read_text(encoding="utf-8")
    return [PublishedNumber(**number) for number in tomllib.loads(text)["number"]]
