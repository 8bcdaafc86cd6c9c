"""Hits to candidates: their order, and what is derived."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.candidates.ranking import candidates_of
from speclens.config import CandidatesConfig, load_config
from speclens.errors import ConfigError
from speclens.schema import CANDIDATES, HITS, dtype_of

DERIVED = [column.name for column in CANDIDATES if column not in HITS]


@pytest.fixture
def config() -> CandidatesConfig:
    return load_config().candidates


@pytest.fixture
def hits() -> NDArray[np.void]:
    rows = np.zeros(6, dtype_of(HITS))
    rows["TARGETID"] = [5, 3, 3, 2**53 + 1, 9, 1]
    rows["PLATE"], rows["MJD"], rows["FIBERID"] = 4731, 55656, np.arange(6) + 1
    rows["RA"], rows["DEC"] = 169.45625, 1.676931
    rows["Z"], rows["Z_SOURCE"] = 0.584, 2.157
    rows["VDISP"], rows["VDISP_ERR"] = 250, 20
    rows["HYPOTHESIS"], rows["P_HYPOTHESIS"], rows["P_LENSED"] = "lya", 0.9, 0.8
    rows["SNR"] = [7, 8, 8, 8, 12, 30]
    rows["WAVE"] = [4000, 4200, 4100, 3900, 4300, 4400]
    rows["CANDIDATE"] = [True, True, True, True, True, False]
    return rows


def test_candidates_are_ranked_by_probability_and_those_without_come_last(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    hits["P_HYPOTHESIS"] = [0.6, np.nan, 0.99, 0.7, 0.2, 1.0]
    found = candidates_of(hits, config)
    assert found["FIBERID"].tolist() == [3, 4, 1, 5, 2]
    assert found["RANK"].tolist() == [1, 2, 3, 4, 5]


def test_what_is_likely_lensed_comes_before_what_is_likelier_a_source(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    hits["P_HYPOTHESIS"] = [0.6, 0.9, 0.9, 0.5, 0.9, 1.0]
    hits["P_LENSED"] = [0.9, 0.5, 0.1, 0.9, np.nan, 1.0]
    assert candidates_of(hits, config)["FIBERID"].tolist() == [1, 2, 4, 3, 5]


@pytest.mark.parametrize("probability", [0.9, np.nan])
def test_b9_ties_are_ordered_by_snr_then_id_then_wavelength(
    hits: NDArray[np.void], config: CandidatesConfig, probability: float
) -> None:
    hits["P_HYPOTHESIS"] = probability
    expected = [(9, 4300), (3, 4100), (3, 4200), (2**53 + 1, 3900), (5, 4000)]
    rng = np.random.default_rng(5)
    for order in [np.arange(6), *(rng.permutation(6) for _ in range(10))]:
        found = candidates_of(hits[order], config)
        assert [(int(row["TARGETID"]), row["WAVE"]) for row in found] == expected


def test_candidates_keep_every_column_of_their_hits(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    hits["KNOWN"], hits["VET_FLAGS"] = "BELLS 7", 5
    found = candidates_of(hits, config)
    assert found.dtype == dtype_of(CANDIDATES)
    best = hits[4]
    for name in hits.dtype.names or ():
        assert found[0][name] == best[name]


def test_hits_read_from_fits_give_the_same_candidates(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    swapped = hits.astype(hits.dtype.newbyteorder(">"))
    assert candidates_of(swapped, config).tobytes() == candidates_of(hits, config).tobytes()


def test_rejected_hits_are_no_candidates(hits: NDArray[np.void], config: CandidatesConfig) -> None:
    hits["CANDIDATE"] = False
    found = candidates_of(hits, config)
    assert found.dtype == dtype_of(CANDIDATES)
    assert len(found) == 0


def test_the_luminosity_is_that_of_the_one_flux_whatever_was_fitted(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    hits["FLUX"], hits["FLUX_ERR"] = 10, 1
    hits["LYA_FLUX"], hits["LYA_FLUX_ERR"] = 20, 4
    before = candidates_of(hits, config)
    hits["LYA_FLUX"] = hits["LYA_FLUX_ERR"] = np.nan
    np.testing.assert_array_equal(
        candidates_of(hits, config)["LYA_LUMINOSITY"], before["LYA_LUMINOSITY"]
    )
    np.testing.assert_allclose(before["LYA_LUMINOSITY_ERR"] / before["LYA_LUMINOSITY"], 0.1, 1e-5)
    hits["FLUX"] *= 2
    doubled = candidates_of(hits, config)["LYA_LUMINOSITY"]
    np.testing.assert_allclose(doubled, 2 * before["LYA_LUMINOSITY"], 1e-5)


def test_the_error_of_the_radius_is_that_of_sigma_squared(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    hits["VDISP_ERR"] = 0.01
    low, high = hits.copy(), hits.copy()
    low["VDISP"], high["VDISP"] = 249.99, 250.01
    found, below, above = (candidates_of(rows, config)[0] for rows in (hits, low, high))
    half_distance = (above["EINSTEIN_RADIUS"] - below["EINSTEIN_RADIUS"]) / 2
    assert found["EINSTEIN_RADIUS_ERR"] == pytest.approx(half_distance, rel=5e-3)


@pytest.mark.parametrize(
    ("vdisp", "error", "sigma", "assumed"),
    [
        (250.0, 20.0, (250.0, 20.0), False),
        (0.0, 0.0, (230.0, 55.0), True),
        (850.0, -3.0, (230.0, 55.0), True),
        (250.0, -4.0, (230.0, 55.0), True),
        (250.0, 0.0, (230.0, 55.0), True),
        (250.0, np.nan, (230.0, 55.0), True),
        (np.nan, 20.0, (230.0, 55.0), True),
        (79.9, 5.0, (230.0, 55.0), True),
        (80.0, 5.0, (80.0, 5.0), False),
        (500.0, 5.0, (500.0, 5.0), False),
        (500.1, 5.0, (230.0, 55.0), True),
    ],
)
def test_a_typical_dispersion_stands_for_one_that_is_no_measurement(
    hits: NDArray[np.void],
    config: CandidatesConfig,
    vdisp: float,
    error: float,
    sigma: tuple[float, float],
    assumed: bool,
) -> None:
    hits["VDISP"], hits["VDISP_ERR"] = vdisp, error
    found = candidates_of(hits, config)[0]
    assert (found["SIGMA_SIS"], found["SIGMA_SIS_ERR"]) == sigma
    assert found["SIGMA_ASSUMED"] == assumed
    relative = found["EINSTEIN_RADIUS_ERR"] / found["EINSTEIN_RADIUS"]
    assert relative == pytest.approx(2 * sigma[1] / sigma[0])


@pytest.mark.parametrize(
    ("z_lens", "z_source"), [(2.157, 2.157), (3.0, 2.157), (np.nan, 2.0), (0.5, np.nan), (-1, 2.0)]
)
def test_a_source_that_is_not_behind_the_lens_has_no_radius(
    hits: NDArray[np.void], config: CandidatesConfig, z_lens: float, z_source: float
) -> None:
    hits["Z"][4], hits["Z_SOURCE"][4] = z_lens, z_source
    found = candidates_of(hits, config)
    assert np.isnan(found[0][["EINSTEIN_RADIUS", "EINSTEIN_RADIUS_ERR"]].tolist()).all()
    assert np.isfinite(found["EINSTEIN_RADIUS"][1:]).all()


def test_hits_without_any_measurement_are_candidates_without_numbers(
    config: CandidatesConfig,
) -> None:
    rows = np.zeros(1, dtype_of(HITS))
    for column in HITS:
        if rows.dtype[column.name].kind == "f":
            rows[column.name] = np.nan
    rows["CANDIDATE"] = True
    found = candidates_of(rows, config)[0]
    assert found["NAME"] == ""
    assert found["SIGMA_ASSUMED"]
    for name in ("LYA_LUMINOSITY", "LYA_LUMINOSITY_ERR", "EINSTEIN_RADIUS", "EINSTEIN_RADIUS_ERR"):
        assert np.isnan(found[name])


def test_what_a_row_holds_does_not_depend_on_its_neighbours(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    hits["Z"] = np.linspace(0.3, 0.8, 6)
    found = candidates_of(hits, config)
    for row in found:
        alone = candidates_of(hits[hits["FIBERID"] == row["FIBERID"]], config)[0]
        for name in set(DERIVED) - {"RANK"}:
            np.testing.assert_equal(alone[name], row[name])


def test_an_unknown_cosmology_is_refused_before_anything_is_derived(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    unknown = config.model_copy(update={"cosmology": "Plank18"})
    with pytest.raises(ConfigError, match=r"'Plank18'.*did you mean 'Planck18'"):
        candidates_of(hits[:0], unknown)
