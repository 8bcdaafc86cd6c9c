"""Which hits are published, and what a run made of the published systems."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import CandidatesConfig, load_config
from speclens.read.sdss.identity import targetid
from speclens.schema import HITS, KNOWN, SPECTRA, dtype_of
from speclens.vet import known as known_module
from speclens.vet.known import (
    OUTCOMES,
    Z_UNKNOWN,
    discovery_rate,
    match_known,
    n_systems,
    outcomes,
)

Rows = NDArray[np.void]
ARCSEC = 1 / 3600


@pytest.fixture(scope="module")
def config() -> CandidatesConfig:
    return load_config().candidates


def published(n_systems: int = 1, **columns: Any) -> Rows:
    rows = np.zeros(n_systems, dtype_of(KNOWN))
    rows["NAME"] = [f"system {i}" for i in range(n_systems)]
    for name in ("PLATE", "MJD", "FIBERID", "TARGETID"):
        rows[name] = -1
    rows["RA"], rows["DEC"], rows["Z_SOURCE"] = np.nan, np.nan, 2.5137
    return named(filled(rows, columns))


def hits_at(n_hits: int = 1, **columns: Any) -> Rows:
    rows = np.zeros(n_hits, dtype_of(HITS, FILE=8))
    rows["PLATE"], rows["MJD"], rows["FIBERID"] = 4000, 55000, np.arange(n_hits) + 1
    rows["TARGETID"] = targetid(rows["PLATE"], rows["MJD"], rows["FIBERID"])
    rows["RA"], rows["DEC"], rows["Z_SOURCE"], rows["CANDIDATE"] = 150.0, 2.0, 2.5137, True
    return filled(rows, columns)


def spectra_at(n_spectra: int = 1, **columns: Any) -> Rows:
    rows = np.zeros(n_spectra, dtype_of(SPECTRA, FILE=8))
    rows["PLATE"], rows["MJD"], rows["FIBERID"] = 4000, 55000, np.arange(n_spectra) + 1
    rows["TARGETID"] = targetid(rows["PLATE"], rows["MJD"], rows["FIBERID"])
    rows["RA"], rows["DEC"] = 150.0, 2.0
    rows["STATUS"] = "scored"
    return filled(rows, columns)


def filled(rows: Rows, columns: dict[str, Any]) -> Rows:
    for name, values in columns.items():
        rows[name] = values
    return rows


def named(known: Rows) -> Rows:
    """Give systems the TARGETIDs of their spectra, as a reader does."""
    known["TARGETID"] = targetid(known["PLATE"], known["MJD"], known["FIBERID"])
    return known


def separation(one: Rows, other: Rows) -> float:
    """Great-circle distance, arcsec, by Vincenty's formula: right at any distance."""
    ra1, dec1, ra2, dec2 = np.radians([one["RA"], one["DEC"], other["RA"], other["DEC"]])
    east = np.cos(dec2) * np.sin(ra2 - ra1)
    north = np.cos(dec1) * np.sin(dec2) - np.sin(dec1) * np.cos(dec2) * np.cos(ra2 - ra1)
    along = np.sin(dec1) * np.sin(dec2) + np.cos(dec1) * np.cos(dec2) * np.cos(ra2 - ra1)
    return float(np.degrees(np.arctan2(np.hypot(east, north), along)) * 3600)


def slow_match(hits: Rows, known: Rows, config: CandidatesConfig) -> list[str]:
    """The slow, obvious twin: every hit against every system."""
    names = []
    for hit in hits:
        best = (True, np.inf, "")
        for system in known:
            own = all(hit[n] == system[n] for n in ("PLATE", "MJD", "FIBERID"))
            distance = 0.0 if own else separation(hit, system)
            far = not own and not distance <= config.known_arcsec
            other = abs(hit["Z_SOURCE"] - system["Z_SOURCE"]) > config.known_dz
            unknown = bool(np.isnan(system["Z_SOURCE"]))
            if not far and not other and (unknown, distance) < best[:2]:
                best = (unknown, distance, f"{system['NAME']}{Z_UNKNOWN if unknown else ''}")
        names.append(best[2])
    return names


