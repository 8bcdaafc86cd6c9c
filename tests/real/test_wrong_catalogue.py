"""Real spectra whose class or redshift in the catalogue is wrong: few hits, and of their own light.

Skipped where SPECLENS_DATA names no folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.lines import REST_LINES
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Found
from speclens.spectra import LogGrid

Floats = NDArray[np.float64]
Searched = Callable[..., tuple[Floats, Found]]

GALAXIES, QUASARS = ("boss/galaxies",), ("quasars", "boss/stars_and_quasars")


@pytest.fixture(scope="module")
def searched(survey_data: Path) -> Searched:
    """`searched(configuration, folders, class, order) -> redshifts believed, what was found`.

    Those whose redshift is searched; `order` gives each the redshift of another.
    """

    def run(
        name: str, folders: tuple[str, ...], class_: str, order: np.random.Generator | None = None
    ) -> tuple[Floats, Found]:
        config = load_config(name)
        grid = LogGrid.covering(*config.preparation.window)
        paths = find_survey_files([str(survey_data / folder) for folder in folders]).paths
        batch = read_spec_files(paths, grid).batch
        batch = batch[batch.targets["CLASS"] == class_]
        z = batch.targets["Z"].astype(float)
        z = z if order is None else order.permutation(z)
        kept = (z > config.selection.z_min) & (z <= config.selection.z_max)
        batch, z = batch[kept], z[kept]
        spectra = Preparation(config)(batch, z)
        matched_filter = MatchedFilter(grid, config.matched_filter)
        filtered = matched_filter.search(spectra.residual, spectra.ivar)
        return z, LineSearch(config, matched_filter)(spectra, filtered)

    return run


def rest_waves(z: Floats, found: Found) -> Floats:
    """Wavelengths of the hits in the frame of what they are in front of, Angstrom."""
    return np.asarray(found.hits["WAVE"] / (1 + z[found.hits["ROW"]]))


def n_spectra(found: Found) -> int:
    return len(np.unique(found.hits["ROW"]))


def test_galaxies_called_quasars_give_no_hit(searched: Searched) -> None:
    z, found = searched("qso", GALAXIES, "GALAXY")
    assert len(z) > 40
    assert n_spectra(found) <= 1


def test_quasars_called_galaxies_give_few_hits_at_the_wings_of_their_own_lines(
    searched: Searched,
) -> None:
    # Components of galaxies do not follow broad lines, of which 15 pixels at most are masked.
    z, found = searched("elg", QUASARS, "QSO")
    assert len(z) > 15
    assert n_spectra(found) <= 0.4 * len(z)
    names = ("H gamma", "[O III] 4364", "H beta", "[O III] 4960", "[O III] 5008", "H alpha")
    own = np.array([REST_LINES[name].wave for name in names])
    away = np.abs(np.log(rest_waves(z, found)[:, None] / own)).min(axis=1)
    assert (away < 0.012).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_galaxies_with_the_redshifts_of_others_give_no_flood_of_hits(
    searched: Searched, seed: int
) -> None:
    z, found = searched("elg", GALAXIES, "GALAXY", np.random.default_rng(seed))
    assert len(z) > 40
    assert n_spectra(found) <= 0.3 * len(z)


def test_quasars_with_the_redshifts_of_others_are_not_all_hits(searched: Searched) -> None:
    # Their own lines, which none of the components fits there, nor a mask covers.
    z, found = searched("qso", QUASARS, "QSO", np.random.default_rng(0))
    assert len(z) > 60
    assert n_spectra(found) <= 0.7 * len(z)


def test_galaxies_and_quasars_as_they_are_give_hardly_any(searched: Searched) -> None:
    for name, folders, class_ in (("elg", GALAXIES, "GALAXY"), ("qso", QUASARS, "QSO")):
        z, found = searched(name, folders, class_)
        assert n_spectra(found) <= 0.05 * len(z)
