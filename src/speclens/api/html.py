"""How objects show themselves in a notebook.

In: a title, a line, a table. Out: HTML, without script or style of its own.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["page"]

ROWS = 5


def page(title: str, said: str, table: Any = None, report: Path | None = None) -> str:
    """Return what a notebook shows of an object.

    Parameters
    ----------
    title : str
        What it is.
    said : str
        What there is to say, in a line.
    table : astropy.table.QTable, optional
        Its table, of which the first rows are shown.
    report : Path, optional
        The page to open.

    Returns
    -------
    str
        HTML.
    """
    parts = [f"<div><b>{escape(title)}</b>: {escape(said)}</div>"]
    if table is not None and len(table):
        head = "".join(f"<th>{escape(name)}{_unit(table[name])}</th>" for name in table.colnames)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(_shown(row[n]))}</td>" for n in table.colnames) + "</tr>"
            for row in table[:ROWS]
        )
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
        if len(table) > ROWS:
            parts.append(f"<div>and {len(table) - ROWS} more</div>")
    if report is not None:
        parts.append(f'<div><a href="{escape(report.as_uri())}">{escape(str(report))}</a></div>')
    return "".join(parts)


def _unit(column: Any) -> str:
    unit = str(getattr(column, "unit", None) or "")
    return f"<br><small>{escape(unit)}</small>" if unit else ""


def _shown(value: Any) -> str:
    number = getattr(value, "value", value)
    return f"{number:.6g}" if isinstance(number, float | np.floating) else str(number)