@pytest.mark.parametrize("dec", [0.0, 60.0, -89.9998, 89.9999])
@pytest.mark.parametrize("ra", [0.0, 180.0, 359.9999])
def test_matches_are_those_of_a_plain_loop(
    config: CandidatesConfig, rng: np.random.Generator, ra: float, dec: float
) -> None:
    n, stretch = 60, 1 / max(np.cos(np.radians(dec)), 1e-5)

    def near(rows: Rows) -> Rows:
        rows["RA"] = (ra + rng.normal(0, 6 * ARCSEC, len(rows)) * stretch) % 360
        rows["DEC"] = np.clip(dec + rng.normal(0, 6 * ARCSEC, len(rows)), -90, 90)
        # Never in whole hundredths, whose rounding is a test of its own.
        rows["Z_SOURCE"] = 2.5001 + rng.integers(0, 9, len(rows)) * 1.1e-3
        return rows

    known, hits = near(published(n)), near(hits_at(n))
    known["Z_SOURCE"][::3] = np.nan
    known[["PLATE", "MJD", "FIBERID"]][:8] = hits[["PLATE", "MJD", "FIBERID"]][20:28]
    named(known)
    known["RA"][8:12] = hits["RA"][8:12] = np.nan
    names = match_known(hits, known, config).tolist()
    assert names == slow_match(hits, known, config)
    assert 5 < sum(name != "" for name in names) < n


@pytest.mark.parametrize(
    ("ra", "dec", "same"),
    [
        ((0.0001, 359.9999), (0.0, 0.0), True),  # 0.72 arcsec over the beginning of RA
        ((0.0003, 359.9996), (0.0, 0.0), False),
        ((10.0, 190.0), (89.9998, 89.9998), True),  # 1.44 arcsec over the pole
        ((10.0, 190.0), (-89.9998, -89.9998), True),
        ((10.0, 190.0), (89.9996, 89.9996), False),
        ((10.0, 10.001), (80.0, 80.0), True),  # 3.6 arcsec of RA are 0.63 on the sky
        ((10.0, 10.0), (1.0, 1.0 + 1.999 * ARCSEC), True),
        ((10.0, 10.0), (1.0, 1.0 + 2.001 * ARCSEC), False),
    ],
)
def test_c3_distances_are_great_circles(
    config: CandidatesConfig, ra: tuple[float, float], dec: tuple[float, float], same: bool
) -> None:
    names = match_known(hits_at(RA=ra[0], DEC=dec[0]), published(RA=ra[1], DEC=dec[1]), config)
    assert (names[0] == "system 0") is same


@pytest.mark.parametrize(
    ("z_published", "z_found", "same"),
    [
        (2.5137, 2.5137, True),
        (2.5137, 2.5167, True),
        (2.5137, 2.5168, False),
        (2.5137, 2.5106, False),
        (2.51, 2.5179, True),  # 2.51 may be 2.5149, and authors differ by 0.003
        (2.51, 2.5181, False),
        (float(np.float32(2.51)), 2.5179, True),
        (2.5137, np.nan, False),
    ],
)
def test_the_redshift_of_the_source_must_agree_where_it_is_known(
    config: CandidatesConfig, z_published: float, z_found: float, same: bool
) -> None:
    known = published(RA=150.0, DEC=2.0, Z_SOURCE=z_published)
    assert (match_known(hits_at(Z_SOURCE=z_found), known, config)[0] != "") is same


def test_i5_a_redshift_that_is_not_known_agrees_with_none(config: CandidatesConfig) -> None:
    known = published(2, RA=150.0, DEC=[2.0, 2.0001], Z_SOURCE=[np.nan, 2.5137])
    assert match_known(hits_at(), known, config).tolist() == ["system 1"], "though farther"
    assert match_known(hits_at(), known[:1], config).tolist() == ["system 0" + Z_UNKNOWN]
    assert match_known(hits_at(Z_SOURCE=np.nan), known[1:], config).tolist() == [""]
    told = outcomes(known, hits_at(), [spectra_at()], config)
    assert told["OUTCOME"].tolist() == ["z_unknown", "candidate"]
    assert discovery_rate(told) == (1, 1)
    assert n_systems(told) == 2
    assert discovery_rate(outcomes(known[:1], hits_at(), [spectra_at()], config)) == (0, 0)


