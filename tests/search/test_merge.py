"""Results of shards to one table: which spectra are the same, and what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def merged(folder: Path, *shards: ShardRows) -> tuple[Merged, NDArray[np.void]]:
    paths = []
    for i, shard in enumerate(shards):
        paths.append(folder / f"{i}.shard")
        shard.save(paths[-1])
    return merge(folder, paths, {}), read_rows(folder / "spectra.fits", SPECTRA)


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
