"""What is put into spectra, drawn: sources of the kinds that a search seeks, and decoys.

In: names of spectra, the redshifts of their targets. Out: a source or decoy for each, and its flux
density on any grid: in the window before the search, and in the whole spectrum for vetting. One is
drawn with a generator of its own, of the seed, the repeat, the name of the file and the row in it:
how files are grouped, and who works on them, does not change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.hypotheses import OII
from speclens.lines import LYMAN_ALPHA
from speclens.simulate.contaminants import decoy_spectra, draw_decoys
from speclens.simulate.emission_galaxies import (
    GalaxyEmission,
    draw_emission,
    emission_spectra,
    strongest_lines,
)
from speclens.simulate.emitters import Lines, emitters_of, line_spectra
from speclens.spectra import LogGrid

__all__ = ["DECOYS", "SOURCES", "DrawnSources", "draw", "spectra_of"]

SOURCES = ("lya", "elg")
DECOYS = ("oii", "line", "spike", "sky_line")
"""Kinds of what is put in, as in the column KIND."""

OF_DECOYS = 1
"""Sets the generators of decoys apart from those of sources."""

TOGETHER = 32
"""Galaxies whose lines are drawn at once, line by line, in little memory."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DrawnSources:
    """What is put into n spectra, one each.

    Parameters
    ----------
    kind : array of shape (n,)
        Its kind; empty where there is none, because no source can lie behind the target.
    lines : Lines
        Its line as it comes in nature; of galaxies it is known once they are on pixels.
    wanted : array of shape (n,)
        The ideal signal-to-noise ratio that it is to have.
    z_source : array of shape (n,)
        Redshift; NaN of decoys.
    galaxies : dict of int to GalaxyEmission
        The galaxies, by their place.
    window : LogGrid
        The pixels that a search sees.
    """

    kind: NDArray[np.str_]
    lines: Lines
    wanted: Floats
    z_source: Floats
    galaxies: dict[int, GalaxyEmission]
    window: LogGrid

    def __len__(self) -> int:
        return len(self.kind)

    def on(
        self, grid: LogGrid, dispersion: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], Lines]:
        """Return the spectra of what is put in.

        Parameters
        ----------
        grid : LogGrid
            Wavelengths, L pixels; those of the window are among them.
        dispersion : array of shape (n, L)
            Standard deviation of the line spread, pixels.

        Returns
        -------
        spectra : array of shape (n, L)
            Flux density, 1e-17 erg/s/cm2/Angstrom.
        lines : Lines
            The line of each, of galaxies the strongest in the window.
        """
        spectra = spectra_of(self.kind, self.lines, grid, dispersion)
        return spectra, self._with_galaxies(spectra, grid, dispersion)

    def _with_galaxies(
        self, spectra: NDArray[np.float32], grid: LogGrid, dispersion: NDArray[np.floating]
    ) -> Lines:
        """Put the galaxies among the spectra; return all lines, with the strongest of theirs."""
        columns = [np.array(getattr(self.lines, name)) for name in LINE_NAMES]
        places = np.array(sorted(self.galaxies), np.intp)
        _, seen = self.window.overlap(grid)
        for start in range(0, len(places), TOGETHER):
            rows = places[start : start + TOGETHER]
            galaxies = _joined([self.galaxies[row] for row in rows.tolist()])
            by_line = emission_spectra(galaxies, grid, dispersion[rows])
            by_line *= (self.lines.flux[rows] / galaxies.flux_of(OII.members))[:, None]
            spectra[rows] = by_line.sum(axis=0)
            strongest = strongest_lines(by_line[..., seen], galaxies.names, self.window)
            for column, name in zip(columns, LINE_NAMES, strict=True):
                column[rows] = getattr(strongest, name)
        return Lines(*columns)


LINE_NAMES = ("wave", "flux", "width", "skewness")


