"""What a model's input looked like when it was trained, and whether it still does.

In: a configuration, or a model. Out: a few raw spectra with what the code makes of them, or a
refusal. Selection, foreground, errors, damaged pixels, filter and channels are all in between: a
change in any of them is seen here, whether or not anybody raised `INPUT_VERSION`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.errors import ConfigError, ModelError
from speclens.networks.inputs import INPUT_VERSION, network_inputs
from speclens.networks.model import InputRecord, Model, seen_sections
from speclens.sample.preparation import Preparation
from speclens.search.matched_filter import MatchedFilter
from speclens.search.network import model_of
from speclens.search.searched_pixels import SearchedPixels
from speclens.simulate.emitters import draw_emitters, line_spectra
from speclens.simulate.fibres import Fibres
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.noise_model import NoiseModel
from speclens.simulate.sky import draw_noise
from speclens.spectra import TARGET_DTYPE, LogGrid, SpectrumBatch

__all__ = ["check_inputs", "check_record", "record_inputs"]

ROUNDING, REFUSED = 1e-4, 1e-2
"""Differences of an input that another processor's rounding makes, and that nothing but another
computation makes: in units of one plus the input."""

BRIGHTNESS = np.array([1.0, 2.0, 5.0, 40.0])
"""Of the galaxies and their lines: the last are beyond what a network is shown."""

N_SPECTRA = len(BRIGHTNESS)
GAP_PIXELS, GAP_FRACTION = 40, 0.45
"""Spectra have gaps, so that the foreground is fitted in double precision: with all pixels it is
not, and other processors' inputs would differ by a hundredth of the noise."""

N_DAMAGED = 3
DAMAGE_SIGMA = 30.0
STIR = 1e-6
"""Spectra whose input depends on the last digits of their flux are not taken."""

Floats = NDArray[np.float32]


def record_inputs(config: Config, names: Sequence[str], kind: str = "resnet") -> InputRecord:
    """Draw raw spectra, and compute what a network sees of them.

    Parameters
    ----------
    config : Config
        The sections that decide what a network sees, and what spectra are drawn from.
    names : sequence of str
        Channels of the network.
    kind : str, optional
        Its kind; that of redshifts sees whole spectra without what the lens shows.

    Returns
    -------
    InputRecord
        Galaxies with a line each, with masked, missing and damaged pixels.
    """
    for seed in range(100):
        batch, z = _raw_spectra(config, np.random.default_rng(seed))
        inputs = _inputs_of(config, names, kind, batch, z)
        stirred = replace(batch, flux=batch.flux * np.float32(1 + STIR))
        if _difference(_inputs_of(config, names, kind, stirred, z), inputs) < ROUNDING:
            break
    sections = config.model_dump(mode="json", include=set(seen_sections(config, kind)))
    sections["foreground"]["templates"] = ""
    return InputRecord(
        INPUT_VERSION,
        sections,
        batch.flux,
        batch.ivar,
        batch.mask,
        batch.dispersion,
        z,
        inputs,
    )


def check_inputs(config: Config, say: Callable[[str], None]) -> None:
    """Refuse a search whose network would see something else than in its training.

    Parameters
    ----------
    config : Config
        The search.
    say : callable
        Takes one line on a difference that may be rounding.

    Raises
    ------
    ModelError
        If the model cannot be used, see `check_record`.
    ConfigError
        If it was trained on spectra prepared in another way.
    """
    model = model_of(config)
    if model is not None:
        check_record(model, config.foreground.templates, say)


