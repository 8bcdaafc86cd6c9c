"""`speclens sky`: one file from many plates, by which a score is the same in every run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from speclens.cli.app import app
from speclens.config import Config, load_config
from speclens.errors import RunError
from speclens.sample.error_growth import FACTORS, read_growth
from speclens.schema import SPECTRA
from speclens.simulate.mock_survey import make_survey
from speclens.stored_tables import read_rows, read_table
from speclens.verbs.sky import SkyRequest, SkySummary, measure_growth

FEW = ("noise.sky_min_fibres=20", "lines.growth_min_spectra=8", "lines.growth_fraction=1.0")
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two plates over the whole spectrum; not to be changed."""
    folder = tmp_path_factory.mktemp("plates") / "survey"
    config = load_config(
        None,
        ["survey.n_plates=2", "survey.n_fibres=60", "survey.sky_fraction=0.5",
         "survey.quasar_fraction=0.5", "survey.first_pixel_range=[35515, 35540]"],
    )  # fmt: skip
    make_survey(folder, config, 7, 1)
    return folder


def measured(output: Path, *inputs: Path, overrides: tuple[str, ...] = FEW) -> SkySummary:
    return measure_growth(SkyRequest([str(path) for path in inputs], output, None, overrides))


@pytest.fixture(scope="module")
def growth(plates: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SkySummary]:
    path = tmp_path_factory.mktemp("growth") / "sky.fits"
    return path, measured(path, plates)


def test_plates_give_one_file_that_says_what_told_of_it(
    growth: tuple[Path, SkySummary], plates: Path, tmp_path: Path
) -> None:
    path, summary = growth
    assert not summary.lost
    assert set(summary.measured) == set(FACTORS)
    assert all(number >= 8 for number in summary.measured.values())
    read = read_growth(str(path))
    np.testing.assert_array_equal(read.rows, summary.growth.rows)
    for name in FACTORS:
        told = read.rows[f"N_{name}"] > 0
        assert told.any()
        assert read.rows[name][told].max() > 1
        assert (read.rows[name][~told] == 1).all()
    meta = read_table(path).meta
    assert (meta["INPUTS"], meta["N_SHARDS"], meta["N_LOST"]) == ("survey", 2, 0)
    assert (meta["N_SKY"], meta["N_GALAXY"]) == tuple(
        summary.measured[name] for name in ("SKY", "GALAXIES_REST")
    )
    measured(tmp_path / "again.fits", plates)
    again = read_table(tmp_path / "again.fits")
    assert again.meta["SHA256"] == meta["SHA256"]


def test_what_is_too_little_to_tell_stays_as_it_was(
    growth: tuple[Path, SkySummary], plates: Path, tmp_path: Path
) -> None:
    [first, _] = sorted(path for path in plates.rglob("spPlate-*"))
    before = (f'noise.growth="{growth[0]}"', "noise.sky_min_fibres=1000")
    summary = measured(tmp_path / "sky.fits", first, overrides=(*FEW, *before))
    assert summary.measured["SKY"] == 0 < summary.measured["LINES"]
    for name in ("SKY", "N_SKY"):
        np.testing.assert_array_equal(summary.growth.rows[name], growth[1].growth.rows[name])
    assert (summary.growth.rows["LINES"] != growth[1].growth.rows["LINES"]).any()
    with pytest.raises(RunError, match="too few to measure anything: 500 sky fibres"):
        measured(tmp_path / "none.fits", first, overrides=())
    assert not (tmp_path / "none.fits").exists()


def test_files_that_cannot_be_read_are_named_and_those_of_others_stay(
    plates: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "spPlate-1234-55555.fits"
    broken.write_bytes(b"SIMPLE  =")
    arguments = [str(item) for key in FEW for item in ("--set", key)]
    output = tmp_path / "sky.fits"
    command = ["sky", str(plates), str(broken), "-o", str(output), "--workers", "1", *arguments]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 3, result.output
    assert "files left out: 1" in result.output
    assert f"--sky {output}" in result.output
    assert output.exists()
    mine = tmp_path / "mine.txt"
    mine.write_text("notes")
    with pytest.raises(RunError, match=r"mine\.txt: no file of speclens sky"):
        measured(mine, plates)
    assert mine.read_text() == "notes"


@pytest.mark.usefixtures("no_report")
def test_a_score_does_not_depend_on_the_plates_beside_it(
    growth: tuple[Path, SkySummary], plates: Path, tmp_path: Path, search_few: Run
) -> None:
    [first, second] = sorted(path for path in plates.rglob("spPlate-*"))
    scores = {}
    for name, inputs in (("one", [first]), ("both", [first, second])):
        search_few(tmp_path / name, *inputs)
        rows = read_rows(tmp_path / name / "spectra.fits", SPECTRA)
        scores[name] = rows[rows["PLATE"] == rows["PLATE"][0]]
    for column in ("STATUS", "SNR"):
        np.testing.assert_array_equal(scores["one"][column], scores["both"][column])
    assert (scores["one"]["STATUS"] == "scored").sum() > 5
    # The file in use is a part of what a run is.
    override = (f'noise.growth="{growth[0]}"',)
    search_few(tmp_path / "mine", first, overrides=override)
    rows = read_rows(tmp_path / "mine" / "spectra.fits", SPECTRA)
    assert (rows["SNR"] != scores["one"]["SNR"]).any()
    digests = [
        json.loads((tmp_path / name / "run.json").read_text())["sky_sha256"]
        for name in ("one", "mine")
    ]
    assert digests == [read_growth("").digest, growth[1].growth.digest]
    with pytest.raises(RunError, match=r"another setup.*sky: "):
        search_few(tmp_path / "one", first, overrides=override)


def test_another_content_of_the_same_file_is_another_setup(
    growth: tuple[Path, SkySummary], plates: Path, tmp_path: Path, search_few: Run
) -> None:
    [first, _] = sorted(path for path in plates.rglob("spPlate-*"))
    path = tmp_path / "sky.fits"
    path.write_bytes(growth[0].read_bytes())
    override = (f'noise.growth="{path}"',)
    search_few(tmp_path / "run", first, overrides=override)
    read_growth("").write(path, {"CREATOR": "speclens test"})
    with pytest.raises(RunError, match=r"another setup.*sky: "):
        search_few(tmp_path / "run", first, overrides=override)
    path.unlink()
    with pytest.raises(RunError, match="speclens sky PLATES -o FILE"):
        search_few(tmp_path / "other", first, overrides=override)


def test_the_option_names_the_file_from_wherever_a_run_goes_on(config_of: Run) -> None:
    assert Path(config_of("--sky", "mine.fits").noise.growth) == Path.cwd() / "mine.fits"


@pytest.fixture
def config_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """The configuration that options of a search give."""

    def read(*options: str) -> Config:
        asked: list[Any] = []

        def note(request: Any, _: Any) -> None:
            asked.append(request)
            raise RunError("enough")

        monkeypatch.setattr("speclens.verbs.search.search", note)
        CliRunner().invoke(app, ["search", str(tmp_path), "-o", str(tmp_path / "run"), *options])
        config: Config = asked[0].config
        return config

    return read
