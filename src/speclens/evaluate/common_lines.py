"""The same sources for all searches: put in where the first one masks nothing.

In: a `Source`, opened on the pixels of any search. Out: sources around it. What is put in is drawn
and scaled on the window that all searches share, so that it does not depend on who looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speclens.config import ComparisonConfig, Config
from speclens.evaluate.injection import NO_LINE, Injected, Injection, Kept, Null
from speclens.hypotheses import OII
from speclens.lines import rest_waves
from speclens.read.source import Source
from speclens.sample.error_growth import read_growth
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.sample.selection import redshifts
from speclens.search.scan import Wrapped
from speclens.simulate.emission_galaxies import (
    GalaxyEmission,
    draw_emission,
    emission_spectra,
    strongest_lines,
)
from speclens.simulate.emitters import ideal_snr
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["CommonLines", "GalaxiesPutIn", "SharedWindow"]

CHUNK = 64
"""Spectra into which galaxies are put at once: each of a galaxy's lines takes a whole spectrum."""

Floats = NDArray[np.float64]


class SharedWindow(Preparation):
    """The steps before the first search, on the pixels that all searches have.

    Parameters
    ----------
    config : Config
        The first search, with the window that all share.
    """

    def __init__(self, config: Config) -> None:
        grid = LogGrid.covering(*config.preparation.window)
        super().__init__(config, read_growth(config.noise.growth).observed("SKY", grid))

    def __call__(
        self,
        batch: SpectrumBatch,
        z: NDArray[np.floating],
        line: NDArray[np.bool_] | None = None,
    ) -> PreparedSpectra:
        """Prepare spectra, as `Preparation` does; beyond the window there is nothing."""
        _, inside = self.grid.overlap(batch.grid)
        within = super().__call__(batch.on(self.grid), z, None if line is None else line[:, inside])

        def whole(part: NDArray[np.float32]) -> NDArray[np.float32]:
            pixels = np.zeros(batch.flux.shape, np.float32)
            pixels[:, inside] = part
            return pixels

        return replace(
            within, grid=batch.grid, flux=whole(within.flux), ivar=whole(within.ivar),
            model=whole(within.model), dispersion=whole(within.dispersion),
        )  # fmt: skip


@dataclass(frozen=True)
class CommonLines:
    """Puts the same sources into the spectra, whichever search follows.

    Parameters
    ----------
    reference : Config
        The first search, with the window that all share.
    shared : SharedWindow
        Its preparation.
    source : str
        What is put in: `lya` or `elg`.
    seed : int
        Seed of all sources.
    repeats : sequence of int
        Numbers of the repeats; `NO_LINE` puts nothing in.
    """

    reference: Config
    shared: SharedWindow
    source: str
    seed: int
    repeats: Sequence[int]

    def __call__(self, source: Source, preparation: Preparation) -> Iterator[Wrapped]:  # noqa: ARG002
        """Wrap a source, once for each repeat.

        Parameters
        ----------
        source : Source
            Spectra as read.
        preparation : Preparation
            The steps before the search that follows: not asked.

        Yields
        ------
        Wrapped
            The same spectra, with the sources of a repeat.
        """
        kept = Kept(source, self.shared, self.reference)
        lines = Injection(self.reference, self.seed, self.repeats, ("lya",))
        for repeat in self.repeats:
            if repeat == NO_LINE:
                yield Null(kept)
            elif self.source == "lya":
                yield Injected(kept, lines, repeat)
            else:
                yield GalaxiesPutIn(kept, self.reference, self.seed, repeat)


class GalaxiesPutIn(Null):
    """A source with an emission-line galaxy behind each target that can be searched.

    Parameters
    ----------
    source : Kept
        The spectra without.
    config : Config
        Section `comparison`, and the window.
    seed : int
        Seed of all galaxies.
    repeat : int
        Number of the repeat.

    Attributes
    ----------
    truth : structured array of shape (N,)
        `speclens.evaluate.injection.TRUTH`: the galaxies behind the spectra that were read.
    """

    def __init__(self, source: Kept, config: Config, seed: int, repeat: int) -> None:
        super().__init__(source, "")
        self._kept, self._config, self._seed, self._repeat = source, config, seed, repeat
        self.truth["REPEAT"] = repeat

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read some of the spectra, each with a galaxy.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        plain = self._kept.plain(rows)
        batch = plain.batch
        z_lens = redshifts(batch.targets, self._config.selection)
        names = [self._kept.names[row] for row in rows.tolist()]
        galaxies, wanted, behind = _draw(
            (self._seed, self._repeat), names, z_lens, self._highest, self._config.comparison
        )
        flux, truth = batch.flux.copy(), self.truth[rows]
        window = LogGrid.covering(*self._config.preparation.window)
        _, inside = window.overlap(batch.grid)
        for start in range(0, len(rows), CHUNK):
            some = slice(start, start + CHUNK)
            lines = emission_spectra(galaxies(some), batch.grid, batch.dispersion[some])
            added = lines.sum(axis=0)
            ideal = ideal_snr(added, plain.stated[some])
            there = plain.usable[some] & behind[some] & (ideal > 0)
            scale = np.where(there, wanted[some] / np.where(ideal > 0, ideal, 1.0), 0.0)
            flux[some] += (added * scale[:, None]).astype(np.float32)
            strongest = strongest_lines(lines[..., inside], galaxies(some).names, window)
            part = truth[some]
            part["KIND"] = np.where(there, "elg", "")
            part["Z_SOURCE"], part["IDEAL_SNR"] = galaxies(some).z, ideal * scale
            part["LENSED"] = part["SEARCHED"] = there
            part["WAVE"], part["FLUX"] = strongest.wave, strongest.flux * scale
            part["WIDTH"] = strongest.width
        self.truth[rows] = truth
        return replace(batch, flux=flux)

    @property
    def _highest(self) -> float:
        """Highest redshift of a galaxy: [O II] is in the window."""
        red_end = self._config.preparation.window[1] / float(rest_waves(*OII.members).max()) - 1
        return min(self._config.comparison.elg_z_max, red_end)


@dataclass(frozen=True)
class _Drawn:
    """Galaxies that were drawn one by one."""

    each: Sequence[GalaxyEmission]

    def __call__(self, rows: slice) -> GalaxyEmission:
        some = self.each[rows]
        return GalaxyEmission(
            np.concatenate([one.z for one in some]),
            np.concatenate([one.sigma_kms for one in some]),
            np.concatenate([one.fluxes for one in some]),
            some[0].names,
        )


def _draw(
    seed: tuple[int, int],
    names: Sequence[tuple[int, int]],
    z_lens: NDArray[np.floating],
    highest: float,
    config: ComparisonConfig,
) -> tuple[_Drawn, Floats, NDArray[np.bool_]]:
    """Draw a galaxy for each spectrum: galaxies, ideal S/N, whether there is room behind."""
    least = np.asarray(z_lens, np.float64) + config.elg_z_margin
    behind = least < highest
    drawn, wanted = [], np.empty(len(names))
    faint, bright = np.log(config.elg_snr_range)
    for i, name in enumerate(names):
        rng = np.random.default_rng((*seed, *name))
        place, brightness = rng.random(2)
        z = least[i] + place * max(highest - least[i], 0.0)
        wanted[i] = np.exp(faint + (bright - faint) * brightness)
        drawn.append(draw_emission(np.array([z]), config.elg_sigma_kms, rng))
    return _Drawn(drawn), wanted, behind
