"""Write the tables of the documentation into its pages: `make tables`.

    python tools/write_tables.py [--check] [--docs docs]

In: the records of `speclens.schema`, the hypotheses, the releases of surveys, the keys of the
configuration, the published numbers, what benchmarks left in docs/tables, and the aims of
docs/measured.toml, of which those are the numbers. Out: the pages, with each table between
`<!-- table NAME -->` and `<!-- end -->`. With --check nothing is written, and the exit status says
whether all tables are current.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from cost import TITLES, costs
from measured import TITLES as AIM_TITLES
from measured import aims, measured
from speclens import schema
from speclens.config import documented_keys
from speclens.evaluate.comparison_page import published_table
from speclens.evaluate.published import published_numbers
from speclens.hypotheses import HYPOTHESES
from speclens.releases import known_releases

DOCS = Path(__file__).parents[1] / "docs"
RECORDS = (
    "CANDIDATES", "COMPANIONS", "COMPARED_BY_SNR", "COMPARED_COST", "COMPARED_OVERLAP",
    "COMPARED_PREVALENCE", "COMPARED_RATES", "COMPARED_SCORES", "COMPLETENESS", "FALSE_HITS",
    "FLAGS", "GROWTH", "HEAT_MAP", "HITS", "HIT_HYPOTHESES", "INJECTED", "KNOWN", "LIMITS", "NULLS",
    "REASONS", "RECOVERED", "RELIABILITY", "SPECTRA", "VET_FLAGS",
)  # fmt: skip
CODES = ("name", "code", "dtype")
MARKED = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Write the tables, or check them.

    Returns
    -------
    int
        Exit status: 1 when --check finds a table that is not current.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--docs", type=Path, default=DOCS)
    arguments = parser.parse_args()
    tables = all_tables(arguments.docs / "tables")
    old = 0
    for page in sorted(arguments.docs.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        current = filled(text, tables)
        if current != text:
            old += 1
            print(f"{page}: {'not current: make tables' if arguments.check else 'written'}")
            if not arguments.check:
                page.write_text(current, encoding="utf-8")
    return int(arguments.check and old > 0)


def all_tables(folder: Path) -> dict[str, str]:
    """Return every table, Markdown, by name.

    Parameters
    ----------
    folder : Path
        Where benchmarks left theirs: NAME.md.
    """
    kept = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    records = {name: of_records(getattr(schema, name)) for name in RECORDS}
    made = {
        "CONFIGURATION": of_configuration(),
        "HYPOTHESES": of_hypotheses(),
        "RELEASES": of_releases(),
    }
    if "throughput" in kept:
        made["COST"] = markdown(TITLES, costs(kept["throughput"], kept["scaling"]))
    made["PUBLISHED"] = published_table(published_numbers())
    if (folder.parent / "measured.toml").is_file():
        made["MEASURED"] = of_aims(folder.parent / "measured.toml", kept)
    return kept | records | made


def filled(text: str, tables: Mapping[str, str]) -> str:
    """Return a page with its tables put in."""

    def put_in(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in tables:
            raise SystemExit(f"there is no table {name!r}: {', '.join(tables)}")
        return f"{begin}{tables[name]}{end}"

    return MARKED.sub(put_in, text)


def of_records(records: Sequence[Any]) -> str:
    """Return records of `speclens.schema` as a table."""
    names = [field.name for field in fields(records[0])]
    if "test" in names:
        names.insert(names.index("name") + 1, names.pop(names.index("test")))
    columns: dict[str, Callable[[Any], str]] = {
        name: lambda record, name=name: cell(getattr(record, name), name in CODES)  # type: ignore[misc]
        for name in names
        if name not in ("side", "setting", "allowed")
    }
    if "setting" in names:  # a condition in one cell: the page is not wide enough for three
        columns["column"] = lambda r: f"`{r.column}` {r.side} `vet.{r.setting}`"
    titles = ["set where" if n == "column" and "setting" in names else n for n in columns]
    return markdown(titles, ([show(record) for show in columns.values()] for record in records))


def of_aims(path: Path, kept: Mapping[str, str]) -> str:
    """Return what is aimed at beside what was measured, a table for each part."""
    parts: dict[str, list[list[str]]] = {}
    for aim in aims(path):
        number = measured(aim, kept)
        parts.setdefault(aim.part, []).append([aim.aim, aim.goal, number, f"`{aim.command}`"])
    return "\n".join(f"**{part}**\n\n{markdown(AIM_TITLES, rows)}" for part, rows in parts.items())


def of_hypotheses() -> str:
    """Return what a line may be, and what would be seen with it."""
    rows = []
    for made in HYPOTHESES.values():
        with_it = (f"{c.name} {c.ratio:g} ({c.scatter:g})" for c in made.companions)
        ratios = ", ".join(f"{ratio:g}" for ratio in made.ratios)
        doublet = f"{' and '.join(made.members)}; {ratios}" if made.members else ""
        rows.append([made.name, f"{made.wave:.2f}", doublet, ", ".join(with_it)])
    titles = ["line", "wavelength", "doublet; ratios red over blue", "ratio to it (scatter, ln)"]
    return markdown(titles, rows)


def of_releases() -> str:
    """Return where the archives keep the files of each release."""
    rows = []
    for release in known_releases():
        for tree in release.trees:
            layout = tree.layout
            first, last = layout.plates
            plates = f"plates to {last}" if first == 1 else f"plates from {first}"
            what = plates if layout.of == "plate" else {"field": "fields"}.get(layout.of, layout.of)
            sums = layout.checksums.rpartition(".")[2]
            rows.append([f"`{release.name}`", what, ", ".join(tree.run2d), tree.address, sums])
    return markdown(["release", "what", "reductions", "below", "digests"], rows)


def of_configuration() -> str:
    """Return the keys of the configuration, a table for each section."""
    text, rows = "", []
    for name, value, meaning in [*documented_keys(), ("", "", "")]:
        if value or "." in name:
            rows.append([f"`{name}`", cell(value, True) if value else "", cell(meaning)])
            continue
        if rows:
            text += "\n" + markdown(["key", "default", "meaning"], rows) + "\n"
        text, rows = text + (f"**[{name}]** {cell(meaning)}\n" if name else ""), []
    return text


def cell(value: object, code: bool = False) -> str:
    """Return a value as a cell; of a long list only that there is one."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    if not code:
        return text.replace("*", "\\*").replace("<", "&lt;")
    if len(text) > 60:
        text = f"{text[:50].rpartition(',')[0]}, ..."
    return f"`{text}`" if text else ""


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
