"""Spectra to train a network on: with a line (label 1) and without (label 0).

In: the configuration, galaxies, and a generator. Out: a `SpectrumBatch` on the window with a label
and a place for each spectrum, as a survey would give it. What a network sees of them, and where
they are stored, is decided in `speclens.train.training_set`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, EmittersConfig, NoiseRates, SurveyConfig
from speclens.simulate.arms import Arms
from speclens.simulate.binned_galaxies import BinnedGalaxies
from speclens.simulate.emitters import draw_emitters, ideal_snr, line_spectra
from speclens.simulate.fibres import Fibres
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.gaussian_emitters import draw_gaussian_emitters
from speclens.simulate.noise_model import NoiseModel
from speclens.simulate.plates import Plate
from speclens.simulate.sky import draw_noise
from speclens.simulate.survey import make_plate
from speclens.spectra import TARGET_DTYPE, LogGrid, SpectrumBatch

__all__ = [
    "LABEL_DTYPE",
    "LabelledSpectra",
    "SkyResiduals",
    "blank_labels",
    "clean_survey",
    "draw_from_bins",
    "draw_from_survey",
    "on_window",
    "plate_with_lines",
    "survey_of_galaxies",
]

LABEL_DTYPE = np.dtype(
    [
        ("LABEL", "u1"),
        ("KIND", "U8"),
        ("WAVE", "f8"),
        ("FLUX", "f4"),
        ("IDEAL_SNR", "f4"),
        ("Z", "f8"),
        ("GALAXY", "i4"),
        ("SKEW", "i1"),
    ]
)
"""What is known of a spectrum: label, kind of line or artefact (empty for none), its wavelength
(Angstrom, NaN for none), flux (1e-17 erg/s/cm2) and ideal S/N, redshift, the number of the galaxy
it was made from (-1: one of its own), and the sign of the line's skewness (0: symmetric)."""

EMISSION_LINES = ("lya", "oii", "line")
"""Kinds that are emission lines, label 1; the others are artefacts, label 0."""


@dataclass(frozen=True)
class LabelledSpectra:
    """Spectra and what is known of them.

    Parameters
    ----------
    batch : SpectrumBatch
        N spectra on the window.
    labels : structured array of shape (N,)
        `LABEL_DTYPE`.
    """

    batch: SpectrumBatch
    labels: NDArray[np.void]


@dataclass(frozen=True)
class SkyResiduals:
    """What is left in sky fibres when the sky is subtracted: residuals and noise.

    Parameters
    ----------
    flux, ivar : array of shape (K, L)
        Flux density of K sky fibres on the window and its inverse variance, 0 where masked.
    """

    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.flux)

    def among(self, rows: NDArray[np.bool_]) -> SkyResiduals:
        """Return some of the fibres: those where `rows`, shape (K,), is True."""
        return SkyResiduals(self.flux[rows], self.ivar[rows])


def survey_of_galaxies(config: Config, n_spectra: int) -> Config:
    """Return the configuration of a mock plate that holds nothing but galaxies of the sample.

    Parameters
    ----------
    config : Config
        Sections `selection` and `survey`.
    n_spectra : int
        Number of fibres.

    Returns
    -------
    Config
        The configuration; its galaxies have no lines.
    """
    survey, selection = config.survey, config.selection
    low, high = survey.redshift_range
    fractions = (name for name in SurveyConfig.model_fields if name.endswith("_fraction"))
    changed = dict.fromkeys(fractions, 0.0) | {
        "n_fibres": n_spectra,
        "redshift_range": (max(low, selection.z_min), min(high, selection.z_max)),
    }
    return config.model_copy(update={"survey": survey.model_copy(update=changed)})


def plate_with_lines(
    n_spectra: int,
    n_lines: int,
    config: Config,
    galaxies: GalaxyPopulation,
    rng: np.random.Generator,
    whole: bool = False,
) -> tuple[Plate, NDArray[np.void]]:
    """Simulate a plate of galaxies, some with a line and some with an artefact.

    Parameters
    ----------
    n_spectra, n_lines : int
        Number of spectra, and of those with a line.
    config : Config
        As for `draw_from_survey`.
    galaxies : GalaxyPopulation
        Galaxies to draw from.
    rng : numpy.random.Generator
        Source of randomness.
    whole : bool, optional
        Simulate whole spectra, not only what the window needs.

    Returns
    -------
    plate : Plate
        The plate.
    truth : structured array
        Lines and artefacts, `speclens.schema.INJECTED`.
    """
    chosen = config.training_set
    shares = np.cumsum([0.0, *chosen.line_kinds.values()])
    # Rounded sums, not sums of rounded numbers: the kinds add up to the number of lines.
    numbers = np.diff(np.rint(shares / shares[-1] * n_lines)) / n_spectra
    fractions: dict[str, float] = dict(zip(chosen.line_kinds, numbers.tolist(), strict=True))
    free = 1 - n_lines / n_spectra
    fractions |= {kind: free * value for kind, value in chosen.artefact_fractions.items()}
    plain = clean_survey(config, n_spectra, fractions)
    if whole:
        pixels = {"n_pixels": config.survey.n_pixels}
        plain = plain.model_copy(update={"survey": plain.survey.model_copy(update=pixels)})
    changed = plain.model_copy(update={"emitters": _faint(config)})
    return make_plate(0, changed, rng, galaxies)


