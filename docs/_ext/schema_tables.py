"""The directive `schema-table`: a table of `speclens.schema`, as the package has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from speclens import schema

CODES = ("name", "code", "dtype", "column", "setting")

CONDITION = ("column", "side", "setting")
"""Fields that are one condition, in one cell: the page is not wide enough for three."""


class SchemaTable(Directive):
    """Write the records of `speclens.schema` that the argument names as a table."""

    required_arguments = 1
    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Make the table.

        Returns
        -------
        list of docutils.nodes.Node
            The table.
        """
        return [_table(getattr(schema, self.arguments[0]))]


def _table(records: Sequence[Any]) -> nodes.table:
    columns = _columns([field.name for field in fields(records[0])])
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=1) for _ in columns]
    header = nodes.row()
    header += [nodes.entry("", nodes.paragraph(text=title)) for title in columns]
    body = nodes.tbody()
    for record in records:
        row = nodes.row()
        row += [_entry(record, names) for names in columns.values()]
        body += row
    group += [nodes.thead("", header), body]
    return nodes.table("", group)


def _columns(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Title of each column, and the fields that it shows."""
    columns: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
    if set(CONDITION) <= set(names):
        columns["column"] = CONDITION
        columns = {
            "set where" if name == "column" else name: shown
            for name, shown in columns.items()
            if name not in CONDITION[1:]
        }
    return columns


def _entry(record: Any, names: Sequence[str]) -> nodes.entry:
    paragraph = nodes.paragraph()
    for i, name in enumerate(names):
        text = str(getattr(record, name))
        if i:
            paragraph += nodes.Text(" ")
        paragraph += nodes.literal(text=text) if name in CODES else nodes.Text(text)
    return nodes.entry("", paragraph)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive.

    Parameters
    ----------
    app : Sphinx
        The application.

    Returns
    -------
    dict
        What Sphinx may do with the extension.
    """
    app.add_directive("schema-table", SchemaTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
