"""What several figures are tested by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.view.panels import Panel


@dataclass
class Curve:
    """A curve as it was given to a panel."""

    panel: Panel
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    color: str


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> list[Curve]:
    """The curves drawn since, in order."""
    drawn: list[Curve] = []
    line = Panel.line

    def listen(self: Panel, x: Any, y: Any, color: str, *rest: Any, **more: Any) -> None:
        drawn.append(Curve(self, np.asarray(x), np.asarray(y), color))
        line(self, x, y, color, *rest, **more)

    monkeypatch.setattr(Panel, "line", listen)
    return drawn
