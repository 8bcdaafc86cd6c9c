"""What is put into mock spectra: lines of sources and decoys, with what is known of them.

In: lines or sources, and the rows of a plate that get them. Out: their spectra through each fibre's
spectrograph, and rows of the truth table. Who gets what is decided in `speclens.simulate.survey`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.hypotheses import OII
from speclens.lines import LYMAN_ALPHA
from speclens.schema import INJECTED, dtype_of
from speclens.simulate.background import Sources
from speclens.simulate.contaminants import decoy_spectra
from speclens.simulate.emission_galaxies import draw_emission, emission_spectra, strongest_lines
from speclens.simulate.emitters import Lines, ideal_snr, line_spectra
from speclens.simulate.linear_grid import Grid

__all__ = ["Added", "added_decoys", "added_emitters", "added_galaxies"]

Rows = NDArray[np.intp]
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Added:
    """What is put into n spectra of a plate.

    Parameters
    ----------
    kind : str
        `KIND` of `speclens.schema.INJECTED`.
    rows : array of shape (n,)
        Rows of the plate.
    lines : Lines
        The line of each, or its strongest.
    spectra : array of shape (n, L)
        Flux density of all of its lines, 1e-17 erg/s/cm2/Angstrom.
    z_source : array of shape (n,)
        Redshifts of the sources; NaN of decoys.
    lensed : array of shape (n,)
        Whether they are lensed.
    """

    kind: str
    rows: Rows
    lines: Lines
    spectra: NDArray[np.floating]
    z_source: Floats
    lensed: NDArray[np.bool_]

    def truth(self, ids: NDArray[np.int64], ivar: Floats) -> NDArray[np.void]:
        """Return rows of the truth table.

        Parameters
        ----------
        ids : array of shape (N,)
            TARGETID of all spectra of the plate.
        ivar : array of shape (N, L)
            Their inverse variance.

        Returns
        -------
        structured array of shape (n,)
            `speclens.schema.INJECTED`.
        """
        truth = np.zeros(len(self.rows), dtype_of(INJECTED))
        truth["TARGETID"], truth["KIND"] = ids[self.rows], self.kind
        truth["Z_SOURCE"], truth["LENSED"] = self.z_source, self.lensed
        truth["WAVE"], truth["FLUX"] = self.lines.wave, self.lines.flux
        truth["WIDTH"], truth["SKEWNESS"] = self.lines.width, self.lines.skewness
        truth["IDEAL_SNR"] = ideal_snr(self.spectra, ivar[self.rows])
        return truth


def added_decoys(kind: str, rows: Rows, lines: Lines, grid: Grid) -> Added:
    """Put decoys into spectra.

    Parameters
    ----------
    kind : str
        As for `draw_decoys`.
    rows : array of shape (n,)
        Rows of the plate.
    lines : Lines
        n decoys.
    grid : LogGrid or LinearGrid
        Wavelengths, L pixels.

    Returns
    -------
    Added
        The decoys.
    """
    spectra, unknown = decoy_spectra(kind, lines, grid), np.full(len(rows), np.nan)
    return Added(kind, rows, lines, spectra, unknown, np.zeros(len(rows), bool))


def added_emitters(
    rows: Rows, lines: Lines, lensed: NDArray[np.bool_], grid: Grid, dispersion: Floats
) -> Added:
    """Put Lyman-alpha emitters into spectra.

    Parameters
    ----------
    rows : array of shape (n,)
        Rows of the plate.
    lines : Lines
        n lines.
    lensed : array of shape (n,)
        Whether they are lensed.
    grid : LogGrid or LinearGrid
        Wavelengths, L pixels.
    dispersion : array of shape (N, L)
        Standard deviation of the line spread of all spectra of the plate, pixels.

    Returns
    -------
    Added
        The emitters.
    """
    spectra = line_spectra(lines, grid, dispersion[rows, grid.nearest(lines.wave)])
    return Added("lya", rows, lines, spectra, lines.wave / LYMAN_ALPHA - 1, lensed)


def added_galaxies(
    rows: Rows,
    sources: Sources,
    sigma_kms: tuple[float, float],
    grid: Grid,
    dispersion: Floats,
    rng: np.random.Generator,
) -> Added:
    """Put galaxies with emission lines into spectra.

    Parameters
    ----------
    rows : array of shape (n,)
        Rows of the plate.
    sources : Sources
        n galaxies, with their fluxes of [O II].
    sigma_kms : (float, float)
        Between which their lines are wide, standard deviations, km/s.
    grid : LogGrid or LinearGrid
        Wavelengths, L pixels.
    dispersion : array of shape (N, L)
        Standard deviation of the line spread of all spectra of the plate, pixels.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Added
        The galaxies.
    """
    galaxies = draw_emission(sources.z, sigma_kms, rng)
    spectra = emission_spectra(galaxies, grid, dispersion[rows])
    spectra *= (sources.flux / galaxies.flux_of(OII.members))[:, None]
    lines = strongest_lines(spectra, galaxies.names, grid)
    return Added("elg", rows, lines, spectra.sum(axis=0), sources.z, sources.lensed)
