"""The page of how far graders agree, and how good they are where the truth is known.

In: a graded run. Out: HTML.
"""

from __future__ import annotations

from speclens.grade.agreement import disagreement, fleiss_kappa, pairwise_kappas
from speclens.grade.graded_run import GradedRun
from speclens.grade.queues import Question
from speclens.grade.rendering import hit_address, name_of, rendered
from speclens.grade.score import score_of
from speclens.inspections.events import GRADES
from speclens.view.wording import DASH, number

__all__ = ["agreement_page"]


def agreement_page(run: GradedRun, grader: str) -> str:
    """Return the page of how far graders agree.

    Parameters
    ----------
    run : GradedRun
        The run.
    grader : str
        Who looks.

    Returns
    -------
    str
        HTML.
    """
    grades = run.book.grades
    graders = sorted({name for of in grades.values() for name in of})
    by_all = [of for of in grades.values() if len(of) == len(graders) > 1]
    counts = [{grade: list(of.values()).count(grade) for grade in GRADES} for of in by_all]
    apart = [(disagreement(of), row, of) for row, of in grades.items() if disagreement(of)]
    apart.sort(key=lambda found: (-found[0], found[1]))
    return rendered(
        "agreement.html",
        grader=grader,
        run=str(run.path),
        pairs=[
            (one, other, number(kappa, 2), n)
            for (one, other), (kappa, n) in pairwise_kappas(grades).items()
        ],
        all=(number(fleiss_kappa(counts), 2) if counts else DASH, len(counts)),
        graders=[
            (name, [sum(of.get(name) == g for of in grades.values()) for g in GRADES])
            for name in graders
        ],
        scores=[
            (name, str(score.completeness), str(score.purity))
            for name in graders
            for score in [score_of(name, grades, run.truth)]
        ],
        known=bool(run.truth),
        grades=list(GRADES),
        apart=[
            (
                name_of(run, row),
                hit_address(run, row, Question(order="disagreement", which="all")),
                of,
            )
            for _, row, of in apart
        ],
    )
