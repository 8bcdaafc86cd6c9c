"""One FITS header: its cards, and the columns that it describes.

In: the header's bytes. Out: values by keyword, places and types of table columns. Where a header
stands in a file is left to `speclens.read.fits`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

__all__ = ["CARD", "Field", "Header", "parse_header"]

CARD = 80
COLUMN_DTYPES = {"L": "S1", "B": ">u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
COLUMN_BYTES = {"L": 1, "X": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8,
                "M": 16, "P": 8, "Q": 16}  # fmt: skip
TEXT_VALUE = re.compile(r"\s*'((?:[^']|'')*)'")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([ED][+-]?\d+)?")
TABLE_FORMAT = re.compile(r"(\d*)([LXBIJKAEDCMPQ])")


@dataclass(frozen=True)
class Field:
    """One column of a binary table: its place in a row, and how to read it."""

    offset: int
    dtype: str
    scale: float = 1
    zero: float = 0


class Header:
    """Cards of one header, parsed when asked for.

    Parameters
    ----------
    block : bytes
        The header as it stands in the file.
    """

    def __init__(self, block: bytes) -> None:
        text = block.decode("latin-1")
        cards = (text[i : i + CARD] for i in range(0, len(text), CARD))
        self._cards = {card[:8].rstrip(): card[10:] for card in cards if card[8:10] == "= "}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a card.

        Parameters
        ----------
        key : str
            Keyword.
        default : object, optional
            Returned when there is no such card, or when its value cannot be read.

        Returns
        -------
        str, int, float, bool or the default
            The value.
        """
        card = self._cards.get(key)
        if card is None:
            return default
        match = TEXT_VALUE.match(card)
        if match:
            return match[1].replace("''", "'").rstrip()
        text = card.partition("/")[0].strip()
        if text in ("T", "F"):
            return text == "T"
        if not NUMBER.fullmatch(text):
            return default
        if text.lstrip("+-").isdigit():
            return int(text)
        value = float(text.replace("D", "E"))
        return value if math.isfinite(value) else default

    def number(self, key: str, default: Any = None) -> Any:
        """Return the value of a card that must hold a number.

        Parameters
        ----------
        key : str
            Keyword.
        default : object, optional
            Returned when there is no such card, or when it holds no finite number.

        Returns
        -------
        int, float or the default
            The value.
        """
        value = self.get(key, default)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value if is_number else default

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Columns of a binary table by upper-case name.

        Raises
        ------
        ValueError
            If the header contradicts itself.
        """
        fields: dict[str, Field] = {}
        offset = 0
        for i in range(1, int(self.number("TFIELDS", 0)) + 1):
            form = str(self.get(f"TFORM{i}", ""))
            match = TABLE_FORMAT.match(form)
            if not match:
                raise ValueError(f"TFORM{i} = {form!r} is missing or unknown")
            count, code = int(match[1] or 1), match[2]
            width = -(-count // 8) if code == "X" else count * COLUMN_BYTES[code]
            dtype = f"S{max(count, 1)}" if code == "A" else COLUMN_DTYPES.get(code, f"V{width}")
            if code in COLUMN_DTYPES and count != 1:
                dtype = f"({count},){dtype}"
            name = str(self.get(f"TTYPE{i}", f"COLUMN{i}")).upper()
            scale, zero = self.number(f"TSCAL{i}", 1), self.number(f"TZERO{i}", 0)
            fields[name] = Field(offset, dtype, scale, zero)
            offset += width
        if offset != self.get("NAXIS1"):
            raise ValueError(
                f"the columns take {offset} bytes a row, NAXIS1 = {self.get('NAXIS1')}"
            )
        return fields

    @lru_cache(maxsize=16)  # noqa: B019 - headers are shared by parse_header, which is bounded too
    def record(self, names: tuple[str, ...]) -> np.dtype[np.void]:
        """Return the dtype that picks columns from the rows of a binary table.

        Parameters
        ----------
        names : tuple of str
            Columns; those that the table lacks are left out.

        Returns
        -------
        numpy.dtype
            A structured dtype as wide as a row.
        """
        wanted = [name for name in dict.fromkeys(names) if name in self.fields]
        return np.dtype(
            {
                "names": wanted,
                "formats": [self.fields[name].dtype for name in wanted],
                "offsets": [self.fields[name].offset for name in wanted],
                "itemsize": self.get("NAXIS1"),
            }
        )


@lru_cache(maxsize=128)
def parse_header(block: bytes) -> Header:
    """Parse a header once: the wide tables of a plate's spec files share theirs."""
    return Header(block)
