"""Whatever ends a command: an exit code, and one line that says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_a1_failed_files_give_one_line_each_and_exit_code_3(
    cli: Cli, spec: Path, tmp_path: Path, quiet: list[str]
) -> None:
    (spec.parent / "spec-1-2-0004.fits").write_text("<html>404</html>")
    (spec.parent / "spec-1-2-0005.fits").write_bytes(spec.read_bytes()[:9000])
    code, out, err = cli("search", spec.parent, "-o", tmp_path / "run", *quiet)
    assert code == 3
    failures = [line for line in err.splitlines() if "spec-1-2-000" in line]
    assert len(failures) == 2
    assert "not_fits" in failures[0]
    assert "truncated" in failures[1]
    assert ("failed 2" in out) == (not quiet)
    assert (tmp_path / "run" / "candidates.ecsv").exists()


def test_d5_a_folder_of_another_configuration_exits_1_with_both_values(
    cli: Cli, spec: Path, tmp_path: Path
) -> None:
    assert cli("search", spec, "-o", tmp_path / "run", "-q")[0] == 0
    changed = ["--set", "matched_filter.snr_min=5.5"]
    code, out, err = cli("search", spec, "-o", tmp_path / "run", *changed)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "matched_filter.snr_min: was 6.0, now 5.5" in err


def test_an_evaluation_without_one_of_its_files_exits_3_and_names_it(
    cli: Cli, spec: Path, tmp_path: Path
) -> None:
    (spec.parent / "spec-1-2-0004.fits").write_text("<html>404</html>")
    code, out, err = cli(
        "evaluate", spec.parent, "-o", tmp_path / "out", "--repeats", "2", "--quiet"
    )
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "spec-1-2-0004.fits" in err


def test_an_interrupted_search_says_how_to_go_on(
    cli: Cli, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("speclens.search.scanned.scan_shard", interrupted)
    code, _, err = cli("search", spec, "-o", tmp_path / "run")
    assert code == 130
    assert "interrupted" in err
    assert "same command again" in err


@pytest.mark.parametrize("module", ["jinja2", "astropy", "rich"])
def test_h2_a_missing_package_is_one_line_with_advice(
    run_command: Cli, spec: Path, tmp_path: Path, module: str
) -> None:
    code, out, err = run_command(
        "search", spec, "-o", tmp_path / "run", "--workers", "1",
        code=f"import sys; sys.modules[{module!r}] = None",
    )  # fmt: skip
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith(f"speclens: needs {module}")
    assert "pip install" in last


def test_h2_training_without_torch_says_what_to_install(
    tmp_path: Path, cli: Cli, run_command: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speclens.train.training_set.SHARD_SPECTRA", 50)
    small = ("--set", "training_set.n_spectra=100", "--set", "training_set.n_lines=20")
    code, out, _ = cli("simulate", "-o", tmp_path / "set", "--workers", "1", *small)
    assert code == 0
    assert f"next: speclens train {tmp_path / 'set'} -o MODEL" in out
    code, out, err = run_command(
        "train", tmp_path / "set", "-o", tmp_path / "model",
        code="import sys; sys.modules['torch'] = None",
    )  # fmt: skip
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("speclens: needs torch")
    assert 'pip install ".[train]"' in err
    assert not (tmp_path / "model").exists()
