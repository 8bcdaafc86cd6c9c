"""What the tools measure of real errors, put into mock spectra, comes back."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from speclens.config import load_config
from speclens.simulate.fibres import Fibres
from speclens.simulate.noise_model import NoiseModel
from speclens.simulate.sky import draw_noise

TOOLS = Path(__file__).parents[2] / "tools"
QUIET = dict.fromkeys(
    ("sky_line_rms", "sky_line_common_rms", "error_ratio_scatter", "error_ratio_plate_scatter",
     "error_ratio_jitter", "error_jitter", "error_of_counts", "low_order_rms", "spike_rate",
     "bad_run_rate"),
    0.0,
)  # fmt: skip


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """Modules of the folder of tools."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import boss_spectra
    import real_errors

    return boss_spectra, real_errors


@pytest.mark.parametrize("numbers", [np.arange(1, 99), np.arange(1, 1001, 11)])
def test_errors_and_what_fibres_share_come_back_from_any_place_on_the_slit(
    tools: tuple[ModuleType, ModuleType], numbers: np.ndarray
) -> None:
    boss_spectra, real_errors = tools
    model = NoiseModel.bundled().on(boss_spectra.GRID)
    n = len(numbers)
    fibres = Fibres.of_plate(numbers, np.zeros(n, bool))
    rates = load_config().survey.noise.model_copy(update=QUIET)
    flux = np.zeros((n, model.grid.n_pixels))
    plate = draw_noise(flux, model, rates, np.random.default_rng(8), fibres)
    columns = {"flux": plate.flux, "ivar": plate.ivar, "model": flux}
    spectra = boss_spectra.Spectra(
        {name: np.asarray(value, float) for name, value in columns.items()},
        np.full(n, 3650), np.full(n, 900.0), np.zeros(n), numbers,
    )  # fmt: skip
    usable = np.isfinite(spectra.residual).all(axis=0)
    own, shared = real_errors.error_ratios(spectra, usable)
    assert np.sqrt(np.mean(own**2)) == pytest.approx(
        np.sqrt(np.mean(model.error_ratio**2)), rel=0.03
    )
    expected = np.sqrt(np.mean(model.common_ratio**2))
    assert np.sqrt(np.mean(shared**2)) == pytest.approx(expected, rel=0.2)
