"""Hypotheses: what the line of a hit may be, and what would be seen with it.

In: `data/hypotheses.toml`, `data/galaxy_lines.toml`. Out: `Hypothesis`, one record a line, and
`LineGroup`, the lines of a star-forming galaxy. Simulation, vetting, pages and
docs take their lines from here; which hypothesis a hit fits is left to `speclens.vet`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from speclens.lines import REST_LINES

__all__ = [
    "GALAXY_LINES", "HYPOTHESES", "LYA", "OII", "SOURCES", "Companion", "Hypothesis", "LineGroup",
    "line_code", "others", "read_hypotheses",
]  # fmt: skip


@dataclass(frozen=True)
class Companion:
    """A line that comes with another one.

    Parameters
    ----------
    name : str
        Its name, of `speclens.lines.REST_LINES`.
    ratio : float
        Median of its flux over that of the line found.
    scatter : float
        Scatter of that ratio, natural logarithm.
    """

    name: str
    ratio: float
    scatter: float

    @property
    def wave(self) -> float:
        """Vacuum wavelength at rest, Angstrom."""
        return REST_LINES[self.name].wave


@dataclass(frozen=True)
class Hypothesis:
    """What a line may be.

    Parameters
    ----------
    name : str
        Name of the line, of `speclens.lines.REST_LINES` unless it is a doublet.
    companions : tuple of Companion
        Other lines of the same source.
    members : tuple of str
        Lines of a doublet that is found as one, blue before red; empty for a single line.
    ratios : tuple of float
        Flux ratios of the doublet that are tried, red over blue.
    """

    name: str
    companions: tuple[Companion, ...] = ()
    members: tuple[str, ...] = ()
    ratios: tuple[float, ...] = ()

    @property
    def member_waves(self) -> tuple[float, ...]:
        """Vacuum wavelengths of the doublet at rest, Angstrom."""
        return tuple(REST_LINES[name].wave for name in self.members)

    @property
    def wave(self) -> float:
        """Vacuum wavelength at rest, Angstrom: of a doublet the middle, on a logarithmic scale."""
        if not self.members:
            return REST_LINES[self.name].wave
        return float(np.sqrt(np.prod(self.member_waves)))


def read_hypotheses(text: str) -> dict[str, Hypothesis]:
    """Read hypotheses.

    Parameters
    ----------
    text : str
        TOML, as in `data/hypotheses.toml`.

    Returns
    -------
    dict of str to Hypothesis
        By name.

    Raises
    ------
    KeyError
        If a line is not in `data/lines.toml`.
    TypeError
        If a record has a key that it should not have.
    """
    return {name: _hypothesis(name, **record) for name, record in tomllib.loads(text).items()}


def _hypothesis(
    name: str, companions: Sequence[Mapping[str, Any]] = (), **record: Sequence[Any]
) -> Hypothesis:
    lines = tuple(Companion(**companion) for companion in companions)
    made = Hypothesis(name, lines, **{key: tuple(values) for key, values in record.items()})
    for line in (*(made.members or [name]), *(companion.name for companion in lines)):
        REST_LINES[line]
    return made


@dataclass(frozen=True)
class LineGroup:
    """Emission lines of a star-forming galaxy that have one flux.

    Parameters
    ----------
    name : str
        What it is called.
    lines : tuple of (str, float)
        Names of the lines, of `speclens.lines.REST_LINES`, and the share of each in the flux.
    ratio : float
        Median of the flux over that of H beta.
    scatter : float
        Scatter of that ratio, natural logarithm.
    """

    name: str
    lines: tuple[tuple[str, float], ...]
    ratio: float
    scatter: float

    @property
    def waves(self) -> tuple[float, ...]:
        """Vacuum wavelengths of its lines at rest, Angstrom."""
        return tuple(REST_LINES[name].wave for name, _ in self.lines)


def _data(name: str) -> str:
    return (files("speclens") / "data" / name).read_text(encoding="utf-8")


HYPOTHESES = read_hypotheses(_data("hypotheses.toml"))
"""All of them, by name."""

LYA, OII = HYPOTHESES["Ly alpha"], HYPOTHESES["[O II]"]
"""What a search looks for, and what is most easily taken for it."""


GALAXY_LINES = tuple(
    LineGroup(name, tuple(record["lines"].items()), record["ratio"], record["scatter"])
    for name, record in tomllib.loads(_data("galaxy_lines.toml")).items()
)
"""What a star-forming galaxy shows."""


SOURCES: Mapping[str, tuple[LineGroup, ...]] = {
    "elg": GALAXY_LINES,
    "lya": (LineGroup(LYA.name, ((LYA.name, 1.0),), 1.0, 0.0),),
}
"""What the kinds of sources show that `search.sources` asks for."""


def line_code(name: str) -> str:
    """Return what a line goes by in the tables of hits.

    Parameters
    ----------
    name : str
        Its name, or that of its group.

    Returns
    -------
    str
        `lya` for Lyman alpha, `oii`, `hbeta` and so on.
    """
    if name == LYA.name:
        return "lya"
    return "".join(letter for letter in name.lower() if letter.isalnum())[:8]


def others() -> Sequence[Hypothesis]:
    """Return the hypotheses beside Lyman alpha and [O II], of which one column tells the best."""
    return [made for made in HYPOTHESES.values() if made not in (LYA, OII)]
