"""Results on disk: what is damaged, foreign or of other content is not found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speclens.run.store import ShardStore, load_arrays, load_current, save_arrays

ARRAYS = {"rows": np.arange(5), "names": np.array(["a", "é"])}


def test_the_key_depends_on_context_kind_files_and_their_order_and_reads_nothing(
    tmp_path: Path,
) -> None:
    one, two = "absent/spec-1.fits", "b\udcffd/spec-2.fits"
    shards = [
        ("specs", (one,)),
        ("plate", (one,)),
        ("specs", (two,)),
        ("specs", (one, two)),
        ("specs", (two, one)),
    ]
    stores = [ShardStore(tmp_path, context) for context in ("c", "d")]
    paths = [store.path(*shard) for store in stores for shard in shards]
    assert len(set(paths)) == len(paths)
    assert paths == [store.path(*shard) for store in stores for shard in shards]
    assert {path.parent for path in paths} == {tmp_path}


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
