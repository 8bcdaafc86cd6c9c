"""A model whose input is computed in another way than in its training is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from speclens.config import load_config
from speclens.errors import ModelError
from speclens.networks import inputs
from speclens.networks.model import Model
from speclens.networks.model_folder import bundled_models, read_model
from speclens.sample import damage, foreground, noise, preparation
from speclens.search import input_record, matched_filter
from speclens.search.input_record import check_inputs, check_record, record_inputs

Patch = pytest.MonkeyPatch


def said_of(model: Model) -> list[str]:
    said: list[str] = []
    check_record(model, "", said.append)
    return said


def off_by_a_pixel(mask: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: np.roll(mask(*arguments), 1, axis=1)


def a_little_larger(growth: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: 1.05 * growth(*arguments)


CHANGES: dict[str, Callable[[Patch], None]] = {
    "clip": lambda patch: patch.setattr(inputs, "LIMIT", 19.0),
    "noise": lambda patch: patch.setattr(
        inputs, "_relative", lambda values: values / values.max(axis=1, keepdims=True)
    ),
    "masked lines": lambda patch: patch.setattr(
        preparation, "line_mask", off_by_a_pixel(preparation.line_mask)
    ),
    "errors": lambda patch: patch.setattr(
        preparation, "error_growth", a_little_larger(noise.error_growth)
    ),
    "damage": lambda patch: patch.setattr(
        damage.DamagedPixels, "__call__", lambda _, residual, *__: np.zeros(residual.shape, bool)
    ),
    "neighbours of damage": lambda patch: patch.setattr(damage, "MIN_NEIGHBOURS", 7),
    "foreground": lambda patch: patch.setattr(
        foreground, "RIDGE", {np.float32: 1e-2, np.float64: 1e-2}
    ),
    "filter": lambda patch: patch.setattr(
        matched_filter, "gaussian_pixels", lambda offset, sigma: np.exp(-np.abs(offset / sigma))
    ),
}


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_models_see_what_they_saw(name: str) -> None:
    assert said_of(read_model(name)) == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_f3_a_change_of_the_code_is_seen_without_a_new_version(
    monkeypatch: Patch, change: Callable[[Patch], None]
) -> None:
    change(monkeypatch)
    with pytest.raises(ModelError, match=r"input differs by .* above 0\.01"):
        said_of(read_model("speclens"))


@pytest.mark.parametrize(("size", "outcome"), [(5e-5, "same"), (1e-3, "said"), (3e-2, "refused")])
def test_f3_a_small_difference_is_said(size: float, outcome: str) -> None:
    model = read_model("li2019")
    assert model.record is not None
    shifted = model.record.inputs.copy()
    shifted[1, 0] += size * (1 + np.abs(shifted[1, 0]))
    changed = replace(model, record=replace(model.record, inputs=shifted))
    if outcome == "refused":
        with pytest.raises(ModelError, match="above"):
            said_of(changed)
    else:
        assert len(said_of(changed)) == (outcome == "said")


def test_a_model_of_another_version_or_without_a_record_is_refused() -> None:
    model = read_model("speclens")
    assert model.record is not None
    other = replace(model.record, version=inputs.INPUT_VERSION + 1)
    with pytest.raises(ModelError, match="version"):
        said_of(replace(model, record=other))
    with pytest.raises(ModelError, match="no record"):
        said_of(replace(model, record=None))
    unknown = {**model.record.sections, "preparation": {"flattening": 3.0}}
    with pytest.raises(ModelError, match="flattening"):
        said_of(replace(model, record=replace(model.record, sections=unknown)))


def test_the_spectra_show_all_that_happens_to_pixels() -> None:
    record = record_inputs(load_config(), ("residual", "snr", "noise", "foreground"))
    assert np.isnan(record.flux).any(axis=1).all()
    assert (record.ivar == 0).any(axis=1).all()
    assert record.mask.any(axis=1).all()
    masked = record.inputs[:, 2] == 0
    assert (masked.mean(axis=1) > 1 - foreground.SPARSE_FRACTION).all()
    assert (np.abs(record.inputs) == inputs.LIMIT).any()
    assert np.isfinite(record.inputs).all()


def test_the_same_configuration_gives_the_same_record() -> None:
    one, two = (record_inputs(load_config("li2019"), ("flux",)) for _ in range(2))
    for name in ("flux", "ivar", "mask", "dispersion", "z", "inputs"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.sections == two.sections


@pytest.mark.parametrize("window", ["[3800.0, 3950.0]", "[9000.0, 9500.0]"])
def test_any_window_can_be_recorded(window: str) -> None:
    config = load_config(None, [f"preparation.window={window}"])
    assert np.isfinite(record_inputs(config, ("residual", "noise")).inputs).all()


def test_a_search_checks_its_network(monkeypatch: Patch) -> None:
    monkeypatch.setattr(input_record, "REFUSED", -1.0)
    with pytest.raises(ModelError, match="input differs"):
        check_inputs(load_config(), lambda _: None)
    check_inputs(load_config("shu2016"), lambda _: None)  # which asks no network
