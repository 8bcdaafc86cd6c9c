"""A model knows what its scores depend on, and refuses what it was not trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speclens.config import load_config
from speclens.errors import ConfigError, ModelError, RunError
from speclens.networks.architecture import Architecture, weight_shapes
from speclens.networks.model import Calibration, Model, check_preparation, seen_sections
from speclens.spectra import LogGrid

WINDOW = "preparation.window=[3800.0, 3950.0]"


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Model]) -> Model:
    return make_model()


@pytest.mark.parametrize("n_channels", [1, 4, 8])
@pytest.mark.parametrize("widths", [(8, 8, 16, 16, 32, 32, 64, 64), (4, 8, 8, 8), (5,) * 6])
def test_the_shapes_of_the_weights_are_those_of_the_network(
    n_channels: int, widths: tuple[int, ...]
) -> None:
    network = pytest.importorskip("speclens.networks.layers")
    architecture = Architecture("resnet", n_channels, 1192, widths, 0.2)
    built = network.build(architecture)
    state = {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
    kept = {name: shape for name, shape in state.items() if "num_batches" not in name}
    assert weight_shapes(architecture) == kept


def test_there_are_as_many_places_as_the_network_gives(make_model: Callable[..., Model]) -> None:
    for last in (3950.0, 3951.0, 3955.0, 3959.0):  # the poolings drop pixels of odd lengths
        made = make_model(overrides=[f"preparation.window=[3800.0, {last}]"])
        assert made.probe.place.shape[1] == made.n_places


def test_the_probability_is_the_logistic_function_of_the_calibrated_logit(model: Model) -> None:
    made = replace(model, calibration=Calibration(0.5, -1.0))
    logit = np.array([-3.0, 0.0, 2.0, 40.0], np.float32)
    expected = 1 / (1 + np.exp(1 - 0.5 * logit.astype(np.float64)))
    np.testing.assert_allclose(made.probability(logit), expected, 1e-12)


def test_no_logit_is_too_large_and_nan_stays_nan(model: Model) -> None:
    made = replace(model, calibration=Calibration(2.0, 0.0))
    found = made.probability(np.array([-1e30, -100, 1e30, np.nan], np.float32))
    assert found[0] == 0
    assert found[2] == 1
    assert found[1] == pytest.approx(np.exp(-200.0))  # the order of small ones is kept
    assert np.isnan(found[3])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"grid": LogGrid(35798, 164)}, "its grid is"),
        ({"inputs": ("flux",)}, "blocks.0.shortcut.bias is missing, 2 arrays"),
        ({"widths": (4, 4, 8, 8, 8, 8, 8, 8)}, "blocks.6.shortcut.bias has no place"),
        ({"widths": (4, 4, 8)}, "do not fit 3 blocks"),
        ({"widths": (4, 4, 8, 8) * 3}, "do not fit 12 blocks"),
        ({"widths": (4, 4, 8, 8)}, "blocks.4.convolutions.0.weight has no place"),
        ({"widths": (4, 4, 8, 8, 8, 8, 12)}, "blocks.7"),
    ],
)
def test_f2_parts_that_contradict_each_other_are_no_model(
    model: Model, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(ModelError, match=text.replace(".", r"\.")):
        replace(model, **change)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["probability.bias", "blocks.3.norms.1.running_mean"])
def test_f2_a_weight_that_is_not_finite_is_refused(model: Model, name: str, value: float) -> None:
    broken = model.weights[name].copy()
    broken[0] = value
    with pytest.raises(ModelError, match=rf"{name} holds NaN or infinite"):
        replace(model, weights={**model.weights, name: broken})


def test_f2_a_negative_variance_is_refused(model: Model) -> None:
    name = "blocks.0.norms.0.running_var"
    with pytest.raises(ModelError, match="negative variance"):
        replace(model, weights={**model.weights, name: -model.weights[name]})


@pytest.mark.parametrize("window", [None, [3800.0], [3950.0, 3800.0], "3800 3950", [0.0, 3950.0]])
def test_f2_a_window_that_is_none_is_refused(model: Model, window: object) -> None:
    preparation = {**model.sections["preparation"], "window": window}
    with pytest.raises(ModelError, match="window"):
        replace(model, sections={**model.sections, "preparation": preparation})


@pytest.mark.parametrize("name", ["input", "logit", "place"])
def test_f2_a_probe_of_other_shapes_is_refused(model: Model, name: str) -> None:
    cut = replace(model.probe, **{name: getattr(model.probe, name)[..., :-1]})
    with pytest.raises(ModelError, match="probe: "):
        replace(model, probe=cut)


def test_f2_an_empty_probe_is_refused(model: Model) -> None:
    probe = model.probe
    with pytest.raises(ModelError, match="probe: it is empty"):
        replace(model, probe=replace(probe, input=probe.input[:0], logit=probe.logit[:0]))


def test_what_the_network_sees_is_json_of_four_sections() -> None:
    sections = seen_sections(load_config())
    assert list(sections) == ["preparation", "foreground", "noise", "matched_filter"]
    assert sections["preparation"]["window"] == [3800.0, 5000.0]
    assert all(sections.values())


def test_a_run_that_prepares_as_the_training_did_passes(model: Model) -> None:
    check_preparation(model, load_config(None, [WINDOW]))


@pytest.mark.parametrize(
    "override",
    [
        "matched_filter.snr_min=5.0",
        "matched_filter.max_hits=9",
        "preparation.poor_fraction=0.5",
        "selection.z_min=0.1",
        "search.probability_min=0.9",
    ],
)
def test_what_only_chooses_hits_may_differ(model: Model, override: str) -> None:
    check_preparation(model, load_config(None, [WINDOW, override]))


@pytest.mark.parametrize(
    ("override", "texts"),
    [
        ("preparation.window=[3800.0, 5000.0]", ["preparation.window", "3950.0]", "5000.0]"]),
        ("preparation.mask_half_width=8", ["preparation.mask_half_width", "10", "8"]),
        ("preparation.lens_lines=[3728.48]", ["preparation.lens_lines", "3869.86", "[3728.48]"]),
        ("foreground.n_components=4", ["foreground.n_components", "6", "4"]),
        ("noise.quantile_divisor=3.0", ["noise.quantile_divisor", "4.0", "3.0"]),
        ("matched_filter.half_width=7", ["matched_filter.half_width", "10", "7"]),
    ],
)
def test_another_preparation_is_refused_with_the_key_both_values_and_the_remedy(
    model: Model, override: str, texts: Sequence[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_preparation(model, load_config(None, [WINDOW, override]))
    for text in [*texts, "made", "train a model", "--method matched-filter"]:
        assert text in str(caught.value)


def test_several_differences_are_counted(model: Model) -> None:
    with pytest.raises(ConfigError, match=r"\(2 more keys differ\)"):
        check_preparation(
            model,
            load_config(
                None,
                [WINDOW, "foreground.n_components=4", "foreground.n_polynomial=2",
                 "noise.quantile_divisor=2.0"],
            ),
        )  # fmt: skip


def test_a_key_that_the_training_did_not_know_is_a_difference(model: Model) -> None:
    noise = dict(model.sections["noise"])
    del noise["quantile_divisor"]
    older = replace(model, sections={**model.sections, "noise": noise})
    with pytest.raises(ConfigError, match=r"noise\.quantile_divisor = None"):
        check_preparation(older, load_config(None, [WINDOW]))


def test_the_filter_matters_only_to_a_network_that_sees_its_ratio(
    make_model: Callable[..., Model],
) -> None:
    config = load_config(None, [WINDOW, "matched_filter.half_width=7"])
    check_preparation(make_model(inputs=("flux",)), config)


def test_templates_are_the_same_by_content_not_by_name(model: Model, tmp_path: Path) -> None:
    with as_file(files("speclens") / "data" / "eigenspectra.fits") as bundled:
        shutil.copy(bundled, tmp_path / "same.fits")
    same = load_config(None, [WINDOW, f"foreground.templates={tmp_path / 'same.fits'}"])
    check_preparation(model, same)
    (tmp_path / "other.fits").write_bytes(b"other")
    other = load_config(None, [WINDOW, f"foreground.templates={tmp_path / 'other.fits'}"])
    with pytest.raises(ConfigError, match=r"foreground\.templates = 'sha256:"):
        check_preparation(model, other)


def test_missing_templates_are_named() -> None:
    with pytest.raises(RunError, match=r"nowhere\.fits: No such file"):
        seen_sections(load_config(None, ["foreground.templates=nowhere.fits"]))
