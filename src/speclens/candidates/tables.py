"""The files of hits and candidates, for programs, spreadsheets and papers.

In: rows of hits.fits and of candidates.*. Out: their FITS, ECSV, CSV and LaTeX files. What the rows
hold is left to `speclens.candidates.ranking`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.candidates.bounds import Bound, skewness_bound
from speclens.names import is_position, sexagesimal
from speclens.products import one_line, replacing, write_fits, write_text_table
from speclens.schema import CANDIDATES, HITS, VET_FLAGS, Column, dtype_of, text_width

__all__ = ["write_candidates", "write_hits"]

NOTHING = "..."
FORMULA_STARTS = ("=", "+", "-", "@")
LATEX_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{special: f"\\{special}" for special in "&%$#_{}"},
    }
)
LATEX_HEAD = r"""% Needs \usepackage{longtable}; in two columns, set it in one (\onecolumn).
\begin{longtable}{lcccccccccccc}
\caption{Candidates of strong lenses. (1) Name of the system, from its coordinates. (2) Plate,
MJD and fibre of its spectrum; of SDSS-V field, MJD and catalogue identifier. (3), (4) Redshift of
the lens, and of the source if it is what the tenth column says. (5), (6) Coordinates, J2000,
truncated. (7) The survey's $i$ magnitude of the lens within the fibre. (8) Apparent flux of the
line, magnified as it is, in
$10^{-17}$\,erg\,s$^{-1}$\,cm$^{-2}$, as the search measured it (\texttt{FLUX}). (9) Skewness of
the line before the spectrograph and its standard error; $>$ and $<$ give the end of the 68\,\%
interval where the best fit lies at the other end of the range allowed; ``unconstrained'' where
the interval holds symmetric lines and lines as skewed as Ly$\alpha$ either way. (10) What the
source is: lya, another line, or elg for several lines of a galaxy. (11), (12) Probability of
that, and that the source is strongly lensed. (13) Grade by those who looked. What is not known is
left open (...).} \\
\hline
Target & Spectrum & $z_\mathrm{L}$ & $z_\mathrm{S}$ & R.A. & Decl. & $m_i$
 & Line flux & Skewness & Source & $P$ & $P_\mathrm{lensed}$ & Grade \\
(1) & (2) & (3) & (4) & (5) & (6) & (7) & (8) & (9) & (10) & (11) & (12) & (13) \\
\hline
\endfirsthead
\hline
Target & Spectrum & $z_\mathrm{L}$ & $z_\mathrm{S}$ & R.A. & Decl. & $m_i$
 & Line flux & Skewness & Source & $P$ & $P_\mathrm{lensed}$ & Grade \\
