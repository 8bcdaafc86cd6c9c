"""Candidates weighed by an evaluation: completeness, q-value, and the list for a purpose.

In: the candidates of a run, the selection function that the user gave or the run has. Out: the
candidates with both columns, cut for the purpose; what the list is worth, for run.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.errors import ConfigError, RunError
from speclens.evaluate.purposes import (
    ALL,
    completeness_of,
    curve_of,
    implied_number,
    last_rank,
    purposes_of,
)
from speclens.evaluate.selection import FILE, SelectionFunction
from speclens.products import write_json
from speclens.run.folder import differences
from speclens.run.record import RunRecord
from speclens.stored_tables import iterate_rows
from speclens.verbs.request import Purpose

__all__ = ["Weights", "weigh", "weights_for"]

NAMED = 5
N_WORTH = 60
"""Ranks of the curve that run.json holds, about."""

Rows = NDArray[np.void]


@dataclass(frozen=True)
class Weights:
    """What candidates are weighed by.

    Parameters
    ----------
    purpose : Purpose
        What the list is for.
    selection : SelectionFunction, optional
        What tells of them.
    note : str, optional
        Why nothing does, although an evaluation was given once.
    """

    purpose: Purpose
    selection: SelectionFunction | None = None
    note: str = ""

    def keep(self, folder: Path) -> None:
        """Keep the selection function in a run, for its next vetting.

        Parameters
        ----------
        folder : Path
            The run, its tables and report written: what cannot be weighed keeps nothing.

        Raises
        ------
        RunError
            If it cannot be written.
        """
        if self.selection is not None:
            write_json(folder / FILE, self.selection.content)


def weights_for(
    purpose: Purpose, config: Config, setup: Mapping[str, object], run: Path | None = None
) -> Weights:
    """Read the selection function that the user gives, or that a run has.

    Parameters
    ----------
    purpose : Purpose
        What the candidates are for.
    config : Config
        The searches and the limits of vetting.
    setup : mapping
        `model` and `sky`: digests of the networks and of the growth of the errors.
    run : Path, optional
        The run.

    Returns
    -------
    Weights
        With a selection function that is of these searches.

    Raises
    ------
    ConfigError
        If a purpose is asked for and nothing tells how it is served.
    RunError
        If the evaluation cannot be read, or is of another search or vetting.
    """
    place = None if purpose.selection is None else Path(purpose.selection)
    if place is None and run is not None and (run / FILE).exists():
        place = run / FILE
    if place is None:
        if purpose != Purpose():
            raise ConfigError(
                "--purity, --completeness: need --selection with the folder of an evaluation "
                "(speclens evaluate)"
            )
        return Weights(purpose)
    selection = SelectionFunction.read(place)
    wanted = {
        "model": setup["model"],
        "sky": setup["sky"],
        "search": config.deciding("search"),
        "vetting": config.deciding("vetting"),
    }
    differing = list(differences(selection.setup, wanted))
    if not differing:
        return Weights(purpose, selection)
    told = (
        f"{place}: evaluates another search or vetting ({'; '.join(differing[:NAMED])}): "
        "evaluate this one"
    )
    if purpose == Purpose():
        return Weights(purpose, note=told)
    raise RunError(told)


def weigh(
    run: Path, hits: Rows, candidates: Rows, record: RunRecord, weights: Weights
) -> tuple[Rows, list[str]]:
    """Weigh candidates, and keep those that serve the purpose.

    Parameters
    ----------
    run : Path
        The run, with spectra.fits.
    hits : structured array of shape (H,)
        Rows of hits.fits; of those that are cut REASON and CANDIDATE say so.
    candidates : structured array of shape (N,)
        Rows of candidates.*, best first; COMPLETENESS and Q_VALUE are filled in.
    record : RunRecord
        Takes up what the list is worth.
    weights : Weights
        What tells of it.

    Returns
    -------
    candidates : structured array
        Those that are kept.
    notes : list of str
        What a reader of the tables must know.
    """
    record.purposes, record.worth, record.purpose = [], [], ""
    selection, purpose = weights.selection, weights.purpose
    if selection is None:
        return candidates, [weights.note] if weights.note else []
    curve = curve_of(candidates, selection, _scored_by_search(run, record))
    candidates["COMPLETENESS"] = completeness_of(candidates, selection.searches)
    candidates["Q_VALUE"] = curve.q_value
    purposes = purposes_of(curve)
    record.purposes = [
        {key: _known(value) for key, value in asdict(one).items()} for one in purposes
    ]
    record.worth = [
        {"candidates": n + 1, "true": _known(float(curve.expected_true[n])),
         "completeness": _known(float(curve.completeness[n]))}
        for n in np.linspace(0, len(curve) - 1, min(len(curve), N_WORTH)).astype(int).tolist()
    ]  # fmt: skip
    number, error = implied_number(candidates)
    n_kept = len(candidates)
    if purpose.purity is not None or purpose.completeness is not None:
        n_kept = last_rank(curve, purpose.purity, purpose.completeness)
    record.purpose = _in_words(purpose)
    _cut(hits, candidates[n_kept:], record.purpose)
    stand_for = f"{number:.1f} +- {error:.1f}" if np.isfinite(number) else "not known"
    notes = [
        f"the list of candidates: {record.purpose}, {n_kept} of {len(candidates)}",
        f"sources that the candidates stand for, found or not: {stand_for} in "
        f"{record.counts.get('scored', 0)} spectra searched",
        *_limits(candidates, selection),
    ]
    if not n_kept and np.isfinite(curve.q_value).any():
        best = 1 - float(np.nanmin(curve.q_value))
        notes.append(
            f"no candidate has the purity that is asked for: the spectra without a source that "
            f"were evaluated are too few to promise more than {max(best, 0.0):.2f}, or find too "
            "much; evaluate more spectra, or ask for less"
        )
    return candidates[:n_kept], notes


def _limits(candidates: Rows, selection: SelectionFunction) -> Iterator[str]:
    """Tell of which searches the number of false candidates is not known, or only a limit."""
    for name, search in selection.searches.items():
        if name not in candidates["SEARCH"]:
            continue
        if not search.false_hits.n_fair:
            yield (
                f"the evaluation searched nothing that tells how many candidates of search {name} "
                "are false: from the first of them on it is not known"
            )
        elif search.false_hits.hold_sources:
            yield (
                f"of search {name} the number of false candidates is an upper limit: spectra as "
                "they are tell it, true ones among them"
            )


def _in_words(purpose: Purpose) -> str:
    if purpose.purity is not None:
        return f"as many as have an expected purity of {purpose.purity:g}"
    if purpose.completeness is not None:
        return f"as few as have a completeness of {purpose.completeness:g} for bright sources"
    return f"{ALL} that vetting leaves, whatever their purity"


def _known(value: object) -> object:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _cut(hits: Rows, cut: Rows, words: str) -> None:
    """Say of hits that they are beyond the list."""
    keys = ["SEARCH", "FILE", "ROW", "WAVE"]
    beyond = set(map(tuple, cut[keys].tolist()))
    for i in np.flatnonzero(hits["CANDIDATE"]).tolist():
        if tuple(hits[keys][i].tolist()) in beyond:
            hits["CANDIDATE"][i] = False
            hits["REASON"][i] = f"beyond the list: {words}"


def _scored_by_search(run: Path, record: RunRecord) -> dict[str, int]:
    """Count the spectra that each search scored, by the classes that it takes."""
    config = load_config(None, (), record.configuration)
    classes: Counter[str] = Counter()
    for rows in iterate_rows(run / "spectra.fits"):
        classes.update(rows["CLASS"][rows["STATUS"] == "scored"].tolist())
    return {
        name: sum(classes[one] for one in own.selection.classes)
        for name, own in config.each.items()
    }
