"""What is compared is named, each search looks for what is put in, and thresholds are moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from speclens.errors import ConfigError, RunError
from speclens.evaluate.entries import common_window, entries_of


def test_names_are_methods_configurations_files_and_models(tmp_path: Path) -> None:
    mine, model = tmp_path / "mine.toml", tmp_path / "net"
    mine.write_text("[matched_filter]\nsnr_min = 7.5\n")
    model.mkdir()
    (model / "model.json").write_text("{}")
    names = ["resnet", " shu2016", "matched-filter", str(mine), str(model), "resnet", ""]
    entries = entries_of(names, "lya", overrides=["evaluation.bright_snr=9.5"])
    assert [one.name for one in entries] == ["resnet", "shu2016", "matched-filter", "mine", "net"]
    methods = [one.config.search.method for one in entries]
    assert methods == ["resnet", "matched-filter", "matched-filter", "resnet", "resnet"]
    assert entries[3].config.matched_filter.snr_min == 7.5
    assert entries[4].config.search.model == str(model)
    assert {one.config.evaluation.bright_snr for one in entries} == {9.5}
    assert common_window(entries) == (3800.0, 4800.0)


def test_the_search_of_lines_is_that_for_what_is_put_in() -> None:
    [of_lya], [of_elg] = (entries_of(["lines"], source) for source in ("lya", "elg"))
    assert of_lya.config.search.sources == ("lya",)
    assert of_elg.config.search.sources == ("elg",)
    assert of_elg.config.preparation.window == (3600.0, 9800.0)


def test_all_thresholds_are_moved_so_that_more_is_told() -> None:
    for entry in entries_of(["lines", "bells", "redshift"], "elg"):
        for step in entry.steps[1:]:
            assert step != entry.config
    [bells] = entries_of(["bells"], "elg")
    assert [step.thresholds.first_snr for step in bells.steps] == pytest.approx(
        [3.0, 3.9, 2.55, 2.1]
    )
    [resnet, bank] = entries_of(["resnet", "matched-filter"], "lya")
    assert resnet.steps[1].search.probability_min < 1e-3
    assert bank.steps[1].matched_filter.snr_min < bank.config.matched_filter.snr_min


@pytest.mark.parametrize(
    ("names", "source", "told"),
    [
        (["nothing"], "lya", r"no such search; there are resnet, .*li2019"),
        ([" "], "lya", "names no search"),
        (["bells"], "lya", r"it finds elg, and what is put in is lya.*--source elg"),
        (["line-thresholds"], "elg", "no such search"),
    ],
)
def test_what_cannot_be_compared_is_refused(names: list[str], source: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        entries_of(names, source)


def test_searches_of_one_name_or_without_common_wavelengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file"):
        entries_of(["resnet"], "lya", under=str(tmp_path / "missing.toml"))
    (tmp_path / "resnet.toml").write_text("")
    with pytest.raises(ConfigError, match="two searches have the same name"):
        entries_of(["resnet", str(tmp_path / "resnet.toml")], "lya")
    (tmp_path / "red.toml").write_text("[preparation]\nwindow = [6000.0, 7000.0]\n")
    with pytest.raises(ConfigError, match="share no wavelengths"):
        common_window(entries_of(["resnet", str(tmp_path / "red.toml")], "lya"))
