"""Shards: the same files give the same shards, a file more or less changes one or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from speclens.read.discovery import SurveyFiles
from speclens.read.sdss.survey import PLATES, SPECS
from speclens.read.shards import Shard, make_shards

N_TOGETHER = SPECS.files_a_shard

NAMES = tuple(
    f"/data/{plate}/spec-{plate}-55280-{fibre:04d}.fits"
    for plate in (3650, 3651, 3655)
    for fibre in range(1, 1001)
)


def shards_of(specs: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [shard.files for shard in make_shards(SurveyFiles({SPECS: list(specs)}))]


@pytest.mark.parametrize("n_specs", [0, 1, N_TOGETHER - 1, N_TOGETHER, N_TOGETHER + 1, 3000])
def test_every_file_is_in_one_shard(n_specs: int) -> None:
    plates, specs = ("p2", "p1"), NAMES[:n_specs]
    of_kind = {PLATES: [*plates]} | ({SPECS: [*specs]} if specs else {})
    shards = make_shards(SurveyFiles(of_kind))
    assert [shard.files for shard in shards[:2]] == [("p2",), ("p1",)]
    assert tuple(file for shard in shards[2:] for file in shard.files) == specs
    assert all(0 < len(shard.files) <= N_TOGETHER * 11 // 8 for shard in shards)
    assert all(len(shard.files) >= N_TOGETHER * 5 // 8 for shard in shards[2:-1])
    assert [shard.kind for shard in shards] == [PLATES] * 2 + [SPECS] * (len(shards) - 2)
    if n_specs == 3000:
        assert len(shards) - 2 == pytest.approx(n_specs / N_TOGETHER, abs=1.5)


@pytest.mark.parametrize("place", [0, 1, 777, 1000, 1500, 2000])
def test_a_file_more_changes_one_or_two_shards(place: int) -> None:
    before = set(shards_of(NAMES[:2000]))
    added = (*NAMES[:place], "/data/3649/spec-3649-1-0001.fits", *NAMES[place:2000])
    assert len(before) >= 5
    assert len(before - set(shards_of(added))) <= 2
    # The same file taken away again.
    assert set(shards_of(NAMES[:2000])) == before


def test_a_folder_more_in_front_leaves_the_shards_of_those_behind() -> None:
    alone, both = set(shards_of(NAMES[1000:])), set(shards_of(NAMES))
    assert len(alone - both) <= 2 < len(alone)


def test_where_files_lie_does_not_change_where_they_are_parted() -> None:
    elsewhere = tuple(name.replace("/data/", "elsewhere/") for name in NAMES)
    assert [len(files) for files in shards_of(elsewhere)] == [
        len(files) for files in shards_of(NAMES)
    ]


@pytest.mark.parametrize("place", ["beside", "run2d"])
def test_a_plate_is_read_with_its_own_spzbest(
    tmp_path: Path, write_plate: Callable[..., Path], place: str
) -> None:
    plate = str(write_plate(tmp_path / "in", zbest=place))
    write_plate(tmp_path / "in", plate=11, zbest=place)
    own = next(path for path in (tmp_path / "in").rglob("spZbest-*") if "3655" in path.name)
    assert Shard(PLATES, (plate,)).read_files == (plate, str(own))
    own.unlink()
    assert Shard(PLATES, (plate,)).read_files == (plate,)
