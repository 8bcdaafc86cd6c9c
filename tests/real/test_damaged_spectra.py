"""The bundled networks on real galaxies as files may hold them: damaged, masked, in other units.

Skipped where SPECLENS_DATA names no folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.run.store import ShardStore
from speclens.sample.selection import redshifts, refusals
from speclens.search.detection import Detection, Detector
from speclens.search.scan import Scanner, ScanSettings
from speclens.simulate.emitters import Lines, ideal_snr, line_spectra
from speclens.spectra import SpectrumBatch

SEARCHES = {
    "speclens": [],
    "li2019": ["search.model=li2019"],
    "matched-filter": ["search.method=matched-filter"],
}
N_REPEATS = 6
SNR = 12.0
REACH = 40
"""Pixels between a line and the nearest damaged pixel."""

Search = Callable[[SpectrumBatch], Detection]


@pytest.fixture(scope="module")
def galaxies(survey_data: Path) -> SpectrumBatch:
    config = load_config()
    grid = detector("matched-filter").preparation.grid
    paths = find_survey_files([str(survey_data / "boss" / "galaxies")]).paths
    batch = read_spec_files(paths, grid).batch
    return batch[refusals(batch.targets, config.selection) == ""]


def detector(name: str) -> Detector:
    return Scanner(ScanSettings(load_config(None, SEARCHES[name]), ShardStore(Path(), ""))).detector


@pytest.fixture(scope="module", params=list(SEARCHES))
def search(request: pytest.FixtureRequest) -> Search:
    found = detector(request.param)
    selection = load_config().selection
    return lambda batch: found(batch, redshifts(batch.targets, selection))


def with_lines(
    galaxies: SpectrumBatch, rng: np.random.Generator
) -> tuple[SpectrumBatch, NDArray[np.intp]]:
    """Put a line of ideal S/N 12 into each; return the spectra and the pixels of the lines."""
    n = len(galaxies)
    pixel = rng.integers(60, galaxies.grid.n_pixels - 60, n)
    wave = galaxies.grid.wave[pixel]
    lines = Lines(wave, np.ones(n), np.full(n, 2.4), np.full(n, 3.0))
    spectra = line_spectra(lines, galaxies.grid, galaxies.dispersion_at(wave))
    spectra *= (SNR / ideal_snr(spectra, galaxies.ivar))[:, None].astype(spectra.dtype)
    return replace(galaxies, flux=galaxies.flux + spectra), pixel


def damaged(
    galaxies: SpectrumBatch, away_from: NDArray[np.intp], rng: np.random.Generator
) -> SpectrumBatch:
    """Damage one to three pixels of each, 10 to 10,000 sigma, of either sign."""
    flux = galaxies.flux.copy()
    n_pixels = galaxies.grid.n_pixels
    for row, place in enumerate(away_from.tolist()):
        far = np.flatnonzero(np.abs(np.arange(n_pixels) - place) > REACH)
        good = far[galaxies.ivar[row, far] > 0]
        for pixel in rng.choice(good, rng.integers(1, 4), replace=False).tolist():
            height = rng.choice([-1, 1]) * 10 ** rng.uniform(1, 4)
            flux[row, pixel] += height / np.sqrt(galaxies.ivar[row, pixel])
    return replace(galaxies, flux=flux)


def found_at(found: Detection, pixels: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Say of which spectra the line was found."""
    place = found.prepared.grid.pixel(found.hits["WAVE"])
    near = np.abs(place - pixels[found.hits["ROW"]]) < 8
    rows: NDArray[np.bool_] = np.isin(np.arange(len(pixels)), found.hits["ROW"][near])
    return rows


def test_a_line_is_found_beside_damaged_pixels_as_without_them(
    galaxies: SpectrumBatch, search: Search
) -> None:
    rng = np.random.default_rng(1)
    n_plain = n_both = 0
    for _ in range(N_REPEATS):
        spectra, pixels = with_lines(galaxies, rng)
        plain = found_at(search(spectra), pixels)
        again = found_at(search(damaged(spectra, pixels, rng)), pixels)
        n_plain, n_both = n_plain + plain.sum(), n_both + (plain & again).sum()
    assert n_plain > 0.9 * N_REPEATS * len(galaxies)  # the others lie under masks
    assert n_both >= 0.97 * n_plain


def test_damaged_pixels_alone_are_no_hits(galaxies: SpectrumBatch, search: Search) -> None:
    rng = np.random.default_rng(2)
    nowhere = np.full(len(galaxies), -10 * REACH)
    hits = [len(search(damaged(galaxies, nowhere, rng)).hits) for _ in range(N_REPEATS)]
    assert sum(hits) <= 1


def test_galaxies_without_a_line_have_no_hit(galaxies: SpectrumBatch, search: Search) -> None:
    assert len(search(galaxies).hits) == 0


def test_what_is_left_of_a_masked_spectrum_is_searched(
    galaxies: SpectrumBatch, search: Search
) -> None:
    rng = np.random.default_rng(3)
    spectra, pixels = with_lines(galaxies, rng)
    for n_pixels, reason in ((300, ""), (150, "no_data")):
        first = np.clip(pixels - n_pixels // 2, 0, galaxies.grid.n_pixels - n_pixels)
        distance = np.arange(galaxies.grid.n_pixels) - first[:, None]
        masked = replace(spectra, mask=spectra.mask | (distance < 0) | (distance >= n_pixels))
        found = search(masked)
        usual = found.reasons[found.reasons != "no_data"] if reason == "" else found.reasons
        assert set(usual.tolist()) == {reason}
        if reason == "":
            assert found_at(found, pixels)[found.reasons == ""].mean() > 0.8
            bare = search(replace(galaxies, mask=masked.mask))
            assert len(bare.hits) <= 1


def test_the_unit_of_flux_does_not_matter(galaxies: SpectrumBatch, search: Search) -> None:
    spectra, _ = with_lines(galaxies, np.random.default_rng(4))
    plain = search(spectra)
    flux, ivar = spectra.flux * np.float32(8), spectra.ivar / np.float32(64)
    scaled = search(replace(spectra, flux=flux, ivar=ivar))
    np.testing.assert_array_equal(scaled.hits["ROW"], plain.hits["ROW"])
    np.testing.assert_allclose(scaled.hits["SNR"], plain.hits["SNR"], rtol=1e-3)
    np.testing.assert_allclose(scaled.probability, plain.probability, atol=2e-3)
