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


@pytest.fixture
def shell(tmp_path: Path, write_spec: Callable[..., Path]) -> Callable[..., tuple[int, str, str]]:
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
    shell: Callable[..., tuple[int, str, str]], tmp_path: Path, redirected: str, n_lines: int
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
def test_i11_what_only_stdout_was_to_have_is_an_error_when_it_is_lost(
    shell: Callable[..., tuple[int, str, str]],
) -> None:
    code, _, err = shell(f"{COMMAND} --version >/dev/full")
    assert code == 1
    assert err.startswith("speclens: cannot write to stdout: ")
    assert shell(f"{COMMAND} --version >&-") == (0, "", "")


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline"])
def test_i11_any_backend_of_matplotlib_will_do(
    shell: Callable[..., tuple[int, str, str]], tmp_path: Path, backend: str
) -> None:
    code, _, _ = shell(f"MPLBACKEND={backend} {COMMAND} {SEARCH} -q")
    assert code == 0
    assert (tmp_path / "run" / "report" / "index.html").is_file()


@pytest.mark.parametrize(
    ("backend", "kept"),
    [("svg", "svg"), ("nonsense", "agg"), ("module://my.own", "module://my.own")],
)
def test_i11_who_shows_figures_of_his_own_keeps_his_backend(
    shell: Callable[..., tuple[int, str, str]], backend: str, kept: str
) -> None:
    text = "import os, speclens.view.density, matplotlib as m; "
    text += "print(m.rcParams['backend'], os.environ['MPLBACKEND'])"
    code, out, _ = shell(f'MPLBACKEND={backend} {sys.executable} -c "{text}"')
    assert (code, out.split()) == (0, [kept, backend])


def test_i11_few_handles_are_enough(
    shell: Callable[..., tuple[int, str, str]], tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    for i in range(2, 9):
        path = tmp_path / "in" / f"spec-3655-55240-{i:04d}.fits"
        write_spec(path, fiberid=i, lines=((4300.0, 40.0),))
    code, out, _ = shell(f"ulimit -n 20; {COMMAND} {SEARCH} --workers 8")
    assert code == 0
    assert "scored 8, skipped 0, failed 0" in out
    assert "hits 7" in out
