"""Releases: where the archives keep the files of each survey's data releases.

In: `data/releases.toml`, or a file like it. Out: `Release`, whose trees give the addresses of the
files of a plate, field, healpix, petal or spectrum. Nothing is asked of any server here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from speclens.errors import ConfigError

__all__ = [
    "Kind",
    "Layout",
    "Place",
    "Release",
    "Tree",
    "fetch_line",
    "known_releases",
    "newest",
    "release_named",
    "release_of",
    "releases_with",
]

Kind = Literal["plate", "field", "healpix", "tile"]

NAMES: Mapping[Kind, frozenset[str]] = {
    "plate": frozenset(("plate", "mjd", "fiberid")),
    "field": frozenset(("field", "fieldgroup", "mjd", "catalogid")),
    "healpix": frozenset(("survey", "program", "pixel", "pixelgroup")),
    "tile": frozenset(("tile", "night", "petal")),
}
"""What a pattern of each kind can name, beside `run2d`."""

PLACEHOLDER = re.compile(r"\{([a-z0-9]+)(?::0\d+)?\}")
PLAIN = re.compile(r"[A-Za-z0-9._+/-]*")
ADDRESS = re.compile(r"https?://[^\s/?#@]+/([^\s?#]*/)?")


def pattern(text: str) -> str:
    """Refuse a pattern that could lead out of a folder.

    Parameters
    ----------
    text : str
        A path with placeholders.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ValueError
        If it is absolute, goes upwards, or holds anything but letters, digits and placeholders.
    """
    plain = PLACEHOLDER.sub("0", text)
    parts = plain.split("/")
    if not PLAIN.fullmatch(plain) or any(part.strip(".") == "" for part in parts):
        raise ValueError("a relative path of letters, digits and placeholders such as {plate:04}")
    return text


def address(text: str) -> str:
    """Refuse what is no address of a folder on a web server.

    Parameters
    ----------
    text : str
        An address.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ValueError
        If it is not of http or https, or does not end in a slash.
    """
    if not ADDRESS.fullmatch(text):
        raise ValueError("an address of http or https that ends in /")
    return text


Pattern = Annotated[str, AfterValidator(pattern)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.]*$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Layout(_Record):
    """A tree of files; its fields are explained in `data/releases.toml`."""

    of: Kind
    plates: Annotated[list[int], Field(min_length=2, max_length=2)] = [1, 99999]
    files: Annotated[list[Pattern], Field(min_length=1)]
    lite: Pattern = ""
    full: Pattern = ""
    checksums: Pattern = ""


class _TreeRecord(_Record):
    layout: str
    address: Annotated[str, AfterValidator(address)]
    run2d: Annotated[list[Word], Field(min_length=1)]


class _ReleaseRecord(_Record):
    title: str
    trees: Annotated[list[_TreeRecord], Field(min_length=1)]


class _Records(_Record):
    newest: dict[Kind, str] = {}
    layouts: dict[str, Layout] = {}
    releases: dict[str, _ReleaseRecord]


@dataclass(frozen=True)
class Place:
    """Where a file is.

    Parameters
    ----------
    address : str
        The folder on the server, above the tree.
    path : str
        The file below it, and below the folder into which it is fetched.
    checksums : str, optional
        Path of the list of digests of the files beside it; empty where the archive has none.
    """

    address: str
    path: str
    checksums: str = ""

    @property
    def url(self) -> str:
        """Address of the file."""
        return self.address + self.path

    @property
    def name(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class Tree:
    """A tree of files of one release.

    Parameters
    ----------
    layout : Layout
        What is where.
    address : str
        Address of the folder above it.
    run2d : tuple of str
        Versions of the reduction, in the order in which they are tried.
    """

    layout: Layout
    address: str
    run2d: tuple[str, ...]

    def places(self, what: str, names: Mapping[str, int | str]) -> Iterator[list[Place]]:
        """Tell where files may be.

        Parameters
        ----------
        what : str
            `files`, `lite` or `full`.
        names : mapping of str to int or str
            What names them, as in the patterns.

        Yields
        ------
        list of Place
            Of files that belong together, in one version of the reduction; none where the tree has
            no such files.
        """
        plate = names.get("plate")
        if isinstance(plate, int) and not self.layout.plates[0] <= plate <= self.layout.plates[1]:
            return
        layout = self.layout
        patterns = (
            layout.files if what == "files" else [layout.full if what == "full" else layout.lite]
        )
        for run2d in self.run2d:
            filled = {**names, "run2d": run2d}
            sums = layout.checksums.format(**filled)
            places = [Place(self.address, p.format(**filled), sums) for p in patterns if p]
            if places:
                yield places


@dataclass(frozen=True)
class Release:
    """A data release.

    Parameters
    ----------
    name : str
        As `--release` takes it.
    title : str
        In words.
    trees : tuple of Tree
        Its trees of files.
    """

    name: str
    title: str
    trees: tuple[Tree, ...]

    @property
    def kinds(self) -> set[Kind]:
        """What its files are of: plates, fields, healpix, tiles."""
        return {tree.layout.of for tree in self.trees}


def release_named(name: str) -> Release:
    """Return a release.

    Parameters
    ----------
    name : str
        Its name, or a TOML file with the record of one release.

    Returns
    -------
    Release
        The release.

    Raises
    ------
    ConfigError
        If there is none of this name, or the file is no such record.
    """
    known = _bundled()
    if name in known:
        return known[name]
    if not name.endswith(".toml"):
        raise ConfigError(
            f"release {name!r}: not known; known: {', '.join(known)}; or a .toml file with a record"
        )
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"release {name}: cannot be read: {error}") from error
    found = _read(text, name, _records().layouts)
    if len(found) != 1:
        raise ConfigError(f"release {name}: holds {len(found)} releases; allowed: one")
    return next(iter(found.values()))


def known_releases() -> Sequence[Release]:
    """Return the releases that the package knows, in the order of its record."""
    return list(_bundled().values())


def newest(kind: Kind) -> Release:
    """Return the release that is taken where none is named.

    Parameters
    ----------
    kind : str
        What is wanted of it: plates, fields, healpix, tiles.

    Returns
    -------
    Release
        The release.
    """
    return _bundled()[_records().newest[kind]]


def releases_with(kind: Kind) -> list[str]:
    """Name the releases that have files of a kind.

    Parameters
    ----------
    kind : str
        The kind.

    Returns
    -------
    list of str
        Their names.
    """
    return [name for name, release in _bundled().items() if kind in release.kinds]


def release_of(run2d: str) -> str:
    """Tell of which release a version of the reduction is.

    Parameters
    ----------
    run2d : str
        The version, as in headers and paths.

    Returns
    -------
    str
        Name of the newest release of it alone; empty where none is, or where many releases are.
    """
    found = [
        name
        for name, release in _bundled().items()
        if run2d in {known for tree in release.trees for known in tree.run2d}
    ]
    # That of SDSS-I/II is in all releases, and DR15 repeats DR14.
    return found[-1] if 0 < len(found) <= 2 else ""


def fetch_line(name: str, run2d: str = "") -> str:
    """Say by which command files come from the archive.

    Parameters
    ----------
    name : str
        The plate or spectrum, as `speclens fetch` takes it.
    run2d : str, optional
        Version of the reduction.

    Returns
    -------
    str
        The command.
    """
    release = release_of(run2d)
    return f"speclens fetch {name}{release and f' --release {release}'} -o FOLDER"


@cache
def _records() -> _Records:
    text = (files("speclens") / "data" / "releases.toml").read_text(encoding="utf-8")
    return _Records.model_validate(tomllib.loads(text))


@cache
def _bundled() -> dict[str, Release]:
    records = _records()
    return {
        name: _release(name, record, records.layouts) for name, record in records.releases.items()
    }


def _read(text: str, path: str, layouts: Mapping[str, Layout]) -> dict[str, Release]:
    """Read the releases of a file, whose layouts come before those of the package."""
    try:
        values: dict[str, Any] = tomllib.loads(text)
        records = _Records.model_validate(values)
        known = {**layouts, **records.layouts}
        return {name: _release(name, record, known) for name, record in records.releases.items()}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"release {path}: {where}: {message}") from error
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise ConfigError(f"release {path}: {error}") from error


def _release(name: str, record: _ReleaseRecord, layouts: Mapping[str, Layout]) -> Release:
    trees = []
    for tree in record.trees:
        if tree.layout not in layouts:
            raise ValueError(f"layout {tree.layout!r} is not known; known: {', '.join(layouts)}")
        layout = layouts[tree.layout]
        for text in (*layout.files, layout.lite, layout.full, layout.checksums):
            strange = {*PLACEHOLDER.findall(text)} - NAMES[layout.of] - {"run2d"}
            if strange:
                raise ValueError(
                    f"layout {tree.layout!r}: no {{{min(strange)}}} for a {layout.of}; allowed: "
                    f"run2d, {', '.join(sorted(NAMES[layout.of]))}"
                )
        trees.append(Tree(layout, tree.address, tuple(tree.run2d)))
    return Release(name, record.title, tuple(trees))
