from __future__ import annotations

import gzip
import io
import os
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from speclens.errors import SpectrumFileError
from speclens.read import disk
from speclens.read.fits import Verdict, open_fits
from speclens.read.header import Header

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
VALUES = st.one_of(
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    TEXT,
)
UNSIGNED = {"I": 15, "J": 31, "K": 63}
FORMATS = {"B": "u1", "I": "i2", "J": "i4", "K": "i8", "E": "f4", "D": "f8"}


def content_of(*hdus: fits.PrimaryHDU | fits.ImageHDU | fits.BinTableHDU) -> bytes:
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer, checksum=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fits")


def reason_of(path) -> SpectrumFileError:
    with pytest.raises(SpectrumFileError) as caught, open_fits(path):
        pass
    return caught.value


@given(st.dictionaries(st.sampled_from([f"KEY{i}" for i in range(20)]), VALUES, max_size=20))
def test_header_values_are_those_that_astropy_writes(cards):
    text = fits.Header(cards).tostring()
    header = Header(text.encode("ascii"))
    for key, written in cards.items():
        # astropy shortens numbers when it writes, and misreads some quotes when it reads.
        value = written if isinstance(written, str) else fits.Header.fromstring(text)[key]
        found = header.get(key)
        assert found == (value.rstrip() if isinstance(value, str) else value)
        assert isinstance(found, type(value))


@pytest.mark.parametrize("value", ["NAN", "INF", "1E400", "1_000", "0x10", "", "(1, 2)", "'open"])
def test_a7_what_is_no_number_is_not_taken_for_one(value):
    header = Header(f"COEFF0  = {value:>20}".ljust(80).encode())
    assert header.number("COEFF0", "default") == "default"


def test_the_exponent_of_fortran_is_read():
    assert Header(b"KEY     = 1.5D3 / comment".ljust(80)).get("KEY") == 1500.0


@st.composite
def columns(draw):
    n_rows = draw(st.integers(0, 4))
    codes = draw(st.lists(st.sampled_from([*FORMATS, "A", "L", "X", "U"]), min_size=1, max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    made = []
    for i, code in enumerate(codes):
        count = draw(st.integers(1, 9))
        shape = (n_rows,) if count == 1 else (n_rows, count)
        if code == "A":
            words = [draw(st.text("abc +-_'", max_size=count)) for _ in range(n_rows)]
            made.append(fits.Column(f"c{i}", f"{count}A", array=np.array(words, f"S{count}")))
        elif code in "LX":
            bits = rng.random((n_rows, count)) > 0.5
            made.append(fits.Column(f"c{i}", f"{count}{code}", array=bits))
        elif code == "U":
            form = draw(st.sampled_from(list(UNSIGNED)))
            power = UNSIGNED[form]
            array = rng.integers(0, 2 ** (power + 1), shape, f"u{(power + 1) // 8}", endpoint=False)
            made.append(fits.Column(f"c{i}", f"{count}{form}", bzero=2**power, array=array))
        else:
            raw = rng.bytes(n_rows * count * np.dtype(FORMATS[code]).itemsize)
            array = np.frombuffer(raw, FORMATS[code]).reshape(shape)
            made.append(fits.Column(f"c{i}", f"{count}{code}", array=array))
    return n_rows, made


@settings(deadline=None, max_examples=30)
@given(columns())
def test_any_layout_of_columns_is_read_as_astropy_reads_it(folder, drawn):
    n_rows, made = drawn
    path = folder / "table.fits"
    path.write_bytes(content_of(fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made)))
    with fits.open(path) as hdus, open_fits(path) as file:
        names = [name.upper() for name in hdus[1].columns.names]
        table = file.table(file.hdus[1], names)
        assert list(table) == names
        for name in names:
            expected = hdus[1].data[name]
            code = hdus[1].columns[name].format.lstrip("0123456789")
            if code == "X":
                continue
            assert len(table[name]) == n_rows
            if code == "L":
                assert_array_equal(table[name] == "T", expected)
            elif code == "A":
                assert_array_equal(table[name], np.char.strip(np.asarray(expected, "U")))
            else:
                assert_array_equal(table[name], expected)
                assert table[name].dtype.isnative
        assert file.verify(file.hdus[1]) is Verdict.SOUND


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["u1", "i2", "i4", "f4", "f8", "u4"]),
    st.integers(1, 5),
    st.integers(1, 40),
    st.data(),
)
def test_a_window_of_an_image_is_that_part_of_the_whole(folder, dtype, n_rows, n_columns, data):
    seed = data.draw(st.integers(0, 2**32))
    image = np.random.default_rng(seed).integers(0, 100, (n_rows, n_columns)).astype(dtype)
    start = data.draw(st.integers(0, n_columns - 1))
    stop = data.draw(st.integers(start + 1, n_columns))
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, n_rows - 1)))), int)
    path = folder / "image.fits"
    path.write_bytes(content_of(fits.PrimaryHDU(image)))
    with open_fits(path) as file:
        window = file.image_rows(file.hdus[0], rows, slice(start, stop), "f8")
    assert_array_equal(window, image[rows, start:stop])


