"""What all tests share; small survey files, runs, hits and models are made in `fixtures`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import settings

# The same examples in every run: a failure is never a matter of luck.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

pytest_plugins = [
    "fixtures.clusters",
    "fixtures.files",
    "fixtures.fields",  # builds on the one above: it must not be imported first
    "fixtures.coadds",
    "fixtures.hits",
    "fixtures.models",
    "fixtures.runs",
    "fixtures.servers",
    "fixtures.training_sets",
]

TORCH = find_spec("torch") is not None
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
BROWSER = find_spec("playwright") is not None and bool(CHROMIUM)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests of training where torch is not installed."""
    if TORCH or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return re.search(r"^(import|from) torch\b", text, re.MULTILINE) is not None or None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out."""
    if not TORCH:
        terminalreporter.write_line("without torch, without tests of training: make test TRAIN=1")
    if not BROWSER:
        terminalreporter.write_line(
            "NO BROWSER TESTS without playwright (make browser) and chromium (of the system)"
        )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20190214)


@pytest.fixture(scope="session")
def survey_data() -> Path:
    """The folder of real survey files."""
    folder = os.environ.get("SPECLENS_DATA")
    if not folder:
        pytest.skip("SPECLENS_DATA names no folder of survey files")
    return Path(folder)


@pytest.fixture(scope="session")
def search_into() -> Callable[..., tuple[Any, np.ndarray, list[str]]]:
    """`search_into(output, *inputs, **request) -> summary, rows of spectra.fits, messages`."""
    return run_search


@pytest.fixture(scope="session")
def run_script() -> Callable[..., str]:
    """`run_script("tools/name.py", *arguments) -> stdout`: in a process of its own."""
    root = Path(__file__).parents[1]

    def run(script: str, *arguments: object, code: int = 0) -> str:
        command = [sys.executable, str(root / script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    return run


def run_search(
    output: Path, *inputs: Path | str, overrides: Sequence[str] = (), **request: Any
) -> tuple[Any, np.ndarray, list[str]]:
    """Search files with the default configuration."""
    from speclens.config import load_config
    from speclens.run.progress import Silent
    from speclens.verbs.search import SearchRequest, search

    messages: list[str] = []
    listener = Silent()
    listener.message = messages.append  # type: ignore[method-assign]
    config = load_config(None, list(overrides))
    summary = search(
        SearchRequest([os.fspath(path) for path in inputs], output, config, **request), listener
    )
    rows = Table.read(output / "spectra.fits")
    rows.convert_bytestring_to_unicode()
    return summary, np.asarray(rows), messages
