"""The command: exit codes, results on stdout, talk on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.servers import FileServer
from speclens.cli.app import main

SPEC = "boss/v5_7_0/spectra/lite/3655/spec-3655-55240-0001.fits"


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], record: str
) -> Callable[..., tuple[int, str, str]]:
    """`cli(*arguments) -> exit code, stdout, stderr` of a fetch from the server."""

    def run(*arguments: object) -> tuple[int, str, str]:
        words = ["speclens", "fetch", *map(str, arguments), "--release", record]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, out, err

    return run


@pytest.fixture
def served(server: FileServer, tmp_path: Path, write_spec: Callable[..., Path]) -> int:
    """Length of the one file that the server has."""
    server.files[f"/{SPEC}"] = write_spec(tmp_path / "spec-1-2-3.fits").read_bytes()
    return len(server.files[f"/{SPEC}"])


def test_what_came_is_told(
    cli: Callable[..., tuple[int, str, str]], served: int, tmp_path: Path
) -> None:
    folder = tmp_path / "survey"
    code, out, err = cli("3655-55240-0001", "-o", folder)
    assert (code, err) == (0, "speclens: fetched: 1/1\n")
    assert out.splitlines() == [
        f"a release on this machine: fetched 1 file, {served / 1e3:.1f} kB",
        f"next: speclens search {folder} -o RUN",
    ]
    code, out, _ = cli("3655-55240-0001", "-o", folder)
    assert (code, out.splitlines()[1]) == (0, "there and whole: 1")


def test_what_is_missing_is_told_and_the_code_is_3(
    cli: Callable[..., tuple[int, str, str]], served: int, tmp_path: Path
) -> None:
    names = ("3655-55240-0001", "3655-55240-0002")
    code, out, err = cli(*names, "-o", tmp_path / "survey")
    assert code == 3
    assert served > 0
    assert "not to be had: 1, named above" in out
    assert "has no spec-3655-55240-0002.fits" in err
    code, out, err = cli("3655-55240-0002", "-o", tmp_path / "survey", "--quiet")
    assert (code, out) == (3, "")
    assert "has no spec-3655-55240-0002.fits" in err


def test_a_dry_run_is_told(
    cli: Callable[..., tuple[int, str, str]], served: int, tmp_path: Path
) -> None:
    code, out, _ = cli("3655-55240-0001", "-o", tmp_path / "survey", "--dry-run")
    told = f"a release on this machine: would fetch 1 file, {served / 1e3:.1f} kB\n"
    assert (code, out) == (0, told)
    assert not (tmp_path / "survey").exists()
