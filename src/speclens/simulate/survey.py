"""A mock survey of BOSS or DESI, with the truth of what was put in.

In: the configuration and a seed. Out: plates, or coadds, of early-type galaxies, sky fibres, stars
and quasars with the noise of the survey; lines of sources behind some galaxies and quasars, and
decoys; a table of both. Plate i of seed s is the same for any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config, SurveyConfig
from speclens.hypotheses import SOURCES
from speclens.lines import LYMAN_ALPHA
from speclens.luminosity_functions import LUMINOSITY_FUNCTIONS
from speclens.products import write_fits, write_text_table
from speclens.schema import INJECTED
from speclens.simulate.added import Added, added_decoys, added_emitters, added_galaxies
from speclens.simulate.background import draw_sources
from speclens.simulate.contaminants import draw_decoys, draw_stars
from speclens.simulate.emitters import Lines, draw_emitters
from speclens.simulate.fibres import Fibres
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.linear_grid import Grid
from speclens.simulate.magnitudes import i_magnitudes
from speclens.simulate.plates import Plate
from speclens.simulate.quasars import draw_quasars
from speclens.simulate.sky import draw_noise
from speclens.simulate.spectrographs import spectrograph_of
from speclens.spectra import TARGET_DTYPE, LogGrid

__all__ = ["make_plate", "make_survey_plate", "write_truth"]

MOCK_DTYPE = np.dtype([*TARGET_DTYPE.descr, ("Z_ERR", "f4")])
PLATE_RADIUS_DEG = 1.49
DECOYS = ("oii", "line", "spike", "sky_line")

LOWEST_VDISP = 80.0
"""Of a quasar's galaxy, km/s."""


