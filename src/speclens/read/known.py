"""Lists of published systems, as their authors wrote them.

In: a table in CSV, FITS, ECSV, VOTable or plain text, told apart by its first bytes, whose columns
go by many names. Out: `Known`, rows of `speclens.schema.KNOWN`. Which spectra of a run these
systems are is left to `speclens.vet.known`.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError, SpectrumFileError
from speclens.read.catalogue import exact_id
from speclens.read.gzipped import GZIP_MAGIC, gunzip
from speclens.schema import KNOWN, dtype_of, text_width

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Known", "read_known"]

IDS = ("PLATE", "MJD", "FIBERID")

ALIASES = {
    "NAME": ("name", "sdssname", "systemname", "system", "targetname", "target", "objectname"),
    "SPECTRUM": ("platemjdfiber", "platemjdfibre", "platemjdfiberid", "spectrum", "specname"),
    "PLATE": ("plate", "plateid"),
    "MJD": ("mjd",),
    "FIBERID": ("fiberid", "fiber", "fibreid", "fibre"),
    "SPECOBJID": ("specobjid",),
    "RA": ("ra", "raj2000", "ra2000", "plugra", "rightascension"),
    "DEC": ("dec", "decl", "dej2000", "decj2000", "dec2000", "de", "plugdec", "declination"),
    "Z_SOURCE": ("zsource", "zs", "zsrc", "zsou", "zlya", "zbackground", "zbg"),
}  # fmt: skip
"""Names that each field goes by, the preferred first, as `_plain` leaves them."""

BLANK = frozenset(("", "-", "--", "---", "...", "nan", "none", "null", "n/a", "na"))
SIGNS = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212\u2032\u2033", "------'\"")
"""Dashes and primes as printers set them."""

NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?:(?:±|\+/-|\\pm|\().*)?")
WHOLE = re.compile(r"\s*0*([1-9]\d{0,8})(?:\.0*)?\s*")
SPECTRUM_NAME = re.compile(r"\s*(?:[A-Za-z]+[ -])?0*(\d{1,5})-(\d{5})-0*(\d{1,4})\s*")
SEXAGESIMAL = re.compile(
    r"([+-]?)\s*(\d{1,3})\s*([:hd°\s])\s*(\d{1,2})\s*[:m'\s]\s*(\d{1,2}(?:\.\d*)?)\s*[s\"]?"
)
DEGREES_IN = {"h": 15.0, "hr": 15.0, "hour": 15.0, "hourangle": 15.0, "rad": 180 / np.pi}
"""Units of an angle that a table may state."""

LEAST_FOR_HOURS = 20
"""With more positions, all of them at a right ascension below 24 is no chance."""

NAMES_SHOWN = 30
NAME_WIDTH = text_width(np.empty(0, dtype_of(KNOWN)), "NAME")


@dataclass(frozen=True)
class Known:
    """Published systems, and the rows of their list that could not be used.

    Parameters
    ----------
    rows : structured array of shape (K,)
        Rows of `KNOWN`. A system of which several redshifts are published has a row for each.
    n_refused : int
        Rows of the list without a usable position and without a spectrum.
    first_refused : int
        The first of them, counted from 1 without the header; 0 for none.
    why : str
        What is wrong with that row; empty for none.
    n_renamed : int
        Systems whose name was folded to ASCII or cut to the width of its column.
    """

    rows: NDArray[np.void]
    n_refused: int = 0
    first_refused: int = 0
    why: str = ""
    n_renamed: int = 0


def read_known(path: str | Path) -> Known:
    """Read a list of published systems.

    Parameters
    ----------
    path : str or Path
        CSV, FITS, ECSV, VOTable, or text whose columns are parted by blanks, tabs or semicolons;
        plain or gzipped. A table that an earlier run wrote will do.

    Returns
    -------
    Known
        The systems, and what was refused.

    Raises
    ------
    RunError
        If the file cannot be read, has no column of a position or a spectrum, has right ascension
        in hours or swapped with declination, or has rows of which none can be used.
    """
    path = Path(path)
    columns = _columns_of(path)
    fields = {f: c for f, names in ALIASES.items() if (c := _find(columns, names)) is not None}
    cells = zip(*(columns[column] for column in fields.values()), strict=True)
    records = [dict(zip(fields, row, strict=True)) for row in cells]
    spectra = [_spectrum_of(record) for record in records]
    if not _can_locate(fields, spectra):
        raise RunError(f"{path}: {_expected(columns)}")
    _check_redshifts(path, fields, records)
    ra, dec = _positions(path, records)
    rows: list[tuple[object, ...]] = []
    refused: list[int] = []
    n_renamed = 0
    for i, record in enumerate(records):
        if spectra[i] is None and np.isnan(ra[i]):
            refused.append(i)
            continue
        name, renamed = _name_of(record, spectra[i], ra[i], dec[i])
        n_renamed += renamed
        ids = spectra[i] or (-1, -1, -1)
        rows += [(name, *ids, ra[i], dec[i], z, -1, "") for z in _redshifts(record)]
    if refused and not rows:
        raise RunError(f"{path}: none of its {len(records)} rows can be used: {_why(records[0])}")
    first, why = (refused[0] + 1, _why(records[refused[0]])) if refused else (0, "")
    return Known(np.array(rows, dtype_of(KNOWN)), len(refused), first, why, n_renamed)


def _columns_of(path: Path) -> dict[str, list[str]]:
    """Columns as text, whatever the file's format; angles in the unit that they are read in."""
    data = _content(path)
    try:
        if data.startswith(b"SIMPLE  ="):
            return _cells(_first_fits_table(data))
        if data.lstrip()[:5].lower() in (b"<?xml", b"<vota"):
            return _cells(_quietly_read(io.BytesIO(data), "votable"))
        text = _decoded(data)
        if text.startswith("# %ECSV"):
            return _cells(_quietly_read(text + "\n", "ascii.ecsv"))
        return _text_columns(text)
    except Exception as error:
        # astropy has no common class for what a damaged file raises.
        raise RunError(f"{path}: not a readable table ({error})") from error


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise RunError(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            data = file.read()
            if data.startswith(GZIP_MAGIC):
                data = gunzip(str(path), file.fileno(), len(data))
            return data
    except SpectrumFileError as error:
        raise RunError(str(error)) from error
    except OSError as error:
        raise RunError(f"{path}: cannot read: {error.strerror or error}") from error


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _first_fits_table(data: bytes) -> Table:
    from astropy.io import fits

    with warnings.catch_warnings(action="ignore"), fits.open(io.BytesIO(data)) as hdus:
        hdu = next((h for h in hdus if isinstance(h, (fits.BinTableHDU, fits.TableHDU))), None)
        if hdu is None:
            raise ValueError("FITS without a table")
        return _quietly_read(hdu, "fits")


def _quietly_read(source: object, form: str) -> Table:
    """Read with astropy; its warnings are of units and styles that matter to no system."""
    from astropy.table import Table

    with warnings.catch_warnings(action="ignore"):
        return Table.read(source, format=form)


def _cells(table: Table) -> dict[str, list[str]]:
    columns = {}
    for name in table.colnames:
        column = table[name]
        # Positions as objects, and vectors, are no column that a list needs.
        if not isinstance(column, np.ndarray) or column.ndim != 1:
            continue
        scale = DEGREES_IN.get(str(getattr(column, "unit", None) or "").lower(), 1.0)
        values, masked = np.ma.getdata(column), np.ma.getmaskarray(column)
        if scale != 1 and values.dtype.kind in "fiu":
            values = values * scale
        if values.dtype.kind == "S":
            values = np.char.decode(values, "latin-1")
        columns[str(name)] = [
            "" if m else str(v) for v, m in zip(values.tolist(), masked, strict=True)
        ]
    return columns


def _text_columns(text: str) -> dict[str, list[str]]:
    lines = [line for line in io.StringIO(text, newline="") if line.strip()]
    first = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    header = lines[first] if first < len(lines) else ""
    start = first + 1
    if first and not _knows(header) and _knows(lines[first - 1].lstrip("# ")):
        header, start = lines[first - 1].lstrip("# "), first
    delimiter = _delimiter(header)
    names = next(_rows([header], delimiter), [])
    rows = list(_rows((line for line in lines[start:] if not line.startswith("#")), delimiter))
    if delimiter == " ":
        # A blank within a name, or a cell left out, has shifted the others.
        rows = [row if len(row) == len(names) else [] for row in rows]
    # More cells than names are a comma without quotes, taken to be in the last column.
    first_of = {name: names.index(name) for name in names}
    return {name: [row[i] if i < len(row) else "" for row in rows] for name, i in first_of.items()}


def _knows(header: str) -> bool:
    names = {_plain(cell) for row in _rows([header], _delimiter(header)) for cell in row}
    return any(not names.isdisjoint(aliases) for aliases in ALIASES.values())


def _delimiter(header: str) -> str:
    return next((mark for mark in ",;\t" if mark in header), " ")


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == " ":
        lines = (line.replace("\t", " ").strip() for line in lines)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _plain(name: str) -> str:
    r"""Return a column's name without case, LaTeX, signs and blanks: `$z_{\rm S}$` is `zs`."""
    without_commands = re.sub(r"\\[A-Za-z]+", "", name.lower())
    without_units = re.sub(r"[\[(].*|[ _]deg$", "", without_commands)
    return re.sub(r"[^a-z0-9]", "", without_units)


def _find(columns: Iterable[str], aliases: Sequence[str]) -> str | None:
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(_plain(column), column)
    return next((by_name[alias] for alias in aliases if alias in by_name), None)


def _can_locate(fields: Mapping[str, str], spectra: Sequence[object]) -> bool:
    """Say whether there are columns of a position or a spectrum; a name may be one."""
    routes = ({"RA", "DEC"}, set(IDS), {"SPECTRUM"}, {"SPECOBJID"})
    return any(route <= set(fields) for route in routes) or any(spectra)


def _expected(columns: Mapping[str, object]) -> str:
    lacking = [field for field in ALIASES if _find(columns, ALIASES[field]) is None]
    meant = {alias: field for field in lacking for alias in ALIASES[field]}
    close = [
        (column, match[0])
        for column in columns
        if (match := difflib.get_close_matches(_plain(column), meant, n=1, cutoff=0.6))
    ]
    guesses = ", ".join(f"{alias!r} for {column!r}" for column, alias in close)
    found = ", ".join(ascii(name[:40])[1:-1] for name in [*columns][:NAMES_SHOWN]) or "none"
    expected = "a position (ra, dec) or a spectrum (plate, mjd, fiberid; or plate-mjd-fiber in one)"
    hint = f"; did you mean {guesses}?" if guesses else ""
    return f"no columns of {expected}; found: {found}{hint}"


def _spectrum_of(record: Mapping[str, str]) -> tuple[int, int, int] | None:
    """Plate, date and fibre of a row, or None."""
    numbers = [WHOLE.fullmatch(record.get(name, "")) for name in IDS]
    if all(numbers):
        plate, mjd, fiberid = (int(match[1]) for match in numbers if match)
        return plate, mjd, fiberid
    for field in ("SPECTRUM", "NAME"):
        match = SPECTRUM_NAME.fullmatch(record.get(field, "").translate(SIGNS))
        if match:
            return int(match[1]), int(match[2]), int(match[3])
    try:
        number = exact_id(record.get("SPECOBJID", "")) % (1 << 64)
    except ValueError:
        return None
    # The bits of SDSS's identifier. Other numbers are none: 0, and -1 whose bits are all set.
    plate, mjd, fiberid = number >> 50, (number >> 24 & 0x3FFF) + 50000, number >> 38 & 0xFFF
    return (plate, mjd, fiberid) if 0 < plate < 0x3FFF else None


def _positions(
    path: Path, records: Sequence[Mapping[str, str]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension and declination of the rows, degrees; both NaN where either is no angle."""
    ra, ra_form = np.array([_angle(r.get("RA", ""), True) for r in records]).reshape(-1, 2).T
    dec = np.array([_angle(r.get("DEC", ""), False)[0] for r in records])
    good = _on_the_sky(ra, dec)
    decimal = good & (ra_form == 0)
    if (
        decimal.sum() > LEAST_FOR_HOURS
        and ra[decimal].max() <= 24
        # A true strip of the sky would hardly be longer from north to south than it may be wide.
        and np.ptp(dec[decimal]) > 24
    ):
        raise RunError(
            f"{path}: right ascension looks like hours (at most {ra[decimal].max():g} in "
            f"{decimal.sum()} rows); give degrees, or hours as 14:43:20.73"
        )
    if good.sum() < len(good) / 2 and _on_the_sky(dec, ra).sum() > len(good) / 2:
        raise RunError(f"{path}: right ascension and declination look swapped")
    return np.where(good, ra, np.nan), np.where(good, dec, np.nan)


def _on_the_sky(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((ra >= 0) & (ra < 360) & (np.abs(dec) <= 90))


def _angle(text: str, is_ra: bool) -> tuple[float, bool]:
    """Read an angle, degrees, and say whether it was sexagesimal; NaN where it is none."""
    text = text.translate(SIGNS).strip()
    match = SEXAGESIMAL.fullmatch(text)
    if match is None:
        number = NUMBER.fullmatch(text)
        return (float(number[1]) if number else np.nan), False
    sign, whole, mark, minutes, seconds = match.groups()
    if float(minutes) >= 60 or float(seconds) > 60:
        return np.nan, True
    size = float(whole) + float(minutes) / 60 + float(seconds) / 3600
    scale = 15 if is_ra and mark not in "d°" else 1
    # The sign is the text's: -00:44:54 is negative, which the number 0 cannot say.
    return (-size if sign == "-" else size) * scale, True


def _redshifts(record: Mapping[str, str]) -> list[float]:
    """Read one redshift or several (`0.6 | 0.64 | nan`); [NaN] for none."""
    parts = record.get("Z_SOURCE", "").split("|")
    numbers = [float(match[1]) for part in parts if (match := NUMBER.fullmatch(part))]
    return list(dict.fromkeys(z for z in numbers if z > 0 and np.isfinite(z))) or [np.nan]


def _check_redshifts(
    path: Path, fields: Mapping[str, str], records: Sequence[Mapping[str, str]]
) -> None:
    parts = [part for record in records for part in record.get("Z_SOURCE", "").split("|")]
    parts = [part for part in parts if part.strip().lower() not in BLANK]
    if parts and not any(NUMBER.fullmatch(part) for part in parts):
        raise RunError(f"{path}: column {fields['Z_SOURCE']!r} holds no number: {parts[0][:40]!r}")


def _name_of(
    record: Mapping[str, str], spectrum: tuple[int, int, int] | None, ra: float, dec: float
) -> tuple[str, bool]:
    """Name a system in the characters and the width of its column; say if that changed it.

    Of several names (`26 | J0837+4937`) the first with a letter counts. A system without one goes
    by its spectrum or its position, because an empty name is that of no system.
    """
    parts = [part.strip() for part in record.get("NAME", "").split("|")]
    parts = [part for part in parts if part.lower() not in BLANK]
    given = next((part for part in parts if any(map(str.isalpha, part))), (*parts, "")[0])
    name = _folded(given)[:NAME_WIDTH].strip()
    if name:
        return name, name != given
    return ("-".join(map(str, spectrum)) if spectrum else f"{ra:.5f}{dec:+.5f}"), bool(given)


def _folded(text: str) -> str:
    """Fold to ASCII, which is what FITS tables hold; an accent is dropped, other signs are `?`."""
    letters = unicodedata.normalize("NFKD", text.translate(SIGNS))
    kept = "".join(c for c in letters if c.isprintable() and not unicodedata.combining(c))
    return kept.encode("ascii", "replace").decode()


def _why(record: Mapping[str, str]) -> str:
    given = ", ".join(f"{name} {value[:40]!r}" for name, value in record.items() if name != "NAME")
    try:
        exact_id(record.get("SPECOBJID", "0"))
    except ValueError as error:
        given += f" ({error})"
    return (
        "neither a position (right ascension from 0 to below 360 degrees, declination from -90 to "
        f"90) nor a plate, date and fibre: {given or 'nothing given'}"
    )
