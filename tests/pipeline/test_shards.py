"""Shards: the same files give the same shards, a file more or less changes one or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speclens.pipeline.shards import (
    SPECS_PER_SHARD,
    Shard,
    ShardStore,
    load_arrays,
    load_current,
    make_shards,
    save_arrays,
)
from speclens.read.discovery import SurveyFiles

ARRAYS = {"rows": np.arange(5), "names": np.array(["a", "é"])}
NAMES = tuple(
    f"/data/{plate}/spec-{plate}-55280-{fibre:04d}.fits"
    for plate in (3650, 3651, 3655)
    for fibre in range(1, 1001)
)


def shards_of(specs: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [shard.files for shard in make_shards(SurveyFiles((), specs, 0))]


@pytest.mark.parametrize(
    "n_specs", [0, 1, SPECS_PER_SHARD - 1, SPECS_PER_SHARD, SPECS_PER_SHARD + 1, 3000]
)
def test_every_file_is_in_one_shard(n_specs: int) -> None:
    plates, specs = ("p2", "p1"), NAMES[:n_specs]
    shards = make_shards(SurveyFiles(plates, specs, 0))
    assert [shard.files for shard in shards[:2]] == [("p2",), ("p1",)]
    assert tuple(file for shard in shards[2:] for file in shard.files) == specs
    assert all(0 < len(shard.files) <= SPECS_PER_SHARD * 11 // 8 for shard in shards)
    assert all(len(shard.files) >= SPECS_PER_SHARD * 5 // 8 for shard in shards[2:-1])
    assert [shard.kind for shard in shards] == ["plate"] * 2 + ["specs"] * (len(shards) - 2)
    if n_specs == 3000:
        assert len(shards) - 2 == pytest.approx(n_specs / SPECS_PER_SHARD, abs=1.5)


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


def test_the_key_depends_on_context_kind_files_and_their_order_and_reads_nothing(
    tmp_path: Path,
) -> None:
    one, two = "absent/spec-1.fits", "b\udcffd/spec-2.fits"
    shards = [
        Shard("specs", (one,)),
        Shard("plate", (one,)),
        Shard("specs", (two,)),
        Shard("specs", (one, two)),
        Shard("specs", (two, one)),
    ]
    stores = [ShardStore(tmp_path, context) for context in ("c", "d")]
    paths = [store.path(shard) for store in stores for shard in shards]
    assert len(set(paths)) == len(paths)
    assert paths == [store.path(shard) for store in stores for shard in shards]
    assert {path.parent for path in paths} == {tmp_path}


@pytest.mark.parametrize("place", ["beside", "run2d"])
def test_a_plate_is_read_with_its_own_spzbest(
    tmp_path: Path, write_plate: Callable[..., Path], place: str
) -> None:
    plate = str(write_plate(tmp_path / "in", zbest=place))
    write_plate(tmp_path / "in", plate=11, zbest=place)
    own = next(path for path in (tmp_path / "in").rglob("spZbest-*") if "3655" in path.name)
    assert Shard("plate", (plate,)).read_files == (plate, str(own))
    own.unlink()
    assert Shard("plate", (plate,)).read_files == (plate,)


@pytest.mark.parametrize(
    ("stored", "asked", "found"),
    [("h", "h", True), ("h", "g", False), ("", "", False), ("h", "", False)],
)
def test_d7_arrays_are_current_while_the_hint_is_the_same_and_can_be_relied_on(
    tmp_path: Path, stored: str, asked: str, found: bool
) -> None:
    save_arrays(tmp_path / "a.hits", hint=np.array(stored), **ARRAYS)
    assert (load_current(tmp_path / "a.hits", asked) is not None) == found
    assert load_current(tmp_path / "b.hits", asked) is None


def test_stored_arrays_come_back(tmp_path: Path) -> None:
    save_arrays(tmp_path / "a.shard", **ARRAYS)
    found = load_arrays(tmp_path / "a.shard")
    assert found is not None
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_e2_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.shard"
    save_arrays(path, **ARRAYS)
    first = path.read_bytes()
    save_arrays(path, **ARRAYS)
    assert path.read_bytes() == first


def test_d4_stored_arrays_that_are_damaged_are_not_found(tmp_path: Path) -> None:
    path = tmp_path / "a.shard"
    assert load_arrays(path) is None
    save_arrays(path, **ARRAYS)
    content = path.read_bytes()
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        assert load_arrays(path) is None
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert load_arrays(path) is None
    path.write_bytes(content + b"\0")
    assert load_arrays(path) is None
    path.unlink()
    path.mkdir()
    assert load_arrays(path) is None


def test_d4_stored_arrays_answer_to_their_name_only(tmp_path: Path) -> None:
    save_arrays(tmp_path / "a.shard", **ARRAYS)
    (tmp_path / "a.shard").rename(tmp_path / "b.shard")
    assert load_arrays(tmp_path / "b.shard") is None


def test_f1_nothing_that_could_run_is_stored(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"[Oo]bject arrays"):
        save_arrays(tmp_path / "a.shard", things=np.array([object()]))
    assert list(tmp_path.iterdir()) == []
