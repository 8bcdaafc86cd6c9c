"""The directive `schema-table`: a table of `speclens.schema`, as the package has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from speclens import schema

CODES = ("name", "code", "dtype")


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
    names = [field.name for field in fields(records[0])]
    group = nodes.tgroup(cols=len(names))
    group += [nodes.colspec(colwidth=1) for _ in names]
    header = nodes.row()
    header += [nodes.entry("", nodes.paragraph(text=name)) for name in names]
    body = nodes.tbody()
    for record in records:
        row = nodes.row()
        row += [_entry(name, str(getattr(record, name))) for name in names]
        body += row
    group += [nodes.thead("", header), body]
    return nodes.table("", group)


def _entry(name: str, text: str) -> nodes.entry:
    content = nodes.literal(text=text) if name in CODES else nodes.Text(text)
    return nodes.entry("", nodes.paragraph("", "", content))


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
