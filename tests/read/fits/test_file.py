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
from speclens.read.fits.hdus import Verdict
from speclens.read.fits.header import Header
from speclens.read.fits.opening import open_fits

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


@pytest.mark.parametrize("text", ["1.5D3", "1.5d3", "1.5e+3", "1500.", "+15E2", "1.5d+03"])
def test_the_exponent_is_read_however_it_is_written(text):
    assert Header(f"KEY     = {text} / comment".ljust(80).encode()).get("KEY") == 1500.0


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
    assert ("it is a folder; give a file" in str(reason_of(path))) == (kind == "folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a8_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "secret.fits"
    path.write_bytes(content_of(fits.PrimaryHDU()))
    path.chmod(0)
    assert reason_of(path).reason == "no_permission"


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


def table_of(*columns, **cards):
    hdu = fits.BinTableHDU.from_columns(list(columns))
    hdu.header.update(cards)
    return hdu


def with_card(content, old, new):
    """Replace a card, or what begins like it, wherever it stands."""
    assert old.encode() in content
    start = content.index(old.encode())
    return content[:start] + new.ljust(80).encode() + content[start + 80 :]


def written(path, content):
    path.write_bytes(content)
    return path


def first_table(path, *names):
    with open_fits(path) as file:
        return file.table(file.hdus[1], names)


@pytest.mark.parametrize("names", [("flux", "flux"), ("z", "Z"), ("Z", "z ")])
def test_i6_two_columns_of_one_name_are_refused_where_one_is_used(tmp_path, names):
    columns = [fits.Column(f"c{i}", "E", array=[float(i)]) for i in range(3)]
    content = content_of(fits.PrimaryHDU(), table_of(*columns))
    for i, name in enumerate(names):
        content = with_card(content, f"TTYPE{i + 1}  = ", f"TTYPE{i + 1}  = '{name}'")
    path = written(tmp_path / "twice.fits", content)
    assert first_table(path, "C2")["C2"].tolist() == [2.0]
    with pytest.raises(SpectrumFileError, match=names[0].upper()) as caught:
        first_table(path, names[0].upper())
    assert (caught.value.reason, caught.value.hdu) == ("bad_header", 1)


def with_second_card(content, card):
    """Put a card into the first free place of the first header."""
    end = content.index(b"END" + b" " * 77)
    return content[:end] + card.ljust(80).encode() + b"END".ljust(80) + content[end + 160 :]


@pytest.mark.parametrize(
    ("card", "refused"),
    [
        ("MJD     = 55241", True), ("MJD     = 55240", False), ("MJD     = 55240.0", False),
        ("MJD     = '55240'", True), ("MJD     = ?", True), ("COMMENT = 55241", False),
        ("HISTORY MJD = 1", False), ("HIERARCH MJD = 55241", False), ("CONTINUE  '55241'", False),
        ("        = 55241", False), ("NAXIS   = 1", True), ("BITPIX  = -32", True),
    ],
)  # fmt: skip
def test_i6_a_keyword_with_two_values_is_refused_where_it_is_used(tmp_path, card, refused):
    primary = fits.PrimaryHDU()
    primary.header["MJD"] = 55240
    path = written(tmp_path / "twice.fits", with_second_card(content_of(primary), card))
    if not refused:
        with open_fits(path) as file:
            assert file.hdus[0].header.get("MJD") == 55240
        return
    with (
        pytest.raises(SpectrumFileError, match=card[:6].strip()) as caught,
        open_fits(path) as file,
    ):
        file.hdus[0].header.get("MJD")
    assert (caught.value.reason, caught.value.hdu) == ("bad_header", 0)


def test_i6_a_keyword_with_two_values_that_nobody_asks_for_harms_nothing(tmp_path):
    primary = fits.PrimaryHDU()
    primary.header["SEEING"] = 1
    path = written(tmp_path / "a.fits", with_second_card(content_of(primary), "SEEING  = 2"))
    with open_fits(path) as file:
        assert file.hdus[0].header.get("BITPIX") == 8


def test_i6_the_file_whose_header_is_to_blame_is_blamed(tmp_path):
    primary = fits.PrimaryHDU()
    primary.header["MJD"] = 1
    content = content_of(primary)
    inner = written(tmp_path / "inner.fits", content)
    outer = written(tmp_path / "outer.fits", with_second_card(content, "MJD     = 2"))
    with pytest.raises(SpectrumFileError) as caught, open_fits(outer) as one, open_fits(inner):
        one.hdus[0].header.get("MJD")
    assert caught.value.path == str(outer)


def test_nulls_are_masked_where_they_stand(tmp_path):
    table = table_of(
        fits.Column("A", "K", null=-9, array=[1, -9, 3]),
        fits.Column("B", "J", null=5, array=[1, 2, 3]),
        fits.Column("C", "I", null=7, bzero=2**15, array=np.array([1, 2, 3], np.uint16)),
    )
    content = content_of(fits.PrimaryHDU(), table)
    # The null of an unsigned column is stated as it is stored.
    path = written(tmp_path / "a.fits", with_card(content, "TNULL3  =", f"TNULL3  = {2 - 2**15}"))
    found = first_table(path, "A", "B", "C")
    assert found["A"].tolist() == [1, None, 3]
    assert not isinstance(found["B"], np.ma.MaskedArray)
    assert found["C"].tolist() == [1, None, 3]


@pytest.mark.parametrize("times", [1, 5])  # few are decoded one by one
def test_a_nul_ends_a_text(tmp_path, times):
    texts = np.array([b"GAL\0XY", b" QSO ", b"\0STAR", b"STAR\0\0", b"\xe9 "] * times, "S7")
    path = written(tmp_path / "a.fits", content_of(fits.PrimaryHDU(), table_of(
        fits.Column("T", "7A", array=texts))))  # fmt: skip
    found = first_table(path, "T")["T"]
    assert found.tolist() == ["GAL", "QSO", "", "STAR", "\xe9"] * times
    assert found.dtype == "U7"


@pytest.mark.parametrize("form", ["0A", "0E", "0J"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_columns_without_width_hold_nothing(tmp_path, form, place):
    columns = [fits.Column(n, "J", array=[i, 10 + i]) for i, n in enumerate("AB")]
    columns.insert(place, fits.Column("NONE", "J", array=[0, 0]))
    content = content_of(fits.PrimaryHDU(), table_of(*columns))
    content = with_card(content, f"TFORM{place + 1}  =", f"TFORM{place + 1}  = '{form}'")
    content = with_card(content, "NAXIS1  =                   12", "NAXIS1  = 8")
    # The rows as they would stand without that column.
    data = np.array([[0, 1], [10, 11]], ">i4").tobytes()
    path = written(tmp_path / "a.fits", content[:-2880] + data.ljust(2880, b"\0"))
    found = first_table(path, "A", "B", "NONE")
    assert {name: column.tolist() for name, column in found.items()} == {"A": [0, 10], "B": [1, 11]}


@pytest.mark.parametrize("form", ["1j", " J ", "J       ", "1J"])
def test_formats_may_be_small_or_padded(tmp_path, form):
    content = content_of(fits.PrimaryHDU(), table_of(fits.Column("A", "J", array=[5])))
    path = written(tmp_path / "a.fits", with_card(content, "TFORM1  =", f"TFORM1  = '{form}'"))
    assert first_table(path, "A")["A"].tolist() == [5]


@pytest.mark.parametrize(
    "card",
    ["TZERO1  = 'x'", "TZERO1  = NaN", "TZERO1  = 1E999", "TZERO1  =", "TSCAL1  = INF",
     "TSCAL1  = 0", "TSCAL1  = 1E308", "TZERO1  = 9223372036854775807", "TSCAL1  = T"],
)  # fmt: skip
def test_scales_that_are_no_numbers_are_refused_where_the_column_is_used(tmp_path, card):
    table = table_of(
        fits.Column("A", "J", array=[2**31 - 1]), fits.Column("B", "J", array=[4]), OTHER1=1
    )
    content = with_card(content_of(fits.PrimaryHDU(), table), "OTHER1  =", card)
    path = written(tmp_path / "a.fits", content)
    assert first_table(path, "B")["B"].tolist() == [4]
    with pytest.raises(SpectrumFileError, match="bad_header"):
        first_table(path, "A")


def test_displays_and_units_of_columns_are_of_no_concern(tmp_path):
    column = fits.Column("A", "J", unit="furlong", disp="I99", array=[1])
    path = written(tmp_path / "a.fits", content_of(fits.PrimaryHDU(), table_of(column)))
    assert first_table(path, "A")["A"].tolist() == [1]


def test_blank_pixels_of_an_image_are_no_numbers(tmp_path):
    image = fits.PrimaryHDU(np.array([[1, -5, 3]], np.int16))
    image.header.update(BLANK=-5, BSCALE=0.5)
    buffer = io.BytesIO()
    image.writeto(buffer)
    content = with_card(buffer.getvalue(), "BITPIX", "BITPIX  = 16")
    data = np.array([1, -5, 3], ">i2").tobytes()
    content = content[:2880] + data.ljust(2880, b"\0")
    for card in ("BLANK   = -5", "BSCALE  = 0.5"):
        if card[:8].encode() not in content:
            content = with_second_card(content, card)
    path = written(tmp_path / "a.fits", content)
    rows, columns = np.arange(1), slice(0, 3)
    with open_fits(path) as file:
        assert_array_equal(file.image_rows(file.hdus[0], rows, columns, "f4"), [[0.5, np.nan, 1.5]])
        assert file.image_rows(file.hdus[0], rows, columns, "i4")[0, 1] == -1


def test_bits_of_unsigned_masks_stay_bits(tmp_path):
    image = fits.PrimaryHDU(np.array([[1, 2**31, 2**32 - 1]], np.uint32))
    path = written(tmp_path / "a.fits", content_of(image))
    with open_fits(path) as file:
        found = file.image_rows(file.hdus[0], np.arange(1), slice(0, 3), "i4")
    assert found.view("u4").tolist() == [[1, 2**31, 2**32 - 1]]


@pytest.mark.parametrize(
    ("without", "changed", "verdict"),
    [
        ((), "", Verdict.SOUND),
        ((), "header", Verdict.HEADER_CHANGED),
        ((), "data", Verdict.DAMAGED),
        (("CHECKSUM",), "header", Verdict.SOUND),
        (("CHECKSUM",), "data", Verdict.DAMAGED),
        # The card that is gone was part of the sum.
        (("DATASUM",), "", Verdict.DAMAGED),
        (("CHECKSUM", "DATASUM"), "data", Verdict.UNKNOWN),
    ],
)
def test_a4_what_the_checksums_tell(tmp_path, without, changed, verdict):
    table = table_of(fits.Column("A", "J", array=[5]), NOTE="before")
    content = content_of(fits.PrimaryHDU(), table)
    start = content.index(b"XTENSION")
    head, tail = content[:start], content[start:]
    for key in without:
        place = tail.index(key.encode())
        tail = tail[:place] + b"COMMENT ".ljust(80) + tail[place + 80 :]
    if changed == "header":
        tail = tail.replace(b"before", b"behind")
    if changed == "data":
        tail = tail[:2883] + b"\7" + tail[2884:]
    path = written(tmp_path / "a.fits", head + tail)
    with open_fits(path) as file:
        assert file.verify(file.hdus[1]) is verdict


@pytest.mark.parametrize("rows", [10**8, 10**9])
def test_a_sparse_file_as_long_as_its_header_says_takes_no_memory(tmp_path, rows):
    content = content_of(fits.PrimaryHDU(), table_of(fits.Column("A", "J", array=[5])))
    path = written(tmp_path / "a.fits", with_card(content, "NAXIS2  =", f"NAXIS2  = {rows}"))
    os.truncate(path, 4 * rows + 10**5)
    tracemalloc.start()
    with pytest.raises(SpectrumFileError, match="too_large"):
        first_table(path, "A")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_i11_of_two_hdus_of_one_name_none_is_chosen(tmp_path):
    path = tmp_path / "a.fits"
    images = [fits.ImageHDU(np.full(3, i, "f4"), name="FLUX") for i in range(2)]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path)
    with open_fits(path) as file, pytest.raises(SpectrumFileError, match=r"1 and 2 .* named FLUX"):
        file.find(("FLUX",), 1)