def clean_survey(config: Config, n_spectra: int, fractions: Mapping[str, float]) -> Config:
    """Return the configuration of a mock plate of training spectra.

    Parameters
    ----------
    config : Config
        As for `draw_from_survey`.
    n_spectra : int
        Number of fibres.
    fractions : mapping
        Of the galaxies, by the kind of line or artefact that is put into them.

    Returns
    -------
    Config
        The configuration: galaxies with these and no others, broken pixels, pixels up to the end of
        the window, lines of decoys as faint as those of sources.
    """
    plain = survey_of_galaxies(config, n_spectra)
    low, high = config.emitters.flux_range[0], plain.survey.decoy_flux_range[1]
    survey = plain.survey.model_copy(
        update={f"{kind}_fraction": value for kind, value in fractions.items()}
        | {"decoy_flux_range": (low, high)}
        | {"noise": _as_damaged(config), "n_pixels": _n_pixels_to_window(config)}
        | {"arms": Arms.of(config.survey.arms).within(*config.preparation.window).names}
    )
    return plain.model_copy(update={"survey": survey})


def draw_from_survey(
    n_spectra: int,
    n_lines: int,
    config: Config,
    galaxies: GalaxyPopulation,
    rng: np.random.Generator,
) -> LabelledSpectra:
    """Draw spectra as the mock survey makes them: noise, artefacts and mismatch like real ones'.

    Parameters
    ----------
    n_spectra, n_lines : int
        Number of spectra N, and of those with a line.
    config : Config
        Sections `survey`, `emitters`, `training_set` and the window.
    galaxies : GalaxyPopulation
        Galaxies to draw from.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    LabelledSpectra
        Spectra in no order of their labels.
    """
    plate, truth = plate_with_lines(n_spectra, n_lines, config, galaxies, rng)
    labels = blank_labels(plate.targets["Z"])
    row = plate.rows(truth["TARGETID"])
    for name in ("KIND", "WAVE", "FLUX", "IDEAL_SNR"):
        labels[name][row] = truth[name]
    labels["SKEW"][row] = np.sign(np.nan_to_num(truth["SKEWNESS"]))
    labels["LABEL"] = np.isin(labels["KIND"], EMISSION_LINES)
    batch = on_window(plate, LogGrid.covering(*config.preparation.window))
    _add_second_lines(batch, labels, config, rng)
    return LabelledSpectra(batch, labels)


def draw_from_bins(
    n_spectra: int,
    n_lines: int,
    config: Config,
    galaxies: BinnedGalaxies,
    among: NDArray[np.bool_],
    sky: SkyResiduals | None,
    rng: np.random.Generator,
) -> LabelledSpectra:
    """Draw artificial spectra by the four steps of the paper.

    Parameters
    ----------
    n_spectra, n_lines : int
        Number of spectra N, and of those with a line.
    config : Config
        Sections `emitters`, `training_set`, `matched_filter` (the spectrograph's dispersion) and
        `survey.noise`.
    galaxies : BinnedGalaxies
        Principal components in bins of redshift.
    among : array of shape (K,)
        True for the galaxies of the survey that may be used.
    sky : SkyResiduals, optional
        Sky fibres of the survey; the bundled noise model when not given.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    LabelledSpectra
        Spectra; those with a line come first.

    Notes
    -----
    Li et al. 2019, section 3.2 i-iv.
    """
    grid = LogGrid.covering(*config.preparation.window)
    flux, z, galaxy = galaxies.draw(n_spectra, grid, rng, among)
    lines = draw_gaussian_emitters(
        n_lines,
        config.preparation.window,
        config.emitters,
        config.training_set,
        np.array(config.matched_filter.dispersion),
        rng,
    )
    line_flux = line_spectra(lines, grid)
    flux[:n_lines] += line_flux
    batch = _with_noise(flux, z, grid, config, sky, rng)
    labels = blank_labels(z)
    labels["GALAXY"] = galaxy
    labels["LABEL"][:n_lines], labels["KIND"][:n_lines] = 1, "lya"
    labels["WAVE"][:n_lines], labels["FLUX"][:n_lines] = lines.wave, lines.flux
    labels["IDEAL_SNR"][:n_lines] = ideal_snr(line_flux, batch.ivar[:n_lines])
    return LabelledSpectra(batch, labels)


