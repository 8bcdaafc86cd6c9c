"""`speclens simulate`: labelled spectra, as a network sees them, in shards with a manifest.

In: a configuration, a seed, and for the paper's recipe survey files. Out: plain arrays that need
nothing but numpy to read. Shard i of seed s is the same bytes for any number of workers; training
and test share no galaxy. The spectra for training may be drawn several times, for an epoch each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config, TrainingSetConfig
from speclens.errors import ConfigError, RunError
from speclens.lines import PIXEL_LOGLAM
from speclens.networks.inputs import INPUT_VERSION, network_inputs
from speclens.networks.source_bins import SourceBins, source_bins
from speclens.products import replacing, write_json
from speclens.run.folder import locked_folder
from speclens.run.kinds import TRAINING_SET
from speclens.run.progress import Progress, Silent
from speclens.run.workers import map_shards, sharing_processes
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.search.matched_filter import MatchedFilter
from speclens.search.searched_pixels import SearchedPixels
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.source_spectra import draw_with_sources
from speclens.simulate.spectrographs import covered
from speclens.simulate.survey_galaxies import SurveyGalaxies, analyse_survey
from speclens.simulate.training_set import LabelledSpectra, draw_from_bins, draw_from_survey
from speclens.spectra import LogGrid
from speclens.train.hidden import hidden_lines, hidden_sources
from speclens.train.labelled_set import FORMAT

__all__ = ["SHARD_SPECTRA", "TrainingSetRequest", "galaxies_for_test", "simulate_training_set"]

SHARD_SPECTRA = 1000


@dataclass(frozen=True)
class TrainingSetRequest:
    """What the user asks for.

    Parameters
    ----------
    output : Path
        The set's folder.
    config : Config
        The configuration.
    seed : int
        Seed of the set.
    inputs : sequence of str, optional
        Survey files whose galaxies and sky fibres the recipe `li2019` takes; the mock survey's
        when empty.
    n_workers : int, optional
        Number of processes; the set does not depend on it.
    """

    output: Path
    config: Config
    seed: int
    inputs: Sequence[str] = ()
    n_workers: int = 1


@dataclass(frozen=True)
class _Shard:
    """A shard that is to be made: its number in the set, its draw, and what it holds."""

    number: int
    draw: int
    split: str
    n_spectra: int
    n_lines: int


@dataclass(frozen=True)
class _Shared:
    """What all shards share: plain data, sent to every worker."""

    folder: Path
    config: Config
    seed: int
    survey: SurveyGalaxies | None

    @property
    def has_sources(self) -> bool:
        """Whether spectra are whole, and their labels those of sources."""
        return self.config.training_set.recipe == "sources"

    @cached_property
    def sources(self) -> tuple[SourceBins, ...]:
        """Redshifts and lines of the sources."""
        grid = LogGrid.covering(*self.config.preparation.window)
        return source_bins(grid.first, grid.n_pixels, tuple(self.config.training_set.source_kinds))

    def galaxies_of(self, shard: _Shard, n_galaxies: int) -> NDArray[np.bool_]:
        """Say which of the galaxies a shard may use: none serves both training and test."""
        kept = galaxies_for_test(self.seed, n_galaxies, self.config.training_set.test_fraction)
        return np.asarray(kept != (shard.split == "train"))


class _Maker:
    """Makes shards, in the process that works."""

    def __init__(self, shared: _Shared) -> None:
        self.shared = shared
        self.preparation = Preparation(shared.config)
        grid, config = self.preparation.grid, shared.config
        self.matched_filter = MatchedFilter(grid, config.matched_filter)
        self.searched = SearchedPixels(grid, config.lines)


def galaxies_for_test(seed: int, n_galaxies: int, test_fraction: float) -> NDArray[np.bool_]:
    """Say which galaxies a set keeps for its test.

    Parameters
    ----------
    seed : int
        Seed of the set.
    n_galaxies : int
        Number of galaxies.
    test_fraction : float
        Mean fraction that is kept.

    Returns
    -------
    array of shape (n_galaxies,)
        True for those that no training spectrum is made of.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    return np.asarray(rng.random(n_galaxies) < test_fraction)


