"""The sky fibres of plates: what they say of the errors, and which plates say nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speclens.config import Config, load_config
from speclens.read.sdss.survey import PLATES
from speclens.read.shards import ReadSettings, Shard
from speclens.sample import sky
from speclens.sample.sky import measure_sky

READING = ReadSettings()
N_FIBRES = 12


@pytest.fixture
def config() -> Config:
    return load_config(None, ["noise.sky_min_fibres=4"])


@pytest.fixture
def shards(tmp_path: Path, write_plate: Callable[..., Path]) -> list[Shard]:
    """Two plates, in each of which other sky fibres scatter."""
    for plate in (11, 12):
        flux = np.random.default_rng(plate).normal(0, 0.3, (N_FIBRES, 1730))
        flux[:4] += 2.0
        fibres = [
            {"FIBERID": i + 1, "OBJTYPE": "GALAXY" if i < 4 else "SKY"} for i in range(N_FIBRES)
        ]
        write_plate(tmp_path / "in" / str(plate), plate=plate, fibres=fibres, flux=flux)
    return [Shard(PLATES, (str(path),)) for path in sorted((tmp_path / "in").rglob("spPlate*"))]


def test_all_plates_tell_how_the_errors_grow(config: Config, shards: list[Shard]) -> None:
    first, n_first, lost = measure_sky(config, READING, shards[:1], 1)
    both, n_both, _ = measure_sky(config, READING, shards, 1)
    assert not lost
    assert (n_first.max(), n_both.max()) == (8, 16)
    assert first.max() > 1.2
    assert (first != both).mean() > 0.3
    for one, other in zip(measure_sky(config, READING, shards, 1)[:2], (both, n_both), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("fault", ["truncated", "internal_error"])
def test_a_plate_that_cannot_be_read_is_left_out_and_named(
    fault: str, config: Config, shards: list[Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _, _ = measure_sky(config, READING, shards[:1], 1)
    path = Path(shards[1].files[0])
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:40_000])
    else:
        of_fibres, calls = sky.SkyStatistics.of_fibres, []

        def fails_at_the_second(*arguments: object) -> object:
            calls.append(1)
            if len(calls) == 2:
                raise ValueError("a fault of ours")
            return of_fibres(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(sky.SkyStatistics, "of_fibres", fails_at_the_second)
    growth, _, lost = measure_sky(config, READING, shards, 1)
    np.testing.assert_array_equal(growth, expected)
    assert {file: error.reason for file, error in lost.items()} == {str(path): fault}
