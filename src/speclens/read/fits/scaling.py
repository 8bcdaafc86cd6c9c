"""Stored values of FITS as native arrays: text, scaled numbers, nulls.

In: values as they stand in the file, and what the header says of them. Out: numbers and texts that
mean what was written. Nothing is rounded where it need not be, and a value that is marked as null
is never taken for a number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.read.fits.header import Scaling

__all__ = ["as_type", "native"]

FEW = 8
"""Texts that are decoded sooner one by one: those of one of a million spec files."""


def native(stored: NDArray[Any], scaling: Scaling) -> NDArray[Any]:
    """Turn stored values into native ones.

    Parameters
    ----------
    stored : array
        Values as in the file, of any byte order.
    scaling : Scaling
        Factor, offset and null of the column or image.

    Returns
    -------
    array
        Texts without what follows a NUL and without blanks at their ends; numbers, masked where the
        file marks a null.

    Raises
    ------
    ValueError
        If a number is beyond all range when it is scaled.
    """
    if stored.dtype.kind == "S":
        return _texts(stored)
    values = _scaled(stored.astype(stored.dtype.newbyteorder("=")), scaling.factor, scaling.offset)
    if scaling.null is not None and stored.dtype.kind in "iu":
        null = stored == scaling.null
        if null.any():
            return np.ma.MaskedArray(values, null)
    return values


def as_type(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Turn numbers into those of another type.

    Parameters
    ----------
    values : array
        Numbers, perhaps masked.
    dtype : str
        A float, or an integer that holds bits.

    Returns
    -------
    array
        NaN stands for what is no number, or -1, which has all bits set; infinite is what is beyond
        the range of a float.
    """
    masked = isinstance(values, np.ma.MaskedArray)
    if not masked and (values.dtype == dtype or (values.dtype.kind in "iu" and dtype[0] == "i")):
        return values.astype(dtype, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = values.astype(dtype)
    if numbers.dtype.kind == "f":
        return np.ma.filled(numbers, np.nan)
    known = np.isfinite(np.ma.getdata(values)) & ~np.ma.getmaskarray(values)
    return np.where(known, np.ma.getdata(numbers), -1)


def _scaled(values: NDArray[Any], factor: float, offset: float) -> NDArray[Any]:
    """Compute `values * factor + offset`, exactly where integers stay integers.

    Parameters
    ----------
    values : array
        Native numbers.
    factor, offset : float
        As in TSCAL and TZERO.

    Returns
    -------
    array
        Of the same type where nothing is to be done; else integers or float64.

    Raises
    ------
    ValueError
        If a number is beyond all range.
    """
    if factor == 1 and offset == 0:
        return values
    if values.dtype.kind in "iu" and factor == 1 and offset == int(offset):
        return _shifted(values, int(offset))
    with np.errstate(all="ignore"):
        result = values.astype(np.float64) * factor + offset
    if (np.isfinite(values) & ~np.isfinite(result)).any():
        raise ValueError(f"numbers times {factor} plus {offset} are beyond all range")
    return result


def _shifted(values: NDArray[Any], offset: int) -> NDArray[Any]:
    """Integers with an offset: the standard's way to store the other sort of integers."""
    size, signed = values.dtype.itemsize, values.dtype.kind == "i"
    top = 1 << 8 * size - 1
    if offset == (top if signed else -top):
        # Nothing is rounded: the highest bit is turned over.
        turned: NDArray[Any] = values ^ values.dtype.type(-top if signed else top)
        return turned.view(f"{'u' if signed else 'i'}{size}")
    ends = [offset, *(int(end(initial=0)) + offset for end in (values.min, values.max))]
    if max(map(abs, ends)) > np.iinfo(np.int64).max:
        raise ValueError(f"integers plus {offset} are beyond 64 bits")
    return values.astype(np.int64) + offset


def _texts(stored: NDArray[np.bytes_]) -> NDArray[np.str_]:
    """Decode texts, of Latin-1; what follows a NUL is no part of them."""
    width = stored.dtype.itemsize
    if not width or not stored.size:
        return np.zeros(stored.shape, "U1")
    if stored.size <= FEW:
        found = [text.partition(b"\0")[0].decode("latin-1") for text in stored.ravel().tolist()]
        few = np.array([text.strip(" ") for text in found], f"U{width}")
        return few.reshape(stored.shape)
    codes = np.ascontiguousarray(stored).view(np.uint8).reshape(*stored.shape, width)
    ended = np.logical_or.accumulate(codes == 0, axis=-1)
    texts = np.where(ended, 0, codes).astype(np.uint32).view(f"U{width}")[..., 0]
    return np.char.strip(texts, " ")
