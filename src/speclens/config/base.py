"""What all sections of the configuration share: strict numbers, and a section that refuses more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from speclens.lines import REST_LINES

__all__ = [
    "Count", "Decides", "Fraction", "Interval", "LineName", "NotNegative", "Number", "Pair",
    "Positive", "Section", "Share", "Stage", "Unseen", "Wave",
]  # fmt: skip

Stage = Literal[
    "survey", "training set", "training", "network", "redshifts", "search", "evidence", "vetting",
    "pages", "evaluation", "comparison",
]  # fmt: skip
"""What a key can decide: the mock survey, the labelled spectra, the weights, what a network sees,
what a network of redshifts sees beside that, the rows of spectra and hits, what is read again of
the hits, flags and candidates, the report, the completeness, and searches side by side."""

Number = Annotated[float, Field(strict=True)]
Positive = Annotated[float, Field(strict=True, gt=0)]
NotNegative = Annotated[float, Field(strict=True, ge=0)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]


def ordered(pair: tuple[float, float]) -> tuple[float, float]:
    """Refuse a pair whose first number is above the second.

    Parameters
    ----------
    pair : tuple of float
        Two numbers.

    Returns
    -------
    tuple of float
        The same.

    Raises
    ------
    ValueError
        If they are not in order.
    """
    if pair[0] > pair[1]:
        raise ValueError("the first number must not be above the second")
    return pair


def known_line(name: str) -> str:
    """Refuse a name that no line has.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ValueError
        If there is no such line.
    """
    if name not in REST_LINES:
        raise ValueError(f"no such line; known: {', '.join(REST_LINES)}")
    return name


def wave_of(value: object) -> object:
    """Return the wavelength of a line that is named.

    Parameters
    ----------
    value : object
        The name of a line at rest, or a wavelength.

    Returns
    -------
    object
        Vacuum wavelength, Angstrom; anything but a name as it is.

    Raises
    ------
    ValueError
        If there is no such line.
    """
    if not isinstance(value, str):
        return value
    return REST_LINES[known_line(value)].wave


LineName = Annotated[str, AfterValidator(known_line)]
Wave = Annotated[float, BeforeValidator(wave_of), Field(strict=True, gt=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Pair = tuple[Positive, Positive]
Interval = Annotated[Pair, AfterValidator(ordered)]


@dataclass(frozen=True)
class Decides:
    """What a key decides, where that is not what its section does.

    Parameters
    ----------
    also, but_not : tuple of str
        Names of `Stage`.
    """

    also: tuple[Stage, ...] = ()
    but_not: tuple[Stage, ...] = ()


Unseen = Decides(but_not=("network",))
"""Of keys that mark or choose hits, and of those of the sky's errors, which every survey's own
fibres decide anew: a network meets them for the first time in a search. A damaged pixel that is
masked is one masked pixel more, of which training has many."""


class Section(BaseModel):
    """A section of the configuration: its keys are all there, and no others.

    Attributes
    ----------
    decides : tuple of str
        What its keys decide, `Stage`, unless they say otherwise by `Decides`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    decides: ClassVar[tuple[Stage, ...]] = ()

    @classmethod
    def keys_deciding(cls, stage: Stage) -> list[str]:
        """Return the keys that decide a stage.

        Parameters
        ----------
        stage : str
            The stage.

        Returns
        -------
        list of str
            Names, in the order of the section.
        """
        own = {
            name: next((mark for mark in key.metadata if isinstance(mark, Decides)), Decides())
            for name, key in cls.model_fields.items()
        }
        return [
            name
            for name, mark in own.items()
            if stage in {*cls.decides, *mark.also} - {*mark.but_not}
        ]
