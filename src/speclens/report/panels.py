"""Plain panels of a figure, drawn in a tenth of the time that matplotlib's axes take.

A report draws a figure for every candidate; axes that lay out, tick and measure themselves would
make that the longest part of it. Curves are matplotlib's; words are drawn by Pillow, which has no
markup: a text comes out as it is. In: arrays and texts. Out: a small PNG file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox, BboxTransform, IdentityTransform, TransformedBbox
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from speclens.products import replacing
from speclens.report.figures import plain_text

__all__ = ["Panel", "Sheet"]

DPI = 110
N_COLORS = 64
TICK_POINTS = 3.0
FRAME_COLOR = "#3c4650"
TEXT_COLOR = "#1d252c"
LABEL_SIZE = 7.5
TITLE_SIZE = 8.5

Floats = NDArray[np.float64]
Ends = tuple[float, float]


@dataclass(frozen=True)
class Words:
    """A text on a sheet: place in pixels from the upper left, Pillow's anchor, size in points."""

    x: float
    y: float
    text: str
    anchor: str
    size: float
    color: str


class Sheet:
    """What becomes one picture.

    Parameters
    ----------
    width, height : float
        Size, inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), dpi=DPI)
        self._words: list[Words] = []

    def write(
        self, x: float, y: float, text: str, anchor: str = "ls",
        size: float = LABEL_SIZE, color: str = TEXT_COLOR,
    ) -> None:  # fmt: skip
        """Write a line of text.

        Parameters
        ----------
        x, y : float
            Where, pixels from the lower left.
        text : str
            Any text.
        anchor : str, optional
            Which point of the text is there, as Pillow names it; the left end of its baseline.
        size : float, optional
            Points.
        color : str, optional
            Its color.
        """
        height = self.figure.bbox.height
        self._words.append(Words(x, height - y, text, anchor, size, color))

    def save(self, path: Path) -> None:
        """Write a PNG of few colors, whole or not at all.

        Parameters
        ----------
        path : Path
            PNG file.
        """
        canvas: Any = FigureCanvasAgg(self.figure)
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        drawing = ImageDraw.Draw(image)
        for words in self._words:
            drawing.text(
                (words.x, words.y), words.text, fill=words.color, font=_font(words.size),
                anchor=words.anchor,
            )  # fmt: skip
        few = image.quantize(N_COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        with replacing(path) as file:
            few.save(file, format="PNG")


@cache
def _font(points: float) -> ImageFont.FreeTypeFont:
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(file), points * DPI / 72)


class Panel:
    """A rectangle of a sheet with linear axes.

    Parameters
    ----------
    sheet : Sheet
        The sheet.
    place : (float, float, float, float)
        Left, bottom, width, height, as fractions of the figure.
    xlim, ylim : (float, float)
        Ends of the axes.
    """

    def __init__(
        self, sheet: Sheet, place: tuple[float, float, float, float], xlim: Ends, ylim: Ends
    ) -> None:
        self.sheet, self.xlim, self.ylim = sheet, xlim, ylim
        self._box = TransformedBbox(Bbox.from_bounds(*place), sheet.figure.transSubfigure)
        (self._left, self._bottom), (self._right, self._top) = self._box.get_points()
        limits = Bbox([(xlim[0], ylim[0]), (xlim[1], ylim[1])])
        self._transform = BboxTransform(limits, Bbox(self._box.get_points()))

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self._transform)
        artist.set_clip_box(self._box)
        self.sheet.figure.add_artist(artist)

    def line(self, x: Floats, y: Floats, **style: Any) -> None:
        """Draw a line.

        Parameters
        ----------
        x, y : array of shape (L,)
            Its points; NaN leaves a gap.
        **style : keywords
            Properties of a `Line2D`.
        """
        self._add(Line2D(x, y, **style))

    def band(self, x: Floats, low: Floats, high: Floats, color: str) -> None:
        """Fill between two curves.

        Parameters
        ----------
        x, low, high : array of shape (L,)
            The curves; NaN leaves a gap.
        color : str
            Its color.
        """
        good = np.isfinite(low) & np.isfinite(high)
        ends = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]])))
        for start, stop in ends.reshape(-1, 2):
            part = slice(start, stop)
            around = np.concatenate([low[part], high[part][::-1]])
            along = np.concatenate([x[part], x[part][::-1]])
            self._add(Polygon(np.column_stack([along, around]), color=color, alpha=0.35, lw=0))

    def shade(self, left: float, right: float, color: str) -> None:
        """Shade a range of x.

        Parameters
        ----------
        left, right : float
            Its ends.
        color : str
            Its color.
        """
        x = np.array([left, right])
        self.band(x, np.full(2, self.ylim[0]), np.full(2, self.ylim[1]), color)

    def rules(
        self, x: Sequence[float] = (), y: Sequence[float] = (), height: float = 1.0, **style: Any
    ) -> None:
        """Draw lines across the panel.

        Parameters
        ----------
        x, y : sequence of float, optional
            Where vertical and horizontal lines are.
        height : float, optional
            Length of the vertical ones, fraction of the panel.
        **style : keywords
            Properties of a `Line2D`.
        """
        top = self.ylim[0] + height * (self.ylim[1] - self.ylim[0])
        lines = [[(place, self.ylim[0]), (place, top)] for place in x]
        lines += [[(self.xlim[0], place), (self.xlim[1], place)] for place in y]
        self._add(_strokes(lines, **style))

    def text(
        self, x: float, height: float, text: str, anchor: str = "ms",
        size: float = LABEL_SIZE, color: str = TEXT_COLOR,
    ) -> None:  # fmt: skip
        """Write at a place of the x axis.

        Parameters
        ----------
        x : float
            Where, in data.
        height : float
            How high, fraction of the panel.
        text : str
            Any text.
        anchor : str, optional
            As in `Sheet.write`; the middle of the baseline.
        size : float, optional
            Points.
        color : str, optional
            Its color.
        """
        across = (x - self.xlim[0]) / (self.xlim[1] - self.xlim[0])
        self.sheet.write(
            self._left + across * (self._right - self._left),
            self._bottom + height * (self._top - self._bottom),
            plain_text(text), anchor, size, color,
        )  # fmt: skip

    def title(self, text: str) -> None:
        """Write above the panel.

        Parameters
        ----------
        text : str
            Any text.
        """
        self.sheet.write(self._left, self._top + 6, plain_text(text), size=TITLE_SIZE)

    def frame(self, x_label: str = "", n_x: int = 8, n_y: int = 4, numbers: bool = True) -> None:
        """Draw the left and the lower axis with ticks.

        Parameters
        ----------
        x_label : str, optional
            What x is.
        n_x, n_y : int, optional
            Highest number of intervals; 0 for no ticks.
        numbers : bool, optional
            Whether the ticks of the lower axis have numbers.
        """
        tick = TICK_POINTS * DPI / 72
        left, bottom = self._left, self._bottom
        lines = [[(left, self._top), (left, bottom), (self._right, bottom)]]
        for value, text in _ticks(self.xlim, n_x):
            place = float(self._transform.transform((value, self.ylim[0]))[0])
            lines.append([(place, bottom), (place, bottom - tick)])
            if numbers:
                self.sheet.write(place, bottom - 1.5 * tick, text, "mt")
        for value, text in _ticks(self.ylim, n_y):
            place = float(self._transform.transform((self.xlim[0], value))[1])
            lines.append([(left, place), (left - tick, place)])
            self.sheet.write(left - 1.6 * tick, place, text, "rm")
        axes = _strokes(lines, color=FRAME_COLOR, lw=0.7, transform=IdentityTransform())
        self.sheet.figure.add_artist(axes)
        middle = 0.5 * (left + self._right)
        self.sheet.write(middle, bottom - 5.4 * tick, x_label, "mt", 8.0)


def _strokes(lines: Sequence[Sequence[tuple[float, float]]], **style: Any) -> Line2D:
    """Return lines as one artist, parted by NaN."""
    points = [point for line in lines for point in (*line, (np.nan, np.nan))]
    x, y = np.array(points).reshape(-1, 2).T
    return Line2D(x, y, **style)


def _ticks(ends: Ends, n: int) -> list[tuple[float, str]]:
    if n == 0:
        return []
    values = MaxNLocator(n, steps=[1, 2, 2.5, 5, 10]).tick_values(*ends)
    step = float(values[1] - values[0])
    decimals = max(0, int(np.ceil(-np.log10(step) - 1e-9)))
    if round(step * 10**decimals, 6) % 1:
        decimals += 1
    inside = [float(value) for value in values if ends[0] <= value <= ends[1]]
    return [(value, f"{value:z.{decimals}f}") for value in inside]
