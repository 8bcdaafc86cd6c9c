"""The report of a run: static pages that work from the file system, offline.

In: `RunContent`, and the figures that need spectra. Out: a folder with index.html, lists of all
candidates and hits, a page for each candidate. Every text is escaped by the templates; the pages
forbid the browser to load anything from elsewhere. Drawing candidates is left to
`speclens.report.candidate_figure`, whose caller reads the spectra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speclens.report.candidate_page import candidate_context
from speclens.report.content import CandidatePaths, RunContent, candidate_paths
from speclens.report.folder import replacing_folder
from speclens.report.funnel import draw_funnel, funnel
from speclens.report.run_page import candidate_lines, hit_lines, known_lines, run_context
from speclens.report.wording import printable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["write_pages"]

ASSETS = ("style.css", "table.js")
PROFILES = "profiles.png"
"""Name of the figure of line profiles, which the caller draws."""


def write_pages(
    folder: Path, content: RunContent, draw: Callable[[Path], None] | None = None
) -> None:
    """Write the report of a run, all of it or nothing.

    Parameters
    ----------
    folder : Path
        Folder of the report; what stands there stays until the new one is whole.
    content : RunContent
        The run.
    draw : callable, optional
        Draws the figures that need spectra into the folder that it is given: `PROFILES`, and those
        of `candidate_paths`. A figure that is not there is not shown.

    Raises
    ------
    RunError
        If the folder cannot be written.
    """
    environment = _environment()
    with replacing_folder(folder) as part:
        (part / "candidates").mkdir()
        if draw is not None:
            draw(part)
        _draw_own(part, content)
        for name in ASSETS:
            asset = files("speclens.report") / "templates" / name
            (part / name).write_bytes(asset.read_bytes())
        paths = candidate_paths(content.hits, content.candidates)
        _write_run(environment, part, content, paths)
        _write_candidates(environment, part, content, paths)


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("speclens.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Return what a template puts out: no text may hide or turn around what follows it."""
    return printable(value) if type(value) is str else value


def _draw_own(folder: Path, content: RunContent) -> None:
    steps = funnel(content.record["counts"], content.hits, content.config.vet.vetoes)
    draw_funnel(folder / "funnel.png", steps)
    if len(content.hits):
        from speclens.report.density import draw_density

        draw_density(folder / "density.png", content.hits, content.config.vet)


def _write_run(
    environment: Environment, folder: Path, content: RunContent, paths: Sequence[CandidatePaths]
) -> None:
    size = content.config.report.rows_per_page
    context = run_context(content)
    pages = {path.hit: path.page for path in paths}
    tables: list[tuple[str, str, Iterable[dict[str, Any]], int]] = [
        ("hits", "All hits", hit_lines(content.hits, pages, content.config), len(content.hits)),
        (
            "candidates", "Candidates",
            candidate_lines(content.candidates, paths, content.config), len(content.candidates),
        ),
    ]  # fmt: skip
    if content.known is not None:
        tables.insert(
            0, ("known", "Published systems", known_lines(content.known), len(content.known))
        )
    for kind, title, lines, n in tables:
        names = _page_names(kind, n, size)
        for i, (name, part) in enumerate(zip(names, _parts(lines, size, len(names)), strict=True)):
            shared = {
                "kind": kind, "title": title, "lines": part, "names": names, "current": i, "n": n,
                "first": i * size + 1, "root": "",
            }  # fmt: skip
            if name == "index.html":
                figures = {f: (folder / f).is_file() for f in (PROFILES, "density.png")}
                shared |= {**context, "figures": figures, "config": content.config}
            template = "index.html" if name == "index.html" else "list.html"
            _write(environment, template, folder / name, shared)


def _page_names(kind: str, n: int, size: int) -> list[str]:
    """Name the pages of a table; the first page of the candidates is that of the run."""
    names = [f"{kind}-{i + 1}.html" for i in range(max(1, -(-n // size)))]
    return ["index.html", *names[1:]] if kind == "candidates" else names


def _parts(lines: Iterable[dict[str, Any]], size: int, n: int) -> Iterator[list[dict[str, Any]]]:
    left = iter(lines)
    for _ in range(n):
        yield list(islice(left, size))


def _write_candidates(
    environment: Environment, folder: Path, content: RunContent, paths: Sequence[CandidatePaths]
) -> None:
    of_hit = _by_hit(content.companions)
    nothing = content.companions[:0]
    for i, (row, path) in enumerate(zip(content.candidates, paths, strict=True)):
        context = candidate_context(row, of_hit.get(path.hit, nothing), content.config)
        around = {
            "root": "../",
            "position": f"{i + 1} of {len(paths)}",
            "previous": f"{paths[i - 1].name}.html" if i else "",
            "next": f"{paths[i + 1].name}.html" if i + 1 < len(paths) else "",
            "figure": f"{path.name}.png" if (folder / path.figure).is_file() else "",
        }
        _write(environment, "candidate.html", folder / path.page, {**context, **around})


def _by_hit(companions: NDArray[np.void]) -> dict[int, NDArray[np.void]]:
    ordered = companions[np.argsort(companions["HIT"], kind="stable")]
    hits, starts = np.unique(ordered["HIT"], return_index=True)
    return dict(zip(hits.tolist(), np.split(ordered, starts[1:]), strict=False))


def _write(environment: Environment, template: str, path: Path, context: dict[str, Any]) -> None:
    text = environment.get_template(template).render(context)
    path.write_bytes(text.encode())
