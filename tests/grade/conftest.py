"""A small run to be graded, and its page without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from speclens.evaluate.recovery import TRUTH
from speclens.grade.graded_run import GradedRun
from speclens.products import write_fits
from speclens.read.sdss.identity import targetid
from speclens.schema import INJECTED, dtype_of

TOKEN = "of-the-tests"  # noqa: S105 - of no page that lives


@pytest.fixture
def graded(few: Path, tmp_path: Path) -> Iterator[GradedRun]:
    """A run of three hits, one of them rejected, and an empty store."""
    shutil.copytree(few, tmp_path / "run", symlinks=True)
    run = GradedRun(tmp_path / "run")
    yield run
    run.close()


@pytest.fixture
def make_client(graded: GradedRun) -> Callable[..., Any]:
    """`make_client(grader, known=True, run=graded)`: a browser that has the cookie, or has not."""
    testclient = pytest.importorskip("starlette.testclient", reason="needs starlette and httpx")
    from speclens.grade.app import make_app

    def make(
        grader: str = "ann", known: bool = True, run: GradedRun = graded, images: bool = False
    ) -> Any:
        app = make_app(run, grader, TOKEN, images=images)
        client = testclient.TestClient(app, base_url="http://127.0.0.1:8765")
        if known:
            client.cookies.set(app.cookie, TOKEN)
        return client

    return make


@pytest.fixture
def say() -> Callable[..., Any]:
    """`say(client, hit, kind, value, **more) -> response`: what the page sends."""

    def send(client: Any, hit: str, kind: str, value: str, **more: Any) -> Any:
        body = {"id": uuid4().hex, "hit": hit, "kind": kind, "value": value, **more}
        return client.post("/api/events", json=body)

    return send


@pytest.fixture
def mock_run(
    tmp_path: Path, write_spec: Callable[..., Path], search_few: Callable[..., Any]
) -> Path:
    """A run whose truth is known: a source, and beside it a line that is a decoy."""
    survey = tmp_path / "survey"
    lines = {10: (4200.0, 40.0), 20: (4500.0, 40.0)}
    for fibre, line in lines.items():
        path = survey / f"spec-9007-55000-{fibre:04d}.fits"
        write_spec(path, plate=9007, mjd=55000, fiberid=fibre, lines=(line,))
    truth = np.zeros(2, dtype_of(INJECTED))
    truth["TARGETID"] = [targetid(9007, 55000, fibre) for fibre in lines]
    truth["WAVE"], truth["KIND"] = [wave for wave, _ in lines.values()], ["lya", "line"]
    truth["Z_SOURCE"], truth["IDEAL_SNR"], truth["LENSED"] = [2.4548, np.nan], 12, [True, False]
    write_fits(survey / TRUTH, [truth], 2, INJECTED, {"CREATOR": "speclens test"})
    search_few(tmp_path / "mock", survey)
    return tmp_path / "mock"
