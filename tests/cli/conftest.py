"""The command, in this process and in one of its own, and a spectrum to search."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from speclens.cli.app import main

Ran = tuple[int, str, str]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`cli(*arguments) -> exit code, stdout, stderr`, in this process, without the report."""
    monkeypatch.setattr("speclens.verbs.finish.make_report", lambda *_: {})

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["speclens", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return caught.value.code or 0, out, err  # type: ignore[return-value]

    return run


@pytest.fixture(scope="session")
def run_command() -> Callable[..., Ran]:
    """`run_command(*arguments, environment, code) -> exit code, stdout, stderr`."""

    def run(
        *arguments: str | Path, environment: Mapping[str, str] | None = None, code: str = ""
    ) -> Ran:
        """Run the command in a process of its own, `code` first."""
        text = f"{code}\nfrom speclens.cli.app import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", text, *map(str, arguments)],
            capture_output=True,
            env={**os.environ, **(environment or {})},
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


@pytest.fixture
def spec(tmp_path: Path, write_spec: Callable[..., Path]) -> Path:
    """A spectrum with a line."""
    return write_spec(tmp_path / "in" / "spec-1-2-0003.fits", lines=((4300.0, 40.0),))
