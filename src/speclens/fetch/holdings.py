"""What an archive holds: plates, fields, pixels of the sky, petals, single spectra.

In: names as surveys and this package write them. Out: `Holding`, and the places where a release may
have its files. Lists of names are left to `speclens.fetch.lists`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from speclens.errors import ConfigError
from speclens.releases import Kind, Place, Release, newest, release_named, releases_with

__all__ = ["FileChoice", "Holding", "as_files", "read_name", "release_for"]

N_PETALS = 10
FIELD_DIGITS = 6
"""SDSS-V writes its fields with so many digits, and plates have fewer."""
LEAST_FIELD_DIGITS = 5
"""Its fields are from 10,000 on; a release of fields alone has no plate 4055."""
FIBRE_DIGITS = 4
"""A longer third number is an object's of SDSS-V, and no fibre."""

FILE_NAME = re.compile(r"(?:spec|spPlate|spZbest|spField|coadd|redrock)-(.+?)(?:\.fits(?:\.gz)?)?")
SDSS = re.compile(r"(\d{1,6})-(\d{5})(?:-(\d{1,19}))?", re.ASCII)
HEALPIX = re.compile(r"([a-z][a-z0-9]{0,15})-([a-z][a-z0-9]{0,15})-(\d{1,9})", re.ASCII)
TILE = re.compile(r"(?:(\d)-)?(\d{1,9})-thru(\d{8})", re.ASCII)

FORMS = (
    "4055-55359 (plate and date), 4055-55359-0020 (its fibre), 015143-59205 and "
    "015143-59205-4544978190 (SDSS-V), main-dark-10016 (DESI: survey, program, healpix), "
    "1000-thru20210517 (DESI: tile and night)"
)


FileChoice = Literal["plates", "lite", "full"]
"""Which files: whole plates or fields, or single spectra, lite or full."""


class Holding(NamedTuple):
    """What an archive may hold under one name.

    Parameters
    ----------
    kind : str
        What it is part of: plate, field, healpix, tile.
    ids : tuple
        Plate, date, fibre; field, date, object; survey, program, pixel; tile, night, petal. None
        for the third where the whole plate or field is meant.
    full : bool
        A single spectrum with its single exposures.
    """

    kind: Kind
    ids: tuple[int | str | None, ...]
    full: bool = False

    def __str__(self) -> str:
        first, second, third = self.ids
        if self.kind == "healpix":
            return f"{first}-{second}-{third}"
        if self.kind == "tile":
            return f"{third}-{first}-thru{second}"
        digits = FIELD_DIGITS if self.kind == "field" else 4
        name = f"{first:0{digits}}-{second:05}"
        if third is None:
            return name
        return f"{name}-{third}" if self.kind == "field" else f"{name}-{third:04}"

    @property
    def is_single(self) -> bool:
        """A spectrum in a file of its own."""
        return self.kind in ("plate", "field") and self.ids[2] is not None

    @property
    def whole(self) -> Holding:
        """The plate or field that it is of."""
        return Holding(self.kind, (*self.ids[:2], None)) if self.is_single else self

    def places(self, release: Release) -> Iterator[list[Place]]:
        """Tell where a release may have its files.

        Parameters
        ----------
        release : Release
            The release.

        Yields
        ------
        list of Place
            Of files that belong together; only one of these sets is there.
        """
        what = "files" if not self.is_single else "full" if self.full else "lite"
        for tree in release.trees:
            if tree.layout.of == self.kind:
                yield from tree.places(what, self._names())

    def _names(self) -> dict[str, int | str]:
        names = {
            "plate": ("plate", "mjd", "fiberid"),
            "field": ("field", "mjd", "catalogid"),
            "healpix": ("survey", "program", "pixel"),
            "tile": ("tile", "night", "petal"),
        }[self.kind]
        filled = {k: v for k, v in zip(names, self.ids, strict=True) if v is not None}
        for part, group, size in (("field", "fieldgroup", 1000), ("pixel", "pixelgroup", 100)):
            number = filled.get(part)
            if isinstance(number, int):
                filled[group] = number // size
        return filled


def read_name(text: str, release: Release | None = None) -> list[Holding]:
    """Read a name, or the name of a file.

    Parameters
    ----------
    text : str
        The name.
    release : Release, optional
        It tells fields from plates where the name does not.

    Returns
    -------
    list of Holding
        What it means; the ten petals for a tile, nothing for what is no name.
    """
    match = FILE_NAME.fullmatch(text)
    name = match[1] if match else text
    if match := SDSS.fullmatch(name):
        first, date, third = match.groups()
        kind: Kind = "field" if _is_field(first, third, release) else "plate"
        if kind == "plate" and len(third or "") > FIBRE_DIGITS:
            return []
        numbers = (int(first), int(date), None if third is None else int(third))
        return [] if 0 in numbers[:2] or numbers[2] == 0 else [Holding(kind, numbers)]
    if match := HEALPIX.fullmatch(name):
        return [Holding("healpix", (match[1], match[2], int(match[3])))]
    if match := TILE.fullmatch(name):
        petals = range(N_PETALS) if match[1] is None else [int(match[1])]
        return [Holding("tile", (int(match[2]), int(match[3]), petal)) for petal in petals]
    return []


def _is_field(first: str, third: str | None, release: Release | None) -> bool:
    if len(first) == FIELD_DIGITS or len(third or "") > FIBRE_DIGITS:
        return True
    kinds = release.kinds & {"plate", "field"} if release else ()
    return kinds == {"field"} and len(first) >= LEAST_FIELD_DIGITS


def as_files(wanted: Holding, choice: FileChoice) -> Holding:
    """Return what is wanted in files of another sort.

    Parameters
    ----------
    wanted : Holding
        A plate, field or spectrum; DESI has one sort of files only.
    choice : FileChoice
        The sort.

    Returns
    -------
    Holding
        The same spectra.

    Raises
    ------
    ConfigError
        If single spectra of a whole plate are asked for.
    """
    if choice == "plates" or wanted.kind not in ("plate", "field"):
        return wanted.whole
    if not wanted.is_single:
        raise ConfigError(
            f"{wanted}: a whole {wanted.kind}, and --files {choice} is of single spectra; name "
            f"them, as {wanted}-0020, or leave --files out"
        )
    return wanted._replace(full=choice == "full")


def release_for(wanted: Holding, release: Release | None) -> Release:
    """Return the release to fetch from.

    Parameters
    ----------
    wanted : Holding
        What is wanted.
    release : Release, optional
        That which the user named.

    Returns
    -------
    Release
        It, or else the newest that has such files.

    Raises
    ------
    ConfigError
        If the named one has no such files.
    """
    if release is None:
        return newest(wanted.kind)
    if next(wanted.places(release), None) is None:
        others = [n for n in releases_with(wanted.kind) if _has(wanted, n)]
        raise ConfigError(
            f"{wanted}: {release.title} has no such {wanted.kind}"
            + (f"; releases with them: {', '.join(others)}" if others else "")
        )
    return release


def _has(wanted: Holding, name: str) -> bool:
    return next(wanted.places(release_named(name)), None) is not None
