"""Lists of what is wanted: names, files of names, published systems, candidates of a run.

In: texts and files of others, or RUN. Out: `Listed`, each thing once, in the order of the list.
Survey catalogues are left to `speclens.fetch.catalogue`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from speclens.errors import ConfigError, RunError
from speclens.fetch.catalogue import COLUMNS, Listed, of_targets
from speclens.fetch.holdings import FORMS, Holding, read_name
from speclens.read.table.known import read_known
from speclens.releases import Release, release_of
from speclens.run.folder import existing_folder
from speclens.run.kinds import RUN, VETTING
from speclens.schema import CANDIDATES
from speclens.stored_tables import read_rows

__all__ = ["of_candidates", "of_known", "of_names"]

MAX_LIST = 1 << 28
"""Longest file of names, bytes."""

TARGETID = re.compile(r"-?\d{8,19}", re.ASCII)
"""None of DESI is shorter."""
N_NAMED = 5


def of_names(arguments: Sequence[str], release: Release | None, catalogue: str | None) -> Listed:
    """Read names, and files of names.

    Parameters
    ----------
    arguments : sequence of str
        Names; or files with one a line, or with plate, date and fibre in columns.
    release : Release, optional
        The release.
    catalogue : str, optional
        Catalogue of DESI, in which the healpix of a TARGETID stands.

    Returns
    -------
    Listed
        What they mean.

    Raises
    ------
    ConfigError
        If one of them is no name.
    RunError
        If a file cannot be read, or a line of it is no name.
    """
    wanted: list[Holding] = []
    targets: list[int] = []
    for text, where in _names(arguments):
        found = read_name(text, release)
        if not found and TARGETID.fullmatch(text):
            targets.append(int(text))
        elif not found:
            kind = RunError if where else ConfigError
            raise kind(
                f"{where}{text[:80]!r}: neither a name nor a file of names; names are {FORMS}"
            )
        wanted += found
    if targets and catalogue is None:
        raise ConfigError(
            f"TARGETID {targets[0]}: give the catalogue that says in which file it is, as "
            "--catalogue zall-pix-iron.fits"
        )
    if not targets and catalogue is not None:
        raise ConfigError(
            "--catalogue beside names says in which files TARGETIDs are, and no name is one: leave "
            "it out, or give it alone"
        )
    if catalogue is None:
        return Listed(_each_once(wanted))
    rows, missing = of_targets(catalogue, targets)
    named = ", ".join(map(str, missing[:N_NAMED])) + ", ..." * (len(missing) > N_NAMED)
    note = f"{catalogue}: {len(missing)} of {len(targets)} TARGETIDs are not in it: {named}"
    return Listed(_each_once([*wanted, *rows]), [note] if missing else [], len(missing))


def _names(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names, with the place in a file where they stand."""
    for argument in arguments:
        if not os.path.isfile(argument) or read_name(argument):
            yield argument, ""
            continue
        for number, line in enumerate(_lines(argument), 1):
            cells = re.split(r"[\s,;]+", line.partition("#")[0].strip())
            if (
                2 <= len(cells) <= 3
                and all(cell.isdecimal() for cell in cells)
                and len(cells[1]) == 5
            ):
                cells = ["-".join(cells)]
            yield from ((cell, f"{argument}, line {number}: ") for cell in cells if cell)


def _lines(path: str) -> list[str]:
    try:
        if os.path.getsize(path) > MAX_LIST:
            raise RunError(f"{path}: too long for a list of names; is it a --catalogue?")
        with open(path, encoding="utf-8-sig") as file:
            return file.read().splitlines()
    except UnicodeDecodeError:
        raise RunError(f"{path}: no text of names; is it a --catalogue?") from None
    except OSError as error:
        raise RunError(f"{path}: cannot read: {error.strerror}") from error


def of_known(path: str) -> Listed:
    """Read the spectra of a list of published systems.

    Parameters
    ----------
    path : str
        The list, as `--known` of a search takes it.

    Returns
    -------
    Listed
        The spectra of those of which it tells plate, date and fibre.

    Raises
    ------
    RunError
        If it cannot be read, or tells of none.
    """
    known = read_known(path)
    rows = known.rows[known.rows["PLATE"] > 0]
    ids = zip(*(rows[name].tolist() for name in COLUMNS["plate"]), strict=True)
    wanted = _each_once(Holding("plate", row) for row in ids)
    if not wanted:
        raise RunError(f"{path}: no system has plate, date and fibre, by which files are named")
    n_without = len(np.unique(known.rows["NAME"])) - len(np.unique(rows["NAME"]))
    note = f"{path}: {n_without} systems have no plate, date and fibre and cannot be fetched"
    return Listed(wanted, [*known.notes, note] if n_without else known.notes)


def of_candidates(run: Path) -> tuple[Listed, str]:
    """Read the spectra of the candidates of a run.

    Parameters
    ----------
    run : Path
        RUN, or a vetting of it.

    Returns
    -------
    candidates : Listed
        Their spectra, best first.
    release : str
        Name of the release that the folders of their files tell; empty where they tell none.

    Raises
    ------
    RunError
        If it is no run, or has no candidate.
    """
    with existing_folder(run, RUN, VETTING, untouched=True) as folder:
        rows = read_rows(folder.path / "candidates.fits", CANDIDATES)
    if not len(rows):
        raise RunError(f"{run}: it has no candidate")
    wanted: list[Holding] = []
    n_unknown = 0
    paths = rows["FILE"].tolist()
    for spectrum, path in zip(rows["SPECTRUM"].tolist(), paths, strict=True):
        # DESI's spectra end in a TARGETID, and are fetched by the file that they are in.
        in_file = (w for w in read_name(os.path.basename(path)) if w.kind in ("healpix", "tile"))
        found = list(in_file) or read_name(spectrum)
        n_unknown += not found
        wanted += found
    note = f"{run}: {n_unknown} of {len(rows)} candidates have no name by which files are named"
    told = {release_of(part) for path in paths for part in Path(path).parts} - {""}
    release = told.pop() if len(told) == 1 else ""
    return Listed(_each_once(wanted), [note] if n_unknown else []), release


def _each_once(wanted: Iterable[Holding]) -> list[Holding]:
    return list(dict.fromkeys(wanted))