@sharing_processes()
def simulate_training_set(
    request: TrainingSetRequest, progress: Progress | None = None
) -> dict[str, Any]:
    """Simulate and store a training set.

    Parameters
    ----------
    request : TrainingSetRequest
        What the user asks for.
    progress : Progress, optional
        Told of the stages.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    RunError
        If the folder holds something else, or is used by another process.
    ConfigError
        If a set of so few spectra would have no test; if the recipe takes no input files.
    """
    listener = progress or Silent()
    config = request.config
    _refuse_contradictions(request)
    setup: dict[str, Any] = {
        "seed": request.seed,
        "input_version": INPUT_VERSION,
        "inputs": list(request.inputs),
        "configuration": _deciding(config),
    }
    with locked_folder(request.output, TRAINING_SET, request.inputs) as folder:
        folder.check(setup)
        grid = LogGrid.covering(*config.preparation.window)
        size = np.dtype(np.float16).itemsize * len(config.network.inputs) * grid.n_pixels
        shards = _plan(config.training_set)
        folder.require(sum(shard.n_spectra for shard in shards) * size)
        survey = None
        if config.training_set.recipe == "li2019":
            survey = analyse_survey(
                request.inputs, config, request.seed, request.n_workers, listener.message
            )
        folder.claim(setup)
        shared = _Shared(folder.path, config, request.seed, survey)
        listener.stage("training spectra", len(shards))
        records = []
        for record in map_shards(
            _write_shard, shared, shards, request.n_workers, begin=_Maker, tell=listener.message
        ):
            records.append(record)
            listener.advance(record["n_spectra"])
        manifest = {
            "format": FORMAT,
            "speclens": speclens.__version__,
            **setup,
            "channels": list(config.network.inputs),
            "grid": {"first": grid.first, "n_pixels": grid.n_pixels, "step": PIXEL_LOGLAM},
            "shards": records,
            "files_failed": survey.n_failed if survey is not None else 0,
        }
        if shared.has_sources:
            manifest["sources"] = [bins.record() for bins in shared.sources]
            manifest["z_margin"] = config.lines.z_margin
        write_json(folder.path / "manifest.json", manifest)
    return manifest


def _deciding(config: Config) -> dict[str, Any]:
    """Return all that decides a set."""
    deciding = config.deciding("training set")
    if config.training_set.recipe == "sources":
        deciding |= config.deciding("redshifts")
        deciding["survey"]["background"] = config.survey.background.model_dump(mode="json")
    return deciding


def _refuse_contradictions(request: TrainingSetRequest) -> None:
    wanted = request.config.training_set
    if request.inputs and wanted.recipe != "li2019":
        raise ConfigError(
            f"the recipe {wanted.recipe!r} takes no input files; give -c li2019 with them"
        )
    kind = request.config.network.kind
    if (wanted.recipe == "sources") != (kind == "redshift"):
        raise ConfigError(
            f"training_set.recipe = {wanted.recipe!r}, network.kind = {kind!r}: the recipe sources "
            "is for networks of redshifts, and the other recipes for the others; give -c redshift"
        )
    if wanted.n_spectra <= SHARD_SPECTRA:
        raise ConfigError(
            f"training_set.n_spectra = {wanted.n_spectra}: training and test need a shard of "
            f"{SHARD_SPECTRA} spectra each; ask for {2 * SHARD_SPECTRA} or more"
        )
    low, high = request.config.preparation.window
    seen = covered(request.config.survey)
    if wanted.recipe != "li2019" and not any(a <= low < high <= b for a, b in seen):
        told = " and ".join(f"{first:.0f} to {last:.0f}" for first, last in seen)
        raise ConfigError(
            f"preparation.window = {[low, high]}: mock spectra cover {told} Angstrom "
            "(survey.first_pixel_range, survey.n_pixels, survey.arms)"
        )


