"""The same line elsewhere: known answers, a slow twin, and a cosmic ray in one exposure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.schema import COMPANIONS, dtype_of
from speclens.vet.companions import measure_companions

Rows = NDArray[np.void]
Row = tuple[int, str, float, float]


def companions_of(rows: Sequence[Row], offset: float) -> Rows:
    table = np.zeros(len(rows), dtype_of(COMPANIONS))
    for entry, (hit, kind, flux, error) in zip(table, rows, strict=True):
        entry["HIT"], entry["KIND"], entry["FLUX"], entry["FLUX_ERR"] = hit, kind, flux, error
    table["OFFSET"] = offset
    return table


def measured(
    rows: Sequence[Row],
    flux: Sequence[float] = (10.0,),
    error: Sequence[float] = (1.0,),
    offset: float = 0.0,
) -> dict[str, NDArray[np.generic]]:
    companions = companions_of(rows, offset)
    return dict(measure_companions(companions, np.array(flux), np.array(error), load_config().vet))


def slow_deviation(rows: Sequence[Row], flux: float, error: float) -> float:
    """The slow, obvious twin: weighted mean minus the hit's flux, over the error of both."""
    weight = sum(1 / row[3] ** 2 for row in rows)
    if not weight:
        return float("nan")
    mean = sum(row[2] / row[3] ** 2 for row in rows) / weight
    return float((mean - flux) / (1 / weight + error**2) ** 0.5)


def slow_exposures(rows: Sequence[Row]) -> float:
    """The slow, obvious twin: the others' mean minus the brightest, errors with 15 % of it."""
    if len(rows) < 2:
        return float("nan")
    ordered = sorted(rows, key=lambda row: row[2] / row[3])
    top = ordered[-1]
    return slow_deviation(ordered[:-1], top[2], float(np.hypot(top[3], 0.15 * top[2])))


def test_without_companions_there_is_nothing_to_compare() -> None:
    found = measured([], [10.0, 20.0], [1.0, 2.0])
    for name in ("NEIGHBOUR_SNR", "NEIGHBOUR_DSIGMA", "REPEAT_DSIGMA", "EXPOSURE_DSIGMA"):
        assert np.isnan(found[name]).all(), name
    for name in ("N_REPEATS", "N_EXPOSURES"):
        assert found[name].tolist() == [0, 0], name


def test_without_hits_there_are_no_rows() -> None:
    assert all(len(values) == 0 for values in measured([], [], []).values())


def test_the_brightest_neighbour_counts() -> None:
    rows = [(0, "neighbour", 3.0, 1.5), (0, "neighbour", 8.0, 2.0), (0, "neighbour", -9.0, 1.0)]
    assert measured(rows)["NEIGHBOUR_SNR"] == pytest.approx([4.0])
    assert measured(rows[2:])["NEIGHBOUR_SNR"] == pytest.approx([-9.0])


def crosses(*neighbours: float, offset: float = 0.0) -> bool:
    rows = [(0, "neighbour", flux, 1.0) for flux in neighbours]
    found = measured(rows, [10.0], [1.0], offset)["NEIGHBOUR_DSIGMA"][0]
    return bool(found > load_config().vet.neighbour_dsigma_max)


def test_only_a_far_brighter_line_at_the_same_place_crosses_over() -> None:
    assert crosses(400.0)
    assert crosses(3.0, 250.0)
    # A line of like flux is a line of its own, and so is the fainter of two that differ by ten.
    assert not crosses(10.0)
    assert not crosses(100.0)
    assert not crosses(400.0, offset=4.0)
    assert not crosses(400.0, offset=float("nan"))


def test_a_neighbour_of_which_little_is_known_says_nothing() -> None:
    """What may cross is unsure by far more than the hit's flux."""
    assert np.isnan(measured([(0, "neighbour", 400.0, 300.0)])["NEIGHBOUR_DSIGMA"][0])


def test_a_repeat_that_has_the_line_agrees_and_one_without_does_not() -> None:
    there = measured([(0, "repeat", 11.0, 1.0)])
    assert there["REPEAT_DSIGMA"] == pytest.approx([1 / np.sqrt(2)])
    missing = measured([(0, "repeat", 0.0, 1.0), (0, "repeat", 0.5, 1.0)])
    assert missing["REPEAT_DSIGMA"] == pytest.approx([(0.25 - 10) / np.sqrt(1.5)])
    assert missing["N_REPEATS"].tolist() == [2]


def test_a_poor_repeat_says_little() -> None:
    assert abs(measured([(0, "repeat", 0.0, 50.0)])["REPEAT_DSIGMA"][0]) < 0.25


def exposures(fluxes: Sequence[float], hit: int = 0) -> list[Row]:
    return [(hit, "exposure", flux, 2.0) for flux in fluxes]