def on_window(plate: Plate, grid: LogGrid) -> SpectrumBatch:
    """Return a window of a mock plate, or coadd, as a reader of its file would.

    Parameters
    ----------
    plate : Plate
        The plate.
    grid : LogGrid
        The window, wholly on the plate's pixels.

    Returns
    -------
    SpectrumBatch
        Its N spectra.
    """
    return plate.on(grid)


def _add_second_lines(
    batch: SpectrumBatch, labels: NDArray[np.void], config: Config, rng: np.random.Generator
) -> None:
    """Add another line to some of the spectra that have one, in place; the clearer one is told."""
    chosen = rng.random(len(labels)) < config.training_set.second_line_fraction
    row = np.flatnonzero(chosen & (labels["LABEL"] == 1))
    lines = draw_emitters(len(row), config.preparation.window, _faint(config), rng)
    spectra = line_spectra(lines, batch.grid, batch[row].dispersion_at(lines.wave))
    batch.flux[row] += spectra
    snr = ideal_snr(spectra, batch.ivar[row])
    clearer = snr > labels["IDEAL_SNR"][row]
    told = row[clearer]
    labels["KIND"][told], labels["IDEAL_SNR"][told] = "lya", snr[clearer]
    labels["WAVE"][told], labels["FLUX"][told] = lines.wave[clearer], lines.flux[clearer]
    labels["SKEW"][told] = np.sign(lines.skewness[clearer])


def _faint(config: Config) -> EmittersConfig:
    """Return the lines of training spectra, fainter than the published ones."""
    chosen = config.training_set
    sigma = {"flux_sigma_low": chosen.flux_sigma, "flux_sigma_high": chosen.flux_sigma}
    return config.emitters.model_copy(update={"flux_median": chosen.flux_median, **sigma})


def _with_noise(
    flux: NDArray[np.float32],
    z: NDArray[np.float64],
    grid: LogGrid,
    config: Config,
    sky: SkyResiduals | None,
    rng: np.random.Generator,
) -> SpectrumBatch:
    """Add residuals and noise of the sky, of real fibres or of the bundled model."""
    targets = np.zeros(len(z), TARGET_DTYPE)
    targets["Z"], targets["CLASS"] = z, "GALAXY"
    files = ["artificial"] * len(z)
    if sky is None:
        # Each from a spectrograph of its own: the noise that targets share is never the same.
        fibres = Fibres.apart(len(z), rng)
        model = NoiseModel.bundled().on(grid)
        seen = draw_noise(flux, model, _as_damaged(config), rng, fibres)
        return seen.batch(grid, np.s_[:], targets, files)
    fibre = rng.integers(len(sky.flux), size=len(z))
    return SpectrumBatch(
        grid,
        flux + sky.flux[fibre],
        sky.ivar[fibre],
        np.zeros(flux.shape, bool),
        np.ones(flux.shape, bool),
        np.zeros(flux.shape, np.float32),
        targets,
        files,
    )


def _n_pixels_to_window(config: Config) -> int:
    """Return how many pixels of a spectrum are needed: what lies beyond the window is not seen."""
    window, survey = LogGrid.covering(*config.preparation.window), config.survey
    return min(window.first + window.n_pixels - survey.first_pixel_range[0], survey.n_pixels)


def _as_damaged(config: Config) -> NoiseRates:
    """Return the rates of training spectra, with more damage than a survey has."""
    more = {"damage_rate": config.training_set.damage_rate}
    return config.survey.noise.model_copy(update=more)


def blank_labels(z: NDArray[np.floating]) -> NDArray[np.void]:
    """Return labels of spectra without a line.

    Parameters
    ----------
    z : array of shape (N,)
        Redshifts.

    Returns
    -------
    structured array of shape (N,)
        `LABEL_DTYPE`.
    """
    labels = np.zeros(len(z), LABEL_DTYPE)
    labels["Z"], labels["WAVE"], labels["GALAXY"] = z, np.nan, -1
    return labels
