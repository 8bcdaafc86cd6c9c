"""Whole spectra of galaxies to train the network of redshifts on: with sources behind, or none.

In: the configuration, galaxies, and a generator. Out: a `SpectrumBatch` on the window with the
kinds and redshifts of up to two sources for each spectrum. What nobody can see of them is decided
in `speclens.train.training_set`, where a network's view is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.hypotheses import SOURCES
from speclens.lines import LYMAN_ALPHA
from speclens.luminosity_functions import LUMINOSITY_FUNCTIONS
from speclens.simulate.added import Added, added_decoys, added_emitters, added_galaxies
from speclens.simulate.background import Sources, draw_sources
from speclens.simulate.contaminants import draw_decoys
from speclens.simulate.emitters import draw_emitters, ideal_snr
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import (
    LABEL_DTYPE,
    LabelledSpectra,
    blank_labels,
    clean_survey,
    on_window,
)
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["MOST_SOURCES", "SOURCES_DTYPE", "draw_with_sources"]

MOST_SOURCES = 2
"""Sources of a spectrum."""

SOURCES_DTYPE = np.dtype(
    [*LABEL_DTYPE.descr, ("SOURCES", "U8", (MOST_SOURCES,)), ("Z_SOURCES", "f8", (MOST_SOURCES,))]
)
"""`LABEL_DTYPE`, where the line is the strongest of all, and the kinds (empty for none) and
redshifts (NaN) of the sources, or of a galaxy before the lens."""

Rows = NDArray[np.intp]


def draw_with_sources(
    n_spectra: int,
    n_lines: int,
    config: Config,
    galaxies: GalaxyPopulation,
    rng: np.random.Generator,
) -> LabelledSpectra:
    """Draw whole spectra as the mock survey makes them, with sources as a survey has them.

    Parameters
    ----------
    n_spectra, n_lines : int
        Number of spectra N, and of those with a source.
    config : Config
        Sections `survey`, `emitters`, `training_set` and the window.
    galaxies : GalaxyPopulation
        Galaxies to draw from.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    LabelledSpectra
        Spectra in no order of their labels, which are of `SOURCES_DTYPE`.

    Notes
    -----
    Sources are drawn by their luminosity functions and as the fibre sees them, fainter than those
    of the survey: a network learns most from what it can just miss. What is no source has label 0:
    spikes, residuals of sky lines, lone lines, galaxies before the lens, lines of the lens.
    """
    chosen = config.training_set
    plain = clean_survey(config, n_spectra, dict(chosen.artefact_fractions.items()))
    plate, artefacts = make_plate(0, plain, rng, galaxies)
    batch = on_window(plate, LogGrid.covering(*config.preparation.window))
    truth = _Truth(batch, plate.targets["VDISP"], config, rng)
    spoilt = plate.rows(artefacts["TARGETID"])
    truth.labels["KIND"][spoilt] = artefacts["KIND"]
    order = rng.permutation(np.setdiff1d(np.arange(n_spectra), spoilt))
    behind, rest = order[:n_lines], order[n_lines:]
    two = behind[rng.random(len(behind)) < chosen.second_line_fraction]
    for number, rows in enumerate((behind, two)):
        kinds = _draw_kinds(len(rows), chosen.source_kinds, rng)
        for kind in SOURCES:
            truth.add_sources(kind, rows[kinds == kind], number)
    n_before, n_lone = (
        round(chosen.decoy_fractions.get(name, 0) * len(rest)) for name in ("before", "line")
    )
    truth.add_before(rest[:n_before])
    truth.add_lone_lines(rest[n_before : n_before + n_lone])
    truth.add_own(np.flatnonzero(rng.random(n_spectra) < chosen.own_lines_fraction))
    return LabelledSpectra(batch, truth.labels)


class _Truth:
    """Adds to spectra in place, and tells of it in their labels."""

    def __init__(
        self,
        batch: SpectrumBatch,
        vdisp: NDArray[np.floating],
        config: Config,
        rng: np.random.Generator,
    ) -> None:
        self._batch, self._vdisp, self._config, self._rng = batch, vdisp, config, rng
        self.labels = np.zeros(len(batch), SOURCES_DTYPE)
        blank = blank_labels(batch.targets["Z"])
        for name in LABEL_DTYPE.names or ():
            self.labels[name] = blank[name]
        self.labels["Z_SOURCES"] = np.nan
        faint = {"flux_min": config.training_set.source_flux_min}
        self._background = config.survey.background.model_copy(update=faint)

    def add_sources(self, kind: str, rows: Rows, number: int) -> None:
        """Put sources behind galaxies, those of a spectrum with this number, from 0."""
        background = self._background
        redshifts = background.elg_redshifts if kind == "elg" else background.lya_redshifts
        z = self._batch.targets["Z"][rows]
        rows = rows[z < redshifts[1] - 2 * background.z_margin]
        if not len(rows):
            return
        function = LUMINOSITY_FUNCTIONS[SOURCES[kind][0].name]
        sources = draw_sources(
            self._batch.targets["Z"][rows], self._vdisp[rows].astype(np.float64), function,
            redshifts, background, self._rng,
        )  # fmt: skip
        brighter = self._config.training_set.source_brighter ** self._rng.random(len(rows))
        sources = replace(sources, flux=sources.flux * brighter)
        added = self._emitters(rows, sources) if kind == "lya" else self._galaxies(rows, sources)
        self._put_in(added)
        self.labels["SOURCES"][rows, number], self.labels["LABEL"][rows] = kind, 1
        self.labels["Z_SOURCES"][rows, number] = added.z_source

    def add_before(self, rows: Rows) -> None:
        """Put galaxies with emission lines before galaxies: no source, but in the map."""
        nearest, margin = self._background.elg_redshifts[0], self._background.z_margin
        z = self._batch.targets["Z"][rows] - margin
        rows, z = rows[z > nearest], z[z > nearest]
        before = self._like_sources(rows, self._rng.uniform(nearest, z))
        self._put_in(before)
        self.labels["SOURCES"][rows, 0] = "elg"
        self.labels["Z_SOURCES"][rows, 0] = before.z_source

    def add_lone_lines(self, rows: Rows) -> None:
        """Put lone lines of no source into spectra."""
        survey = self._config.survey
        low = self._config.emitters.flux_range[0], survey.decoy_flux_range[1]
        faint = survey.model_copy(update={"decoy_flux_range": low})
        window = self._config.preparation.window
        lines = draw_decoys("line", len(rows), window, faint, self._rng)
        self._put_in(added_decoys("line", rows, lines, self._batch.grid))

    def add_own(self, rows: Rows) -> None:
        """Give galaxies lines of their own, faint enough that no mask hides most of them."""
        self._put_in(self._like_sources(rows, self._batch.targets["Z"][rows]), is_own=True)

    def _like_sources(self, rows: Rows, z: NDArray[np.float64]) -> Added:
        """Galaxies at given redshifts, as bright as the faintest sources and somewhat more."""
        flux = self._background.flux_min * self._rng.pareto(1.5, len(rows)) + 0.5
        sources = Sources(z, flux, np.zeros(len(rows), bool))
        return replace(self._galaxies(rows, sources), kind="before")

    def _emitters(self, rows: Rows, sources: Sources) -> Added:
        window = self._config.preparation.window
        drawn = draw_emitters(len(rows), window, self._config.emitters, self._rng)
        lines = replace(drawn, wave=LYMAN_ALPHA * (1 + sources.z), flux=sources.flux)
        grid, dispersion = self._batch.grid, self._batch.dispersion
        return added_emitters(rows, lines, sources.lensed, grid, dispersion)

    def _galaxies(self, rows: Rows, sources: Sources) -> Added:
        widths, grid = self._background.elg_sigma_kms, self._batch.grid
        return added_galaxies(rows, sources, widths, grid, self._batch.dispersion, self._rng)

    def _put_in(self, added: Added, is_own: bool = False) -> None:
        """Add spectra; the strongest line of each is told, unless it is the lens's own."""
        rows, spectra = added.rows, added.spectra
        np.add.at(self._batch.flux, rows, spectra)
        if is_own:
            return
        snr = ideal_snr(spectra, self._batch.ivar[rows])
        first = snr > self.labels["IDEAL_SNR"][rows]
        told = rows[first]
        self.labels["KIND"][told] = added.kind
        self.labels["WAVE"][told], self.labels["FLUX"][told] = (
            added.lines.wave[first], added.lines.flux[first],
        )  # fmt: skip
        self.labels["IDEAL_SNR"][told] = snr[first]


def _draw_kinds(
    number: int, shares: Mapping[Any, float], rng: np.random.Generator
) -> NDArray[np.str_]:
    share = np.array(list(shares.values()))
    return np.asarray(rng.choice(list(shares), number, p=share / share.sum()), "U8")
