"""A small run to be graded, and its page without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from speclens.grade.graded_run import GradedRun

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
    """`make_client(grader, known=True)`: a browser that has the cookie, or has not."""
    testclient = pytest.importorskip("starlette.testclient", reason="needs starlette and httpx")
    from speclens.grade.app import make_app

    def make(grader: str = "ann", known: bool = True) -> Any:
        app = make_app(graded, grader, TOKEN)
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
