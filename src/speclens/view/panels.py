"""Plain panels of a figure, as SVG: text that stays text, lines that stay sharp.

A report draws a figure for every hit; written as paths of whole tenths of a pixel, it takes a few
milliseconds. What is drawn in a panel never leaves it, so that no curve runs over a label. In:
arrays and texts. Out: a small SVG file that opens nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from speclens.view.paths import TENTHS, curve, runs, steps, straight
from speclens.view.wording import printable

__all__ = ["FRAME_COLOR", "Panel", "Sheet", "ticks"]

FRAME_COLOR = "#3c4650"
TEXT_COLOR = "#1d252c"
FONT = "'DejaVu Sans', Verdana, 'Liberation Sans', Arial, sans-serif"
TICK = 4.0

Floats = NDArray[np.float64]
Ends = tuple[float, float]


class Sheet:
    """What becomes one picture.

    Parameters
    ----------
    width, height : int
        Size, pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        self._parts: list[str] = []

    def add(self, element: str) -> None:
        """Add an element of SVG.

        Parameters
        ----------
        element : str
            Its markup.
        """
        self._parts.append(element)

    def write(
        self, x: float, y: float, text: str, anchor: str = "start", size: float = 11.0,
        color: str = TEXT_COLOR, turned: bool = False,
    ) -> None:  # fmt: skip
        """Write a line of text.

        Parameters
        ----------
        x, y : float
            A point of its baseline, pixels from the upper left.
        text : str
            Any text; it is shown as it is.
        anchor : str, optional
            Which point: `start`, `middle` or `end`.
        size : float, optional
            Height of the letters, pixels.
        color : str, optional
            Its color.
        turned : bool, optional
            Whether it runs upwards.
        """
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self.add(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" '
            f'fill="{color}"{turn}>{escape(printable(text))}</text>'
        )

    def save(self, path: Path) -> None:
        """Write the picture.

        Parameters
        ----------
        path : Path
            SVG file, in a folder that takes its name when it is whole.
        """
        text = "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" {self._size} font-family="{FONT}">',
                '<rect width="100%" height="100%" fill="#fff"/>',
                *self._parts,
                "</svg>\n",
            )
        )
        path.write_bytes(text.encode())


