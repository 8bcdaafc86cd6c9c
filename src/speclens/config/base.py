"""What all sections of the configuration share: strict numbers, and a section that refuses more."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["Fraction", "Interval", "NotNegative", "Number", "Pair", "Positive", "Section"]

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


Pair = tuple[Positive, Positive]
Interval = Annotated[Pair, AfterValidator(ordered)]


class Section(BaseModel):
    """A section of the configuration: its keys are all there, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
