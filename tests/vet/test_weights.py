"""Weights of P_LYA that make no sense are refused where they are read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from speclens.errors import ModelError
from speclens.schema import HITS, dtype_of
from speclens.vet.probability import features_of
from speclens.vet.weights import AGAINST, bundled_weights, checked_weights

FEATURES = tuple(features_of(np.zeros(0, dtype_of(HITS, FILE=1))))


def written(**changes: Any) -> str:
    weights = {"resnet": {"always": -2.0, "skewness": 0.5, "spike": -0.1, **changes}}
    return json.dumps({"weights": weights})


def test_sensible_weights_are_read() -> None:
    found = checked_weights(written(), FEATURES)
    assert found == {"resnet": {"always": -2.0, "skewness": 0.5, "spike": -0.1}}


def test_the_bundled_weights_are_those_of_both_searches() -> None:
    weights = bundled_weights(FEATURES)
    assert set(weights) == {"resnet", "matched-filter"}
    for of_method in weights.values():
        assert set(of_method) <= set(FEATURES)
        assert all(of_method[name] <= 0 for name in AGAINST)
        assert of_method["skewness"] > 0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (written(skewness=float("nan")), "skewness"),
        (written(skewness=float("inf")), "skewness"),
        (written(skewness="0.5"), "skewness"),
        (written(skewness=None), "skewness"),
        (written(skewness=1e6), "skewness"),
        (written(skewnes=0.5), "skewnes"),
        (written(spike=0.1), "spike"),
        ("{}", "weights"),
        ('{"weights": {}}', "weights"),
        ('{"weights": 3}', "weights"),
        ("[", "probability.json"),
        ("[" * 100_000, "probability.json"),
    ],
)
def test_weights_without_sense_are_refused(text: str, named: str) -> None:
    with pytest.raises(ModelError, match=named):
        checked_weights(text, FEATURES)
