"""The addresses of the inspection page.

In: requests that `Guard` let through. Out: pages, what they show, and what was saved. A hit is
looked up by its key among those of the run; nothing of an address becomes a path.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from speclens.errors import RunError
from speclens.grade.agreement_page import agreement_page
from speclens.grade.exchange import inspection_rows, write_inspections
from speclens.grade.graded_run import GradedRun
from speclens.grade.guard import LOOPBACK, MAX_BODY, Guard
from speclens.grade.pages import (
    CUT_OUTS,
    gallery_page,
    hit_page,
    hit_values,
    line_values,
    said,
)
from speclens.grade.queues import Question, queue
from speclens.inspections.events import SAID

__all__ = ["ASSETS", "make_app"]

ASSETS = {
    "style.css": "text/css",
    "saving.js": "text/javascript",
    "gallery.js": "text/javascript",
    "plot.js": "text/javascript",
    "hit.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""Files of the page, in the package."""

TABLES = {"csv": "text/csv", "ecsv": "text/plain"}
FIELDS = {"events": {"id", "hit", "kind", "value"}, "undo": {"id"}}
"""What the page sends; who sends it is no question of what it says."""

Answer = Callable[[Request], Awaitable[Response]]


def make_app(
    run: GradedRun, grader: str, token: str, hosts: Sequence[str] = (), images: bool = False
) -> Guard:
    """Return the inspection page of a run, for one grader.

    Parameters
    ----------
    run : GradedRun
        The run.
    grader : str
        Who looks.
    token : str
        What an address must hold.
    hosts : sequence of str, optional
        Names of this computer, beside those of the loopback.
    images : bool, optional
        Whether the page may load pictures of the sky from `CUT_OUTS`.

    Returns
    -------
    Guard
        An ASGI application.
    """
    answers: dict[str, Callable[[GradedRun, str, Request], Awaitable[Response]]] = {
        "/": _gallery,
        "/hit": partial(_hit, images=images),
        "/api/hit": _values,
        "/api/line": _line,
        "/agreement": _agreement,
        "/export": _export,
    }
    routes = [
        *(Route(path, _ready(run, grader, answer)) for path, answer in answers.items()),
        Route("/api/events", _ready(run, grader, _add), methods=["POST"]),
        Route("/api/undo", _ready(run, grader, _undo), methods=["POST"]),
        Route("/static/{name}", _asset),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return Guard(app, token, (*LOOPBACK, *hosts), CUT_OUTS if images else "")


def _ready(
    run: GradedRun, grader: str, answer: Callable[[GradedRun, str, Request], Awaitable[Response]]
) -> Answer:
    """Bring the run up to date, answer, and say in one line what is wrong."""

    async def ready(request: Request) -> Response:
        try:
            run.refresh()
            return await answer(run, grader, request)
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 422)
        except RunError as error:
            return PlainTextResponse(f"{error}\n", 503)

    return ready


async def _gallery(run: GradedRun, grader: str, request: Request) -> Response:
    question = Question.of(request.query_params)
    page = request.query_params.get("page", "0")
    if not page.isdecimal() or len(page) > 6:
        raise ValueError("page: a number")
    rows = queue(run, question, grader)
    return HTMLResponse(gallery_page(run, question, grader, rows, int(page)))


async def _hit(run: GradedRun, grader: str, request: Request, images: bool) -> Response:
    Question.of(request.query_params)
    _row(run, request.query_params.get("hit", ""))
    return HTMLResponse(hit_page(run, grader, images))


async def _values(run: GradedRun, grader: str, request: Request) -> Response:
    rows = queue(run, Question.of(request.query_params), grader)
    row = _row(run, request.query_params.get("hit", ""))
    peek = request.query_params.get("peek") == "1"
    return JSONResponse(hit_values(run, row, rows, grader, peek))


async def _line(run: GradedRun, _: str, request: Request) -> Response:
    return JSONResponse(line_values(run, _row(run, request.query_params.get("hit", ""))))


async def _agreement(run: GradedRun, grader: str, _: Request) -> Response:
    return HTMLResponse(agreement_page(run, grader))


async def _export(run: GradedRun, _: str, request: Request) -> Response:
    suffix = request.query_params.get("format", "csv")
    if suffix not in TABLES:
        raise ValueError(f"format: one of {', '.join(TABLES)}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"grades.{suffix}"
        write_inspections(path, inspection_rows(run.inspections, run.content.hits))
        content = path.read_bytes()
    disposition = {"Content-Disposition": f'attachment; filename="grades.{suffix}"'}
    return Response(content, media_type=TABLES[suffix], headers=disposition)


async def _add(run: GradedRun, grader: str, request: Request) -> Response:
    sent = await _sent(request, FIELDS["events"])
    row = _row(run, sent["hit"])
    if sent["kind"] not in SAID:
        raise ValueError(f"kind: one of {', '.join(SAID)}")
    event = run.store.add(grader, run.subjects.keys[row], sent["kind"], sent["value"], sent["id"])
    run.book.refresh()
    return JSONResponse({"saved": event.id, "time": event.time, **said(run, row, grader, False)})


async def _undo(run: GradedRun, grader: str, request: Request) -> Response:
    sent = await _sent(request, FIELDS["undo"])
    undone = run.store.undo(grader, sent["id"])
    run.book.refresh()
    if undone is None:
        return JSONResponse({"saved": None, "hit": None})
    event, last = undone
    row = run.subjects.row(last.subject)
    key = None if row is None else run.subjects.keys[row]
    return JSONResponse({"saved": event.id, "hit": key, "kind": last.kind, "value": last.value})


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in ASSETS:
        raise HTTPException(404)
    return Response(
        (files("speclens.grade") / "static" / name).read_bytes(), media_type=ASSETS[name]
    )


def _row(run: GradedRun, key: str) -> int:
    row = run.subjects.row(key)
    if row is None:
        raise HTTPException(404, "no such hit in this run")
    return row


async def _sent(request: Request, names: set[str]) -> dict[str, str]:
    """Read what the page sent: texts, by these names and no other."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise HTTPException(413)
    try:
        sent: Any = json.loads(body)
    except RecursionError as error:
        raise ValueError("no such message") from error
    if not isinstance(sent, dict) or sent.keys() != names:
        raise ValueError(f"expected {', '.join(sorted(names))}")
    if not all(isinstance(value, str) for value in sent.values()):
        raise ValueError("expected texts")
    return sent
