"""One FITS header: its cards, and the columns that it describes.

In: the header's bytes. Out: values by keyword, places and types of table columns. Where a header
stands in a file is left to `speclens.read.fits.file`. Where a keyword or a column is asked for that
stands twice, nobody knows which was meant: that is an error, never the last of the two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

__all__ = ["CARD", "Field", "Header", "HeaderError", "Record", "Scaling", "parse_header"]

CARD, VALUE = 80, 10
"""Characters of a card, and where its value begins."""
COLUMN_DTYPES = {"L": "S1", "B": ">u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
COLUMN_BYTES = {"L": 1, "X": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8,
                "M": 16, "P": 8, "Q": 16}  # fmt: skip
TEXT_VALUE = re.compile(r"\s*'((?:[^']|'')*)'")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([EDed][+-]?\d+)?", re.ASCII)
TABLE_FORMAT = re.compile(r"(\d*)([LXBIJKAEDCMPQ])", re.ASCII)


class HeaderError(ValueError):
    """A header contradicts itself in something that is used.

    Parameters
    ----------
    header : Header
        The header.
    detail : str
        What is wrong.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, header: Header, detail: str, hint: str = "fetch the file again") -> None:
        super().__init__(detail)
        self.header = header
        self.hint = hint


@dataclass(frozen=True)
class Scaling:
    """What makes a stored number the number that is meant: stored * factor + offset.

    Parameters
    ----------
    factor, offset : float
        TSCAL and TZERO, or BSCALE and BZERO.
    null : int or None
        Stored integer that stands for no value (TNULL, BLANK).
    """

    factor: float = 1
    offset: float = 0
    null: int | None = None


@dataclass(frozen=True)
class Field:
    """One column of a binary table: its number, from 1, its place in a row, and its type."""

    number: int
    offset: int
    dtype: str


@dataclass(frozen=True)
class Record:
    """Columns picked from the rows of a binary table.

    Parameters
    ----------
    dtype : numpy.dtype
        A structured dtype as wide as a row.
    scalings : dict
        Scaling of each column, by name.
    """

    dtype: np.dtype[np.void]
    scalings: dict[str, Scaling]