\hline
\endhead
\hline
\endfoot
"""
LATEX_FOOT = r"""\end{longtable}
"""


def write_hits(folder: Path, hits: NDArray[np.void], meta: Mapping[str, Any]) -> None:
    """Write hits.fits and hits.ecsv.

    Parameters
    ----------
    folder : Path
        The run.
    hits : structured array of shape (N,)
        The hits.
    meta : mapping
        Provenance.

    Raises
    ------
    RunError
        If a file cannot be written; what stood there before stays.
    """
    _write_tables(folder / "hits", hits, HITS, {**meta, **flag_cards()})


def write_candidates(folder: Path, rows: NDArray[np.void], meta: Mapping[str, Any]) -> None:
    """Write candidates.fits, .ecsv, .csv and .tex.

    Parameters
    ----------
    folder : Path
        The run.
    rows : structured array of shape (N,)
        The candidates, as `speclens.candidates.ranking.candidates_of` makes them.
    meta : mapping
        Provenance.

    Raises
    ------
    RunError
        If a file cannot be written; what stood there before stays.
    """
    _write_tables(folder / "candidates", rows, CANDIDATES, {**meta, **flag_cards()})
    write_text_table(folder / "candidates.csv", _for_spreadsheets(rows), CANDIDATES, meta)
    text = LATEX_HEAD + "".join(_latex_rows(rows)) + LATEX_FOOT
    with replacing(folder / "candidates.tex") as file:
        file.write(text.encode())


def flag_cards() -> dict[str, str]:
    """Return the bits of VET_FLAGS as cards of a header.

    Returns
    -------
    dict of str to str
        `VETBIT0` to its flag's name and meaning, and so on.
    """
    return {f"VETBIT{flag.bit.bit_length() - 1}": f"{flag.name}: {flag.text}" for flag in VET_FLAGS}


def _write_tables(
    stem: Path, rows: NDArray[np.void], columns: Sequence[Column], meta: Mapping[str, Any]
) -> None:
    path = stem.with_suffix(".fits")
    parts = [_for_fits(path, rows)]
    write_fits(path, parts, len(rows), columns, meta, FILE=text_width(rows, "FILE"))
    write_text_table(stem.with_suffix(".ecsv"), rows, columns, meta)


def _text_columns(rows: NDArray[np.void]) -> list[str]:
    return [name for name in rows.dtype.names or () if rows.dtype[name].kind == "U"]


def _for_fits(path: Path, rows: NDArray[np.void]) -> NDArray[np.void]:
    """Replace characters that are not printable ASCII, which the FITS standard demands."""
    folded = rows.copy()
    for name in _text_columns(rows):
        folded[name] = [_ascii(text) for text in rows[name].tolist()]
    changed = [name for name in _text_columns(rows) if (folded[name] != rows[name]).any()]
    if changed:
        warnings.warn(
            f"{path}: {', '.join(changed)}: characters beside printable ASCII, which FITS cannot "
            f"hold, became '?'; {path.with_suffix('.ecsv').name} has them",
            stacklevel=4,
        )
    return folded


def _ascii(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


def _for_spreadsheets(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Leave cells without a number empty, and keep text from being taken for a formula."""
    # The apostrophe takes a place.
    widths = {name: text_width(rows, name) + 1 for name in _text_columns(rows)}
    cells = np.zeros(len(rows), dtype_of(CANDIDATES, **widths))
    empty = np.zeros(len(rows), [(name, bool) for name in cells.dtype.names or ()])
    for name in cells.dtype.names or ():
        if name in widths:
            cells[name] = [_inert(text) for text in rows[name].tolist()]
        else:
            cells[name] = rows[name]
        if cells.dtype[name].kind == "f":
            empty[name] = np.isnan(rows[name])
    return np.ma.MaskedArray(cells, empty)


def _inert(text: str) -> str:
    # A line end, or blanks that the writer strips, would bring what follows to the start of a cell.
    text = one_line(text)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _latex_rows(rows: NDArray[np.void]) -> list[str]:
    """Lines of Table 1; the paper's has the first nine columns."""
    return [
        " & ".join(
            (
                _latex_text(row["NAME"]),
                _latex_text(row["SPECTRUM"]),
                _latex_number(row["Z"], 4),
                _latex_number(row["Z_SOURCE"], 4),
                *_latex_position(row["RA"], row["DEC"]),
                _latex_number(row["MAG_I"], 2),
                _latex_number(row["FLUX"], 1),
                _latex_skewness(row),
                _latex_text(row["HYPOTHESIS"]),
                _latex_number(row["P_HYPOTHESIS"], 2),
                _latex_number(row["P_LENSED"], 2),
                _latex_text(row["GRADE"]),
            )
        )
        + " \\\\\n"
        for row in rows
    ]


def _latex_text(text: str) -> str:
    return " ".join(text.split()).translate(LATEX_SPECIAL) or NOTHING


def _latex_number(value: float, decimals: int) -> str:
    if not np.isfinite(value):
        return NOTHING
    text = f"{value:.{decimals}f}"
    return f"${text}$" if text.startswith("-") else text


def _latex_skewness(row: np.void) -> str:
    bound, value = skewness_bound(row)
    error = row["SKEWNESS_ERR"]
    if bound is Bound.NONE:
        return "unconstrained"
    if bound in (Bound.LOWER, Bound.UPPER):
        return f"${bound.value} {value:.2f}$"
    if not (np.isfinite(value) and np.isfinite(error)):
        return _latex_number(value, 2)
    return rf"${value:.2f} \pm {error:.2f}$"


def _latex_position(ra: float, dec: float) -> tuple[str, str]:
    if not is_position(ra, dec):
        return NOTHING, NOTHING
    hours, minutes, seconds = sexagesimal((ra % 360) / 15, 2)
    degrees, arc_minutes, arc_seconds = sexagesimal(abs(dec), 2)
    sign = "$-$" if dec < 0 else "+"
    return (
        f"{hours % 24:02d}:{minutes:02d}:{seconds}",
        f"{sign}{degrees:02d}:{arc_minutes:02d}:{arc_seconds}",
    )
