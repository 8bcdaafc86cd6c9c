"""Results of shards to one table: which spectra are the same, and what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.read.sdss.identity import spectrum_names
from speclens.schema import HITS, SPECTRA, dtype_of
from speclens.search.merge import Merged, merge
from speclens.search.scan import ShardRows
from speclens.stored_tables import read_rows


def shard_of(*ids: tuple[int, int, int], **values: Any) -> ShardRows:
    """A shard with a scored spectrum and a hit for each (plate, date, fibre)."""
    spectra = np.zeros(len(ids), dtype_of(SPECTRA, FILE=8))
    hits = np.zeros(len(ids), dtype_of(HITS, FILE=8))
    for rows in (spectra, hits):
        rows["PLATE"], rows["MJD"], rows["FIBERID"] = np.array(ids).T
        rows["TARGETID"] = -1
        rows["SURVEY"], rows["SPECTRUM"] = "sdss", spectrum_names(rows)
    spectra["STATUS"] = "scored"
    for name, value in values.items():
        spectra[name] = value
    return ShardRows(spectra, hits, np.arange(len(ids)), [])


def merged(
    folder: Path, *shards: ShardRows | tuple[ShardRows, ...]
) -> tuple[Merged, NDArray[np.void]]:
    """Merge shards, each of one search or of several."""
    paths = []
    for i, shard in enumerate(shards):
        searches = shard if isinstance(shard, tuple) else (shard,)
        paths.append([folder / f"{i}-{j}.shard" for j in range(len(searches))])
        for path, rows in zip(paths[-1], searches, strict=True):
            rows.save(path)
    return merge(folder, paths, {}), read_rows(folder / "spectra.fits", SPECTRA)


def of_search(name: str, *statuses: tuple[str, str], **values: Any) -> ShardRows:
    """Status and reason of the fibres 1, 2, ... in a search; a hit of each that is scored."""
    rows = shard_of(*((7, 55000, fibre + 1) for fibre in range(len(statuses))), **values)
    rows.spectra["STATUS"], rows.spectra["REASON"] = np.array(statuses).T
    rows.spectra["FILE"], rows.spectra["ROW"] = "one", np.arange(len(statuses))
    rows.hits["SEARCH"] = name
    scored = rows.spectra["STATUS"] == "scored"
    rows.hits, rows.hit_rows = rows.hits[scored], rows.hit_rows[scored]
    return rows


def test_the_same_spectrum_in_a_later_shard_counts_once(tmp_path: Path) -> None:
    found, rows = merged(
        tmp_path,
        shard_of((7, 55000, 1), (7, 55000, 2), (7, 55000, 1)),
        shard_of((8, 55000, 1), (7, 55000, 2), (7, 55001, 2), SNR=9.0),
    )
    assert rows["REASON"].tolist() == ["", "", "duplicate", "", "duplicate", ""]
    assert found.counts == {"read": 6, "scored": 4, "skipped": 2, "failed": 0}
    assert found.reasons == {"duplicate": 2}
    assert np.isnan(rows["SNR"][4])
    ids = [tuple(hit) for hit in found.hits[["PLATE", "MJD", "FIBERID"]].tolist()]
    assert ids == [(7, 55000, 1), (7, 55000, 2), (8, 55000, 1), (7, 55001, 2)]


def test_i5_without_all_ids_no_spectrum_is_another(tmp_path: Path) -> None:
    unknown = [(-1, -1, -1), (7, 55000, -1), (-1, 55000, 2), (7, -1, 2), (0, 0, 0)]
    found, _ = merged(tmp_path, shard_of(*unknown), shard_of(*unknown))
    assert found.counts["scored"] == len(found.hits) == 10


def test_i4_fibres_beyond_those_of_a_targetid_are_no_other_nights(tmp_path: Path) -> None:
    nights = [(9902, 58001, 10001), (9902, 58002, 1)]
    rows = shard_of(*nights)
    rows.spectra["TARGETID"] = 9902 * 10**9 + 58002 * 10**4 + 1
    found, _ = merged(tmp_path, rows)
    assert found.counts["scored"] == 2


def test_only_what_is_scored_makes_another_a_duplicate(tmp_path: Path) -> None:
    failed = shard_of((7, 55000, 1), STATUS="failed", REASON="truncated")
    found, _ = merged(tmp_path, failed, shard_of((7, 55000, 1)), shard_of((7, 55000, 1)))
    assert found.counts == {"read": 3, "scored": 1, "skipped": 1, "failed": 1}


def test_spectra_of_two_surveys_are_two(tmp_path: Path) -> None:
    other = shard_of((7, 55000, 1))
    other.spectra["SURVEY"] = "other"
    found, _ = merged(tmp_path, shard_of((7, 55000, 1)), other)
    assert found.counts["scored"] == 2


SCORED = ("scored", "")


def refused(reason: str) -> tuple[str, str]:
    return "skipped", reason


def test_a_spectrum_that_any_search_scored_is_scored(tmp_path: Path) -> None:
    lya = of_search("lya", SCORED, refused("class_qso"), refused("z_low"), SNR=7.0, Z=0.5)
    qso = of_search("qso", refused("class_galaxy"), SCORED, refused("class_galaxy"), SNR=3.0, Z=2.5)
    elg = of_search("elg", SCORED, refused("class_qso"), SCORED, SNR=5.0, Z=0.2)
    found, rows = merged(tmp_path, (lya, qso, elg))
    assert found.counts == {"read": 3, "scored": 3, "skipped": 0, "failed": 0}
    assert found.reasons == {}
    assert rows["REASON"].tolist() == ["", "", ""]
    # What is told is told by a search that scored it, the first of them.
    assert rows["SNR"].tolist() == [7, 3, 5]
    assert rows["Z"].tolist() == pytest.approx([0.5, 2.5, 0.2])
    hits = list(zip(found.hits["SEARCH"].tolist(), found.hits["FIBERID"].tolist(), strict=True))
    assert hits == [("lya", 1), ("qso", 2), ("elg", 1), ("elg", 3)]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("class_galaxy", "z_low", "z_low"),
        ("z_low", "class_galaxy", "z_low"),
        ("class_qso", "broad_absorption", "broad_absorption"),
        ("subclass", "no_data", "subclass"),
        ("class_star", "class_star", "class_star"),
    ],
)
def test_a_reason_of_the_spectrum_itself_counts_before_its_class(
    tmp_path: Path, one: str, other: str, told: str
) -> None:
    for first, second in ((one, other), (other, one)):
        found, rows = merged(
            tmp_path, (of_search("lya", refused(first)), of_search("qso", refused(second)))
        )
        usual = {one, other} == {"subclass", "no_data"}
        assert rows["REASON"].tolist() == [first if usual else told]
        assert found.counts == {"read": 1, "scored": 0, "skipped": 1, "failed": 0}
        assert found.reasons == {str(rows["REASON"][0]): 1}


def test_a_failure_of_one_search_counts_before_refusals_and_after_a_score(tmp_path: Path) -> None:
    failed = of_search("lya", ("failed", "io_error"), ("failed", "io_error"))
    found, rows = merged(tmp_path, (of_search("qso", refused("z_low"), SCORED), failed))
    assert rows["REASON"].tolist() == ["io_error", ""]
    assert found.counts == {"read": 2, "scored": 1, "skipped": 0, "failed": 1}
    assert found.reasons == {"io_error": 1}


def test_flags_of_all_searches_stay_and_the_probability_of_the_one_that_has_it(
    tmp_path: Path,
) -> None:
    elg = of_search("elg", SCORED, SCORED, FLAGS=1, PROBABILITY=np.nan)
    lya = of_search("lya", SCORED, refused("z_low"), FLAGS=2, PROBABILITY=[0.25, np.nan])
    _, rows = merged(tmp_path, (elg, lya))
    assert rows["FLAGS"].tolist() == [3, 3]
    np.testing.assert_array_equal(rows["PROBABILITY"], [0.25, np.nan])


def test_counts_of_several_shards_and_searches_add_up(tmp_path: Path) -> None:
    lya = of_search("lya", SCORED, refused("class_qso"), refused("class_star"), SCORED)
    qso = of_search("qso", refused("class_galaxy"), SCORED, refused("class_star"), refused("z_low"))
    again = of_search("lya", SCORED), of_search("qso", refused("class_galaxy"))
    found, rows = merged(tmp_path, (lya, qso), again)
    assert found.counts == {"read": 5, "scored": 3, "skipped": 2, "failed": 0}
    assert found.reasons == {"class_star": 1, "duplicate": 1}
    assert rows["REASON"].tolist() == ["", "", "class_star", "", "duplicate"]
    # The second file holds the first spectrum again: its hit counts once.
    assert found.hits["FIBERID"].tolist() == [1, 4, 2]


def test_spectra_are_the_same_in_whatever_order_searches_tell_of_them(tmp_path: Path) -> None:
    other = of_search("qso", ("skipped", "class_galaxy"), SCORED)
    other.spectra["ROW"] = 1, 0
    first = of_search("lya", ("skipped", "class_qso"), SCORED)
    found, spectra = merged(tmp_path, (first, other))
    assert spectra["STATUS"].tolist() == ["scored", "scored"]
    assert sorted(found.hits["SEARCH"].tolist()) == ["lya", "qso"]


def test_a_file_that_one_search_cannot_read_is_lost_to_that_search_alone(tmp_path: Path) -> None:
    lost = of_search("qso", ("failed", "worker_died"))
    whole = of_search("lya", SCORED, ("skipped", "class_qso"))
    for searches in ((whole, lost), (lost, whole)):
        found, spectra = merged(tmp_path, searches)
        assert spectra["STATUS"].tolist() == ["scored", "failed"]
        assert spectra["REASON"].tolist() == ["", "worker_died"]
        assert found.hits["SEARCH"].tolist() == ["lya"]


def test_files_that_changed_from_search_to_search_are_refused(tmp_path: Path) -> None:
    changed = of_search("qso", SCORED)
    with pytest.raises(RunError, match="changed meanwhile; run the same command again"):
        merged(tmp_path, (of_search("lya", SCORED, SCORED), changed))
