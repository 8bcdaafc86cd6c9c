"""A training set is read as it was written, or refused with what is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speclens.errors import RunError
from speclens.train.labelled_set import open_set

WriteSet = Callable[..., Path]


@pytest.fixture
def folder(write_set: WriteSet, tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", n_spectra=(30, 20, 10), splits=("train", "train", "test"))


def manifest_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text()))


def rewrite(folder: Path, manifest: Any) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest))


def put_in(folder: Path, name: str, data: bytes) -> None:
    """Replace an array of the first shard, and its SHA-256 with it, as a forger would."""
    manifest = manifest_of(folder)
    (folder / f"00000-{name}.npy").write_bytes(data)
    manifest["shards"][0][name]["sha256"] = hashlib.sha256(data).hexdigest()
    rewrite(folder, manifest)


def test_splits_are_the_shards_in_order(folder: Path) -> None:
    data = open_set(folder)
    arrays = [np.load(folder / f"{i:05d}-inputs.npy") for i in range(3)]
    assert (len(data.train()), len(data.test)) == (50, 10)
    everything = np.concatenate(arrays[:2]).astype(np.float32)
    index = np.array([0, 29, 30, 49, 5, 30])
    found = data.train().rows(index)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, everything[index])
    np.testing.assert_array_equal(data.test.rows(np.arange(10)), arrays[2].astype(np.float32))


def test_labels_and_places_are_those_of_the_lines(folder: Path) -> None:
    data = open_set(folder)
    labels = np.concatenate([np.load(folder / f"{i:05d}-labels.npy") for i in range(2)])
    np.testing.assert_array_equal(data.train().label, labels["LABEL"])
    line = data.train().label == 1
    assert line.sum() == 20
    assert (data.train().pixel[~line] == -1).all()
    inputs = data.train().rows(np.flatnonzero(line))[:, 0]
    assert (np.abs(inputs.argmax(axis=1) - data.train().pixel[line]) <= 1).all()


def test_a_line_outside_the_window_has_no_place(write_set: WriteSet, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    labels = np.load(folder / "00000-labels.npy")
    row = np.flatnonzero(labels["LABEL"])[:2]
    labels["WAVE"][row] = 3000.0, 9000.0
    np.save(folder / "00000-labels.npy", labels)
    split = open_set(folder, verify=False).train()
    assert split.label[row].tolist() == [1, 1]
    assert split.pixel[row].tolist() == [-1, -1]


def test_an_artefact_has_no_place(write_set: WriteSet, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    labels = np.load(folder / "00000-labels.npy")
    row = np.flatnonzero(labels["LABEL"])[0]
    labels["LABEL"][row] = 0  # its wavelength stays known
    np.save(folder / "00000-labels.npy", labels)
    assert open_set(folder, verify=False).train().pixel[row] == -1


def test_the_digest_follows_every_array(write_set: WriteSet, tmp_path: Path) -> None:
    same = [open_set(write_set(tmp_path / name)).sha256 for name in ("one", "two")]
    assert same[0] == same[1]
    assert open_set(write_set(tmp_path / "other", height=12.5)).sha256 != same[0]


@pytest.mark.parametrize("name", ["inputs", "labels"])
def test_d4_a_flipped_bit_is_noticed(folder: Path, name: str) -> None:
    path = folder / f"00001-{name}.npy"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match=f"damaged.*00001-{name}.npy is not what was written"):
        open_set(folder)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", ["inputs", "labels"])
def test_d4_a_shard_cut_short_is_refused(folder: Path, name: str, verify: bool) -> None:
    path = folder / f"00000-{name}.npy"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match="damaged training set"):
        open_set(folder, verify)


def test_d4_an_empty_shard_is_refused(folder: Path) -> None:
    put_in(folder, "inputs", b"")
    with pytest.raises(RunError, match="damaged training set"):
        open_set(folder)


def test_d4_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "00001-labels.npy").unlink()
    with pytest.raises(RunError, match=r"00001-labels\.npy: missing; .*speclens simulate"):
        open_set(folder)


def test_a_folder_without_a_set_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunError, match=r"manifest\.json: missing; .*speclens simulate"):
            open_set(folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", '{"format": 1}', '{"format": "one"}', '{"format": null}']
)
def test_d4_a_damaged_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(RunError, match="damaged training set"):
        open_set(folder)


@pytest.mark.parametrize("key", ["channels", "grid", "shards", "configuration", "seed"])
def test_d4_a_manifest_without_one_of_its_parts_is_refused(folder: Path, key: str) -> None:
    manifest = manifest_of(folder)
    del manifest[key]
    rewrite(folder, manifest)
    with pytest.raises(RunError, match=f"damaged training set.*{key}"):
        open_set(folder)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"[" * 100_000])
def test_d4_a_manifest_that_is_no_text_is_refused(folder: Path, data: bytes) -> None:
    (folder / "manifest.json").write_bytes(data)
    with pytest.raises(RunError, match="damaged training set"):
        open_set(folder)


def test_d8_a_set_of_a_newer_version_says_so(folder: Path) -> None:
    rewrite(folder, manifest_of(folder) | {"format": 3})
    with pytest.raises(RunError, match="format 3; a newer speclens made this set"):
        open_set(folder)


@pytest.mark.parametrize(
    "changes", [{"channels": ["a", "b"]}, {"grid": {"first": 1, "n_pixels": 170, "step": 1e-4}}]
)
def test_f2_arrays_of_another_shape_are_refused(folder: Path, changes: dict[str, Any]) -> None:
    rewrite(folder, manifest_of(folder) | changes)
    with pytest.raises(RunError, match=r"00000-inputs\.npy has shape \(30, 1, 160\)"):
        open_set(folder)


def test_f2_more_labels_than_spectra_are_refused(folder: Path) -> None:
    labels = np.load(folder / "00000-labels.npy")
    path = folder / "00000-labels.npy"
    np.save(path, np.concatenate([labels, labels]))
    put_in(folder, "labels", path.read_bytes())
    with pytest.raises(RunError, match=r"00000-labels\.npy has shape \(60,\)"):
        open_set(folder)


class Canary:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", ["inputs", "labels"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_f1_no_pickle_is_ever_opened(
    folder: Path, tmp_path: Path, name: str, wrapped: bool, verify: bool
) -> None:
    canary = tmp_path / "canary"
    payload: Any = Canary(canary)
    if wrapped:
        path = tmp_path / "objects.npy"
        np.save(path, np.array([payload] * 30, object), allow_pickle=True)
        data = path.read_bytes()
    else:
        data = pickle.dumps(payload)
    put_in(folder, name, data)
    with pytest.raises(RunError, match="damaged training set"):
        open_set(folder, verify)
    assert not canary.exists()
    pickle.loads(pickle.dumps(payload))  # noqa: S301 - the trap works
    assert canary.exists()


def test_f1_a_shard_outside_the_folder_is_never_read(folder: Path, tmp_path: Path) -> None:
    (folder / "00000-inputs.npy").rename(tmp_path / "00000-inputs.npy")
    manifest = manifest_of(folder)
    manifest["shards"][0]["inputs"]["file"] = "../00000-inputs.npy"
    rewrite(folder, manifest)
    with pytest.raises(RunError, match="missing"):
        open_set(folder)


@pytest.mark.parametrize(("share", "found"), [(0.0, 0), (1.0, 30)])
def test_f4_a_set_with_one_label_is_refused(
    write_set: WriteSet, tmp_path: Path, share: float, found: int
) -> None:
    folder = write_set(tmp_path / "set", n_spectra=(30, 20), line_share=share)
    with pytest.raises(RunError, match=f"{found} of the 30 train spectra have a line"):
        open_set(folder)


def test_f4_a_test_with_one_label_is_refused(write_set: WriteSet, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", n_spectra=(30, 1))
    with pytest.raises(RunError, match="0 of the 1 test spectra have a line"):
        open_set(folder)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_f4_a_set_without_one_of_its_splits_is_refused(folder: Path, missing: str) -> None:
    manifest = manifest_of(folder)
    manifest["shards"] = [s for s in manifest["shards"] if s["split"] != missing]
    rewrite(folder, manifest)
    with pytest.raises(RunError, match=f"0 of the 0 {missing} spectra"):
        open_set(folder)


@pytest.fixture
def drawn(write_set: WriteSet, tmp_path: Path) -> Path:
    """Three draws of 30, 20 and 25 spectra, the last of two shards."""
    return write_set(
        tmp_path / "drawn",
        n_spectra=(30, 12, 20, 15, 10),
        splits=("train", "test", "train", "train", "train"),
        draws=(0, 0, 1, 2, 2),
    )


def test_epochs_go_through_the_draws_in_turn(drawn: Path) -> None:
    data = open_set(drawn)
    assert (data.n_train, len(data.test)) == ([30, 20, 25], 12)
    for epoch, files in enumerate(([0], [2], [3, 4], [0], [2])):
        arrays = [np.load(drawn / f"{i:05d}-inputs.npy") for i in files]
        expected = np.concatenate(arrays).astype(np.float32)
        assert data.draw_of(epoch) == epoch % 3
        np.testing.assert_array_equal(data.train(epoch).rows(np.arange(len(expected))), expected)


def test_a_set_of_format_1_has_one_draw(folder: Path) -> None:
    assert manifest_of(folder)["format"] == 1
    data = open_set(folder)
    assert data.n_train == [50]
    np.testing.assert_array_equal(data.train(7).label, data.train(0).label)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files cannot be counted")
def test_a11_no_more_than_one_draw_is_open_at_a_time(write_set: WriteSet, tmp_path: Path) -> None:
    n = 30
    data = open_set(
        write_set(
            tmp_path / "set", (20,) * (n + 1), ("train",) * n + ("test",), draws=(*range(n), 0)
        )
    )
    before = len(os.listdir("/proc/self/fd"))
    for epoch in range(n):
        split = data.train(epoch)
        assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert len(split) == 20


@pytest.mark.parametrize("draw", [3, -1, "one", None, [1]])
def test_d4_draws_that_are_not_counted_through_are_refused(drawn: Path, draw: Any) -> None:
    manifest = manifest_of(drawn)
    manifest["shards"][2]["draw"] = draw
    rewrite(drawn, manifest)
    with pytest.raises(RunError, match="damaged training set"):
        open_set(drawn)


def test_d4_every_draw_is_verified(drawn: Path) -> None:
    path = drawn / "00004-inputs.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(RunError, match=r"00004-inputs\.npy is not what was written"):
        open_set(drawn)


def test_d4_a_draw_that_went_away_meanwhile_is_named(drawn: Path) -> None:
    data = open_set(drawn)
    (drawn / "00002-inputs.npy").unlink()
    with pytest.raises(RunError, match=r"00002-inputs\.npy: missing"):
        data.train(1)


def test_f4_a_draw_with_one_label_is_refused(write_set: WriteSet, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", (30, 1, 20), ("train", "train", "test"), draws=(0, 1, 0))
    with pytest.raises(RunError, match="0 of the 1 train spectra have a line"):
        open_set(folder)


def test_a_shard_without_spectra_is_passed_over(write_set: WriteSet, tmp_path: Path) -> None:
    folder = write_set(
        tmp_path / "set", n_spectra=(0, 30, 0, 20), splits=("train", "train", "train", "test")
    )
    data = open_set(folder)
    assert len(data.train()) == 30
    expected = np.load(folder / "00001-inputs.npy").astype(np.float32)
    np.testing.assert_array_equal(data.train().rows(np.arange(30)), expected)
