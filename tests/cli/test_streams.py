"""stdout and stderr closed, full, or left: one line or no harm, whole products, the same code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = f"{sys.executable} -m speclens"
SEARCH = "search in -o run --method matched-filter"
POOR = {"TERM": "dumb", "LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "COLUMNS": "20"}
ESCAPE = "\x1b"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(tmp_path: Path, write_spec: Callable[..., Path]) -> Run:
    """`shell(line) -> exit code, stdout, stderr`, in a folder with a spectrum that has no line."""
    write_spec(tmp_path / "in" / "spec-3655-55240-0001.fits")

    def run(line: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")


@pytest.mark.parametrize(
    ("redirected", "n_lines"),
    [
        ("2>&-", 0),
        (">&- 2>&- <&-", 0),
        pytest.param(">/dev/full", 1, marks=needs_full),
        pytest.param(">/dev/full 2>&1", 0, marks=needs_full),
    ],
)
def test_i11_a_search_is_whole_whatever_becomes_of_its_words(
    shell: Run, tmp_path: Path, redirected: str, n_lines: int
) -> None:
    code, out, err = shell(f"{COMMAND} {SEARCH} {redirected}")
    said = [line for line in err.splitlines() if "spectra" not in line]
    assert (code, len(said)) == (0, n_lines)
    assert bool(out) == (redirected == "2>&-")
    for name in ("spectra.fits", "hits.ecsv", "candidates.tex", "report/index.html", "run.json"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    written = [path for path in (tmp_path / "run").rglob("*") if path.suffix in (".fits", ".ecsv")]
    assert not any(b"speclens: " in path.read_bytes() for path in written)


@needs_full
def test_i11_what_only_stdout_was_to_have_is_an_error_when_it_is_lost(shell: Run) -> None:
    code, _, err = shell(f"{COMMAND} --version >/dev/full")
    assert code == 1
    assert err.startswith("speclens: cannot write to stdout: ")
    assert shell(f"{COMMAND} --version >&-") == (0, "", "")


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline"])
def test_i11_any_backend_of_matplotlib_will_do(shell: Run, tmp_path: Path, backend: str) -> None:
    code, _, _ = shell(f"MPLBACKEND={backend} {COMMAND} {SEARCH} -q")
    assert code == 0
    assert (tmp_path / "run" / "report" / "index.html").is_file()


@pytest.mark.parametrize(
    ("backend", "kept"),
    [("svg", "svg"), ("nonsense", "agg"), ("module://my.own", "module://my.own")],
)
def test_i11_who_shows_figures_of_his_own_keeps_his_backend(
    shell: Run, backend: str, kept: str
) -> None:
    text = "import os, speclens.view.figures, matplotlib as m; "
    text += "print(m.rcParams['backend'], os.environ['MPLBACKEND'])"
    code, out, _ = shell(f'MPLBACKEND={backend} {sys.executable} -c "{text}"')
    assert (code, out.split()) == (0, [kept, backend])


def test_i11_few_handles_are_enough(
    shell: Run, tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    for i in range(2, 9):
        path = tmp_path / "in" / f"spec-3655-55240-{i:04d}.fits"
        write_spec(path, fiberid=i, lines=((4300.0, 40.0),))
    code, out, _ = shell(f"ulimit -n 20; {COMMAND} {SEARCH} --workers 8")
    assert code == 0
    assert "scored 8, skipped 0, failed 0" in out
    assert "hits 7" in out


def test_h3_a_reader_that_leaves_is_no_error(spec: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "speclens", "search", str(spec), "-o", str(tmp_path / "run")]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    err = done.stderr.decode()
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert done.returncode == 0
    assert (tmp_path / "run" / "candidates.ecsv").exists()


def test_h3_a_reader_of_messages_that_leaves_does_not_end_the_search(
    spec: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "speclens", "search", str(spec), "-o", str(tmp_path / "run")]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 0
    assert b"scored 1" in done.stdout
    assert (tmp_path / "run" / "run.json").exists()


def test_h3_a_poor_terminal_gets_plain_text(
    run_command: Run, tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    folder = tmp_path / "é ü"
    write_spec(folder / "spec-1-2-0003.fits")
    (folder / "spec-1-2-0004 é.fits").write_text("no FITS")
    code, out, err = run_command(
        "search", folder, "-o", tmp_path / "é", "--workers", "1",
        environment={**POOR, "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert code == 3
    assert "Traceback" not in err
    assert ESCAPE not in out + err
    assert (out + err).isascii()
    assert "scored 1" in out
    assert err.count("not_fits") == 1


def test_h3_help_and_errors_survive_a_narrow_ascii_terminal(
    run_command: Run, tmp_path: Path
) -> None:
    for arguments, expected, is_ours in (
        (["search", "--help"], 0, True),
        (["search", "é", "-o", tmp_path], 1, True),
        (["sé"], 2, False),  # the library for options writes UTF-8 whatever the stream says
    ):
        code, out, err = run_command(*arguments, environment={**POOR, "PYTHONUTF8": "1"})
        assert code == expected
        assert "Traceback" not in err
        assert (out + err).isascii() or not is_ours
        assert ESCAPE not in out + err


def test_h3_a_reader_that_leaves_in_the_middle_of_the_help_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "speclens", "search", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
