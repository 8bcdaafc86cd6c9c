"""Candidate tables: the hits that no vetting flag rules out, best first, with their names.

In: rows of hits.fits. Out: rows of candidates.* and their files.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.products import replacing, write_fits, write_text_table
from speclens.schema import CANDIDATES, HITS, dtype_of, text_width

__all__ = ["candidates_of", "sdss_name", "write_candidates", "write_hits"]


def sdss_name(ra: float, dec: float) -> str:
    """Return the name of a system.

    Parameters
    ----------
    ra, dec : float
        Position, J2000, degrees.

    Returns
    -------
    str
        `SDSS JHHMMSS.ss+DDMMSS.s`, truncated, never rounded; empty without a position.

    Notes
    -----
    Li et al. 2019, Table 1; the convention of the International Astronomical Union.
    """
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return ""
    # A hair is added before truncation: 1.1 in binary is a little less than 1.1.
    centiseconds = int((ra % 360) / 15 * 360000 + 1e-6) % (24 * 360000)
    deciseconds = int(abs(dec) * 36000 + 1e-6)
    hours, rest = divmod(centiseconds, 360000)
    minutes, seconds = divmod(rest, 6000)
    degrees, arc_rest = divmod(deciseconds, 36000)
    arc_minutes, arc_seconds = divmod(arc_rest, 600)
    sign = "-" if dec < 0 else "+"
    return (
        f"SDSS J{hours:02d}{minutes:02d}{seconds // 100:02d}.{seconds % 100:02d}"
        f"{sign}{degrees:02d}{arc_minutes:02d}{arc_seconds // 10:02d}.{arc_seconds % 10}"
    )


def candidates_of(hits: NDArray[np.void]) -> NDArray[np.void]:
    """Return the candidates among hits.

    Parameters
    ----------
    hits : structured array of shape (N,)
        Rows of hits.fits.

    Returns
    -------
    structured array
        Rows of candidates.*, highest signal-to-noise ratio first, ties by TARGETID and wavelength.
    """
    kept = hits[hits["CANDIDATE"]]
    kept = kept[np.lexsort((kept["WAVE"], kept["TARGETID"], -kept["SNR"]))]
    rows = np.zeros(len(kept), dtype_of(CANDIDATES, FILE=text_width(kept, "FILE")))
    for name in kept.dtype.names or ():
        rows[name] = kept[name]
    rows["NAME"] = [sdss_name(ra, dec) for ra, dec in zip(kept["RA"], kept["DEC"], strict=True)]
    rows["SPECTRUM"] = [
        f"{plate}-{mjd}-{fibre}"
        for plate, mjd, fibre in zip(kept["PLATE"], kept["MJD"], kept["FIBERID"], strict=True)
    ]
    return rows


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
    """
    width = text_width(hits, "FILE")
    write_fits(folder / "hits.fits", [hits], len(hits), HITS, meta, FILE=width)
    write_text_table(folder / "hits.ecsv", hits, HITS, meta)


def write_candidates(
    folder: Path, hits: NDArray[np.void], meta: Mapping[str, Any]
) -> NDArray[np.void]:
    """Write candidates.ecsv, .fits, .csv and .tex.

    Parameters
    ----------
    folder : Path
        The run.
    hits : structured array of shape (N,)
        The hits.
    meta : mapping
        Provenance.

    Returns
    -------
    structured array
        The rows written.
    """
    rows = candidates_of(hits)
    width = text_width(rows, "FILE")
    write_fits(folder / "candidates.fits", [rows], len(rows), CANDIDATES, meta, FILE=width)
    for suffix in ("ecsv", "csv"):
        write_text_table(folder / f"candidates.{suffix}", rows, CANDIDATES, meta)
    _write_latex(folder / "candidates.tex", rows)
    return rows


def _write_latex(path: Path, rows: NDArray[np.void]) -> None:
    """Write the columns of the paper's Table 1, and the line's wavelength and S/N."""
    from astropy.table import Table

    table = Table(
        {
            "Name": rows["NAME"],
            "Plate-MJD-Fiber": rows["SPECTRUM"],
            r"$z_\mathrm{L}$": [f"{z:.4f}" for z in rows["Z"]],
            r"$z_\mathrm{S}$": [f"{z:.4f}" for z in rows["Z_SOURCE"]],
            "R.A.": [f"{n[6:8]}:{n[8:10]}:{n[10:15]}" for n in rows["NAME"].tolist()],
            "Decl.": [f"{n[15:18]}:{n[18:20]}:{n[20:]}" for n in rows["NAME"].tolist()],
            r"$\lambda$ (\AA)": [f"{wave:.2f}" for wave in rows["WAVE"]],
            r"Ly$\alpha$ flux": [
                rf"${flux:.1f} \pm {error:.1f}$"
                for flux, error in zip(rows["FLUX"], rows["FLUX_ERR"], strict=True)
            ],
            "S/N": [f"{snr:.1f}" for snr in rows["SNR"]],
        }
    )
    buffer = io.StringIO(newline="")
    table.write(buffer, format="ascii.latex")
    with replacing(path) as file:
        file.write(buffer.getvalue().encode())