def test_only_some_rows_of_a_table_are_read(folder):
    path = folder / "rows.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("N", "J", array=np.arange(10))])
    path.write_bytes(content_of(fits.PrimaryHDU(), table))
    with open_fits(path) as file:
        assert_array_equal(file.table(file.hdus[1], ["N", "N"], 3, 6)["N"], [3, 4, 5])
        assert file.table(file.hdus[1], ["OTHER"]) == {}


@pytest.mark.parametrize("small", [True, False], ids=["in memory", "from the disk"])
def test_large_files_are_read_like_small_ones(folder, monkeypatch, small, rng):
    image = rng.standard_normal((5, 7)).astype("f4")
    path = folder / "size.fits"
    path.write_bytes(content_of(fits.PrimaryHDU(image)))
    monkeypatch.setattr(disk, "SMALL_FILE", 1 << 20 if small else 0)
    with open_fits(path) as file:
        assert_array_equal(file.image_rows(file.hdus[0], np.arange(5), slice(0, 7), "f4"), image)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><html>404</html>",
        bytes(5760),
        np.random.default_rng(1).bytes(10000),
        b"plate mjd fiber\n1 2 3\n",
        b"S",
        gzip.compress(b"no FITS file in here"),
        gzip.compress(b""),
    ],
    ids=["empty", "html", "zeros", "random", "text", "one byte", "gzipped text", "gzipped nothing"],
)
def test_a1_what_is_no_fits_file_is_called_so(tmp_path, content):
    path = tmp_path / "spec-1-1-1.fits"
    path.write_bytes(content)
    error = reason_of(path)
    assert error.reason == "not_fits"
    assert str(path) in str(error)
    assert "\n" not in str(error)


def test_a2_a_file_cut_short_tells_both_lengths(tmp_path):
    content = content_of(fits.PrimaryHDU(np.zeros(5000)))
    path = tmp_path / "cut.fits"
    path.write_bytes(content[:9999])
    error = reason_of(path)
    assert error.reason == "truncated"
    assert "42880 bytes expected, 9999 found" in str(error)


def test_a2_missing_padding_alone_harms_nothing(tmp_path):
    path = tmp_path / "short.fits"
    path.write_bytes(content_of(fits.PrimaryHDU(np.arange(8.0)))[: 2880 + 64])
    with open_fits(path) as file:
        assert file.verify(file.hdus[0]) is Verdict.SOUND


def test_a6_a_gzip_bomb_is_refused_in_little_memory(tmp_path):
    path = tmp_path / "bomb.fits"
    with path.open("wb") as file:
        member = gzip.compress(bytes(16 << 20))
        for _ in range(100):
            file.write(member)
    tracemalloc.start()
    error = reason_of(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.reason == "too_large"
    assert peak < 200e6


@pytest.mark.parametrize("extra", range(4))
def test_a12_a_gzip_file_of_several_members_is_read_to_its_end(tmp_path, monkeypatch, extra):
    content = content_of(fits.PrimaryHDU(), fits.ImageHDU(np.arange(4000.0)))
    members = [gzip.compress(content[:2880]), gzip.compress(content[2880:])]
    path = tmp_path / "members.fits"
    path.write_bytes(b"".join(members) + bytes(100))
    monkeypatch.setattr("speclens.read.gzipped.PIECE", len(members[0]) + extra)
    with open_fits(path) as file:
        assert file.size == len(content)
        assert len(file.hdus) == 2


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "dangling", "loop", "missing"])
def test_a8_what_is_no_regular_file_is_refused_without_waiting(tmp_path, kind):
    path = tmp_path / "spec-1-1-1.fits"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "loop":
        path.symlink_to(path)
    assert reason_of(path).reason == "not_regular"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a8_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "secret.fits"
    path.write_bytes(content_of(fits.PrimaryHDU()))
    path.chmod(0)
    assert reason_of(path).reason == "not_regular"


def test_a8_a_name_with_a_null_is_refused():
    assert reason_of("spec\0.fits").reason == "not_regular"


@pytest.mark.parametrize("change", ["shrinks", "vanishes", "is replaced"])
def test_a9_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, change):
    monkeypatch.setattr(disk, "SMALL_FILE", 0)
    image = np.ones((10, 3000), "f4")
    path = tmp_path / "changing.fits"
    path.write_bytes(content_of(fits.PrimaryHDU(image)))
    with open_fits(path) as file:
        if change == "shrinks":
            os.truncate(path, 6000)
            with pytest.raises(SpectrumFileError, match="truncated"):
                file.image_rows(file.hdus[0], np.arange(10), slice(0, 3000), "f4")
            return
        if change == "vanishes":
            path.unlink()
        else:
            other = tmp_path / "other"
            other.write_bytes(content_of(fits.PrimaryHDU(image * 2)))
            os.replace(other, path)
        rows = file.image_rows(file.hdus[0], np.arange(10), slice(0, 3000), "f4")
    assert_array_equal(rows, image)


def test_a10_an_error_of_the_disk_is_an_error_of_that_file(tmp_path, monkeypatch):
    path = tmp_path / "disk.fits"
    path.write_bytes(content_of(fits.PrimaryHDU()))

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)
    assert reason_of(path).reason == "io_error"