def test_a_cosmic_ray_is_in_one_exposure_only() -> None:
    ray = measured(exposures([0.3, 41.0, -0.4, 0.1]))
    assert ray["EXPOSURE_DSIGMA"][0] < -6
    assert ray["N_EXPOSURES"].tolist() == [4]
    line = measured(exposures([9.6, 11.0, 9.1, 10.4]))
    assert abs(line["EXPOSURE_DSIGMA"][0]) < 0.5


@pytest.mark.parametrize("n_exposures", [2, 3, 4, 8])
def test_exposures_of_a_line_agree_but_for_choosing_the_brightest(
    rng: np.random.Generator, n_exposures: int
) -> None:
    n_hits, single = 2000, 1.0 * np.sqrt(n_exposures)
    flux = 10 + single * rng.normal(size=(n_hits, n_exposures))
    rows = [(i, "exposure", f, single) for i in range(n_hits) for f in flux[i]]
    found = measured(rows, flux.mean(axis=1).tolist(), [1.0] * n_hits)["EXPOSURE_DSIGMA"]
    # The highest of n numbers lies above the others by design, but hardly ever by four sigma.
    assert -2.0 < np.mean(found) < 0
    assert (found < -4).mean() < 1e-3


def test_a_line_in_one_exposure_of_many_is_told_from_one_in_all(rng: np.random.Generator) -> None:
    n_hits, single = 500, 2.0
    noise = single * rng.normal(size=(2, n_hits, 4))
    steady, lone = 12 + noise[0], 48 * (np.arange(4) == 1) + noise[1]
    found = []
    for flux in (steady, lone):
        rows = [(i, "exposure", f, single) for i in range(n_hits) for f in flux[i]]
        found.append(measured(rows, flux.mean(axis=1).tolist(), [1.0] * n_hits)["EXPOSURE_DSIGMA"])
    assert (found[0] > -4).mean() > 0.995
    assert (found[1] < -4).mean() > 0.995


def test_one_exposure_alone_tells_nothing() -> None:
    found = measured(exposures([10.0]))
    assert np.isnan(found["EXPOSURE_DSIGMA"][0])
    assert found["N_EXPOSURES"].tolist() == [1]


def test_brightest_is_the_exposure_of_highest_signal_to_noise() -> None:
    rows: list[Row] = [
        (0, "exposure", 30.0, 30.0),
        (0, "exposure", 20.0, 1.0),
        (0, "exposure", 4.0, 1.0),
    ]
    found = measured(rows)["EXPOSURE_DSIGMA"]
    assert found == pytest.approx([slow_exposures(rows)])


@pytest.mark.parametrize("bad", [(np.nan, 1.0), (5.0, np.nan), (np.inf, 1.0), (5.0, 0.0)])
def test_what_could_not_be_measured_is_not_counted(bad: tuple[float, float]) -> None:
    kinds = ("neighbour", "repeat", "exposure")
    good: list[Row] = [(0, kind, 5.0, 1.0) for kind in kinds for _ in range(2)]
    spoilt = good + [(0, kind, *bad) for kind in kinds]
    found, expected = measured(spoilt), measured(good)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_hits_with_their_companions_in_any_order_are_those_of_plain_python(
    rng: np.random.Generator,
) -> None:
    n_hits = 40
    kinds = np.array(["neighbour", "repeat", "exposure"])
    rows: list[Row] = [
        (int(hit), str(kind), float(np.float32(flux)), float(np.float32(error)))
        for hit, kind, flux, error in zip(
            rng.integers(0, n_hits, 300), rng.choice(kinds, 300), rng.normal(5, 5, 300),
            rng.uniform(0.5, 3, 300), strict=True,
        )
    ]  # fmt: skip
    flux, error = rng.uniform(5, 20, n_hits), rng.uniform(0.5, 2, n_hits)
    found = measured(rows, flux.tolist(), error.tolist())
    for hit in range(n_hits):
        mine = {kind: [r for r in rows if r[0] == hit and r[1] == kind] for kind in kinds}
        ratios = [r[2] / r[3] for r in mine["neighbour"]]
        expected = max(ratios) if ratios else np.nan
        assert found["NEIGHBOUR_SNR"][hit] == pytest.approx(expected, rel=1e-5, nan_ok=True)
        assert found["N_REPEATS"][hit] == len(mine["repeat"])
        assert found["N_EXPOSURES"][hit] == len(mine["exposure"])
        repeat = slow_deviation(mine["repeat"], flux[hit], error[hit])
        exposure = slow_exposures(mine["exposure"])
        for name, slow in (("REPEAT_DSIGMA", repeat), ("EXPOSURE_DSIGMA", exposure)):
            assert found[name][hit] == pytest.approx(slow, rel=1e-5, nan_ok=True)
