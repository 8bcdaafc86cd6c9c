"""What the inspection page says, as text for its templates.

In: a graded run. Out: HTML, escaped by the templates, and plain values for JSON. Ids are texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

import numpy as np

from speclens.errors import RunError, fault_of
from speclens.grade.graded_run import GradedRun
from speclens.grade.plots import plot_of
from speclens.grade.queues import CHOICES, Question
from speclens.grade.rendering import hit_address, name_of, rendered
from speclens.inspections.events import GRADES, ISSUES, Inspection
from speclens.names import is_position
from speclens.report.hit_page import hit_context, hypothesis_rows, other_search_rows
from speclens.view.findings import deciding
from speclens.view.hit_figure import THUMBNAIL_SIZE, thumbnail
from speclens.view.wording import number

__all__ = [
    "AHEAD",
    "CUT_OUTS",
    "PAGE",
    "gallery_page",
    "hit_page",
    "hit_values",
    "line_values",
    "said",
]

PAGE = 40
"""Lines of the gallery on one screen."""

AHEAD = 3
"""Hits that are prepared ahead."""

CUT_OUTS = "https://www.legacysurvey.org"
CUT_OUT = (
    CUT_OUTS + "/viewer/cutout.jpg?ra={ra:.6f}&dec={dec:.6f}&layer=ls-dr10&pixscale=0.1&size=256"
)
"""A picture of the sky, 25 arcsec wide."""

KEYS = {
    "A B C X, 0": "grade; none",
    "n, \u2192 / p, \u2190": "next / previous",
    "u": "undo",
    "e": "comment; Enter saves it, Escape leaves it",
    "k g z t": "issue: sky line, glitch, wrong redshift of the target, two objects",
    "1 \u2026 9": "hypothesis, in the order of the table",
    "s / d": "more / less smoothing",
    "l / f": "zoom to the line / the whole spectrum",
    "r": "type a redshift of the source",
    "\u2191 \u2193": "nudge that redshift by a pixel",
    "y o i h": "what was clicked is Ly\u03b1, [O II], [O III] 5008, H\u03b1",
    "v": "keep that redshift",
    "m": "picture of the sky, where --images allows it",
    "w": "show the grades of others, or hide them",
    "/": "search by name, id or position",
    "q": "the gallery",
    "?": "these keys",
}
"""Keys of the page of a hit, and what they do."""


def gallery_page(
    run: GradedRun, question: Question, grader: str, rows: Sequence[int], page: int
) -> str:
    """Return the page of a queue: a picture of each line, graded by key.

    Parameters
    ----------
    run : GradedRun
        The run.
    question : Question
        What was asked for.
    grader : str
        Who asks.
    rows : sequence of int
        The hits of the queue, rows of hits.fits.
    page : int
        Which forty of them, from 0.

    Returns
    -------
    str
        HTML.
    """
    shown = rows[page * PAGE : (page + 1) * PAGE]
    hypotheses = sorted({str(name) for name in run.content.hits["HYPOTHESIS"]} - {""})
    return rendered(
        "gallery.html",
        lines=[_tile(run, row, grader, question) for row in shown],
        choices={**CHOICES, "hypothesis": ("any", *hypotheses)},
        question=asdict(question),
        n=len(rows),
        n_graded=run.book.count_of(grader).total(),
        first=page * PAGE + 1,
        previous=_address(question, page=page - 1) if page else "",
        next=_address(question, page=page + 1) if len(rows) > (page + 1) * PAGE else "",
        size=THUMBNAIL_SIZE,
        training=run.training,
        grader=grader,
        run=str(run.path),
    )


def hit_page(run: GradedRun, grader: str, images: bool) -> str:
    """Return the page on which one hit after the other is shown.

    Parameters
    ----------
    run : GradedRun
        The run.
    grader : str
        Who looks.
    images : bool
        Whether pictures of the sky may be loaded.

    Returns
    -------
    str
        HTML; what it shows comes from `hit_values`.
    """
    return rendered(
        "hit.html",
        grader=grader,
        run=str(run.path),
        keys=KEYS,
        grades=GRADES,
        issues=ISSUES,
        images=images,
    )


def hit_values(
    run: GradedRun, row: int, rows: Sequence[int], grader: str, peek: bool
) -> dict[str, Any]:
    """Return what the page shows of one hit.

    Parameters
    ----------
    run : GradedRun
        The run.
    row : int
        Its row of hits.fits.
    rows : sequence of int
        The queue.
    grader : str
        Who looks.
    peek : bool
        Whether to show what other graders said.

    Returns
    -------
    dict
        For JSON.
    """
    keys, place = run.subjects.keys, rows.index(row) if row in rows else -1
    found = run.table_row(row)
    try:
        plot: dict[str, Any] | None = plot_of(found, *run.spectrum(row))
        fault = ""
    except RunError as error:
        plot, fault = None, str(error)
    except Exception as error:  # noqa: BLE001 - the page says so, and the others are shown
        plot, fault = None, f"a fault of speclens: {fault_of(error)}"
    return {
        "hit": keys[row],
        "place": f"{place + 1} of {len(rows)}"
        if place >= 0
        else f"beside the queue of {len(rows)}",
        "previous": keys[rows[place - 1]] if place > 0 else None,
        "next": [keys[r] for r in rows[place + 1 : place + 1 + AHEAD]],
        "hypotheses": [
            [str(of["HYPOTHESIS"]), float(of["Z_SOURCE"]) if np.isfinite(of["Z_SOURCE"]) else None]
            for of in run.content.hypotheses_of.get(row, ())
        ],
        "html": _facts(run, row, found, fault),
        "plot": plot,
        "picture": _picture(found),
        **said(run, row, grader, peek),
    }


def said(run: GradedRun, row: int, grader: str, peek: bool) -> dict[str, Any]:
    """Return what is thought of a hit, for JSON.

    Parameters
    ----------
    run : GradedRun
        The run.
    row : int
        Its row of hits.fits.
    grader : str
        Who asks.
    peek : bool
        Whether to tell what other graders said.

    Returns
    -------
    dict
        `own`, `others`, which is None for who is blind to them, and `answer`, for who is in
        training and has graded the hit.
    """
    of = run.book.of_hit(row)
    own = of.pop(grader, Inspection(grader, run.subjects.keys[row]))
    return {
        "own": _plain(own),
        "others": [_plain(other) for other in of.values()] if peek else None,
        "answer": _answer(run, row, own.grade),
    }


def line_values(run: GradedRun, row: int) -> dict[str, str]:
    """Return the picture of a line for the gallery, for JSON.

    Parameters
    ----------
    run : GradedRun
        The run.
    row : int
        Its row of hits.fits.

    Returns
    -------
    dict
        Paths of SVG of the residual and of the fit; empty when there is no picture.
    """
    try:
        return asdict(thumbnail(run.table_row(row), run.spectrum(row)[0]))
    except Exception:  # noqa: BLE001 - its page says why
        return {}


def _tile(run: GradedRun, row: int, grader: str, question: Question) -> dict[str, Any]:
    found = run.table_row(row)
    own = run.book.of_hit(row).get(grader)
    return {
        "hit": run.subjects.keys[row],
        "address": hit_address(run, row, question),
        "name": name_of(run, row),
        "z": number(found["Z"], 3),
        "z_source": number(found["Z_SOURCE"], 3),
        "snr": number(found["SNR"], 1),
        "p": number(found["P_HYPOTHESIS"], 2),
        "flags": [one.flag.name for one in deciding(found, run.config_of(row).vet)],
        "known": str(found["KNOWN"]),
        "grade": own.grade if own else "",
    }


def _facts(run: GradedRun, row: int, found: np.void, fault: str) -> str:
    content = run.content
    odds = {name: float(values[row]) for name, values in content.odds.items()}
    companions = content.companions_of.get(row, content.companions[:0])
    try:
        context = hit_context(found, companions, odds, run.config_of(row))
    except Exception as error:  # noqa: BLE001 - the page says so, and the others are shown
        return rendered("fault.html", name=name_of(run, row), fault=fault_of(error))
    return rendered(
        "facts.html",
        **context,
        hypotheses=hypothesis_rows(content.hypotheses_of.get(row, content.hypotheses[:0])),
        others=_other_searches(run, row),
        deciding=deciding(found, run.config_of(row).vet),
        fault=fault,
    )


def _answer(run: GradedRun, row: int, grade: str) -> dict[str, Any] | None:
    truth = run.answer(row)
    if truth is None or not grade:
        return None
    return {"right": truth.agrees(grade), "text": truth.text}


def _picture(found: np.void) -> str:
    ra, dec = float(found["RA"]), float(found["DEC"])
    return CUT_OUT.format(ra=ra % 360, dec=dec) if is_position(ra, dec) else ""


def _other_searches(run: GradedRun, row: int) -> list[tuple[str, ...]]:
    """Return what other searches make of the same line, with the pages of their hits."""
    others = sorted(run.content.same_line_of.get(row, ()))
    addresses = [hit_address(run, other, Question(which="all")) for other in others]
    return other_search_rows(run.content.hits[others], addresses)


def _plain(of: Inspection) -> dict[str, Any]:
    z = of.z_source if np.isfinite(of.z_source) else None
    return {**asdict(of), "issues": list(of.issues), "z_source": z}


def _address(question: Question, **more: int) -> str:
    return f"./?{urlencode({**question.parameters, **more})}"