def spectra_of(
    kind: NDArray[np.str_], lines: Lines, grid: LogGrid, dispersion: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return the spectra of Lyman-alpha lines and decoys.

    Parameters
    ----------
    kind : array of shape (n,)
        The kind of each; other kinds are left dark.
    lines : Lines
        The n lines.
    grid : LogGrid
        Wavelengths, L pixels.
    dispersion : array of shape (n, L)
        Standard deviation of the line spread, pixels.

    Returns
    -------
    array of shape (n, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom.
    """
    spectra = np.zeros((len(kind), grid.n_pixels), np.float32)
    lya = np.flatnonzero(kind == "lya")
    spread = dispersion[lya, grid.nearest(lines.wave[lya])]
    spectra[lya] = line_spectra(lines[lya], grid, spread)
    for decoy in DECOYS:
        rows = np.flatnonzero(kind == decoy)
        if len(rows):
            spectra[rows] = decoy_spectra(decoy, lines[rows], grid)
    return spectra


def draw(
    config: Config,
    seed: int,
    repeat: int,
    names: Sequence[tuple[int, int]],
    z_lens: NDArray[np.floating],
    kinds: Sequence[str],
) -> DrawnSources:
    """Draw a source or decoy for each spectrum.

    Parameters
    ----------
    config : Config
        Distributions, the window, and the range of the ideal signal-to-noise ratio.
    seed, repeat : int
        With a spectrum's name, seed of what it gets.
    names : sequence of (int, int)
        Of n spectra: digest of the file's name, and row in the file.
    z_lens : array of shape (n,)
        Redshifts of the targets.
    kinds : sequence of str
        Of `SOURCES` or of `DECOYS`, or of both, a source first; each as likely as it is often here.

    Returns
    -------
    DrawnSources
        With the fluxes of nature; what they become for the ideal ratio is left to the caller.
    """
    n = len(names)
    stream = (OF_DECOYS,) * (kinds[0] in DECOYS)
    deviates, places, chosen = np.empty((n, 3)), np.empty((n, 2)), np.zeros(n, "U16")
    generators = []
    for i, name in enumerate(names):
        rng = np.random.default_rng((seed, repeat, *name, *stream))
        deviates[i], places[i] = rng.standard_normal(3), rng.random(2)
        chosen[i] = kinds[int(len(kinds) * rng.random())] if len(kinds) > 1 else kinds[0]
        generators.append(rng)
    low, high = config.evaluation.ideal_snr_range
    wanted = low + (high - low) * places[:, 1]
    lines, behind = _emitters(deviates, places[:, 0], z_lens, config)
    chosen[(chosen == "lya") & ~behind] = ""
    z_source = np.where(chosen == "lya", lines.wave / LYMAN_ALPHA - 1, np.nan)
    window = LogGrid.covering(*config.preparation.window)
    drawn = DrawnSources(chosen, lines, wanted, z_source, {}, window)
    return _with_decoys(
        _with_elg(drawn, generators, places[:, 0], z_lens, config), generators, config
    )


def _emitters(
    deviates: Floats, places: Floats, z_lens: NDArray[np.floating], config: Config
) -> tuple[Lines, NDArray[np.bool_]]:
    """Draw Lyman-alpha lines behind the targets; say where there is room for one."""
    background = config.survey.background
    low, high = config.preparation.window
    high = min(high, LYMAN_ALPHA * (1 + background.lya_redshifts[1]))
    lines = emitters_of(deviates.T, places, (low, high), config.emitters)
    nearest = np.maximum(low, LYMAN_ALPHA * (1 + np.asarray(z_lens) + background.z_margin))
    # Where the whole window is behind the target it stays as it is, to the last bit.
    wave = np.where(nearest > low, nearest + (high - nearest) * places, lines.wave)
    return replace(lines, wave=np.clip(wave, low, high)), nearest < high


def _with_elg(
    drawn: DrawnSources,
    generators: Sequence[np.random.Generator],
    places: Floats,
    z_lens: NDArray[np.floating],
    config: Config,
) -> DrawnSources:
    """Draw the galaxies, evenly in redshift between the target and where [O II] leaves."""
    background = config.survey.background
    first, last = background.elg_redshifts
    low = np.maximum(first, np.asarray(z_lens) + background.z_margin)
    elg = drawn.kind == "elg"
    kind = np.where(elg & (low >= last), "", drawn.kind)
    z_source = np.where(kind == "elg", low + (last - low) * places, drawn.z_source)
    galaxies = {
        i: draw_emission(z_source[[i]], background.elg_sigma_kms, generators[i])
        for i in np.flatnonzero(kind == "elg").tolist()
    }
    return replace(drawn, kind=kind, z_source=z_source, galaxies=galaxies)


def _with_decoys(
    drawn: DrawnSources, generators: Sequence[np.random.Generator], config: Config
) -> DrawnSources:
    """Draw the decoys; residuals of sky lines only where the window has one."""
    low, high = config.preparation.window
    any_sky = any(low < wave < high for wave in config.survey.sky_lines)
    kind = drawn.kind.copy()
    columns = [np.array(getattr(drawn.lines, name)) for name in LINE_NAMES]
    for i in np.flatnonzero(np.isin(kind, DECOYS)).tolist():
        if kind[i] == "sky_line" and not any_sky:
            kind[i] = "spike"
        decoy = draw_decoys(str(kind[i]), 1, (low, high), config.survey, generators[i])
        for column, name in zip(columns, LINE_NAMES, strict=True):
            column[i] = getattr(decoy, name)[0]
    return replace(drawn, kind=kind, lines=Lines(*columns))


def _joined(galaxies: Sequence[GalaxyEmission]) -> GalaxyEmission:
    z, sigma, fluxes = (
        np.concatenate([getattr(galaxy, name) for galaxy in galaxies])
        for name in ("z", "sigma_kms", "fluxes")
    )
    return GalaxyEmission(z, sigma, fluxes, galaxies[0].names)