class Panel:
    """A rectangle of a sheet with linear axes.

    Parameters
    ----------
    sheet : Sheet
        The sheet.
    place : (float, float, float, float)
        Left, top, width, height, pixels.
    xlim, ylim : (float, float)
        Ends of the axes.
    """

    def __init__(
        self, sheet: Sheet, place: tuple[float, float, float, float], xlim: Ends, ylim: Ends
    ) -> None:
        self.sheet, self.xlim, self.ylim = sheet, xlim, ylim
        self._left, self._top, self._width, self._height = place
        self._drawn: list[str] = []

    def _across(self, x: Floats | float) -> Floats:
        low, high = self.xlim
        return np.asarray((x - low) / (high - low) * self._width, np.float64)

    def _down(self, y: Floats | float) -> Floats:
        low, high = self.ylim
        return np.asarray((high - y) / (high - low) * self._height, np.float64)

    def line(
        self, x: Floats, y: Floats, color: str, width: float = 1.0, dashes: str = "",
        stepped: bool = False,
    ) -> None:  # fmt: skip
        """Draw a line.

        Parameters
        ----------
        x, y : array of shape (L,)
            Its points; NaN leaves a gap.
        color : str
            Its color.
        width : float, optional
            Its width, pixels.
        dashes : str, optional
            Lengths of dashes and gaps, tenths of a pixel.
        stepped : bool, optional
            Whether each value is a step of its pixel's width.
        """
        self._stroke(
            (steps if stepped else curve)(self._across(x), self._down(y)), color, width, dashes
        )

    def _stroke(self, path: str, color: str, width: float = 1.0, dashes: str = "") -> None:
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._drawn.append(
            f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{TENTHS * width:g}" '
            f'stroke-linejoin="round" stroke-linecap="round"{dashed}/>'
        )

    def band(self, x: Floats, low: Floats, high: Floats, color: str) -> None:
        """Fill between two curves.

        Parameters
        ----------
        x, low, high : array of shape (L,)
            The curves; NaN leaves a gap.
        color : str
            Its color.
        """
        for part in runs(np.isfinite(low) & np.isfinite(high)):
            around = np.concatenate([low[part], high[part][::-1]])
            along = np.concatenate([x[part], x[part][::-1]])
            self._fill(along, around, color, ' fill-opacity=".35"')

    def bars(self, edges: Floats, heights: Floats, color: str) -> None:
        """Draw a filled histogram.

        Parameters
        ----------
        edges : array of shape (B + 1,)
            Ends of the bars.
        heights : array of shape (B,)
            How high they are, from 0.
        color : str
            Its color.
        """
        around = np.concatenate([[0.0], np.repeat(heights, 2), [0.0]])
        self._fill(np.repeat(edges, 2), around, color)

    def _fill(self, x: Floats, y: Floats, color: str, style: str = "") -> None:
        path = curve(self._across(x), self._down(y))
        self._drawn.append(f'<path d="{path}z" fill="{color}"{style}/>')

    def rules(self, x: Sequence[float] = (), y: Sequence[float] = (), **style: str | float) -> None:
        """Draw lines across the panel.

        Parameters
        ----------
        x, y : sequence of float, optional
            Where vertical and horizontal lines are.
        **style : keywords
            As in `line`: color, width, dashes.
        """
        for place in x:
            across = float(self._across(place))
            self._stroke(straight((across, self._height), (across, 0)), **style)  # type: ignore[arg-type]
        for place in y:
            down = float(self._down(place))
            self._stroke(straight((0, down), (self._width, down)), **style)  # type: ignore[arg-type]

    def above(self, x: float, text: str, line: int = 0, **style: str | float) -> None:
        """Write over the panel, at a place of the x axis.

        Parameters
        ----------
        x : float
            Where, in data.
        text : str
            Any text.
        line : int, optional
            How many lines of text over the panel.
        **style : keywords
            As in `Sheet.write`: size, color.
        """
        across = float(self._across(x)) + self._left
        self.sheet.write(across, self._top - 4 - 12 * line, text, "middle", **style)  # type: ignore[arg-type]

    def within(self, text: str, **style: str | float) -> None:
        """Write in the middle of the panel.

        Parameters
        ----------
        text : str
            Any text.
        **style : keywords
            As in `Sheet.write`: size, color.
        """
        x, y = self._left + self._width / 2, self._top + self._height / 2
        self.sheet.write(x, y, text, "middle", **style)  # type: ignore[arg-type]

    def title(self, text: str, room: float = 8.0) -> None:
        """Write the panel's title.

        Parameters
        ----------
        text : str
            Any text.
        room : float, optional
            Pixels between panel and title.
        """
        self.sheet.write(self._left, self._top - room, text, size=12.5)

    def frame(
        self, x_label: str = "", y_label: str = "", n_x: int = 8, n_y: int = 4,
        numbers: bool = True,
    ) -> None:  # fmt: skip
        """Draw the left and the lower axis, and put what was drawn onto the sheet.

        Parameters
        ----------
        x_label, y_label : str, optional
            What the axes are.
        n_x, n_y : int, optional
            Highest number of intervals; 0 for no ticks.
        numbers : bool, optional
            Whether the ticks of the lower axis have numbers.
        """
        left, top, width, height = self._left, self._top, self._width, self._height
        bottom = top + height
        self.sheet.add(
            f'<svg x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {TENTHS * width:g} {TENTHS * height:g}">{"".join(self._drawn)}</svg>'
        )
        strokes = [f"M{left:g} {top:g}v{height:g}h{width:g}"]
        for value, text in ticks(self.xlim, n_x):
            place = left + float(self._across(value))
            strokes.append(f"M{place:.1f} {bottom:g}v{TICK:g}")
            if numbers:
                self.sheet.write(place, bottom + 15, text, "middle")
        widest = 0
        for value, text in ticks(self.ylim, n_y):
            place = top + float(self._down(value))
            strokes.append(f"M{left:g} {place:.1f}h{-TICK:g}")
            self.sheet.write(left - 7, place + 4, text, "end")
            widest = max(widest, len(text))
        self.sheet.add(f'<path d="{"".join(strokes)}" fill="none" stroke="{FRAME_COLOR}"/>')
        if x_label:
            self.sheet.write(left + width / 2, bottom + 31, x_label, "middle", 11.5)
        if y_label:
            across = left - 14 - 7 * widest
            self.sheet.write(across, top + height / 2, y_label, "middle", turned=True)


def ticks(ends: Ends, n: int) -> list[tuple[float, str]]:
    """Return round numbers between the ends of an axis.

    Parameters
    ----------
    ends : (float, float)
        The ends.
    n : int
        Highest number of intervals; 0 for no ticks.

    Returns
    -------
    list of (float, str)
        Value and text of each.
    """
    if n == 0:
        return []
    least = (ends[1] - ends[0]) / n
    power = 10.0 ** math.floor(math.log10(least))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= least * (1 - 1e-9))
    values = [i * step for i in range(math.ceil(ends[0] / step), math.floor(ends[1] / step) + 1)]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    decimals += bool(round(step * 10**decimals, 6) % 1)
    if max(abs(end) for end in ends) >= 1e6 or decimals > 6:
        return [(value, f"{value:.1e}") for value in values]
    return [(value, f"{value:z.{decimals}f}") for value in values]
