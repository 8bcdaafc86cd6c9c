"""The picture of a heat map shows what is likely, and stays a picture whatever it is given."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.schema import HEAT_MAP, dtype_of
from speclens.view.heat_figure import draw_heat_map


def rows_of(*bins: tuple[str, float, float]) -> NDArray[np.void]:
    rows = np.zeros(len(bins), dtype_of(HEAT_MAP))
    for row, (kind, z, probability) in zip(rows, bins, strict=True):
        row["KIND"], row["Z_SOURCE"], row["PROBABILITY"] = kind, z, probability
    return rows


@pytest.fixture
def drawn(tmp_path: Path, make_hits: Callable[..., Any]) -> Callable[..., str]:
    def draw(*bins: tuple[str, float, float], z_lens: float = 0.3) -> str:
        row = make_hits(1)[0]
        row["Z"] = z_lens
        draw_heat_map(tmp_path / "heat.svg", row, rows_of(*bins))
        text = (tmp_path / "heat.svg").read_text(encoding="utf-8")
        ElementTree.fromstring(text)  # noqa: S314 - our own
        return text

    return draw


def test_each_likely_bin_is_a_bar(drawn: Callable[..., str]) -> None:
    text = drawn(("elg", 0.6, 0.5), ("elg", 0.601, 0.25), ("lya", 3.0, 0.2))
    assert text.count("fill-opacity") == 3
    assert "together 0.750" in text
    assert "together 0.200" in text


@pytest.mark.parametrize("z", [np.nan, np.inf, -1e30])
def test_a_lens_without_a_redshift_is_a_picture_too(drawn: Callable[..., str], z: float) -> None:
    assert "together 0.900" in drawn(("elg", 0.6, 0.9), z_lens=z)
