"""The report of a run: static pages that work from the file system, offline.

In: `RunContent`, and the figures that need spectra. Out: a folder with index.html, lists of all
candidates and hits, a page for each hit. Every text is escaped by the templates; the pages forbid
the browser to load anything from elsewhere. Drawing hits is left to `speclens.view.hit_figure`,
whose caller reads the spectra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speclens.errors import fault_of
from speclens.names import spectrum_name
from speclens.report.folder import replacing_folder
from speclens.report.funnel import draw_funnel, funnel
from speclens.report.hit_page import (
    hit_context,
    hypothesis_rows,
    inspection_rows,
    other_search_rows,
)
from speclens.report.listings import (
    CANDIDATE_HEADINGS,
    HIT_HEADINGS,
    KNOWN_HEADINGS,
    Row,
    candidate_cells,
    hit_cells,
    known_rows,
)
from speclens.report.run_page import run_context
from speclens.view.cells import Cell, Heading, write_rows
from speclens.view.content import HitPlace, RunContent, Thumbnail
from speclens.view.density import draw_density
from speclens.view.heat_figure import HEAT_SIZE, draw_heat_map
from speclens.view.hit_figure import FIGURE_SIZE, THUMBNAIL_SIZE
from speclens.view.wording import printable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["PROFILES", "WORTH", "Drawn", "fault_notes", "write_hit_page", "write_pages"]

ASSETS = ("style.css", "table.js")
WORTH = "worth.png"
"""Name of the figure of what the list of candidates is worth, which the caller draws too."""

PROFILES = "profiles.svg"
"""Name of the figure of line profiles, which the caller draws."""


@dataclass
class Drawn:
    """What became of the figures and pages that need spectra.

    Parameters
    ----------
    thumbnails : dict of int to Thumbnail
        Of the hits, by row of hits.fits.
    written : set of int
        Hits that have their page.
    faults : dict of int to str
        Hits of which something could not be shown, and why.
    """

    thumbnails: dict[int, Thumbnail] = field(default_factory=dict)
    written: set[int] = field(default_factory=set)
    faults: dict[int, str] = field(default_factory=dict)


def write_pages(
    folder: Path, content: RunContent, draw: Callable[[Path], Drawn] | None = None
) -> dict[int, str]:
    """Write the report of a run, all of it or nothing.

    Parameters
    ----------
    folder : Path
        Folder of the report; what stands there stays until the new one is whole.
    content : RunContent
        The run.
    draw : callable, optional
        Draws the figures that need spectra into the folder that it is given, `PROFILES` and those
        of `RunContent.places`, and may write pages of hits. A figure that is not there is not
        shown.

    Returns
    -------
    dict of int to str
        Hits of which something could not be shown, by row of hits.fits, and why. Their pages say
        so.

    Raises
    ------
    RunError
        If the folder cannot be written.
    """
    with replacing_folder(folder) as part:
        (part / "hits").mkdir()
        drawn = Drawn() if draw is None else draw(part)
        for number, place in enumerate(content.places):
            if place.hit not in drawn.written:
                write_hit_page(part, content, number, drawn.faults)
        _draw_own(part, content)
        for name in ASSETS:
            asset = files("speclens.report") / "templates" / name
            (part / name).write_bytes(asset.read_bytes())
        _write_run(part, content, drawn)
    return drawn.faults


def write_hit_page(folder: Path, content: RunContent, number: int, faults: dict[int, str]) -> None:
    """Write the page of one hit.

    Parameters
    ----------
    folder : Path
        Folder of the report, with the figure where there is one.
    content : RunContent
        The run.
    number : int
        Which of `RunContent.places`.
    faults : dict of int to str
        Why something of a hit cannot be shown; that of this one is added if its page fails.
    """
    place = content.places[number]
    around = _around(content, number)
    try:
        text = _rendered("hit.html", {**around, **_hit_values(folder, content, place, faults)})
    except Exception as error:  # noqa: BLE001 - its page says so, the notes and the exit code too
        faults[place.hit] = fault_of(error)
        name = spectrum_name(content.hits[place.hit])
        text = _rendered("fault.html", {**around, "name": name, "fault": faults[place.hit]})
    (folder / place.page).write_bytes(text.encode())


def _hit_values(
    folder: Path, content: RunContent, place: HitPlace, faults: Mapping[int, str]
) -> dict[str, Any]:
    is_candidate = place.candidate >= 0
    row = content.candidates[place.candidate] if is_candidate else content.hits[place.hit]
    companions = content.companions_of.get(place.hit, content.companions[:0])
    odds = {name: float(values[place.hit]) for name, values in content.odds.items()}
    return {
        **hit_context(row, companions, odds, content.config.of(str(row["SEARCH"]))),
        "hypotheses": hypothesis_rows(content.hypotheses_of.get(place.hit, content.hypotheses[:0])),
        "others": _others(content, place),
        "inspections": inspection_rows(content.inspections.get(place.hit, {})),
        "figure": f"{place.name}.svg" if (folder / place.figure).is_file() else "",
        "size": FIGURE_SIZE,
        "heat_map": _heat_map(folder, content, place),
        "heat_size": HEAT_SIZE,
        "fault": faults.get(place.hit, ""),
    }


def _others(content: RunContent, place: HitPlace) -> list[tuple[str, ...]]:
    """Say what other searches make of the line of a hit."""
    others = sorted(content.same_line_of.get(place.hit, ()))
    page_of = {other.hit: f"{other.name}.html" for other in content.places} if others else {}
    return other_search_rows(content.hits[others], [page_of.get(hit, "") for hit in others])


def _heat_map(folder: Path, content: RunContent, place: HitPlace) -> str:
    """Draw the heat map of a hit, where its search made one; return the name of the picture."""
    rows = content.heat_map_of.get(place.hit)
    if rows is None:
        return ""
    draw_heat_map(folder / place.heat_map, content.hits[place.hit], rows)
    return Path(place.heat_map).name


def _around(content: RunContent, number: int) -> dict[str, str]:
    """Return where a page is among those of the candidates, or of the rejected hits."""
    places = content.places
    n_candidates = min(len(content.candidates), len(places))
    rejected = number >= n_candidates
    first, stop = (n_candidates, len(places)) if rejected else (0, n_candidates)
    word = "rejected hit" if rejected else "candidate"
    return {
        "root": "../",
        "position": f"{word} {number - first + 1} of {stop - first}",
        "previous": f"{places[number - 1].name}.html" if number > first else "",
        "next": f"{places[number + 1].name}.html" if number + 1 < stop else "",
    }


def _draw_own(folder: Path, content: RunContent) -> None:
    steps = funnel(content.record.counts, content.hits, content.config.vet.vetoes)
    draw_funnel(folder / "funnel.svg", steps)
    if content.density:
        draw_density(folder / "density.svg", content.density, content.config.vet.dense_min_hits)


def _write_run(folder: Path, content: RunContent, drawn: Drawn) -> None:
    """Write the lists, and the page of the run, which begins with the candidates."""
    if content.known is not None:
        rows = list(known_rows(content))
        _write_list(folder, content, "known", "Published systems", KNOWN_HEADINGS, rows)
    by_row = sorted(content.places, key=lambda place: place.hit)
    rows = list(_rows(content, by_row, hit_cells, len(HIT_HEADINGS), drawn))
    _write_list(folder, content, "hits", "All hits", HIT_HEADINGS, rows)
    best = [place for place in content.places if place.candidate >= 0]
    rows = list(_rows(content, best, candidate_cells, len(CANDIDATE_HEADINGS), drawn))
    figures = {name: (folder / name).is_file() for name in (PROFILES, WORTH, "density.svg")}
    context = {**run_context(content), "figures": figures, "config": content.config}
    context["faults"] = [*context["faults"], *fault_notes(drawn.faults)]
    _write_list(folder, content, "candidates", "Candidates", CANDIDATE_HEADINGS, rows, context)


def _rows(
    content: RunContent,
    places: Iterable[HitPlace],
    cells: Callable[[RunContent, HitPlace, Thumbnail | None], Row],
    n_cells: int,
    drawn: Drawn,
) -> Iterator[Row]:
    for place in places:
        try:
            yield cells(content, place, drawn.thumbnails.get(place.hit))
        except Exception as error:  # noqa: BLE001 - its row says so, and so do the notes
            text = drawn.faults.setdefault(place.hit, fault_of(error))
            told = (Cell(str(place.hit)), Cell(text, page=place.page))
            yield (*told, *[Cell()] * (n_cells - len(told)))


def fault_notes(faults: Mapping[int, str]) -> list[str]:
    """Say what could not be shown.

    Parameters
    ----------
    faults : mapping of int to str
        Hits, by row of hits.fits, and why.

    Returns
    -------
    list of str
        One note, or none.
    """
    if not faults:
        return []
    hit, text = min(faults.items())
    return [
        f"hits that the report cannot show as they are, a fault of speclens: {len(faults)}; the "
        f"first is row {hit}: {text}"
    ]


def _write_list(
    folder: Path,
    content: RunContent,
    kind: str,
    title: str,
    headings: Sequence[Heading],
    rows: Sequence[Row],
    context: Mapping[str, Any] | None = None,
) -> None:
    """Write the pages of a table, and all its rows as a script."""
    size = content.config.report.rows_per_page
    write_rows(folder / f"{kind}.js", kind, rows)
    names = _page_names(kind, len(rows), size)
    for i, (name, part) in enumerate(zip(names, _parts(rows, size, len(names)), strict=True)):
        shared = {
            "kind": kind, "title": title, "headings": headings, "rows": part, "names": names,
            "current": i, "n": len(rows), "first": i * size + 1, "size": size,
            "line": THUMBNAIL_SIZE, "root": "", "rows_max": content.config.report.rows_max,
        }  # fmt: skip
        if name == "index.html":
            text = _rendered("index.html", {**shared, **(context or {})})
        else:
            text = _rendered("list.html", shared)
        (folder / name).write_bytes(text.encode())


def _page_names(kind: str, n: int, size: int) -> list[str]:
    """Name the pages of a table; the first page of the candidates is that of the run."""
    names = [f"{kind}-{i + 1}.html" for i in range(max(1, -(-n // size)))]
    return ["index.html", *names[1:]] if kind == "candidates" else names


def _parts(rows: Sequence[Row], size: int, n: int) -> Iterator[Sequence[Row]]:
    for i in range(n):
        yield rows[i * size : (i + 1) * size]


def _rendered(template: str, context: Mapping[str, Any]) -> str:
    return _environment().get_template(template).render(context)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("speclens.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _shown(value: Any) -> Any:
    """Return what a template puts out: no text may hide or turn around what follows it."""
    return printable(value) if type(value) is str else value
