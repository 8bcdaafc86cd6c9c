"""How pages are made of templates, and how hits are named on them and addressed.

In: values. Out: HTML, escaped; texts.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from speclens.grade.graded_run import GradedRun
from speclens.grade.queues import Question
from speclens.names import spectrum_name
from speclens.view.wording import printable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["hit_address", "name_of", "rendered"]


def name_of(run: GradedRun, row: int) -> str:
    """Name a hit.

    Parameters
    ----------
    run : GradedRun
        The run.
    row : int
        Its row of hits.fits.

    Returns
    -------
    str
        Name of the system; of the spectrum where its position is unknown.
    """
    hit = run.content.hits[row]
    return str(hit["NAME"]) or spectrum_name(hit)


def hit_address(run: GradedRun, row: int, question: Question) -> str:
    """Return where the page of a hit is.

    Parameters
    ----------
    run : GradedRun
        The run.
    row : int
        Its row of hits.fits.
    question : Question
        The queue in which it is looked at.

    Returns
    -------
    str
        Relative to the page.
    """
    return f"hit?{urlencode({'hit': run.subjects.keys[row], **question.parameters})}"


def rendered(template: str, **context: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of its template.
    **context : any
        What it shows.

    Returns
    -------
    str
        HTML.
    """
    return _environment().get_template(template).render(context)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("speclens.grade"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
