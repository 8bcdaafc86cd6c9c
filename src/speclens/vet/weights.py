"""The weights of P_LYA: read once, and checked for sense.

In: `data/vetting/probability.json`, written by `tools/calibrate_vetting.py`. Out: a weight for each
feature, by method. What the features are, `speclens.vet.probability` says.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from speclens.errors import ModelError

__all__ = ["AGAINST", "bundled_weights", "checked_weights"]

AGAINST = ("oii_lines", "other_lines", "oii_doublet", "spike")
"""Features that speak for another line: they can only lower the odds."""

LARGEST = 50.0
"""Features are of order one: a larger weight would make every probability 0 or 1."""

Weights = Mapping[str, Mapping[str, float]]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, strict=True)

    weights: dict[str, dict[str, float]] = Field(min_length=1)


@cache
def bundled_weights(features: tuple[str, ...]) -> Weights:
    """Return the weights that come with the package.

    Parameters
    ----------
    features : tuple of str
        The features that `speclens.vet.probability` computes.

    Returns
    -------
    mapping of str to mapping of str to float
        Weight of each feature, by method.

    Raises
    ------
    ModelError
        If the file is damaged, or makes no sense.
    """
    text = (files("speclens") / "data" / "vetting" / "probability.json").read_text(encoding="utf-8")
    return checked_weights(text, features)


def checked_weights(text: str, features: Collection[str]) -> Weights:
    """Read weights, and refuse those that make no sense.

    Parameters
    ----------
    text : str
        A JSON document with `weights`: method, feature, weight.
    features : collection of str
        The features that there are.

    Returns
    -------
    mapping of str to mapping of str to float
        Weight of each feature, by method.

    Raises
    ------
    ModelError
        If a number is missing or not finite, has no feature, or if evidence for another line would
        make Lyman alpha likelier.
    """
    try:
        weights = _Document.model_validate(json.loads(text)).weights
    except (ValueError, ValidationError, RecursionError) as error:
        raise _refused(str(error).replace("\n", " ")[:200]) from error
    for method, of_method in weights.items():
        for name, weight in of_method.items():
            if name not in features:
                raise _refused(f"{method}: there is no feature {name!r}")
            if abs(weight) > LARGEST:
                raise _refused(f"{method}: the weight of {name!r}, {weight}, is beyond {LARGEST}")
            if name in AGAINST and weight > 0:
                raise _refused(f"{method}: evidence against, {name!r}, has a weight above 0")
    return weights


def _refused(why: str) -> ModelError:
    return ModelError(
        f"data/vetting/probability.json: {why}; install speclens again, or run "
        "tools/calibrate_vetting.py"
    )
