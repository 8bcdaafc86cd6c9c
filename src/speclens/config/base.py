"""What all sections of the configuration share: strict numbers, and a section that refuses more."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from speclens.lines import REST_LINES

__all__ = ["Fraction", "Interval", "NotNegative", "Number", "Pair", "Positive", "Section", "Wave"]

Number = Annotated[float, Field(strict=True)]
Positive = Annotated[float, Field(strict=True, gt=0)]
NotNegative = Annotated[float, Field(strict=True, ge=0)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]


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
    if value not in REST_LINES:
        raise ValueError(f"no such line; known: {', '.join(REST_LINES)}")
    return REST_LINES[value].wave


Wave = Annotated[float, BeforeValidator(wave_of), Field(strict=True, gt=0)]
Pair = tuple[Positive, Positive]
Interval = Annotated[Pair, AfterValidator(ordered)]


class Section(BaseModel):
    """A section of the configuration: its keys are all there, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