class Header:
    """Cards of one header, parsed when asked for.

    Parameters
    ----------
    block : bytes
        The header as it stands in the file, up to its END.
    """

    def __init__(self, block: bytes) -> None:
        self._text = block.decode("latin-1")
        keywords = np.frombuffer(block, np.uint8).reshape(-1, CARD)[:, :VALUE]
        self._places, repeated = _places_of(keywords.tobytes())
        self._values: dict[str, Any] = {}
        self._contradictions = {
            key: values
            for key, places in repeated.items()
            if len(values := self._different(places)) > 1
        }

    def _different(self, places: Sequence[int]) -> list[Any]:
        """List the values that stand at some places, each once."""
        cards = [self._text[place : place + CARD - VALUE] for place in places]
        values = [_value_of(card) for card in cards]
        stated = (
            card.strip() if value is None else value
            for card, value in zip(cards, values, strict=True)
        )
        return list(dict.fromkeys(stated))

    def _card(self, key: str) -> str | None:
        """Return what follows the keyword of a card; None where there is no such card."""
        place = self._places.get(key)
        return None if place is None else self._text[place : place + CARD - VALUE]

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

        Raises
        ------
        HeaderError
            If the keyword stands twice with different values.
        """
        if key in self._contradictions:
            values = " and ".join(repr(value) for value in self._contradictions[key])
            raise HeaderError(self, f"{key} is both {values}", "leave one of them")
        if key not in self._values:
            card = self._card(key)
            self._values[key] = None if card is None else _value_of(card)
        value = self._values[key]
        return default if value is None else value

    def number(self, key: str, default: Any = None) -> Any:
        """Return the value of a card that should hold a number.

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

    def word(self, key: str) -> str:
        """Return the value of a card as a word, even where the standard knows no such value.

        Parameters
        ----------
        key : str
            Keyword.

        Returns
        -------
        str
            In upper case, without quotes and comment: T for true, 0 for 0; empty when there is no
            such card or nothing in it.

        Raises
        ------
        HeaderError
            If the keyword stands twice with different values.
        """
        card = self._card(key)
        if card is None:
            return ""
        self.get(key)
        match = TEXT_VALUE.match(card)
        text = match[1].replace("''", "'") if match else card.partition("/")[0]
        return text.strip().upper()

    def scaling(self, factor: str, offset: str, null: str) -> Scaling:
        """Return how stored numbers are scaled.

        Parameters
        ----------
        factor, offset, null : str
            Their keywords.

        Returns
        -------
        Scaling
            The scaling; that of an absent keyword changes nothing.

        Raises
        ------
        HeaderError
            If a card is there and holds no finite number, or the factor is 0.
        """
        stated = {factor: 1, offset: 0} | {
            key: self.number(key) for key in (factor, offset) if key in self._places
        }
        for key, value in stated.items():
            if value is None or (key == factor and value == 0):
                text = (self._card(key) or "").partition("/")[0].strip()
                raise HeaderError(self, f"{key} = {text} scales nothing")
        blank = self.get(null)
        return Scaling(stated[factor], stated[offset], blank if type(blank) is int else None)

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Columns of a binary table by upper-case name, but those that hold nothing.

        Raises
        ------
        HeaderError
            If the header contradicts itself.
        """
        fields: dict[str, Field] = {}
        self._twice: set[str] = set()
        offset = 0
        for i in range(1, int(self.number("TFIELDS", 0)) + 1):
            form = str(self.get(f"TFORM{i}", "")).strip().upper()
            match = TABLE_FORMAT.match(form)
            if not match:
                raise HeaderError(self, f"TFORM{i} = {form!r} is missing or unknown")
            count, code = int(match[1] or 1), match[2]
            width = -(-count // 8) if code == "X" else count * COLUMN_BYTES[code]
            if not width:
                continue
            dtype = f"S{count}" if code == "A" else COLUMN_DTYPES.get(code, f"V{width}")
            if code in COLUMN_DTYPES and count != 1:
                dtype = f"({count},){dtype}"
            name = str(self.get(f"TTYPE{i}", f"COLUMN{i}")).strip().upper()
            if name in fields:
                self._twice.add(name)
            fields[name] = Field(i, offset, dtype)
            offset += width
        if offset != self.get("NAXIS1"):
            raise HeaderError(
                self, f"the columns take {offset} bytes a row, NAXIS1 = {self.get('NAXIS1')}"
            )
        return fields

    @lru_cache(maxsize=16)  # noqa: B019 - headers are shared by parse_header, which is bounded too
    def record(self, names: tuple[str, ...]) -> Record:
        """Pick columns from the rows of a binary table.

        Parameters
        ----------
        names : tuple of str
            Columns; those that the table lacks are left out.

        Returns
        -------
        Record
            The columns.

        Raises
        ------
        HeaderError
            If the header contradicts itself in one of them.
        """
        wanted = {name: self.fields[name] for name in names if name in self.fields}
        for name in wanted:
            if name in self._twice:
                raise HeaderError(
                    self,
                    f"two columns are called {name}, in capitals or not: which one is meant?",
                    "leave one of them",
                )
        dtype = np.dtype(
            {
                "names": list(wanted),
                "formats": [field.dtype for field in wanted.values()],
                "offsets": [field.offset for field in wanted.values()],
                "itemsize": self.get("NAXIS1"),
            }
        )
        scalings = {
            name: self.scaling(f"TSCAL{i}", f"TZERO{i}", f"TNULL{i}")
            for name, i in ((name, field.number) for name, field in wanted.items())
        }
        return Record(dtype, scalings)


class _Block(bytes):
    """Bytes of a header, compared by a quick digest before they are compared themselves."""

    def __hash__(self) -> int:
        return xxh3_64_intdigest(self)


def parse_header(block: bytes) -> Header:
    """Parse a header once: the wide tables of a plate's spec files share theirs."""
    return _parsed(_Block(block))


@lru_cache(maxsize=128)
def _parsed(block: _Block) -> Header:
    return Header(block)


@lru_cache(maxsize=128)
def _places_of(keywords: bytes) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Find the place of each keyword's value, once for all headers with the same keywords.

    Parameters
    ----------
    keywords : bytes
        The first `VALUE` characters of each card.

    Returns
    -------
    places : dict of str to int
        Where in a header the value of each keyword stands, the last time.
    repeated : dict of str to list of int
        All of its places, of those that stand twice.
    """
    places: dict[str, list[int]] = {}
    text = keywords.decode("latin-1")
    for card, first in enumerate(range(0, len(text), VALUE)):
        key = text[first : first + VALUE]
        if key.endswith("= "):
            places.setdefault(key[:-2].rstrip(), []).append(card * CARD + VALUE)
    last = {key: of_key[-1] for key, of_key in places.items()}
    return last, {key: of_key for key, of_key in places.items() if len(of_key) > 1}


def _value_of(card: str) -> str | int | float | bool | None:
    """Value in what follows a card's keyword; None where it cannot be read."""
    text = card.partition("/")[0].strip()
    if text.isascii() and text.isdigit():  # most are
        return int(text)
    match = TEXT_VALUE.match(card)
    if match:
        return match[1].replace("''", "'").rstrip()
    if text in ("T", "F"):
        return text == "T"
    if not NUMBER.fullmatch(text):
        return None
    if text.lstrip("+-").isdigit():
        return int(text)
    value = float(text.upper().replace("D", "E"))
    return value if math.isfinite(value) else None
