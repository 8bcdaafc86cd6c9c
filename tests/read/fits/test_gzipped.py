"""Gzipped files: complete or refused, within bounds of memory and time."""

from __future__ import annotations

import gzip
import io
import time
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from speclens.errors import SpectrumFileError
from speclens.read.fits import gzipped
from speclens.read.fits.gzipped import gunzip
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.catalogue import read_catalogue

MEGABYTE = 1 << 20


def content_of(*hdus):
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer)
    return buffer.getvalue()


def header_of(*axes, bitpix=-32):
    """The first HDU of an image that is all declared and not there."""
    cards = {"SIMPLE": True, "BITPIX": bitpix, "NAXIS": len(axes)}
    cards |= {f"NAXIS{i + 1}": n for i, n in enumerate(axes)}
    return fits.Header(cards).tostring(padding=True).encode()


def zeros(n_bytes, noise=0):
    """Gzip members of zeros, with some random bytes in each 16 MiB of them."""
    rng = np.random.default_rng(1)
    member = gzip.compress(rng.bytes(noise) + bytes(16 * MEGABYTE), 1)
    return member * (n_bytes // (16 * MEGABYTE))


BOMBS = {
    "nothing but zeros": zeros(1600 * MEGABYTE),
    "one that is no FITS file": gzip.compress(b"text") + zeros(320 * MEGABYTE),
    "much after the end, ratio 180": gzip.compress(header_of(), 1)
    + zeros(4096 * MEGABYTE, noise=76_000),
    "an image of 4 GB": gzip.compress(header_of(4641, 250_000)) + zeros(4096 * MEGABYTE, 76_000),
    "an image of 240 MB, all zeros": gzip.compress(header_of(4641, 13_000))
    + zeros(256 * MEGABYTE),
    "an image of 10^18 bytes": gzip.compress(header_of(10**9, 10**9)) + zeros(64 * MEGABYTE),
    "an endless header": gzip.compress(b"SIMPLE  =".ljust(80) + b"COMMENT ".ljust(80) * 400_000),
    "too many HDUs": gzip.compress(
        header_of() + b"XTENSION= 'IMAGE'".ljust(80) + header_of(20_000_000)[80:]
        + bytes(80_000_640)
    ) * 8,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a6_a_bomb_is_refused_in_little_memory_and_time(tmp_path, bomb):
    path = tmp_path / "spec-1-1-1.fits.gz"
    path.write_bytes(bomb)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(SpectrumFileError) as caught, open_fits(path):
        pass
    seconds = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason in ("too_large", "bad_header")
    assert peak < 180e6
    assert seconds < 1.0


@pytest.mark.parametrize("n_fibres", [1, 1000])
def test_a_plate_of_a_thousand_fibres_may_be_gzipped(tmp_path, n_fibres):
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((n_fibres, 300)).astype("f4")
    path = tmp_path / "plate.fits.gz"
    path.write_bytes(gzip.compress(content_of(fits.PrimaryHDU(rows), fits.ImageHDU(rows)), 1))
    with open_fits(path) as file:
        found = file.image_rows(file.hdus[1], np.arange(n_fibres), slice(0, 300), "f4")
    assert_array_equal(found, rows)


def test_content_that_packs_well_is_no_bomb(tmp_path):
    # A plate without a masked pixel.
    path = tmp_path / "plate.fits.gz"
    path.write_bytes(gzip.compress(content_of(fits.PrimaryHDU(np.zeros((1000, 4641), "i4")))))
    assert path.stat().st_size < 4 * 4641 * 1000 / 200
    with open_fits(path) as file:
        assert file.hdus[0].shape == (1000, 4641)


@pytest.mark.parametrize("extra", range(4))
def test_a12_a_gzip_file_of_several_members_is_read_to_its_end(tmp_path, monkeypatch, extra):
    content = content_of(fits.PrimaryHDU(), fits.ImageHDU(np.arange(4000.0)))
    members = [gzip.compress(content[:2880]), gzip.compress(content[2880:])]
    path = tmp_path / "members.fits"
    path.write_bytes(b"".join(members) + bytes(100))
    monkeypatch.setattr(gzipped, "PIECE", len(members[0]) + extra)
    with open_fits(path) as file:
        assert file.size == len(content)
        assert len(file.hdus) == 2


@pytest.mark.parametrize("place", [-1, -6, 0.3, 0.9])
def test_a5_damage_behind_the_data_is_found(tmp_path, place):
    rng = np.random.default_rng(3)
    content = content_of(fits.PrimaryHDU(rng.integers(0, 99, 5000)))
    packed = bytearray(gzip.compress(content))
    place = place if place < 0 else int(place * len(packed))
    packed[place] ^= 4
    path = tmp_path / "flipped.fits.gz"
    path.write_bytes(packed)
    with pytest.raises(SpectrumFileError, match="gzip_crc"), open_fits(path):
        pass


def test_a5_a_header_that_a_damaged_stream_makes_is_not_to_blame(tmp_path):
    content = content_of(fits.PrimaryHDU()).replace(
        b"BITPIX  =                    8", b"BITPIX  =                    7"
    )
    packed = gzip.compress(content)
    path = tmp_path / "a.fits.gz"
    path.write_bytes(packed[:-8] + bytes(8))
    with pytest.raises(SpectrumFileError, match="gzip_crc"), open_fits(path):
        pass
    path.write_bytes(packed)
    with pytest.raises(SpectrumFileError, match="bad_header"), open_fits(path):
        pass


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(4)
    n_rows = 8000
    return {
        "PLATE": ("J", rng.integers(266, 9999, n_rows)), "MJD": ("J", np.full(n_rows, 55240)),
        "FIBERID": ("J", rng.integers(1, 1001, n_rows)), "CLASS": ("6A", np.full(n_rows, "GALAXY")),
        "Z": ("E", rng.random(n_rows)), "NOTE": ("800A", np.full(n_rows, "nothing")),
    }  # fmt: skip


def catalogue_of(rows):
    columns = [fits.Column(name, form, array=array) for name, (form, array) in rows.items()]
    return content_of(fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns))


def test_a6_a_catalogue_longer_than_any_plate_is_read_in_little_memory(tmp_path, rows, monkeypatch):
    monkeypatch.setattr("speclens.read.fits.opening.MAX_SPECTRA", MEGABYTE)
    monkeypatch.setattr(gzipped, "UNPACKED_PIECE", MEGABYTE // 4)
    monkeypatch.setattr("speclens.read.table.fits_table.PIECE_BYTES", MEGABYTE // 2)
    content = catalogue_of(rows)
    path = tmp_path / "spAll.fits.gz"
    path.write_bytes(gzip.compress(content, 1))
    tracemalloc.start()
    targets = read_catalogue(str(path), plates={3655}).targets
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(targets) == (rows["PLATE"][1] == 3655).sum()
    assert peak < 0.5 * len(content)


@pytest.mark.parametrize("damage", ["flipped", "cut short", "cut at its end"])
def test_a5_a_damaged_catalogue_is_refused(tmp_path, rows, damage):
    packed = bytearray(gzip.compress(catalogue_of({k: rows[k] for k in list(rows)[:5]}), 1))
    if damage == "flipped":
        packed[len(packed) // 2] ^= 1
    else:
        del packed[len(packed) // 2 if damage == "cut short" else -4 :]
    path = tmp_path / "spAll.fits.gz"
    path.write_bytes(packed)
    with pytest.raises(SpectrumFileError, match="gzip_crc"):
        read_catalogue(str(path))


def test_lists_are_decompressed_within_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(gzipped, "MAX_TEXT", 1000)
    for length, allowed in ((1000, True), (1001, False), (10**6, False)):
        path = tmp_path / "list.csv.gz"
        path.write_bytes(gzip.compress(b"x" * length))
        with path.open("rb") as file:
            if allowed:
                assert gunzip("list", file.fileno(), path.stat().st_size) == b"x" * length
                continue
            with pytest.raises(SpectrumFileError, match="too_large"):
                gunzip("list", file.fileno(), path.stat().st_size)
