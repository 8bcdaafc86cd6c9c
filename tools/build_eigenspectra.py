"""Rebuild the bundled bases, `eigenspectra.fits` and `quasar_eigenspectra.fits`: `make data`.

A library of model early-type galaxies is made from spectra of single-age stellar populations and
from what these leave unexplained in the mean galaxies of BOSS and of DESI; its principal components
and the coefficients of some of its galaxies are written. A library of quasars is made from mock
ones and from the eigenspectra of BOSS. The same input gives the same bytes.

    python tools/build_eigenspectra.py --data $SPECLENS_DATA
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from speclens.eigenspectra import BUNDLED
from speclens.lines import PIXEL_LOGLAM
from speclens.simulate.galaxies import NORMALISATION_ANGSTROM, normalise
from speclens.simulate.galaxy_library import (
    INSTRUMENT_SIGMA_KMS,
    StellarPopulations,
    library_components,
    library_of_galaxies,
    mismatch,
)
from speclens.simulate.quasar_library import library_of_quasars, quasar_components
from speclens.spectra import LogGrid

GRID = LogGrid.covering(1500.0, 10000.0)
SEED = 20190213
N_COMPONENTS = 10
N_LIBRARY = 3000
N_POPULATION = 600
OUTPUT = Path(__file__).parents[1] / "src" / "speclens" / "data"

QUASAR_GRID = LogGrid.covering(1150.0, 7700.0)
N_QUASARS, N_QUASAR_COMPONENTS = 3000, 20

CREDITS = """\
Principal components (not centred) of model early-type galaxies, vacuum.
Made by tools/build_eigenspectra.py of speclens. The models combine:
- stellar populations of redmonster (ndArch-ssp_galaxy_noemit-v000)
- mean galaxy of the BOSS redshift pipeline idlspec2d (spEigenGal-55740)
- early types of DESI's redrock-templates (rrtemplate-galaxy)
POPULATION: galaxies of the library, mean flux 1 at rest {:.0f}-{:.0f} A;
VDISP is the stellar dispersion; {:.0f} km/s of line spread come on top.
""".format(*NORMALISATION_ANGSTROM, INSTRUMENT_SIGMA_KMS)


QUASAR_CREDITS = """\
Principal components (not centred) of model quasars without absorption, vacuum.
Made by tools/build_eigenspectra.py of speclens. The models combine:
- mock quasars of speclens (data/quasars.toml)
- eigenspectra of the BOSS redshift pipeline idlspec2d (spEigenQSO-55732)
"""


def read_populations(path: Path) -> StellarPopulations:
    """Read the stellar populations at their smallest dispersion.

    Parameters
    ----------
    path : pathlib.Path
        ndArch-ssp_galaxy_noemit-v000.fits: ages by dispersions by pixels.

    Returns
    -------
    StellarPopulations
        On `GRID`.
    """
    cube, header = fits.getdata(path, header=True)
    flux = on_grid(np.asarray(cube[:, 0], np.float64), header["CRVAL1"])
    log_age = header["CRVAL3"] + header["CDELT3"] * np.arange(len(flux))
    # The models begin at 1525 Angstrom, which enters the search at z = 1.49.
    start = int(np.argmax(np.isfinite(flux[0])))
    flux[:, :start] = flux[:, start : start + 50].mean(axis=1, keepdims=True)
    return StellarPopulations(normalise(flux, GRID), log_age, 10.0 ** header["CRVAL2"], GRID)


def read_boss_mean(path: Path) -> NDArray[np.float64]:
    """Read the first component of the BOSS pipeline.

    Parameters
    ----------
    path : pathlib.Path
        A spEigenGal file.

    Returns
    -------
    array of shape (L,)
        On `GRID`, normalised; NaN where the file does not reach.
    """
    image, header = fits.getdata(path, header=True)
    first = np.asarray(image[:1], np.float64)
    return normalise(on_grid(first, header["COEFF0"]).ravel(), GRID)


def on_grid(flux: NDArray[np.float64], first_loglam: float) -> NDArray[np.float64]:
    """Move spectra from another part of the global grid to `GRID`.

    Parameters
    ----------
    flux : array of shape (N, K)
        Spectra.
    first_loglam : float
        log10 of the wavelength of their first pixel.

    Returns
    -------
    array of shape (N, L)
        The spectra; NaN where they do not reach.
    """
    mine, theirs = GRID.overlap(LogGrid(round(first_loglam / PIXEL_LOGLAM), flux.shape[1]))
    result = np.full((len(flux), GRID.n_pixels), np.nan)
    result[:, mine] = flux[:, theirs]
    return result


def read_desi_mean(path: Path) -> NDArray[np.float64]:
    """Read the mean early-type archetype of DESI's galaxy template.

    Parameters
    ----------
    path : pathlib.Path
        rrtemplate-galaxy.fits: basis vectors on a linear grid, coefficients of archetypes.

    Returns
    -------
    array of shape (L,)
        On `GRID`, averaged over each of its pixels, normalised.
    """
    with fits.open(path, memmap=False) as hdus:
        header, basis, coefficients = hdus[0].header, hdus[0].data, hdus[1].data
    wave = header["CRVAL1"] + header["CDELT1"] * np.arange(basis.shape[1])
    galaxies = coefficients @ basis
    red = galaxies[:, (wave > 4000) & (wave < 4100)].mean(axis=1)
    blue = galaxies[:, (wave > 3850) & (wave < 3950)].mean(axis=1)
    # The 4000 Angstrom break parts the archetypes into two groups; 1.6 lies between them.
    mean = galaxies[red > 1.6 * blue].mean(axis=0)
    edges = 10 ** ((GRID.first - 0.5 + np.arange(GRID.n_pixels + 1)) * PIXEL_LOGLAM)
    integral = np.interp(edges, wave + header["CDELT1"] / 2, np.cumsum(mean))
    return normalise(np.diff(integral) / np.diff(edges), GRID)


def build(data: Path) -> fits.HDUList:
    """Compute the basis and its population.

    Parameters
    ----------
    data : pathlib.Path
        The folder that holds `templates`.

    Returns
    -------
    astropy.io.fits.HDUList
        What is written.
    """
    templates = data / "templates"
    populations = read_populations(templates / "ndArch-ssp_galaxy_noemit-v000.fits")
    boss = read_boss_mean(templates / "spEigenGal-55740.fits")
    desi = read_desi_mean(templates / "rrtemplate-galaxy.fits")
    mismatches = np.stack([mismatch(mean, populations) for mean in (boss, desi)])
    rng = np.random.default_rng(SEED)
    flux, vdisp = library_of_galaxies(populations, mismatches, N_LIBRARY, rng)
    components, coefficients = library_components(flux, GRID, N_COMPONENTS)
    members = coefficients[:N_POPULATION]
    # Ten components reproduce the normalisation to 1 %; mocks need it exact.
    members *= (normalise(members @ components, GRID) / (members @ components))[:, :1]
    image = fits.PrimaryHDU(components.astype(np.float32))
    image.header["OBJECT"] = "GALAXY"
    _set_grid(image.header, GRID, CREDITS)
    columns = [
        fits.Column("COEFFICIENTS", f"{N_COMPONENTS}E", array=members),
        fits.Column("VDISP", "E", unit="km/s", array=vdisp[:N_POPULATION]),
    ]
    return fits.HDUList([image, fits.BinTableHDU.from_columns(columns, name="POPULATION")])


def build_quasars(data: Path) -> fits.HDUList:
    """Compute the basis of quasars.

    Parameters
    ----------
    data : pathlib.Path
        The folder that holds `templates`.

    Returns
    -------
    astropy.io.fits.HDUList
        What is written.
    """
    image, header = fits.getdata(data / "templates" / "spEigenQSO-55732.fits", header=True)
    stored = LogGrid(round(header["COEFF0"] / PIXEL_LOGLAM), image.shape[1])
    _, theirs = QUASAR_GRID.overlap(stored)
    template = np.asarray(image[:, theirs], np.float64)
    rng = np.random.default_rng(SEED)
    relative = library_of_quasars(template, QUASAR_GRID, N_QUASARS, rng)
    components = quasar_components(relative, template[0], N_QUASAR_COMPONENTS)
    primary = fits.PrimaryHDU(components.astype(np.float32))
    primary.header["OBJECT"] = "QSO"
    _set_grid(primary.header, QUASAR_GRID, QUASAR_CREDITS)
    return fits.HDUList([primary])


def _set_grid(header: fits.Header, grid: LogGrid, credits_: str) -> None:
    header["COEFF0"] = (round(grid.first * PIXEL_LOGLAM, 4), "log10 of the first wavelength")
    header["COEFF1"] = (PIXEL_LOGLAM, "step in log10 of the wavelength")
    header["SEED"] = (SEED, "of the library")
    for line in credits_.splitlines():
        header["COMMENT"] = line


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Rebuild the bundled eigenspectra.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds templates/")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, help="folder to write")
    arguments = parser.parse_args()
    build(arguments.data).writeto(arguments.output / BUNDLED[""], overwrite=True)
    build_quasars(arguments.data).writeto(arguments.output / BUNDLED["quasars"], overwrite=True)


if __name__ == "__main__":
    main()
