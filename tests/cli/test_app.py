"""The command line: what the verbs print, what is wrong usage, light help."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from speclens import __version__
from speclens.cli.app import app

HEAVY = (
    "numpy", "astropy", "scipy", "matplotlib", "jinja2", "tomlkit", "torch", "dask",
    "rich", "urllib3",
)  # fmt: skip
VERBS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
ESCAPE = "\x1b"

Cli = Callable[..., tuple[int, str, str]]


def test_h1_no_arguments_show_the_help(cli: Cli) -> None:
    code, out, err = cli()
    assert code == 2
    assert "Usage: " in out + err
    assert all(verb in out + err for verb in VERBS)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["serch"], "serch"),
        (["--colour"], "--colour"),
        (["search", "x", "-o", "y", "--wrokers", "2"], "--wrokers"),
        (["search", "x"], "--output"),
        (["search", "-o", "y"], "INPUT"),
        (["search", "x", "-o", "y", "--workers", "two"], "--workers"),
        (["search", "x", "-o", "y", "--workers", "-1"], "--workers"),
        (["search", "x", "-o", "y", "--method", "magic"], "magic"),
        (["train", "x"], "--output"),
        (["train", "x", "-o", "y", "--device", "abacus"], "abacus"),
        (["simulate", "-o", "y", "--seed", "-1"], "--seed"),
        (["demo", "-o", "y", "--seed", "-3"], "--seed"),
        (["evaluate", "x", "-o", "y", "--repeats", "0"], "--repeats"),
        (["vet"], "RUN"),
        (["vet", "x", "--known"], "--known"),
        (["report"], "RUN"),
        (["report", "x", "y"], "y"),
        (["report", "x", "--known", "y"], "--known"),
        (["fetch", "4055-55359"], "--output"),
        (["fetch", "-o", "y"], "nothing to fetch"),
        (["fetch", "4055", "-o", "y"], "neither a name nor a file"),
        (["fetch", "4055-55359", "-o", "y", "--files", "fits"], "--files"),
        (["fetch", "4055-55359", "-o", "y", "--files", "lite"], "single spectra"),
        (["fetch", "4055-55359", "-o", "y", "--release", "dr7"], "dr7"),
        (["fetch", "4055-55359", "-o", "y", "--release", "dr20"], "Data Release 20"),
    ],
)
def test_h1_wrong_usage_is_named_on_stderr(
    cli: Cli, arguments: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert named in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "named"),
    [
        (
            "matched_filter.snr_mim=5",
            ["matched_filter.snr_mim", "did you mean 'matched_filter.snr_min'"],
        ),
        ("matched_fliter.snr_min=5", ["matched_fliter", "did you mean 'matched_filter'"]),
        ("matched_filter.snr_min=high", ["matched_filter.snr_min", "high"]),
        ("matched_filter.snr_min=-1", ["matched_filter.snr_min", "-1"]),
        ("matched_filter=5", ["matched_filter", "section"]),
        ("selection.classes=3", ["selection.classes", "3"]),
        ("snr_min", ["snr_min", "KEY=VALUE"]),
        ("preparation.window=[5000.0, 3800.0]", ["preparation", "increasing"]),
        ("matched_filter.sigma_pixels=[2.2]", ["either line_fwhm_kms or sigma_pixels"]),
    ],
)
def test_h1_a_wrong_key_or_value_is_named_with_what_is_right(
    cli: Cli, spec: Path, tmp_path: Path, override: str, named: list[str]
) -> None:
    code, out, err = cli("search", spec, "-o", tmp_path / "run", "--set", override)
    assert (code, out) == (2, "")
    assert all(text in err for text in named), err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "expected", "named"),
    [
        (None, 1, ["no such file", "shu2016"]),
        ("[matched_filter]\nsnr_mim = 5\n", 2, ["snr_mim", "snr_min"]),
        ("[matched_filter\n", 1, ["mine.toml"]),
        (b"\xff\xfe", 1, ["mine.toml"]),
    ],
)
def test_h1_a_wrong_configuration_file_is_named(
    cli: Cli,
    spec: Path,
    tmp_path: Path,
    content: str | bytes | None,
    expected: int,
    named: list[str],
) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    code, out, err = cli("search", spec, "-o", tmp_path / "run", "-c", path)
    assert (code, out) == (expected, "")
    assert all(text in err for text in named), err


def test_h1_with_a_missing_input_or_an_empty_folder_there_is_nothing_to_search(
    cli: Cli, tmp_path: Path
) -> None:
    code, out, err = cli("search", tmp_path / "absent", "-o", tmp_path / "run")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "absent" in err
    (tmp_path / "empty").mkdir()
    for verb in ("search", "evaluate"):
        code, out, err = cli(verb, tmp_path / "empty", "-o", tmp_path / "run")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("speclens: ")
    assert not (tmp_path / "run").exists()


def test_a_search_that_is_done_exits_0_and_prints_its_counts(
    cli: Cli, spec: Path, tmp_path: Path
) -> None:
    code, out, err = cli("search", spec, "-o", tmp_path / "run")
    assert code == 0
    assert "read 1: scored 1, skipped 0, failed 0" in out
    assert f"hits 1, candidates 1: {tmp_path / 'run'}/candidates.ecsv" in out
    assert ESCAPE not in out + err
    code, out, err = cli("search", spec, "-o", tmp_path / "run", "--quiet")
    assert (code, out, err) == (0, "", "")


def test_templates_that_are_missing_are_named_before_anything_is_searched(
    cli: Cli, spec: Path, tmp_path: Path
) -> None:
    odd = tmp_path / 'no "such" file\\.fits'
    code, out, err = cli("search", spec, "-o", tmp_path / "run", "--templates", odd)
    assert code == 1
    assert out == ""
    assert 'no "such" file\\.fits' in err
    assert not (tmp_path / "run" / "spectra.fits").exists()


@pytest.fixture
def run(cli: Cli, spec: Path, tmp_path: Path) -> Path:
    """A finished run of one hit, whose survey is gone."""
    options = ["--method", "matched-filter", "--set", "vet.vetoes=[]", "-q"]
    assert cli("search", spec, "-o", tmp_path / "run", *options)[0] == 0
    spec.unlink()
    return tmp_path / "run"


def test_vetting_again_prints_the_candidates_and_where_they_are(
    cli: Cli, run: Path, tmp_path: Path
) -> None:
    code, out, err = cli("vet", run)
    assert code == 0
    assert f"speclens: vetting by the configuration of {run}\n" in err
    assert "speclens: vetting: 1/1, 1 hits\n" in err
    assert f"hits 1, candidates 1: {run}/candidates.ecsv" in out
    assert re.search(r"^SDSS J\S+ +3655-55240-0001 ", out, re.MULTILINE)
    assert f"report: {run}/report/index.html" in out
    assert "note: too few hits to test for over-densities: 1" in out
    known = tmp_path / "known.csv"
    known.write_text("name,ra,dec,z_s\nAlpha,150.1,2.0,2.54\n")
    limits = ["--set", 'vet.vetoes=["FAINT"]', "--set", "vet.snr_min=900.0"]
    code, out, err = cli("vet", run, *limits, "--known", known)
    assert code == 0
    assert "--set vet.snr_min=900.0" in err
    assert "hits 1, candidates 0" in out
    assert "published systems: 1 in the list, 1 searched at their line, 1 found" in out
    assert "SDSS J" not in out
    assert cli("vet", run, "-c", "shu2016", "--quiet") == (0, "", "")


def test_reporting_again_prints_where_the_page_is(cli: Cli, run: Path) -> None:
    assert cli("report", run) == (0, f"{run}/report/index.html\n", "")
    assert cli("report", run, "--set", "report.n_profiles=3", "--quiet") == (0, "", "")


@pytest.mark.parametrize("verb", ["vet", "report"])
def test_i2_hits_that_cannot_be_shown_or_measured_end_in_exit_code_3(
    cli: Cli, run: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError("no luck")

    monkeypatch.setattr("speclens.verbs.finish.make_report", lambda *_: {0: "no luck"})
    if verb == "vet":
        monkeypatch.setattr("speclens.vet.vetting.measure_hits", fails)
    code, out, _ = cli(verb, run)
    assert code == 3
    assert "index.html" in out
    record = json.loads((run / "run.json").read_text())
    assert record["counts"]["hits_failed"] == 1
    assert any("no luck" in note for note in record["notes"])


def test_the_terminal_names_the_limits_of_reasons_and_the_ignored_files(
    cli: Cli, spec: Path, tmp_path: Path
) -> None:
    (spec.parent / "notes.txt").write_text("a note")
    limit = ["--set", "selection.z_min=1.1"]
    _, out, _ = cli("search", spec.parent, "-o", tmp_path / "run", *limit)
    assert re.search(r"z_low +1 .*: z <= 1\.1$", out, re.MULTILINE)
    assert "not searched: 1 (notes.txt)" in out


@pytest.mark.parametrize("verb", ["vet", "report"])
@pytest.mark.parametrize(
    ("options", "expected", "named"),
    [
        (["--set", "search.method=resnet"], 2, "can change now; for the rest, "),
        (["--set", "vet.spectrum=[3600.0, 9000.0]"], 2, ""),
        (["--set", "report.rows_per_paje=50"], 2, "did you mean 'report.rows_per_page'"),
        (["-c", "no.toml"], 1, "no.toml: no such file"),
    ],
)
def test_h1_what_cannot_change_now_is_named_in_one_line(
    cli: Cli, run: Path, verb: str, options: list[str], expected: int, named: str
) -> None:
    before = (run / "run.json").read_bytes()
    code, out, err = cli(verb, run, *options)
    assert (code, out, err.count("\n")) == (expected, "", 1)
    assert err.startswith("speclens: ")
    assert named in err
    assert (run / "run.json").read_bytes() == before


@pytest.mark.parametrize("verb", ["vet", "report"])
def test_h1_a_folder_that_cannot_be_vetted_is_named_in_one_line(
    cli: Cli, run: Path, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "thesis").mkdir()
    record = json.loads((run / "run.json").read_text())
    faults: list[tuple[Path, str, str]] = [
        (tmp_path / "absent", "", "no run of speclens"),
        (tmp_path / "thesis", "", "no run of speclens"),
        (run, json.dumps(record | {"format": 99}), "install a newer speclens"),
        (run, json.dumps(record | {"format": 1}), "search again into another folder"),
        (run, "{", "damaged"),
    ]
    for folder, content, named in faults:
        if content:
            (run / "run.json").write_text(content)
        code, out, err = cli(verb, folder)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"speclens: {folder}")
        assert named in err
    (run / "run.json").unlink()
    code, out, err = cli(verb, run)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "run the same search again" in err


def test_a_search_marks_published_systems_and_refuses_a_list_that_is_none(
    cli: Cli, spec: Path, tmp_path: Path
) -> None:
    known = tmp_path / "known.csv"
    known.write_text("colour\nred\n")
    search = ["search", spec, "-o", tmp_path / "run", "--method", "matched-filter"]
    code, out, err = cli(*search, "--known", known)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "known.csv" in err
    assert not (tmp_path / "run").exists()
    known.write_text("name,ra,dec,z_s\nAlpha,150.1,2.0,2.54\nBeta,10.0,2.0,2.54\n")
    code, out, _ = cli(*search, "--known", known)
    assert code == 0
    assert "published systems: 2 in the list, 1 searched at their line, 1 found" in out
    text = (tmp_path / "run" / "known.ecsv").read_text()
    assert "Alpha" in text
    assert "absent" in text


def test_the_demo_prints_what_came_back(cli: Cli, tmp_path: Path) -> None:
    small = ["n_plates=1", "n_fibres=20", "n_pixels=1700", "lya_fraction=0.5"]
    settings = [text for value in small for text in ("--set", f"survey.{value}")]
    code, out, err = cli("demo", "-o", tmp_path / "demo", "--workers", "1", *settings)
    assert code == 0
    assert re.search(r"^read 20: ", out, re.MULTILINE)
    assert re.search(r"^lya +\d+ +\d+ +\d+ ", out, re.MULTILINE)
    assert "mock plates" in err


def test_the_evaluation_prints_the_completeness(cli: Cli, spec: Path, tmp_path: Path) -> None:
    code, out, _ = cli("evaluate", spec, "-o", tmp_path / "out", "--repeats", "3")
    assert code == 0
    assert "ideal S/N" in out
    assert re.search(r"^spectra 1$", out, re.MULTILINE)
    assert re.search(r"^lines 3$", out, re.MULTILINE)
    again = cli("evaluate", spec, "-o", tmp_path / "out", "--repeats", "3", "--workers", "2")
    assert again[:2] == (0, out)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_verb_has_help_with_an_example(cli: Cli, verb: str, option: str) -> None:
    code, out, err = cli(verb, option)
    assert (code, err) == (0, "")
    assert f"Example: speclens {verb} " in out
    assert ESCAPE not in out


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version") == (0, f"speclens {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "nothing", "-o", "run"), "'nothing': no such file or folder"),
        (("search", ".", "-o", "run", "--set", "a.b=1"), "unknown key 'a'"),
        (("vet", "."), "no run of speclens"),
        (("merge", "."), "no parts of a run there"),
    ],
)
def test_h1_what_cannot_be_is_said_before_scipy_is_imported(
    run_command: Cli, words: tuple[str, ...], said: str
) -> None:
    imported = "import atexit, sys; atexit.register(lambda: print(*sys.modules))"
    _, out, err = run_command(*words, code=imported)
    assert said in err
    assert not {"scipy.special", "astropy", "torch"} & set(out.split())


def test_h2_help_imports_nothing_heavy(run_command: Cli) -> None:
    listing = (
        "import atexit, sys; atexit.register(lambda: print("
        f"'\\nLOADED', *sorted({set(HEAVY)!r} & sys.modules.keys())))"
    )
    helps = [[verb, "--help"] for verb in ("search", "vet", "report")]
    for arguments in (["--help"], *helps, ["--version"]):
        code, out, err = run_command(*arguments, code=listing)
        assert (code, err) == (0, "")
        loaded = out.split("LOADED")[1].split()
        assert loaded == []
    code, out, _ = run_command(code=f"import speclens\n{listing}; sys.exit()")
    assert (code, out.split()) == (0, ["LOADED"])


def test_h3_the_stages_of_a_search_import_no_units_and_no_figures(run_command: Cli) -> None:
    heavy = {"astropy.units", "astropy.nddata", "matplotlib", "torch"}
    loaded = f"import sys, speclens.verbs.search; print(*({heavy!r} & sys.modules.keys()))"
    code, out, _ = run_command(code=f"{loaded}; sys.exit()")
    assert (code, out.split()) == (0, [])


def test_the_search_and_its_network_are_chosen_by_options(
    cli: Cli, spec: Path, tmp_path: Path
) -> None:
    code, _, err = cli("search", spec, "-o", tmp_path / "run", "--model", tmp_path / "absent")
    assert (code, err.count("\n")) == (1, 1)
    assert f"{tmp_path / 'absent'}: no such folder" in err
    assert "speclens" in err.split("bundled")[1]
    assert not (tmp_path / "run").exists()
    for name, options in {
        "filter": ["--method", "matched-filter", "--model", tmp_path / "absent"],
        "network": ["--method", "resnet", "--model", "speclens"],
    }.items():
        code, out, err = cli("search", spec, "-o", tmp_path / name, "-q", *options)
        assert (code, out, err) == (0, "", "")
    methods = [
        json.loads((tmp_path / name / "run.json").read_text())["method"]
        for name in ("filter", "network")
    ]
    assert methods == ["matched-filter", "resnet"]


def test_config_prints_the_values_in_force(cli: Cli) -> None:
    code, out, err = cli("config", "-c", "shu2016", "--set", "selection.z_min=0.25")
    values = tomllib.loads(out)
    assert (code, err) == (0, "")
    assert values["selection"]["z_min"] == 0.25
    assert values["preparation"]["window"] == [3600.0, 4800.0]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [(["--set", "a.b=1"], 2), (["--set", "selection"], 2), (["-c", "nowhere"], 1)],
)
def test_h1_config_checks_what_it_is_given(cli: Cli, wrong: list[str], expected: int) -> None:
    code, out, err = cli("config", "--quiet", *wrong)
    assert (code, out, err.count("\n")) == (expected, "", 1)
    assert cli("config", "--quiet") == (0, "", "")
