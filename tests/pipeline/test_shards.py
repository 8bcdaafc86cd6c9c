"""Shards: the same files give the same shards and keys, changed ones give others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speclens.pipeline.shards import (
    SAMPLE_BYTES,
    SPECS_PER_SHARD,
    Shard,
    ShardStore,
    fingerprint,
    load_arrays,
    make_shards,
    save_arrays,
)
from speclens.read.discovery import SurveyFiles

ARRAYS = {"rows": np.arange(5), "names": np.array(["a", "é"])}


@pytest.mark.parametrize("n_specs", [0, 1, SPECS_PER_SHARD, SPECS_PER_SHARD + 1])
def test_every_file_is_in_one_shard(n_specs: int) -> None:
    plates, specs = ("p2", "p1"), tuple(f"s{i}" for i in range(n_specs))
    shards = make_shards(SurveyFiles(plates, specs, 0))
    assert [shard.files for shard in shards[:2]] == [("p2",), ("p1",)]
    assert tuple(file for shard in shards[2:] for file in shard.files) == specs
    assert all(0 < len(shard.files) <= SPECS_PER_SHARD for shard in shards)
    assert [shard.kind for shard in shards] == ["plate"] * 2 + ["specs"] * (len(shards) - 2)


def test_d7_a_fingerprint_tells_content_and_not_time(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * SAMPLE_BYTES))
    before = fingerprint(str(path))
    os.utime(path, (0, 0))
    assert fingerprint(str(path)) == before
    for place in (0, SAMPLE_BYTES - 1, 2 * SAMPLE_BYTES, 3 * SAMPLE_BYTES - 1):
        changed = bytearray(3 * SAMPLE_BYTES)
        changed[place] = 1
        path.write_bytes(changed)
        assert fingerprint(str(path)) != before
    for size in (0, 1, 3 * SAMPLE_BYTES - 1, 3 * SAMPLE_BYTES + 1):
        path.write_bytes(bytes(size))
        assert fingerprint(str(path)) != before


def test_a_fingerprint_tells_files_of_equal_content_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    assert fingerprint(str(tmp_path / "a")) != fingerprint(str(tmp_path / "b"))


def test_a8_anything_has_a_fingerprint_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    names = ["pipe", "dangling", "loop", "absent", "b\udcffd"]
    prints = {fingerprint(str(tmp_path / name)) for name in [*names, ""]}
    assert len(prints) == len(names) + 1


def test_the_key_depends_on_context_kind_files_and_their_order(tmp_path: Path) -> None:
    for name in ("spec-1.fits", "spec-2.fits"):
        (tmp_path / name).write_text(name)
    one, two = (str(tmp_path / f"spec-{i}.fits") for i in (1, 2))
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
def test_d7_the_key_of_a_plate_depends_on_its_spzbest(
    tmp_path: Path, write_plate: Callable[..., Path], place: str
) -> None:
    shard = Shard("plate", (str(write_plate(tmp_path / "in", zbest=place)),))
    write_plate(tmp_path / "in", plate=11, zbest=place)
    store = ShardStore(tmp_path, "c")
    before = store.path(shard)
    own, other = sorted((tmp_path / "in").rglob("spZbest-*"), key=lambda path: "0011" in path.name)
    other.write_bytes(b"changed")
    assert store.path(shard) == before
    own.write_bytes(own.read_bytes() + b"longer")
    changed = store.path(shard)
    assert changed != before
    own.unlink()
    assert store.path(shard) not in (before, changed)


def test_a_plate_of_another_name_or_in_no_folder_has_a_key(tmp_path: Path) -> None:
    store = ShardStore(tmp_path, "c")
    files = (tmp_path / "other.fits", tmp_path / "gone" / "spPlate-1-2.fits")
    assert store.path(Shard("plate", (str(files[0]),))) != store.path(
        Shard("plate", (str(files[1]),))
    )


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
