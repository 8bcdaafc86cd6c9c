"""Draw the chain of the stages from the contracts of imports: `make tables`.

    python tools/draw_data_flow.py [--check] [--docs docs]

In: the layers in pyproject.toml, and the first line of each folder's docstring. Out: the figure of
docs/data_flow.md. With --check nothing is written, and the exit status says whether it is current.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "speclens"
FIGURE = "figures/data_flow.svg"
WIDTH, LEFT, BOX, ROW, TOP = 1000, 40, 190, 44, 30
STYLE = """
.b{fill:#eef2f5;stroke:#31485c;stroke-width:1.4}.m{fill:#fff;stroke:#9aa7b2;stroke-width:1.2}
.t{font-weight:bold;fill:#31485c}.s{font-size:13px;fill:#333}.n{font-size:12px;fill:#777}
.a{stroke:#d98324;stroke-width:2;fill:none;marker-end:url(#m)}
"""
ARROW = (
    '<defs><marker id="m" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" markerHeight="6" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="#d98324"/></marker></defs>'
)
NOTES = {
    "fetch": "archives",
    "read": "survey files",
    "search": "spectra.fits, hits.fits",
    "evidence": "RUN/work",
    "candidates": "candidates.*",
    "inspections": "RUN/grades.sqlite",
    "report": "RUN/report",
    "simulate": "mock surveys",
    "train": "SET, MODEL",
    "run": "RUN",
}
"""What a folder reads or writes."""


def main() -> int:
    """Draw the figure, or check it.

    Returns
    -------
    int
        Exit status: 1 when --check finds that it is not current.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    arguments = parser.parse_args()
    path, text = arguments.docs / FIGURE, figure(layers())
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path}: {'not current: make tables' if arguments.check else 'written'}")
    if not arguments.check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return int(arguments.check)


def layers() -> list[list[str]]:
    """Return the layers of the first contract, top to bottom."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contract = tomllib.load(file)["tool"]["importlinter"]["contracts"][0]
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def summary(name: str) -> str:
    """Return the first line of a folder's or module's docstring."""
    folder = SOURCE / name / "__init__.py"
    path = folder if folder.exists() else SOURCE / f"{name}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].removesuffix(".").replace("`", "")


def figure(chain: list[list[str]]) -> str:
    """Return the figure as SVG: a row for each layer, data flowing up."""
    rows = [name for layer in chain for name in layer if name != "__main__"]
    height = TOP + ROW * len(rows) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="14">',
        f"<style>{STYLE}</style>{ARROW}",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number, name in enumerate(rows):
        parts += box(name, TOP + ROW * number)
    end = TOP + ROW * rows.index("run")
    parts.append(f'<path class="a" d="M20 {end - 12}V{TOP}"/>')
    parts.append(f'<text class="n" x="12" y="{TOP - 10}">data flow up, imports point down</text>')
    return "\n".join([*parts, "</svg>", ""])


def box(name: str, top: int) -> list[str]:
    """Return the box of a folder or module, with what it is for."""
    folder = (SOURCE / name).is_dir()
    label = f"{name}/" if folder else f"{name}.py"
    kind, note = "b" if folder else "m", NOTES.get(name, "")
    return [
        f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{BOX}" height="{ROW - 10}" rx="4"/>',
        f'<text class="t" x="{LEFT + 14}" y="{top + 22}">{label}</text>',
        f'<text class="s" x="{LEFT + BOX + 20}" y="{top + 22}">{escape(summary(name))}</text>',
        f'<text class="n" x="{WIDTH - 20}" y="{top + 22}" text-anchor="end">{note}</text>',
    ]


if __name__ == "__main__":
    sys.exit(main())
