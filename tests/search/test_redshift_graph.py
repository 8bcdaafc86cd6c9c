"""OpenVINO's twin of the network of redshifts computes what torch computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from speclens.networks.model import Model
from speclens.search.engine import OpenVinoEngine, TorchEngine

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("widths", "window", "kinds"),
    [
        ((8, 16, 32, 32, 32), (3600.0, 9200.0), ("elg", "lya")),
        ((3, 5, 5), (3800.0, 6001.0), ("elg", "lya")),
        ((4, 4, 8, 8, 8, 8), (5000.0, 7003.0), ("elg",)),
    ],
)
def test_openvino_computes_what_torch_computes(
    redshift_model: Callable[..., Model],
    widths: tuple[int, ...],
    window: tuple[float, float],
    kinds: tuple[str, ...],
) -> None:
    model = redshift_model(widths, 1, [f"preparation.window=[{window[0]}, {window[1]}]"], kinds)
    for array in model.weights.values():
        array *= 1.5  # so that maps are not flat
    rng = np.random.default_rng(3)
    spectra = rng.normal(0, 3, (11, len(model.inputs), model.grid.n_pixels)).astype(np.float32)
    found = OpenVinoEngine(model, "float32", 1)(spectra)
    expected = TorchEngine(model, "cpu", pytest.fail)(spectra)
    assert found.place.shape == (11, sum(bins.n_bins for bins in model.sources))
    assert np.ptp(expected.place) > 0.05
    np.testing.assert_allclose(found.place, expected.place, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.logit, expected.logit, rtol=1e-4, atol=1e-4)
    spectra[4, 1, 17] = np.nan
    again = OpenVinoEngine(model, "float32", 2)(spectra)
    assert np.isnan(again.place[4]).all()
    np.testing.assert_allclose(
        np.delete(again.place, 4, 0), np.delete(found.place, 4, 0), atol=1e-6
    )
