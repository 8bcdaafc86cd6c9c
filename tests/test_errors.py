"""A fault of the program is told in one line, with its place."""

from __future__ import annotations

import re

from speclens.errors import fault_of


def test_a_fault_names_its_kind_its_text_and_its_place() -> None:
    def fails() -> float:
        return 1 / 0

    try:
        fails()
    except ZeroDivisionError as error:
        text = fault_of(error)
    assert re.fullmatch(r"ZeroDivisionError: division by zero \(test_errors\.py, line \d+\)", text)
    assert fault_of(ValueError("a\nb\x00")) == "ValueError: a b "