def make_survey_plate(
    folder: Path, index: int, config: Config, seed: int
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Simulate and write one plate.

    Parameters
    ----------
    folder : Path
        Folder of the survey.
    index : int
        Number of the plate, from 0.
    config : Config
        Sections `survey`, `emitters` and the window of `preparation`.
    seed : int
        Seed of the survey.

    Returns
    -------
    targets : structured array
        Catalogue rows.
    truth : structured array
        Rows of the truth table.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
    plate, truth = make_plate(index, config, rng)
    plate.write(folder)
    return plate.targets, truth


def make_plate(
    index: int,
    config: Config,
    rng: np.random.Generator,
    population: GalaxyPopulation | None = None,
) -> tuple[Plate, NDArray[np.void]]:
    """Simulate one plate.

    Parameters
    ----------
    index : int
        Number of the plate, from 0.
    config : Config
        As for `make_survey_plate`.
    rng : numpy.random.Generator
        Source of randomness.
    population : GalaxyPopulation, optional
        The galaxies to draw from; the bundled ones when not given.

    Returns
    -------
    plate : Plate
        The observed plate.
    truth : structured array
        Rows of the truth table.
    """
    survey = config.survey
    spectrograph = spectrograph_of(survey, rng)
    targets = _draw_targets(index, survey, rng)
    spectrograph.name_targets(targets)
    # Sources have a generator of their own: galaxies are the same whatever lies behind them.
    (behind,) = rng.spawn(1)
    grid = spectrograph.models
    model, vdisp = _spectra_of(targets, grid, survey, population or GalaxyPopulation.bundled(), rng)
    targets["MAG_I"] = i_magnitudes(model, grid)
    drawn, free = _draw_lines(targets, config, rng)
    observed = draw_noise(
        spectrograph.of_models(model),
        spectrograph.noise,
        survey.noise,
        rng,
        Fibres.of_plate(targets["FIBERID"], targets["OBJTYPE"] == "SKY"),
    )
    # Noise and stated errors know nothing of a line: an error that followed one without noise would
    # tell a network where to look.
    own, spread = spectrograph.grid, spectrograph.line_spread(observed.dispersion)
    added = _added_lines(drawn, own, spread)
    added += _added_sources(targets, vdisp, free, config, own, spread, behind)
    added = [replace(part, spectra=spectrograph.of_lines(part.spectra)) for part in added]
    for part in added:
        np.add.at(observed.flux, part.rows, part.spectra)
    truth = np.concatenate([part.truth(targets["TARGETID"], observed.ivar) for part in added])
    # What the catalogue knows of the redshift is not the redshift.
    galaxies = (targets["CLASS"] == "GALAXY") & (targets["OBJTYPE"] != "SKY")
    targets["Z"][galaxies] += targets["Z_ERR"][galaxies] * rng.standard_normal(galaxies.sum())
    targets["Z_NOQSO"] = targets["Z"]
    return spectrograph.seen(targets, model, observed), truth


def write_truth(folder: Path, truth: Sequence[NDArray[np.void]], seed: int) -> None:
    """Write the truth table of a survey.

    Parameters
    ----------
    folder : Path
        Folder of the survey.
    truth : sequence of structured arrays
        Rows of each plate.
    seed : int
        Seed of the survey.
    """
    rows = np.concatenate(truth)
    meta: dict[str, str | int | float] = {
        "CREATOR": f"speclens {speclens.__version__}",
        "SEED": seed,
    }
    write_fits(folder / "truth.fits", [rows], len(rows), INJECTED, meta)
    write_text_table(folder / "truth.ecsv", rows, INJECTED, meta)


def _draw_targets(index: int, config: SurveyConfig, rng: np.random.Generator) -> NDArray[np.void]:
    """Draw who sits in which fibre: catalogue rows as the pipeline would write them."""
    n = config.n_fibres
    targets = np.zeros(n, MOCK_DTYPE)
    targets["PLATE"], targets["MJD"] = config.first_plate + index, config.first_mjd + index
    targets["FIBERID"] = np.arange(1, n + 1)
    radius = PLATE_RADIUS_DEG * np.sqrt(rng.random(n))
    angle = rng.uniform(0, 2 * np.pi, n)
    dec = rng.uniform(-5, 60)
    targets["DEC"] = dec + radius * np.sin(angle)
    targets["RA"] = (rng.uniform(0, 360) + radius * np.cos(angle) / np.cos(np.radians(dec))) % 360
    kinds = _draw_kinds(config, rng)
    targets["CLASS"] = np.where(kinds == "SKY", "GALAXY", kinds)
    targets["OBJTYPE"] = np.where(
        kinds == "SKY", "SKY", np.where(kinds == "STAR", "SPECTROPHOTO_STD", kinds)
    )
    galaxies = targets["CLASS"] == "GALAXY"
    targets["Z"][galaxies] = _draw_redshifts(int(galaxies.sum()), config, rng)
    targets["Z"][kinds == "QSO"] = rng.uniform(
        *config.quasar_redshifts, int((kinds == "QSO").sum())
    )
    targets["ZWARNING"][kinds == "SKY"] = 1
    targets["Z_ERR"] = config.redshift_error
    targets["PLATEQUALITY"] = "good"
    for name in ("Z", "ZWARNING", "CLASS"):
        targets[f"{name}_NOQSO"] = targets[name]
    return targets


def _draw_kinds(config: SurveyConfig, rng: np.random.Generator) -> NDArray[np.str_]:
    """Draw the kind of target of each fibre; sky fibres are spread over the plate evenly."""
    n = config.n_fibres
    fractions = (config.star_fraction, config.quasar_fraction)
    kinds = rng.choice(
        np.array(["STAR", "QSO", "GALAXY"]), n, p=[*fractions, 1 - sum(fractions)]
    ).astype("U8")
    n_sky = round(config.sky_fraction * n)
    kinds[(np.arange(n_sky) * n) // max(n_sky, 1)] = "SKY"
    return kinds


def _draw_redshifts(
    n_galaxies: int, config: SurveyConfig, rng: np.random.Generator
) -> NDArray[np.float64]:
    weights = np.array(config.redshift_weights)
    which = rng.choice(len(weights), n_galaxies, p=weights / weights.sum())
    z = rng.normal(np.array(config.redshift_means)[which], np.array(config.redshift_sigmas)[which])
    return np.clip(z, *config.redshift_range)


def _spectra_of(
    targets: NDArray[np.void],
    grid: LogGrid,
    config: SurveyConfig,
    population: GalaxyPopulation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Noiseless spectra and velocity dispersions of galaxies, km/s, else 0; fills in VDISP."""
    sigma = np.zeros(len(targets))
    spectra = np.zeros((len(targets), grid.n_pixels), np.float32)
    sky = targets["OBJTYPE"] == "SKY"
    galaxies = (targets["CLASS"] == "GALAXY") & ~sky
    z = targets["Z"][galaxies]
    flux, vdisp = population.draw(z, grid, rng)
    brightness = config.flux_median * (z / 0.5) ** config.flux_redshift_slope
    brightness *= np.exp(config.flux_sigma * rng.standard_normal(len(z)))
    spectra[galaxies] = flux * brightness[:, None]
    sigma[galaxies] = vdisp
    # As the pipeline would measure it.
    targets["VDISP_ERR"][galaxies] = 0.12 * vdisp
    targets["VDISP"][galaxies] = vdisp * rng.normal(1, 0.12, len(z))
    stars, quasars = targets["CLASS"] == "STAR", targets["CLASS"] == "QSO"
    spectra[stars] = draw_stars(int(stars.sum()), grid, rng)
    spectra[quasars] = draw_quasars(targets["Z"][quasars], grid, config, rng)
    return spectra, sigma


def _draw_lines(
    targets: NDArray[np.void], config: Config, rng: np.random.Generator
) -> tuple[list[tuple[str, NDArray[np.intp], Lines]], NDArray[np.intp]]:
    """Draw which galaxies get a line: kind, rows of the plate, lines; and the rows of the rest."""
    survey, window = config.survey, config.preparation.window
    galaxies = np.flatnonzero((targets["CLASS"] == "GALAXY") & (targets["OBJTYPE"] != "SKY"))
    order = rng.permutation(galaxies)
    drawn: list[tuple[str, NDArray[np.intp], Lines]] = []
    used = 0
    for kind in ("lya", *DECOYS):
        number = round(getattr(survey, f"{kind}_fraction") * len(galaxies))
        rows = order[used : used + number]
        used += number
        if kind == "lya":
            lines = draw_emitters(len(rows), window, config.emitters, rng)
        else:
            lines = draw_decoys(kind, len(rows), window, survey, rng)
        drawn.append((kind, rows, lines))
    return drawn, order[used:]


def _added_lines(
    drawn: Sequence[tuple[str, NDArray[np.intp], Lines]],
    grid: Grid,
    dispersion: NDArray[np.floating],
) -> list[Added]:
    return [
        added_emitters(rows, lines, np.ones(len(rows), bool), grid, dispersion)
        if kind == "lya"
        else added_decoys(kind, rows, lines, grid)
        for kind, rows, lines in drawn
    ]


def _added_sources(
    targets: NDArray[np.void],
    vdisp: NDArray[np.float64],
    free: NDArray[np.intp],
    config: Config,
    grid: Grid,
    dispersion: NDArray[np.floating],
    rng: np.random.Generator,
) -> list[Added]:
    """Draw what lies behind galaxies that have no line yet, and behind quasars."""
    survey, background = config.survey, config.survey.background
    galaxies = (targets["CLASS"] == "GALAXY") & (targets["OBJTYPE"] != "SKY")
    quasars = rng.permutation(np.flatnonzero(targets["CLASS"] == "QSO"))
    sigma = vdisp.copy()
    sigma[quasars] = np.maximum(rng.normal(*background.quasar_vdisp, len(quasars)), LOWEST_VDISP)
    added: list[Added] = []
    for kind, rows, number in (
        ("elg", free, survey.elg_fraction * galaxies.sum()),
        # From the other end: else near quasars, which alone have galaxies behind, would be used up.
        ("elg", quasars[::-1], survey.quasar_elg_fraction * len(quasars)),
        ("lya", quasars, survey.quasar_lya_fraction * len(quasars)),
    ):
        function = LUMINOSITY_FUNCTIONS[SOURCES[kind][0].name]
        redshifts = background.elg_redshifts if kind == "elg" else background.lya_redshifts
        furthest = redshifts[1] - 2 * background.z_margin
        before = rows[targets["Z"][rows] < furthest]
        taken = [row for part in added for row in part.rows]
        chosen = before[~np.isin(before, taken)][: round(number)]
        sources = draw_sources(
            targets["Z"][chosen], sigma[chosen], function, redshifts, background, rng
        )
        if kind == "elg":
            widths = background.elg_sigma_kms
            added.append(added_galaxies(chosen, sources, widths, grid, dispersion, rng))
        else:
            drawn = draw_emitters(len(chosen), config.preparation.window, config.emitters, rng)
            lines = replace(drawn, wave=LYMAN_ALPHA * (1 + sources.z), flux=sources.flux)
            added.append(added_emitters(chosen, lines, sources.lensed, grid, dispersion))
    return added
