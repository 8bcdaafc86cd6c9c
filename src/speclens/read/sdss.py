"""SDSS and BOSS spectra: spPlate with spZbest, and single spec files.

In: paths, the window to read, a catalogue if the user gave one. Out: a `Source` - the catalogue
rows of its spectra first, then the spectra of the rows that are asked for. Formats: Data Release 12
and its neighbours (SDSS-I to eBOSS); HDUs are found by name, else by their documented position. Bad
pixels are left as they are: what to make of them is decided in `speclens.sample.preparation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.lines import PIXEL_LOGLAM
from speclens.read.catalogue import Catalogue
from speclens.read.fits import FitsFile, Hdu, open_fits
from speclens.read.targets import (
    CATALOGUE_COLUMNS,
    MAX_ID,
    blank_targets,
    identify,
    missing_columns,
    targets_from_columns,
)
from speclens.schema import flag_bit
from speclens.spectra import NO_COVERAGE_BIT, LogGrid, SpectrumBatch

__all__ = ["PlateFile", "Source", "SpecFiles", "open_plate", "read_spec_files"]

GRID_TOLERANCE = 0.05
"""Largest distance of a wavelength from the global grid, pixels: float32 loglam errs by 0.004."""

MAX_NAMES = 12
SPEC_COLUMNS = ("FLUX", "IVAR", "LOGLAM", "AND_MASK", "WDISP")
SPEC_COADD = (("COADD",), 1)
SPEC_CATALOGUE = (("SPALL", "SPECOBJ"), 2)
PLATE_FLUX = (("FLUX", "PRIMARY"), 0)
PLATE_IVAR = (("IVAR",), 1)
PLATE_MASK = (("ANDMASK", "AND_MASK"), 2)
PLATE_DISPERSION = (("WAVEDISP", "WDISP", "DISP"), 4)
PLATE_PLUGMAP = (("PLUGMAP",), 5)
ZBEST_TABLE = (("ZBEST", "SPZBEST"), 1)


class Source(Protocol):
    """Spectra that are read in two steps: who they are, then what they hold."""

    @property
    def targets(self) -> NDArray[np.void]:
        """Catalogue rows, shape (N,)."""

    @property
    def reasons(self) -> NDArray[np.str_]:
        """Reason codes of what the catalogue already rules out, shape (N,); else empty."""

    @property
    def flags(self) -> NDArray[np.int32]:
        """Quality bits of `speclens.schema.FLAGS`, shape (N,)."""

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read the window of some spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        ...


@dataclass
class SpecFiles:
    """Single spec files, read whole; the files that failed are listed beside.

    Parameters
    ----------
    batch : SpectrumBatch
        The spectra that could be read.
    reasons : array of shape (N,)
        Reason codes from the catalogue.
    flags : array of shape (N,)
        Quality bits.
    failures : list of SpectrumFileError
        One for each file that could not be read.
    """

    batch: SpectrumBatch
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    failures: list[SpectrumFileError]

    @property
    def targets(self) -> NDArray[np.void]:
        """Catalogue rows, shape (N,)."""
        return self.batch.targets

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""
        return self.batch.files

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Return some of the spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        return self.batch[rows]


@dataclass
class PlateFile:
    """An open spPlate file with the catalogue rows of its fibres.

    Parameters
    ----------
    file : FitsFile
        The open file.
    images : dict of str to Hdu or None
        The images: flux, ivar, mask_bits, dispersion.
    plate_grid : LogGrid
        Wavelengths of the images.
    grid : LogGrid
        The window to read.
    targets, reasons, flags : arrays of shape (N,)
        As in `Source`.
    """

    file: FitsFile
    images: dict[str, Hdu | None]
    plate_grid: LogGrid
    grid: LogGrid
    targets: NDArray[np.void]
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    files: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self.files = [self.file.path] * len(self.targets)

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read the window of some fibres; nothing else of the plate is touched.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        here, there = self.grid.overlap(self.plate_grid)
        dtypes = {"flux": "f4", "ivar": "f4", "mask_bits": "i4", "dispersion": "f4"}
        arrays: dict[str, Any] = {}
        for name, dtype in dtypes.items():
            array = np.zeros((len(rows), self.grid.n_pixels), dtype)
            if name == "mask_bits":
                array[:] = 1 << NO_COVERAGE_BIT
                array[:, here] = 0
            hdu = self.images[name]
            if hdu is not None and there.stop > there.start:
                with _knowing(self.targets):
                    array[:, here] = self.file.image_rows(hdu, rows, there, dtype)
            arrays[name] = array
        return SpectrumBatch(
            self.grid, targets=self.targets[rows], files=[self.file.path] * len(rows), **arrays
        )


@contextmanager
def open_plate(
    path: str, grid: LogGrid, catalogue: Catalogue | None = None, verify: bool = True
) -> Iterator[PlateFile]:
    """Open an spPlate file and find the classes and redshifts of its fibres.

    Parameters
    ----------
    path : str
        The spPlate file; its spZbest stands beside it or in its RUN2D folder.
    grid : LogGrid
        The window to read.
    catalogue : Catalogue, optional
        Classes and redshifts instead of the spZbest file.
    verify : bool, optional
        Refuse data that disagree with their DATASUM; otherwise flag them.

    Yields
    ------
    PlateFile
        The open plate.

    Raises
    ------
    SpectrumFileError
        If the plate cannot be read; its `targets` are the fibres, as far as known.
    """
    with open_fits(path) as file:
        flux = file.hdus[0]
        if len(flux.shape) != 2 or flux.is_table:
            file.fail("unknown_layout", f"HDU 0 has axes {flux.shape}, not fibres by pixels", 0)
        fibres = blank_targets(flux.shape[0])
        plate, mjd = _number(flux, "PLATEID", "PLATE"), _number(flux, "MJD")
        identify(fibres, plate, mjd, np.arange(1, len(fibres) + 1))
        with _knowing(fibres):
            images = _plate_images(file, flux.shape)
            plate_grid = _grid_from_header(file, flux, flux.shape[1])
            plugmap = _find_plugmap(file, flux.shape[0])
            used = [hdu for hdu in (*images.values(), plugmap) if hdu is not None]
            flags = np.full(len(fibres), _verify(file, used, verify), np.int32)
            _read_plugmap(file, plugmap, fibres)
            if catalogue is not None:
                targets, reasons, several = catalogue.lookup(fibres)
                flags |= several * np.int32(flag_bit("CATALOGUE_ROWS"))
            else:
                targets, quality = _read_zbest(file, flux, fibres, verify)
                flags |= np.int32(quality)
                reasons = np.zeros(len(fibres), "U24")
        yield PlateFile(file, images, plate_grid, grid, targets, reasons, flags)


def read_spec_files(
    paths: Sequence[str], grid: LogGrid, catalogue: Catalogue | None = None, verify: bool = True
) -> SpecFiles:
    """Read single spec files, lite or full.

    Parameters
    ----------
    paths : sequence of str
        The files.
    grid : LogGrid
        The window to read.
    catalogue : Catalogue, optional
        Classes and redshifts instead of each file's own catalogue row.
    verify : bool, optional
        Refuse data that disagree with their DATASUM; otherwise flag them.

    Returns
    -------
    SpecFiles
        The spectra, and the failures.
    """
    flux = np.zeros((len(paths), grid.n_pixels), np.float32)
    ivar, dispersion = np.zeros_like(flux), np.zeros_like(flux)
    mask_bits = np.full(flux.shape, 1 << NO_COVERAGE_BIT, np.int32)
    targets = blank_targets(len(paths))
    flags = np.zeros(len(paths), np.int32)
    failures: list[SpectrumFileError] = []
    read: list[int] = []
    for i, path in enumerate(paths):
        try:
            with open_fits(path) as file:
                columns, first, targets[i], flags[i] = _read_spec(file, catalogue is None, verify)
        except SpectrumFileError as error:
            failures.append(error)
            continue
        here, there = grid.overlap(LogGrid(first, len(columns["FLUX"])))
        flux[i, here], ivar[i, here] = columns["FLUX"][there], columns["IVAR"][there]
        mask_bits[i, here] = columns["AND_MASK"][there] if "AND_MASK" in columns else 0
        if "WDISP" in columns:
            dispersion[i, here] = columns["WDISP"][there]
        read.append(i)
    rows = np.array(read, np.intp)
    targets, flags = targets[rows], flags[rows]
    reasons = np.zeros(len(rows), "U24")
    if catalogue is not None:
        targets, reasons, several = catalogue.lookup(targets)
        flags |= several * np.int32(flag_bit("CATALOGUE_ROWS"))
    batch = SpectrumBatch(
        grid, flux[rows], ivar[rows], mask_bits[rows], dispersion[rows], targets,
        [paths[i] for i in read],
    )  # fmt: skip
    return SpecFiles(batch, reasons, flags, failures)


def _read_spec(
    file: FitsFile, own_catalogue: bool, verify: bool
) -> tuple[dict[str, NDArray[Any]], int, NDArray[np.void], int]:
    """Read one spec file: columns, first pixel of its grid, target row, quality bits."""
    coadd = _find_coadd(file)
    used = [coadd]
    columns = _read_coadd(file, coadd)
    primary = file.hdus[0]
    first = _spec_first_pixel(file, primary, columns)
    ids = (
        _number(primary, "PLATEID", "PLATE"),
        _number(primary, "MJD"),
        _number(primary, "FIBERID", "FIBER"),
    )
    target = blank_targets(1)
    if own_catalogue:
        table = file.find(*SPEC_CATALOGUE)
        if table is None:
            file.fail(
                "missing_hdu", "the catalogue row SPALL or SPECOBJ (HDU 2) is not there", 2,
                "fetch it again, or give --catalogue",
            )  # fmt: skip
        used.append(table)
        rows = file.table(table, CATALOGUE_COLUMNS)
        missing = missing_columns(rows)
        if missing or not table.shape[0]:
            file.fail(
                "no_catalogue", f"no {' and '.join(missing) or 'row'} in HDU {table.index}",
                table.index, "give --catalogue",
            )  # fmt: skip
        target = _targets(file, table, rows)[:1]
    if target["TARGETID"][0] < 0:
        identify(target, *ids)
    return columns, first, target[0], _verify(file, used, verify)


def _find_coadd(file: FitsFile) -> Hdu:
    coadd = file.find(*SPEC_COADD)
    if coadd is None and len(file.hdus) == 1:
        file.fail("missing_hdu", "the table COADD (HDU 1) is not there", 1, "fetch it again")
    if coadd is None:
        desi = any(hdu.name == "FIBERMAP" for hdu in file.hdus)
        file.fail(
            "unknown_layout", f"HDU 1 is {file.hdus[1].name}, not COADD: not an SDSS spec file", 1,
            "DESI files are not yet supported" if desi else "",
        )  # fmt: skip
    if not coadd.is_table:
        file.fail("unknown_layout", "HDU 1 is not a table: not an SDSS spec file", 1)
    return coadd


def _read_coadd(file: FitsFile, coadd: Hdu) -> dict[str, NDArray[Any]]:
    columns = file.table(coadd, SPEC_COLUMNS)
    for name in ("FLUX", "IVAR"):
        if name not in columns:
            found = list(coadd.header.fields)
            more = f" and {len(found) - MAX_NAMES} more" if len(found) > MAX_NAMES else ""
            file.fail(
                "missing_column", f"no column {name}; found {', '.join(found[:MAX_NAMES])}{more}",
                coadd.index,
            )  # fmt: skip
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "fiu":
            file.fail("bad_header", f"{name} does not hold one number a pixel", coadd.index)
    return columns


def _targets(file: FitsFile, hdu: Hdu, columns: dict[str, NDArray[Any]]) -> NDArray[np.void]:
    try:
        return targets_from_columns(columns)
    except (TypeError, ValueError) as error:
        file.fail("bad_header", f"columns of another type or shape: {error}", hdu.index)


@contextmanager
def _knowing(targets: NDArray[np.void]) -> Iterator[None]:
    """Let an error tell which spectra are lost with the file."""
    try:
        yield
    except SpectrumFileError as error:
        error.targets = targets
        raise


def _spec_first_pixel(file: FitsFile, primary: Hdu, columns: dict[str, NDArray[Any]]) -> int:
    n_pixels = len(columns["FLUX"])
    if "LOGLAM" not in columns:
        return _grid_from_header(file, primary, n_pixels).first
    if not n_pixels:
        return 0
    if primary.header.get("VACUUM", True) is False:
        file.fail("bad_wavelengths", "VACUUM = F: wavelengths in air", 0, "convert to vacuum")
    pixel = columns["LOGLAM"].astype(np.float64) / PIXEL_LOGLAM
    first = float(np.round(pixel[0])) if np.isfinite(pixel[0]) else 0.0
    off = np.abs(pixel - first - np.arange(n_pixels)).max()
    if not off < GRID_TOLERANCE or not 33000 < first < 41000:
        file.fail(
            "bad_wavelengths",
            f"loglam from {columns['LOGLAM'][0]} to {columns['LOGLAM'][-1]} is not the SDSS grid "
            "(log10 of vacuum Angstrom, multiples of 1e-4, increasing)",
            1,
        )
    return int(first)


def _grid_from_header(file: FitsFile, hdu: Hdu, n_pixels: int) -> LogGrid:
    start, step = hdu.header.number("COEFF0"), hdu.header.number("COEFF1")
    if start is None or step is None:
        file.fail("bad_wavelengths", "neither a loglam column nor COEFF0 and COEFF1", hdu.index)
    if hdu.header.get("VACUUM", True) is False:
        file.fail("bad_wavelengths", "VACUUM = F: wavelengths in air", hdu.index, "convert them")
    first = start / PIXEL_LOGLAM
    drift = abs(step / PIXEL_LOGLAM - 1) * n_pixels
    if (
        abs(first - round(first)) > GRID_TOLERANCE
        or drift > GRID_TOLERANCE
        or not 33000 < first < 41000
    ):
        file.fail(
            "bad_wavelengths",
            f"COEFF0 = {start}, COEFF1 = {step}; expected multiples of 1e-4 in log10(Angstrom)",
            hdu.index,
        )
    return LogGrid(round(first), n_pixels)


def _plate_images(file: FitsFile, shape: tuple[int, ...]) -> dict[str, Hdu | None]:
    images = {
        "flux": file.find(*PLATE_FLUX),
        "ivar": file.find(*PLATE_IVAR),
        "mask_bits": file.find(*PLATE_MASK),
        "dispersion": file.find(*PLATE_DISPERSION),
    }
    for name, label, position in (
        ("flux", "FLUX", 0),
        ("ivar", "IVAR", 1),
        ("mask_bits", "ANDMASK", 2),
    ):
        if images[name] is None:
            file.fail(
                "missing_hdu", f"{label} (HDU {position}) is not there: without it the errors of "
                f"{shape[0]} spectra are unknown", label, "fetch the complete spPlate file",
            )  # fmt: skip
    for name, hdu in images.items():
        if hdu is not None and (hdu.shape != shape or hdu.is_table):
            file.fail("bad_header", f"{name} has axes {hdu.shape}, the flux {shape}", hdu.index)
    return images


def _find_plugmap(file: FitsFile, n_fibres: int) -> Hdu:
    hdu = file.find(*PLATE_PLUGMAP)
    if hdu is None:
        file.fail(
            "missing_hdu", "PLUGMAP (HDU 5) is not there: without it the sky fibres are unknown",
            "PLUGMAP", "fetch the complete spPlate file",
        )  # fmt: skip
    if not hdu.is_table or hdu.shape[0] != n_fibres:
        file.fail("bad_header", f"PLUGMAP has axes {hdu.shape} for {n_fibres} fibres", hdu.index)
    return hdu


def _read_plugmap(file: FitsFile, hdu: Hdu, fibres: NDArray[np.void]) -> None:
    """Take what the plug map knows of the fibres: which are sky, and where they point."""
    known = _targets(file, hdu, file.table(hdu, CATALOGUE_COLUMNS))
    fibres["OBJTYPE"] = known["OBJTYPE"]
    fibres["RA"], fibres["DEC"] = known["RA"], known["DEC"]
    if (known["FIBERID"] > 0).all():
        identify(fibres, fibres["PLATE"], fibres["MJD"], known["FIBERID"])


def _read_zbest(
    file: FitsFile, flux: Hdu, fibres: NDArray[np.void], verify: bool
) -> tuple[NDArray[np.void], int]:
    """Read the spZbest file of a plate: rows in the order of the fibres, and quality bits."""
    path = _find_zbest(Path(file.path), flux)
    if path is None:
        file.fail(
            "no_catalogue", "no spZbest file beside it or in its RUN2D folder",
            hint="fetch spZbest too, or give --catalogue",
        )  # fmt: skip
    with open_fits(path) as zbest:
        hdu = zbest.find(*ZBEST_TABLE)
        if hdu is None:
            zbest.fail("missing_hdu", "the table of redshifts (HDU 1) is not there", 1)
        columns = zbest.table(hdu, CATALOGUE_COLUMNS)
        missing = missing_columns(columns)
        if missing:
            zbest.fail("missing_column", f"no {' and '.join(missing)}", hdu.index)
        if len(columns["Z"]) != len(fibres):
            zbest.fail(
                "bad_header", f"{len(columns['Z'])} rows for {len(fibres)} fibres", hdu.index
            )
        rows = _targets(zbest, hdu, columns)
        flags = _verify(zbest, [hdu], verify)
    order = np.arange(len(rows))
    if "FIBERID" in columns:
        order = np.argsort(rows["FIBERID"], kind="stable")
        order = order[
            np.searchsorted(rows["FIBERID"][order], fibres["FIBERID"]).clip(0, len(rows) - 1)
        ]
        if (rows["FIBERID"][order] != fibres["FIBERID"]).any():
            raise SpectrumFileError(
                str(path), "bad_header", "its FIBERID are not those of the spPlate file", hdu.index
            )
    targets = rows[order]
    identify(targets, fibres["PLATE"], fibres["MJD"], fibres["FIBERID"])
    targets["OBJTYPE"] = np.where(fibres["OBJTYPE"] != "", fibres["OBJTYPE"], targets["OBJTYPE"])
    quality = flux.header.get("PLATEQUALITY", flux.header.get("QUALITY", ""))
    targets["PLATEQUALITY"] = np.where(
        targets["PLATEQUALITY"] != "", targets["PLATEQUALITY"], str(quality)
    )
    return targets, flags


def _find_zbest(path: Path, flux: Hdu) -> Path | None:
    stem = f"spZbest-{_number(flux, 'PLATEID', 'PLATE'):04d}-{_number(flux, 'MJD'):05d}.fits"
    names = dict.fromkeys([path.name.removesuffix(".gz").replace("spPlate", "spZbest", 1), stem])
    run2d = str(flux.header.get("RUN2D", "")).strip()
    folders = [path.parent, *([path.parent / run2d] if run2d else [])]
    for folder in [*folders, *sorted(p for p in path.parent.iterdir() if p.is_dir())]:
        for name in names:
            for candidate in (folder / name, folder / f"{name}.gz"):
                if candidate != path and candidate.is_file():
                    return candidate
    return None


def _number(hdu: Hdu, *keys: str) -> int:
    for key in keys:
        value = hdu.header.get(key)
        text = str(value).strip()
        number = int(text) if text.isdecimal() else -1
        if 0 <= number <= MAX_ID:
            return number
    return -1


def _verify(file: FitsFile, hdus: Sequence[Hdu], refuse: bool) -> int:
    """Verify DATASUM of the HDUs that are used, and return the quality bits."""
    flags = 0
    for hdu in hdus:
        verdict = file.verify(hdu)
        if verdict is None:
            flags |= flag_bit("UNVERIFIED")
        elif not verdict and refuse:
            file.fail(
                "checksum", "the data disagree with their DATASUM", hdu.index,
                "fetch the file again, or search it all the same with --no-verify",
            )  # fmt: skip
        elif not verdict:
            flags |= flag_bit("CHECKSUM")
    return flags
