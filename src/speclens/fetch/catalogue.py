"""What a survey catalogue lists: plates, fields, spectra, pixels of the sky.

In: spAll, specObj, a catalogue of SDSS-V or DESI, or any table with their columns. Out: `Listed`.
Which columns it must have is said when it lacks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from speclens.errors import RunError, SpectrumFileError
from speclens.fetch.holdings import Holding, read_name
from speclens.read.table.cells import exact_ids, specobj_ids, texts
from speclens.read.table.columns import Wanted, folded
from speclens.read.table.table import found_columns
from speclens.read.table.table_file import open_table
from speclens.releases import Kind, Release

__all__ = ["COLUMNS", "Listed", "of_catalogue", "of_targets"]

COLUMNS: Mapping[Kind, tuple[str, str, str]] = {
    "plate": ("PLATE", "MJD", "FIBERID"),
    "field": ("FIELD", "MJD", "CATALOGID"),
    "healpix": ("SURVEY", "PROGRAM", "HEALPIX"),
    "tile": ("TILEID", "LASTNIGHT", "PETAL_LOC"),
}
ALIASES = {"PLATE": ("plate", "plateid"), "FIBERID": ("fiberid", "fiber", "fibreid", "fibre"),
           "SPECOBJID": ("specobjid",), "TARGETID": ("targetid",)}  # fmt: skip
WANTED = Wanted(
    {name: (folded(name),) for names in COLUMNS.values() for name in names} | ALIASES,
    (*(frozenset(names) for names in COLUMNS.values()), frozenset(("SPECOBJID",))),
    (frozenset(("PLATE", "MJD")), frozenset(("FIELD", "MJD")), frozenset(("TILEID", "LASTNIGHT"))),
)
LARGEST = {"plate": (10**6, 10**5, 10**4), "field": (10**6, 10**5, 10**19)}
"""Identifiers from these on are none."""


IMAGING = {"run", "camcol"}
"""Columns, folded, of a catalogue of images."""


@dataclass(frozen=True)
class Listed:
    """What is wanted, and what of a list could not be used.

    Parameters
    ----------
    wanted : sequence of Holding
        Each once.
    notes : sequence of str, optional
        A sentence each.
    n_missing : int, optional
        Of what was asked for, is nowhere to be found.
    """

    wanted: Sequence[Holding]
    notes: Sequence[str] = ()
    n_missing: int = 0


def of_catalogue(path: str, release: Release | None, whole: bool) -> Listed:
    """Read what a survey catalogue lists.

    Parameters
    ----------
    path : str
        spAll, specObj, a catalogue of SDSS-V or DESI, or any table with their columns.
    release : Release, optional
        It decides of what the identifiers are where a catalogue has several sorts.
    whole : bool
        The plates or fields of its spectra, not the spectra one by one.

    Returns
    -------
    Listed
        What its rows name.

    Raises
    ------
    RunError
        If it cannot be read, or names nothing.
    """
    found: dict[Holding, None] = {}
    n_rows, is_partly_unknown = 0, False
    for kind, columns, _ in _pieces(path, release):
        n_rows += len(columns[0])
        if whole and kind in ("plate", "field"):
            columns[2] = [None] * len(columns[0])
        for ids in dict.fromkeys(zip(*columns, strict=True)):
            wanted = _of_row(kind, ids)
            is_partly_unknown |= not wanted
            found.update(dict.fromkeys(wanted))
    if not found:
        raise RunError(f"catalogue {path}: none of its {n_rows} rows names a spectrum")
    note = f"catalogue {path}: it has rows without usable identifiers; they are left out"
    return Listed(list(found), [note] if is_partly_unknown else [])


def of_targets(path: str, targets: Sequence[int]) -> tuple[list[Holding], list[int]]:
    """Find the files of TARGETIDs in a catalogue of DESI.

    Parameters
    ----------
    path : str
        The catalogue.
    targets : sequence of int
        The TARGETIDs.

    Returns
    -------
    wanted : list of Holding
        Pixels or petals that hold them.
    missing : list of int
        Those that the catalogue does not tell of.

    Raises
    ------
    RunError
        If it cannot be read.
    """
    left, seen = set(targets), set()
    found: list[Holding] = []
    for kind, columns, ids in _pieces(path, None):
        for row in (row for row, target in enumerate(ids) if target in left):
            wanted = _of_row(kind, tuple(column[row] for column in columns))
            found += wanted if kind in ("healpix", "tile") else []
            seen |= {ids[row]} if wanted else set()
    return found, [target for target in targets if target not in seen]


def _pieces(
    path: str, release: Release | None
) -> Iterator[tuple[Kind, list[list[Any]], list[int | None]]]:
    """Read the rows some at a time: of what they are, three columns of identifiers, TARGETIDs."""
    try:
        with open_table(path, WANTED) as table:
            fields = {name: places[0] for name, places in WANTED.columns(table.names).items()}
            kind = _kind(path, fields, table.names, release)
            by_number = kind == "plate" and not {"PLATE", "MJD"} <= set(fields)
            used = ("SPECOBJID",) if by_number else (*COLUMNS[kind], "TARGETID")
            places = [fields[name] for name in used if name in fields]
            with closing(table.pieces(places)) as pieces:
                for _, piece in pieces:
                    cells = {name: piece[fields[name]] for name in used if name in fields}
                    yield kind, _identifiers(kind, cells), _column("TARGETID", cells)
    except SpectrumFileError as error:
        raise RunError(str(error)) from error


def _kind(
    path: str, fields: Mapping[str, int], names: Sequence[str], release: Release | None
) -> Kind:
    """Say of what the identifiers of a catalogue are."""
    for kind, columns in COLUMNS.items():
        # The third may be missing of what is asked for as a whole.
        needed = columns if kind == "healpix" else columns[:2]
        # Beside run and camcol FIELD is a field of imaging.
        imaged = "CATALOGID" not in fields and set(map(folded, names)) >= IMAGING
        known = set(needed) <= set(fields) and not (kind == "field" and imaged)
        if known and (release is None or kind in release.kinds):
            return kind
    if "SPECOBJID" in fields and (release is None or "plate" in release.kinds):
        return "plate"
    raise RunError(
        f"catalogue {path}: no columns of plate, mjd, fiberid (or specobjid); field, mjd, "
        "catalogid; survey, program, healpix; or tileid, lastnight, petal_loc"
        f"{f' that {release.title} has' if release else ''}; found {found_columns(names)}"
    )


def _identifiers(kind: Kind, cells: Mapping[str, NDArray[Any]]) -> list[list[Any]]:
    if "SPECOBJID" not in cells:
        return [_column(name, cells) for name in COLUMNS[kind]]
    ids, _ = specobj_ids(cells["SPECOBJID"])
    return [[number if number > 0 else None for number in column] for column in ids.T.tolist()]


def _column(name: str, cells: Mapping[str, NDArray[Any]]) -> list[Any]:
    """Read a column to the last digit; None for what is unknown."""
    if name not in cells:
        return [None] * len(next(iter(cells.values())))
    if name in ("SURVEY", "PROGRAM"):
        return [text.lower() or None for text in texts(cells[name])]
    return list(exact_ids(cells[name])[0])


def _of_row(kind: Kind, ids: tuple[Any, ...]) -> list[Holding]:
    """Return what a row names; all petals of a tile where it names none, nothing if it is none."""
    first, second, third = ids
    if first is None or second is None or (third is None and kind == "healpix"):
        return []
    if kind in ("plate", "field"):
        pairs = zip(ids, LARGEST[kind], strict=True)
        known = all(n is None or 0 < n < end for n, end in pairs)
        return [Holding(kind, ids)] if known else []
    petal = "" if third is None else f"{third}-"
    # The name is written and read again, so that nothing strange passes.
    name = f"{first}-{second}-{third}" if kind == "healpix" else f"{petal}{first}-thru{second}"
    return [wanted for wanted in read_name(name) if wanted.kind == kind]
