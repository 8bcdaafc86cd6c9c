"""Files in the layout of the BOSS pipeline: spPlate, spZbest and spAll.

In: arrays of one mock plate. Out: files that a reader cannot tell from the survey's own, by their
structure. What is in the arrays is decided in `speclens.simulate.survey`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.lines import PIXEL_LOGLAM
from speclens.products import replacing
from speclens.simulate.sky import PlateNoise
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["Plate", "write_hdus", "write_plate", "write_spall"]

FLUX_UNIT = "1E-17 erg/cm^2/s/Ang"
ZBEST_COLUMNS = {
    "PLATE": ("PLATE", "J"), "MJD": ("MJD", "J"), "FIBERID": ("FIBERID", "J"),
    "OBJTYPE": ("OBJTYPE", "16A"), "PLUG_RA": ("RA", "D"), "PLUG_DEC": ("DEC", "D"),
    "CLASS": ("CLASS", "6A"), "SUBCLASS": ("SUBCLASS", "21A"), "Z": ("Z", "E"),
    "Z_ERR": ("Z_ERR", "E"), "ZWARNING": ("ZWARNING", "J"), "VDISP": ("VDISP", "E"),
    "VDISP_ERR": ("VDISP_ERR", "E"), "CLASS_NOQSO": ("CLASS_NOQSO", "6A"),
    "Z_NOQSO": ("Z_NOQSO", "E"), "ZWARNING_NOQSO": ("ZWARNING_NOQSO", "J"),
    "PLATEQUALITY": ("PLATEQUALITY", "8A"),
}  # fmt: skip
N_BANDS, I_BAND = 5, 3


@dataclass(frozen=True)
class Plate:
    """One observed mock plate.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Catalogue rows, with Z_ERR beside the fields of `TARGET_DTYPE`.
    grid : LogGrid
        Wavelengths, L pixels.
    model : array of shape (N, L)
        What the pipeline would take for the best-fit model: the spectrum without noise and lines.
    observed : PlateNoise
        Flux, inverse variance, masks, dispersion, sky.
    run2d : str
        Version of the reduction.
    """

    targets: NDArray[np.void]
    grid: LogGrid
    model: NDArray[np.float32]
    observed: PlateNoise
    run2d: str

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the rows of the targets with these TARGETIDs, which increase with the fibre."""
        return np.searchsorted(self.targets["TARGETID"], ids)

    @property
    def label(self) -> str:
        """Plate and date, as in the names of its files."""
        return f"{self.targets['PLATE'][0]:04d}-{self.targets['MJD'][0]:05d}"

    def on(self, grid: LogGrid) -> SpectrumBatch:
        """Return a window of the spectra as a reader of the file would.

        Parameters
        ----------
        grid : LogGrid
            The window, wholly on the plate's pixels.

        Returns
        -------
        SpectrumBatch
            N spectra.
        """
        _, pixels = grid.overlap(self.grid)
        files = [f"mock plate {self.label}"] * len(self.targets)
        return self.observed.batch(grid, pixels, self.targets, files)

    def write(self, folder: Path) -> Path:
        """Write the files of the plate; see `write_plate`.

        Parameters
        ----------
        folder : Path
            Folder of the survey.

        Returns
        -------
        Path
            The file of its spectra.
        """
        return write_plate(folder, self)


def write_plate(folder: Path, plate: Plate) -> Path:
    """Write spPlate and spZbest of a plate, where the survey's archive has them.

    Parameters
    ----------
    folder : Path
        Folder of the survey.
    plate : Plate
        The plate.

    Returns
    -------
    Path
        The spPlate file.
    """
    from astropy.io import fits

    home = folder / f"{plate.targets['PLATE'][0]:04d}"
    observed = plate.observed
    primary = fits.PrimaryHDU(observed.flux)
    _describe(primary.header, plate)
    images = (
        ("IVAR", observed.ivar),
        ("ANDMASK", observed.and_mask),
        ("ORMASK", observed.or_mask),
        ("WAVEDISP", observed.dispersion),
    )
    hdus = [primary, *(fits.ImageHDU(image, name=name) for name, image in images)]
    hdus += [_plugmap(plate.targets), fits.ImageHDU(observed.sky, name="SKY")]
    path = home / f"spPlate-{plate.label}.fits"
    zbest = fits.PrimaryHDU()
    _describe(zbest.header, plate)
    rows = _catalogue(plate.targets)
    # The redshifts come first: an spPlate file that is there can be searched.
    write_hdus(
        home / plate.run2d / f"spZbest-{plate.label}.fits",
        [zbest, rows, fits.ImageHDU(plate.model)],
    )
    write_hdus(path, hdus)
    return path


def write_spall(path: Path, targets: NDArray[np.void]) -> None:
    """Write a survey catalogue.

    Parameters
    ----------
    path : Path
        The spAll file.
    targets : structured array of shape (N,)
        Catalogue rows of all plates.
    """
    from astropy.io import fits

    write_hdus(path, [fits.PrimaryHDU(), _catalogue(targets, _magnitudes("FIBER2MAG", targets))])


def write_hdus(path: Path, hdus: list[Any]) -> None:
    """Write a FITS file beside its place, and rename it.

    Parameters
    ----------
    path : Path
        Its place.
    hdus : list of HDU
        What it holds.
    """
    from astropy.io import fits

    with replacing(path) as file:
        fits.HDUList(hdus).writeto(file)


def _describe(header: Any, plate: Plate) -> None:
    header["PLATEID"] = int(plate.targets["PLATE"][0])
    header["MJD"] = int(plate.targets["MJD"][0])
    header["COEFF0"] = round(plate.grid.first * PIXEL_LOGLAM, 4)
    header["COEFF1"] = PIXEL_LOGLAM
    header["NWORDER"] = 2
    header["VACUUM"] = True
    header["BUNIT"] = FLUX_UNIT
    header["RUN2D"] = plate.run2d
    header["MOCK"] = (True, "simulated by speclens, not observed")


def _plugmap(targets: NDArray[np.void]) -> Any:
    from astropy.io import fits

    columns = [
        fits.Column("FIBERID", "J", array=targets["FIBERID"]),
        fits.Column("OBJTYPE", "16A", array=targets["OBJTYPE"]),
        fits.Column("RA", "D", array=targets["RA"]),
        fits.Column("DEC", "D", array=targets["DEC"]),
        _magnitudes("MAG", targets),
    ]
    return fits.BinTableHDU.from_columns(columns, name="PLUGMAP")


def _catalogue(targets: NDArray[np.void], *more: Any) -> Any:
    from astropy.io import fits

    columns = [
        fits.Column(name, form, array=targets[field])
        for name, (field, form) in ZBEST_COLUMNS.items()
    ]
    return fits.BinTableHDU.from_columns([*columns, *more])


def _magnitudes(name: str, targets: NDArray[np.void]) -> Any:
    """Magnitudes u g r i z, of which the mock has i alone; unknown is 0, as for real sky fibres."""
    from astropy.io import fits

    magnitudes = np.zeros((len(targets), N_BANDS), np.float32)
    magnitudes[:, I_BAND] = np.nan_to_num(targets["MAG_I"])
    return fits.Column(name, f"{N_BANDS}E", array=magnitudes)
