"""Injection and recovery: faint lines are lost, bright ones are found, the seed decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from speclens.config import Config, load_config
from speclens.errors import ConfigError, RunError
from speclens.evaluate.evaluation import Evaluation, evaluate, sample_of
from speclens.read.discovery import find_survey_files
from speclens.read.shards import make_shards
from speclens.run.store import ShardStore
from speclens.schema import RECOVERED
from speclens.search.scan import ScanSettings
from speclens.stored_tables import read_table
from speclens.verbs.search import RunSummary

REPEATS = 15


@pytest.fixture(scope="module")
def plate(mock_survey: Path) -> Path:
    return min(mock_survey.glob("*/spPlate-*.fits"))


@pytest.fixture(scope="module")
def result(
    mock_survey: Path, mock_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Evaluation]:
    output = tmp_path_factory.mktemp("evaluation")
    search = mock_config.search.model_copy(update={"method": "matched-filter"})
    config = mock_config.model_copy(update={"search": search})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("speclens.view.figures.draw_completeness", lambda *_: None)
        return output, evaluate([str(mock_survey)], output, config, REPEATS, 7)


def test_the_filter_finds_more_of_what_is_ideally_clearer(
    result: tuple[Path, Evaluation],
) -> None:
    lines = result[1].lines
    seen = lines[lines["SEARCHED"]]
    faint = seen["FOUND"][np.abs(seen["IDEAL_SNR"] - 3) < 0.7]
    bright = seen["FOUND"][seen["IDEAL_SNR"] > 9]
    assert len(faint) > 30
    assert faint.mean() < 0.2
    assert len(bright) > 500
    assert bright.mean() > 0.95
    assert 5 < result[1].numbers["ideal_snr_at_50_percent"] < 8


def test_counts_are_those_of_the_lines(result: tuple[Path, Evaluation]) -> None:
    output, evaluation = result
    lines, numbers, counts = evaluation.lines, evaluation.numbers, evaluation.completeness
    assert len(lines) == numbers["lines"] == REPEATS * numbers["spectra"]
    assert numbers["spectra"] > 50
    seen = lines[lines["SEARCHED"]]
    assert numbers["lines_at_masked_wavelengths"] == len(lines) - len(seen)
    assert numbers["found"] == seen["FOUND"].sum()
    assert counts.n_found.sum() <= numbers["found"]
    assert (counts.n_found <= counts.n_lines).all()
    for name in ("SNR", "WAVE", "FLUX", "FLUX_ERR"):
        np.testing.assert_array_equal(np.isfinite(lines[f"{name}_FOUND"]), lines["FOUND"])
    record = json.loads((output / "completeness.json").read_text())
    assert [entry["lines"] for entry in record["bins"]] == counts.n_lines.tolist()
    assert [entry["found"] for entry in record["bins"]] == counts.n_found.tolist()
    assert record["seed"] == 7
    table = read_table(output / "lines.fits")
    assert table.colnames == [column.name for column in RECOVERED]
    assert len(table) == len(lines) == len(read_table(output / "lines.ecsv"))


def test_lines_found_are_measured_near_the_truth(result: tuple[Path, Evaluation]) -> None:
    lines = result[1].lines
    bright = lines[lines["FOUND"] & (lines["IDEAL_SNR"] > 12)]
    assert len(bright) > 300
    assert np.median(np.abs(bright["WAVE_FOUND"] - bright["WAVE"])) < 2
    assert np.median(bright["FLUX_FOUND"] / bright["FLUX"]) == pytest.approx(1, abs=0.08)
    assert np.median(bright["SNR_FOUND"] / bright["IDEAL_SNR"]) == pytest.approx(0.9, abs=0.15)
    assert abs(result[1].numbers["flux_bias"]) < 0.1


def test_the_ideal_ratios_cover_their_range_evenly(
    result: tuple[Path, Evaluation], mock_config: Config
) -> None:
    lines = result[1].lines
    ideal = lines["IDEAL_SNR"][lines["SEARCHED"]]
    low, high = mock_config.evaluation.ideal_snr_range
    inside = (ideal > low) & (ideal < high)
    assert inside.mean() > 0.97
    assert np.median(ideal[inside]) == pytest.approx((low + high) / 2, rel=0.1)


def test_e2_the_same_seed_gives_the_same_bytes_and_another_gives_others(
    plate: Path, mock_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speclens.view.figures.draw_completeness", lambda *_: None)
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        evaluate([str(plate)], tmp_path / name, mock_config, 1, seed)
    for file in ("lines.fits", "lines.ecsv", "completeness.json"):
        one, two, other = (
            (tmp_path / name / file).read_bytes() for name in ("one", "two", "other")
        )
        assert one == two
        assert one != other


def test_the_figure_is_a_picture(plate: Path, mock_config: Config, tmp_path: Path) -> None:
    evaluate([str(plate)], tmp_path, mock_config, 1, 3)
    assert (tmp_path / "completeness.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_sample_is_what_a_search_scores_and_broken_files_are_passed_over(
    mock_survey: Path, mock_config: Config, reference: tuple[Path, RunSummary], tmp_path: Path
) -> None:
    (tmp_path / "spPlate-0001-00002.fits").write_bytes(b"")
    shards = make_shards(find_survey_files([str(tmp_path), str(mock_survey)]))
    settings = ScanSettings(mock_config, ShardStore(tmp_path, ""))
    failures: list[str] = []
    sample = list(sample_of(settings, shards, failures.append))
    assert len(failures) == 1
    assert "not_fits" in failures[0]
    ids = np.concatenate([batch.targets["TARGETID"] for batch, _, _ in sample])
    z = np.concatenate([z for _, z, _ in sample])
    spectra = read_table(reference[0] / "spectra.fits")
    scored = np.asarray(spectra["STATUS"] == "scored")
    assert sorted(ids.tolist()) == sorted(np.asarray(spectra["TARGETID"])[scored].tolist())
    assert (z > mock_config.selection.z_min).all()


def test_a_network_that_would_see_something_else_is_refused(plate: Path, tmp_path: Path) -> None:
    config = load_config(None, ["preparation.mask_half_width=12"])
    with pytest.raises(ConfigError, match=r"trained with preparation\.mask_half_width = 10"):
        evaluate([str(plate)], tmp_path / "out", config, 1, 1)


def test_inputs_without_a_sample_are_refused(
    tmp_path: Path, mock_config: Config, write_spec: Callable[..., Path]
) -> None:
    spec = write_spec(tmp_path / "spec-1-2-3.fits", class_="STAR")
    with pytest.raises(RunError, match="no spectrum of the sample"):
        evaluate([str(spec)], tmp_path / "out", mock_config, 1, 1)
    # What could not be done binds the folder to nothing.
    write_spec(spec)
    evaluate([str(tmp_path)], tmp_path / "out", mock_config, 1, 1)


def test_i13_spectra_that_cannot_be_searched_are_told_and_counted(
    tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    for fibre, scale in ((1, 1.0), (2, 1e-17)):
        path = write_spec(tmp_path / "in" / f"spec-3655-55240-{fibre:04d}.fits", fiberid=fibre)
        with fits.open(path, mode="update") as hdus:
            hdus[1].data["flux"] *= scale
    config = load_config(None, ["search.method=matched-filter"])
    told: list[str] = []
    result = evaluate([str(tmp_path / "in")], tmp_path / "out", config, 1, 1, told.append)
    assert result.numbers["spectra"] == 1
    assert result.numbers["files_failed"] == 1
    assert len(told) == 1
    assert "-0002.fits: bad_values" in told[0]
