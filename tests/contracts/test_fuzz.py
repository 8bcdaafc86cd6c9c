"""Bits that flip in headers and catalogue rows: a right value, a reason or a flag, never a guess.

A bit may change a number to another that is as good, and where the file carries no checksum nobody
can know: such a spectrum is flagged. But it never takes the identity or the row of another one, and
nothing ends in an error that names no file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from speclens.errors import SpectrumFileError
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.read.sdssv.dialect import SDSSV
from speclens.read.sdssv.field import open_field
from speclens.schema import REASONS
from speclens.spectra import LogGrid

GRID = LogGrid(35800, 60)
KEEP = {"n_pixels": 80, "coeff0": 3.5795}
CODES = {reason.code for reason in REASONS}
IDS = ("TARGETID", "PLATE", "MJD", "FIBERID", "CATALOGID")
N_FLIPS = 2000
KINDS = {"spec": 0.4, "spPlate": 0.3, "spZbest": 0.3}
KINDS |= {"field spec": 0.4, "field spField": 0.3, "field spZbest": 0.3}


def read_spec(path, *dialect):
    specs = read_spec_files([str(path)], GRID, None, True, *dialect)
    if specs.failures:
        raise specs.failures[0]
    return specs.targets, specs.batch.flux, specs.flags


def read_field_spec(path):
    return read_spec(path, SDSSV)


def read_field(path):
    return read_plate(path, open_field)


def read_plate(path, opened=open_plate):
    with opened(str(path), GRID) as plate:
        batch = plate.spectra(np.arange(len(plate.targets)))
        return plate.targets, batch.flux, plate.flags


class Damaged:
    """A file of which copies with one flipped bit are read."""

    def __init__(self, path, opened, read):
        self.path, self._opened, self._read = Path(path), opened, read
        self.content = self.path.read_bytes()
        self.targets, self.flux, self.flags = read(opened)
        self.places = self._headers_and_rows()

    def _headers_and_rows(self):
        """Places of the bytes of all headers, and of tables with catalogue rows."""
        with fits.open(self.path) as hdus:
            infos = [(hdu.fileinfo(), hdu.size, "flux" in str(hdu.columns).lower()
                      if isinstance(hdu, fits.BinTableHDU) else True) for hdu in hdus]  # fmt: skip
        headers = [np.arange(i["hdrLoc"], i["datLoc"]) for i, _, _ in infos]
        rows = [np.arange(i["datLoc"], i["datLoc"] + n) for i, n, pixels in infos if not pixels]
        # Headers are mostly blanks: both sorts are met as often.
        return np.concatenate(headers), np.concatenate([np.arange(0), *rows])

    def flipped(self, rng):
        headers, rows = self.places
        where = rows if len(rows) and rng.random() < 0.5 else headers
        place, bit = int(rng.choice(where)), int(rng.integers(8))
        content = bytearray(self.content)
        content[place] ^= 1 << bit
        return bytes(content), f"byte {place}, bit {bit}: {self.content[place - 40 : place + 40]!r}"

    def read(self, content):
        """What a damaged copy is read as, or the error that it causes."""
        self.path.write_bytes(content)
        try:
            return self._read(self._opened)
        except SpectrumFileError as error:
            return error
        finally:
            self.path.write_bytes(self.content)

    def check(self, content, what):
        """Read a damaged copy and say what it became."""
        found = self.read(content)
        if isinstance(found, SpectrumFileError):
            assert found.reason in CODES, what
            assert "\n" not in str(found), what
            return found.reason
        targets, flux, flags = found
        self._check_identities(targets, what)
        same = all(
            np.array_equal(targets[n], self.targets[n], equal_nan=targets[n].dtype.kind == "f")
            for n in targets.dtype.names
        ) and np.array_equal(flux, self.flux)
        assert same or flags.all(), what
        return "same" if same else "flagged"

    def _check_identities(self, targets, what):
        """A spectrum is itself, or nobody; it stands in its own row."""
        assert len(targets) == len(self.targets), what
        for name in IDS:
            unknown = targets[name] == -1
            assert (unknown | (targets[name] == self.targets[name])).all(), f"{name}: {what}"
        parts = [[n.split("-", 2) for n in rows["SPECTRUM"]] for rows in (targets, self.targets)]
        for found, own in zip(*parts, strict=True):
            assert all(f in ("", o) for f, o in zip(found, own, strict=True)), what


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, write_spec, write_plate, write_field_spec, write_field):
    def make(kind, datasum):
        folder = tmp_path_factory.mktemp("fuzz")
        if kind == "field spec":
            path = write_field_spec(folder, datasum=datasum, **KEEP)
            return Damaged(path, path, read_field_spec)
        if kind.startswith("field"):
            targets = [{"Z": 0.4 + 0.02 * i} for i in range(1, 5)]
            field = write_field(folder, targets=targets, datasum=datasum, **KEEP)
            return Damaged(next(folder.glob(f"{kind.split()[1]}*")), field, read_field)
        if kind == "spec":
            path = write_spec(folder / "spec-3655-55240-0001.fits", datasum=datasum, **KEEP)
            return Damaged(path, path, read_spec)
        fibres = [{"FIBERID": i, "Z": 0.4 + 0.02 * i} for i in range(1, 5)]
        plate = write_plate(folder, fibres=fibres, datasum=datasum, **KEEP)
        return Damaged(next(folder.glob(f"{kind}*")), plate, read_plate)

    return make


def fuzz(damaged, n_flips, seed):
    rng = np.random.default_rng(seed)
    found = [damaged.check(*damaged.flipped(rng)) for _ in range(n_flips)]
    return {outcome: found.count(outcome) for outcome in set(found)}


@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_bit_without_a_checksum_is_believed_in_silence(damaged, kind):
    found = fuzz(damaged(kind, datasum=False), int(KINDS[kind] * N_FLIPS), 1)
    # Most bits are blanks of a header, or columns that nobody reads.
    assert found["same"] > 0
    assert found["flagged"] > 0
    assert found["bad_header"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_bit_under_a_checksum_is_believed_in_silence(damaged, kind):
    found = fuzz(damaged(kind, datasum=True), int(KINDS[kind] * N_FLIPS / 4), 2)
    assert found["checksum"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("datasum", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_bit_of_many_is_believed_in_silence(damaged, kind, datasum):
    fuzz(damaged(kind, datasum), N_FLIPS // 2, 3)