@pytest.mark.parametrize("ids", [(-1, -1, -1), (0, 0, 0), (4000, -1, 1), (4000, 55000, 10001)])
def test_i5_ids_that_are_not_known_are_those_of_no_spectrum(
    config: CandidatesConfig, ids: tuple[int, int, int]
) -> None:
    known = published(Z_SOURCE=2.5137)
    known[["PLATE", "MJD", "FIBERID"]] = ids
    named(known)
    strange = hits_at(4, RA=np.nan, TARGETID=[-1, 0, targetid(*ids), targetid(4000, 55001, 1)])
    assert match_known(strange, known, config).tolist() == [""] * 4
    assert outcomes(known, strange, [], config)["OUTCOME"].tolist() == ["absent"]


@pytest.mark.parametrize("at_once", [1, 7, 10**6])
def test_many_systems_at_one_place_are_compared_in_parts(
    config: CandidatesConfig, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(known_module, "PAIRS_AT_ONCE", at_once)
    known = published(30, RA=150.0, DEC=2.0, Z_SOURCE=2.5137)
    known["Z_SOURCE"][:29] = 2.1137
    assert match_known(hits_at(5), known, config).tolist() == ["system 29"] * 5
    told = outcomes(known, hits_at(5), [spectra_at(9)], config)
    assert told["OUTCOME"].tolist() == ["missed"] * 29 + ["candidate"]


def test_the_same_spectrum_is_the_same_system_wherever_it_is_said_to_be(
    config: CandidatesConfig,
) -> None:
    known = published(2, PLATE=4000, MJD=55000, FIBERID=[1, 2], RA=[10.0, np.nan], DEC=[1, np.nan])
    assert match_known(hits_at(3), known, config).tolist() == ["system 0", "system 1", ""]


def test_the_system_of_the_same_spectrum_comes_before_the_nearest(
    config: CandidatesConfig,
) -> None:
    known = published(3, RA=150.0, DEC=[2.0002, 2.0001, 2.0003])
    assert match_known(hits_at(), known, config)[0] == "system 1"
    known[["PLATE", "MJD", "FIBERID"]][2] = (4000, 55000, 1)
    named(known)
    assert match_known(hits_at(), known, config)[0] == "system 2"


def test_without_hits_or_systems_nothing_is_known(config: CandidatesConfig) -> None:
    assert match_known(hits_at(0), published(2, RA=150.0, DEC=2.0), config).tolist() == []
    assert match_known(hits_at(2), published(0), config).tolist() == ["", ""]
    assert match_known(hits_at(2), published(2), config).tolist() == ["", ""]
    assert len(outcomes(published(0), hits_at(2), [spectra_at(2)], config)) == 0
    assert outcomes(published(1), hits_at(0), [], config)["OUTCOME"].tolist() == ["absent"]


def test_every_outcome_has_its_cause(config: CandidatesConfig) -> None:
    statuses = ["scored", "scored", "scored", "scored", "skipped", "failed"]
    dec = np.arange(6.0)
    spectra = spectra_at(6, DEC=dec, STATUS=statuses)
    # A hit, a vetoed hit, no hit, a hit of another redshift, skipped, failed, elsewhere, and two
    # without a redshift.
    hits = hits_at(6, DEC=dec)[[0, 1, 3]]
    hits["CANDIDATE"], hits["Z_SOURCE"][2] = [True, False, True], 2.9137
    known = published(9, RA=150.0, DEC=[*np.arange(7.0), 0.0, 4.0], Z_SOURCE=2.5137)
    known["Z_SOURCE"][7:] = np.nan
    told = outcomes(known, hits, [spectra[:2], spectra[2:]], config)
    found = ["candidate", "hit", "missed", "missed", "skipped", "failed", "absent", "z_unknown",
             "skipped"]  # fmt: skip
    assert told["OUTCOME"].tolist() == found
    assert set(found) == set(OUTCOMES)
    ids = spectra["TARGETID"].tolist()
    assert told["TARGETID"].tolist() == [*ids, -1, ids[0], ids[4]]
    assert discovery_rate(told) == (2, 4)


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_spectra_the_best_outcome_counts(config: CandidatesConfig, order: int) -> None:
    known = published(2, RA=150.0, DEC=2.0, Z_SOURCE=2.5137)
    known[["PLATE", "MJD", "FIBERID"]][1] = (4000, 55000, 3)
    named(known)
    spectra = spectra_at(4, STATUS=["failed", "scored", "scored", "skipped"])[::order]
    parts = [spectra[:1], spectra[1:]]
    no_hit = outcomes(known, hits_at(0), parts, config)
    assert no_hit["OUTCOME"].tolist() == ["missed", "missed"]
    # Where two are as good, its own spectrum is the system; else the first.
    assert (no_hit["TARGETID"] % 10).tolist() == [2, 3]
    hits = hits_at(3, CANDIDATE=[False, True, False])
    assert outcomes(known, hits, parts, config)["OUTCOME"].tolist() == ["candidate"] * 2


def test_a_failed_file_without_a_position_is_no_system(config: CandidatesConfig) -> None:
    whole_file = spectra_at(
        STATUS="failed", TARGETID=-1, PLATE=-1, MJD=-1, FIBERID=-1, RA=np.nan, DEC=np.nan
    )
    known = published(2, RA=[150.0, np.nan], DEC=[2.0, np.nan])
    assert outcomes(known, hits_at(0), [whole_file], config)["OUTCOME"].tolist() == ["absent"] * 2


def test_the_discovery_rate_counts_systems_not_redshifts(config: CandidatesConfig) -> None:
    known = published(4, RA=150.0, DEC=[1, 1, 2, 3], Z_SOURCE=[2.2137, 2.5137, 2.5137, 2.5137])
    known["NAME"][1] = known["NAME"][0]
    spectra = spectra_at(2, DEC=[1.0, 2.0])
    told = outcomes(known, hits_at(DEC=1.0), [spectra], config)
    assert told["OUTCOME"].tolist() == ["missed", "candidate", "missed", "absent"]
    assert discovery_rate(told) == (1, 2)
    assert discovery_rate(told[:0]) == (0, 0)


def test_the_discovery_rate_leaves_out_lines_outside_of_the_window() -> None:
    """Li et al. 2019, section 3.1: of 177 candidates three have their line elsewhere."""
    known = published(177, RA=np.arange(177), DEC=0.0, Z_SOURCE=2.5137, OUTCOME="candidate")
    known["Z_SOURCE"][:3], known["OUTCOME"][:16] = [2.1, 3.2, 3.3], "missed"
    assert discovery_rate(known) == (161, 177)
    assert discovery_rate(known, (3800.0, 5000.0)) == (161, 174)
    known["Z_SOURCE"][3:16], known["OUTCOME"][3:16] = np.nan, "z_unknown"
    assert discovery_rate(known, (3800.0, 5000.0)) == (161, 161), "whether they were found is open"


def test_a_survey_is_told_part_by_part_in_little_memory(
    config: CandidatesConfig, rng: np.random.Generator
) -> None:
    n_parts, n_rows = 20, 20_000
    known = published(300, RA=rng.uniform(0, 360, 300), DEC=rng.uniform(-10, 70, 300))
    width = dtype_of(SPECTRA, FILE=8).itemsize

    def parts() -> Iterator[Rows]:
        for i in range(n_parts):
            part = spectra_at(n_rows, RA=rng.uniform(0, 360, n_rows), DEC=-60.0)
            part["TARGETID"] += i * 10**9
            part["RA"][:15], part["DEC"][:15] = known["RA"][i::20], known["DEC"][i::20]
            yield part

    tracemalloc.start()
    told = outcomes(known, hits_at(0), parts(), config)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (told["OUTCOME"] == "missed").all()
    assert peak < 5 * n_rows * width < n_parts * n_rows * width / 3