def check_record(model: Model, templates: str, say: Callable[[str], None]) -> None:
    """Refuse a model whose input this version of the package computes in another way.

    Parameters
    ----------
    model : Model
        The model.
    templates : str
        File of the foreground's eigenspectra, with the content that the model was trained on; empty
        for the bundled ones.
    say : callable
        Takes one line on a difference that may be rounding.

    Raises
    ------
    ModelError
        If an input differs by more than rounding, or if the model does not say what it saw.
    """
    record = model.record
    again = "train it again, or use the speclens that it was made with"
    if record is None:
        raise ModelError(f"model {model.name}: it has no record of what its input was: {again}")
    if record.version != INPUT_VERSION:
        raise ModelError(
            f"model {model.name}: it was trained on version {record.version} of the input, and "
            f"this speclens computes version {INPUT_VERSION}: {again}"
        )
    try:
        config = load_config(None, (), record.sections)
    except ConfigError as error:
        raise ModelError(f"model {model.name}: {error}: {again}") from error
    section = config.foreground.model_copy(update={"templates": templates})
    config = config.model_copy(update={"foreground": section})
    batch = _batch(model.grid, record.flux, record.ivar, record.mask, record.dispersion, record.z)
    found = _inputs_of(config, model.inputs, model.kind, batch, record.z)
    difference = _difference(found, record.inputs)
    text = f"model {model.name}: its input differs by {difference:.2g} from the recorded one"
    if not difference <= REFUSED:
        raise ModelError(f"{text}, above {REFUSED:g}: {again}")
    if difference > ROUNDING:
        say(f"{text}, above {ROUNDING:g}: probabilities may differ")


def _difference(found: Floats, expected: Floats) -> float:
    """Return the largest difference; NaN, which is no rounding, where a number is missing."""
    if found.shape != expected.shape:
        return float("inf")
    return float((np.abs(found - expected) / (1 + np.abs(expected))).max())


def _inputs_of(
    config: Config, names: Sequence[str], kind: str, batch: SpectrumBatch, z: NDArray[np.float64]
) -> Floats:
    prepared = Preparation(config)(batch, z)
    if kind == "redshift":
        searched = SearchedPixels(batch.grid, config.lines)
        return searched.inputs(names, searched.fitted(prepared), z)
    matched_filter = MatchedFilter(batch.grid, config.matched_filter)
    snr = matched_filter.apply(prepared.residual, prepared.ivar).snr.max(axis=1)
    return network_inputs(names, prepared, snr)


def _raw_spectra(
    config: Config, rng: np.random.Generator
) -> tuple[SpectrumBatch, NDArray[np.float64]]:
    """Draw galaxies with lines, some of whose pixels no search should believe."""
    grid = LogGrid.covering(*config.preparation.window)
    z = rng.uniform(max(config.selection.z_min, 0.1), min(config.selection.z_max, 0.8), N_SPECTRA)
    flux = GalaxyPopulation.bundled().draw(z, grid, rng)[0]
    lines = draw_emitters(N_SPECTRA, config.preparation.window, config.emitters, rng)
    flux = ((flux + line_spectra(lines, grid)) * BRIGHTNESS[:, None]).astype(np.float32)
    fibres = Fibres.apart(N_SPECTRA, rng)
    seen = draw_noise(flux, NoiseModel.bundled().on(grid), config.survey.noise, rng, fibres)
    gaps = np.arange(0, grid.n_pixels, GAP_PIXELS)
    for ivar in seen.ivar:
        for start in rng.permutation(gaps)[: round(GAP_FRACTION * len(gaps))]:
            ivar[start : start + GAP_PIXELS] = 0
    places = rng.integers(grid.n_pixels, size=(5, N_SPECTRA, N_DAMAGED))
    row = np.arange(N_SPECTRA)[:, None]
    error = 1 / np.sqrt(np.maximum(seen.ivar, np.float32(1e-3)))
    seen.flux[row, places[0]] += DAMAGE_SIGMA * error[row, places[0]]
    seen.flux[row, places[1]] -= DAMAGE_SIGMA * error[row, places[1]]
    seen.flux[row, places[2]] = np.nan
    seen.ivar[row, places[3]] = 0
    batch = seen.batch(grid, np.s_[:], _targets(z), [""] * N_SPECTRA)
    batch.mask[row, places[4]] = True
    return batch, z


def _batch(
    grid: LogGrid,
    flux: Floats,
    ivar: Floats,
    mask: NDArray[np.bool_],
    dispersion: Floats,
    z: NDArray[np.float64],
) -> SpectrumBatch:
    covered, files = np.ones(flux.shape, bool), [""] * len(z)
    return SpectrumBatch(grid, flux, ivar, mask, covered, dispersion, _targets(z), files)


def _targets(z: NDArray[np.float64]) -> NDArray[np.void]:
    targets = np.zeros(len(z), TARGET_DTYPE)
    targets["Z"], targets["CLASS"] = z, "GALAXY"
    return targets
