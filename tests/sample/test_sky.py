"""The sky pass: of a plate that it cannot read nothing is stored, and nothing is silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speclens.config import Config, load_config
from speclens.errors import SpectrumFileError
from speclens.read.sdss.survey import PLATES
from speclens.read.shards import ReadSettings, Shard, open_shard
from speclens.sample import sky
from speclens.sample.sky import measure_sky
from speclens.schema import SPECTRA
from speclens.spectra import LogGrid
from speclens.stored_tables import read_rows

pytestmark = pytest.mark.usefixtures("no_report")
READING = ReadSettings()
FEW_FIBRES = ("noise.sky_min_fibres=4",)
N_FIBRES = 12


@pytest.fixture
def survey(tmp_path: Path, write_plate: Callable[..., Path]) -> Path:
    """Two plates, in each of which other sky fibres scatter."""
    for plate in (11, 12):
        flux = np.random.default_rng(plate).normal(0, 0.3, (N_FIBRES, 1730))
        flux[:4] += 2.0
        fibres = [
            {"FIBERID": i + 1, "OBJTYPE": "GALAXY" if i < 4 else "SKY"} for i in range(N_FIBRES)
        ]
        write_plate(tmp_path / "in" / str(plate), plate=plate, fibres=fibres, flux=flux)
    return tmp_path / "in"


def growth_of(run: Path) -> list[Path]:
    return list((run / "work").glob("*.sky"))


def failing(kind: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the sky pass, and only it, fail at a plate."""
    of_shard = sky.sky_of_shard

    def meets(shared: tuple[Config, ReadSettings], shard: Shard) -> Any:
        if Path(shard.files[0]).name != name:
            return of_shard(shared, shard)
        if kind == "internal_error":
            with monkeypatch.context() as patch:
                patch.setattr(sky, "good_pixels", None)
                return of_shard(shared, shard)
        return SpectrumFileError(shard.files[0], kind, "stale file handle")

    monkeypatch.setattr("speclens.sample.sky.sky_of_shard", meets)


@pytest.mark.parametrize("kind", ["io_error", "worker_died", "internal_error"])
def test_i2_what_may_pass_is_named_and_leaves_nothing_behind(
    kind: str,
    survey: Path,
    search_few: Callable[..., Any],
    tables_of: Callable[[Path], dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    messages: list[str] = []
    with monkeypatch.context() as patch:
        failing(kind, patch, "spPlate-0012-55240.fits")
        patch.setattr("speclens.run.progress.Silent.message", lambda _, text: messages.append(text))
        summary = search_few(run, survey, overrides=FEW_FIBRES)
    assert set(summary.reasons) >= {kind}
    assert summary.n_failed >= 1
    assert summary.counts["scored"] == 4
    assert growth_of(run) == []
    assert [text for text in messages if "spPlate-0012-55240.fits" in text and kind in text]
    summary = search_few(run, survey, overrides=FEW_FIBRES)
    assert (summary.counts["scored"], summary.n_failed) == (8, 0)
    assert len(growth_of(run)) == 1
    search_few(tmp_path / "clean", survey, overrides=FEW_FIBRES)
    assert tables_of(run) == tables_of(tmp_path / "clean")


def test_a_damaged_plate_is_left_out_and_that_is_stored(
    survey: Path, search_few: Callable[..., Any], tmp_path: Path
) -> None:
    [damaged] = survey.rglob("spPlate-0012*")
    damaged.write_bytes(damaged.read_bytes()[:40_000])
    run = tmp_path / "run"
    summary = search_few(run, survey, overrides=FEW_FIBRES)
    assert summary.reasons["truncated"] > 0
    assert len(growth_of(run)) == 1
    damaged.unlink()
    search_few(tmp_path / "without", survey, overrides=FEW_FIBRES)
    snr = [read_rows(path / "spectra.fits", SPECTRA)["SNR"] for path in (run, tmp_path / "without")]
    np.testing.assert_array_equal(*(values[np.isfinite(values)] for values in snr))


def test_the_growth_is_that_of_the_plates_that_can_be_read(
    survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(None, ["search.method=matched-filter", *FEW_FIBRES])
    shards = [Shard(PLATES, (str(path),)) for path in sorted(survey.rglob("spPlate*"))]
    first, both = (measure_sky(config, READING, part, 1)[0] for part in (shards[:1], shards))
    assert first.max() > 1.2
    assert (first != both).mean() > 0.3
    failing("io_error", monkeypatch, Path(shards[1].files[0]).name)
    growth, lost = measure_sky(config, READING, shards, 1)
    np.testing.assert_array_equal(growth, first)
    assert list(lost) == [shards[1].files[0]]
    grid = LogGrid.covering(*config.preparation.window)
    with (
        pytest.raises(SpectrumFileError, match="io_error"),
        open_shard(shards[1], grid, ReadSettings(lost=lost)),
    ):
        pass