def _plan(wanted: TrainingSetConfig) -> list[_Shard]:
    """Return the shards of a set: the first draw, the test, and the further draws.

    Their numbers seed them, so that the first draw and the test do not depend on how many follow.
    """
    starts = range(0, wanted.n_spectra, SHARD_SPECTRA)
    n_train = min(max(round(len(starts) * (1 - wanted.test_fraction)), 1), len(starts) - 1)
    per_spectrum = wanted.n_lines / wanted.n_spectra
    shards: list[_Shard] = []
    for draw in range(wanted.n_draws):
        for place, start in enumerate(starts):
            split = "train" if place < n_train else "test"
            if draw > 0 and split == "test":
                continue
            stop = min(start + SHARD_SPECTRA, wanted.n_spectra)
            n_lines = round(stop * per_spectrum) - round(start * per_spectrum)
            shards.append(_Shard(len(shards), draw, split, stop - start, n_lines))
    return shards


def _write_shard(maker: _Maker, shard: _Shard) -> dict[str, Any]:
    """Make one shard and store it; return its record."""
    shared = maker.shared
    spectra = _draw(shared, shard)
    prepared = maker.preparation(spectra.batch, spectra.labels["Z"])
    view = _whole if shared.has_sources else _window
    inputs, kept, hidden = view(maker, prepared, spectra.labels)
    usable = prepared.reasons == ""
    kept &= usable
    labels = spectra.labels[kept]
    arrays = {"inputs": inputs[kept].astype(np.float16), "labels": labels}
    record: dict[str, Any] = {
        "split": shard.split,
        "draw": shard.draw,
        "n_spectra": int(kept.sum()),
        "n_lines": int(labels["LABEL"].sum()),
        "n_dropped": int((~usable).sum()),
        "n_hidden": int(hidden[usable].sum()),
    }
    for name, array in arrays.items():
        file_name = f"{shard.number:05d}-{name}.npy"
        record[name] = {"file": file_name, "sha256": _save(shared.folder / file_name, array)}
    return record


def _window(
    maker: _Maker, prepared: PreparedSpectra, labels: NDArray[np.void]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what a network sees of windows, which are kept, and whose line is hidden."""
    filtered = maker.matched_filter.apply(prepared.residual, prepared.ivar)
    names = maker.shared.config.network.inputs
    hidden = hidden_lines(labels, filtered, prepared.grid)
    return network_inputs(names, prepared, filtered.snr.max(axis=1)), ~hidden, hidden


def _whole(
    maker: _Maker, prepared: PreparedSpectra, labels: NDArray[np.void]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the same of whole spectra: all are kept, and their hidden sources are none."""
    seen = maker.searched.fitted(prepared)
    hidden = hidden_sources(
        labels, maker.matched_filter.apply(seen.residual, seen.ivar), maker.shared.sources
    )
    labels["SOURCES"][hidden], labels["Z_SOURCES"][hidden] = "", np.nan
    labels["LABEL"] = (labels["Z_SOURCES"] > labels["Z"][:, None]).any(axis=1)
    names = maker.shared.config.network.inputs
    return maker.searched.inputs(names, seen, prepared.z), np.ones(len(labels), bool), hidden


def _draw(shared: _Shared, shard: _Shard) -> LabelledSpectra:
    n_spectra, n_lines, config = shard.n_spectra, shard.n_lines, shared.config
    rng = np.random.default_rng(np.random.SeedSequence([shared.seed, 1, shard.number]))
    if shared.survey is None:
        population = GalaxyPopulation.bundled()
        galaxies = population.among(shared.galaxies_of(shard, len(population.vdisp)))
        draw = draw_with_sources if shared.has_sources else draw_from_survey
        return draw(n_spectra, n_lines, config, galaxies, rng)
    survey = shared.survey
    among = shared.galaxies_of(shard, survey.galaxies.n_galaxies)
    sky = survey.sky
    if sky is not None:
        n_fibres = len(sky)
        sky = sky.among(shared.galaxies_of(shard, n_fibres))
        if not len(sky):
            raise RunError(
                f"{n_fibres} sky fibres are too few for training and test; give more plates, or "
                "raise noise.sky_min_fibres to do without them"
            )
    return draw_from_bins(n_spectra, n_lines, config, survey.galaxies, among, sky, rng)


def _save(path: Path, array: NDArray[Any]) -> str:
    """Write an .npy file; return its SHA-256."""
    with replacing(path) as file:
        np.save(file, array, allow_pickle=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
