"""The forms of the records: a column, a reason code, a quality bit, a vetting bit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Column", "Flag", "Reason", "VetFlag", "VetTest", "dtype_of", "text_width"]


@dataclass(frozen=True)
class Column:
    """One column of a product: name, numpy dtype, unit (empty for none) and description."""

    name: str
    dtype: str
    unit: str
    description: str


@dataclass(frozen=True)
class Reason:
    """Why a spectrum was not scored: code, status it leads to, what it means, and its limit.

    The limit is a format that the sections of the configuration fill in.
    """

    code: str
    status: str
    text: str
    limit: str = ""


@dataclass(frozen=True)
class Flag:
    """One bit of a spectrum's FLAGS: bit value, name and meaning."""

    bit: int
    name: str
    text: str


Allowed = Literal["number", "not negative", "positive", "fraction"]
"""What a limit can be."""


@dataclass(frozen=True)
class VetFlag:
    """One bit of a hit's VET_FLAGS, and the condition that sets it.

    It is set where `column` is on the given side of the configuration's `vet.<setting>`; never
    where the column is not a number, because what could not be measured rules nothing out.

    Parameters
    ----------
    bit : int
        Bit value.
    name : str
        Name, as in the configuration's `vet.vetoes`.
    column : str
        Column of hits.fits that decides.
    side : str
        `below` or `above` the limit.
    setting : str
        Name of the limit in the configuration.
    text : str
        What it means.
    reads : str
        How the numbers that decided read: a format that columns of the hit fill in, and what
        `speclens.vet.reasons` derives of them.
    allowed : str, optional
        What the limit can be.
    test : str
        The vet test that it belongs to, as `VET_FLAGS` fills it in.
    """

    bit: int
    name: str
    column: str
    side: Literal["below", "above"]
    setting: str
    text: str
    reads: str
    allowed: Allowed = "number"
    test: str = ""


@dataclass(frozen=True)
class VetTest:
    """A vet test.

    Parameters
    ----------
    name : str
        Its name. What single spectra tell is measured by `measure` of `speclens.vet.<name>`.
    title : str
        How pages call it.
    group : str
        The group of measurements in which the page of a hit shows its columns.
    columns : tuple of Column
        What it measures, columns of hits.fits.
    flags : tuple of VetFlag
        What it marks.
    """

    name: str
    title: str
    group: str
    columns: tuple[Column, ...]
    flags: tuple[VetFlag, ...] = ()


def dtype_of(columns: Iterable[Column], **widths: int) -> np.dtype[np.void]:
    """Return the numpy dtype of a table.

    Parameters
    ----------
    columns : iterable of Column
        The columns.
    **widths : int
        Widths of text columns that depend on the data, by name.

    Returns
    -------
    numpy.dtype
        A structured dtype.
    """
    return np.dtype(
        [(c.name, f"U{widths[c.name]}" if c.name in widths else c.dtype) for c in columns]
    )


def text_width(rows: NDArray[np.void], name: str) -> int:
    """Return the width of a text column.

    Parameters
    ----------
    rows : structured array of shape (N,)
        A table.
    name : str
        The column.

    Returns
    -------
    int
        Number of characters that it can hold.
    """
    return rows.dtype[name].itemsize // np.dtype("U1").itemsize
