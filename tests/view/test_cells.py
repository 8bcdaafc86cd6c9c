"""Cells are the same for the template and for the script; ids are text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speclens.config import Config
from speclens.view.cells import Cell, Heading, write_rows
from speclens.view.content import Thumbnail
from speclens.view.findings import deciding


def test_a_cell_says_only_what_it_has(
    make_hits: Callable[..., Any], default_config: Config
) -> None:
    marks = deciding(make_hits(1, [["FAINT"]])[0], default_config.vet)
    assert Cell("9007199254740993").plain() == "9007199254740993"
    assert Cell("> 2.0", 2.0).plain() == {"text": "> 2.0", "value": 2.0}
    cell = Cell("a\u202e", page="hits/1.html", marks=marks, line=Thumbnail("M1", "M2")).plain()
    assert cell["text"] == "a\\u202e"
    assert cell["page"] == "hits/1.html"
    assert cell["line"] == ["M1", "M2"]
    assert [mark[:2] for mark in cell["marks"]] == [["FAINT", "mark"]]


@pytest.mark.parametrize("text", ["</script>", "\u2028", "a\nb", '"', "\udcff"])
def test_g1_no_text_leaves_its_string(tmp_path: Path, text: str) -> None:
    write_rows(tmp_path / "t.js", "a", [[Cell(text)], [Cell("b")]])
    script = (tmp_path / "t.js").read_text("ascii")
    rows = json.loads(script.removeprefix('speclensRows("a", ').removesuffix(");\n"))
    assert len(rows) == 2
    assert script.count("\n") == 4


def test_headings_tell_how_their_cells_look() -> None:
    styles = [Heading("a", True).style, Heading("b", whole=True).style, Heading("c").style]
    assert styles == ["n", "keep", ""]
