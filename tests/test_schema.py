"""Columns, reasons and flags: what the contract of the products says."""

from __future__ import annotations

import astropy.units
import numpy as np
import pytest

from speclens import schema
from speclens.schema import CANDIDATES, FLAGS, HITS, INJECTED, REASONS, SPECTRA, Column

TABLES = {"spectra": SPECTRA, "hits": HITS, "candidates": CANDIDATES, "injected": INJECTED}


@pytest.mark.parametrize("name", TABLES)
def test_every_column_has_a_description_and_a_valid_dtype_and_unit(name: str) -> None:
    columns = TABLES[name]
    assert len({c.name for c in columns}) == len(columns)
    for column in columns:
        assert column.name == column.name.upper()
        assert column.description
        np.dtype(column.dtype)
        astropy.units.Unit(column.unit)


def test_spectra_hold_what_the_contract_names() -> None:
    names = {c.name for c in SPECTRA}
    assert names >= {
        "TARGETID",
        "PLATE",
        "MJD",
        "FIBERID",
        "RA",
        "DEC",
        "Z",
        "CLASS",
        "SUBCLASS",
        "FILE",
        "STATUS",
        "REASON",
        "PROBABILITY",
        "SNR",
    }


def test_hits_hold_what_the_contract_names() -> None:
    names = {c.name for c in HITS}
    assert names >= {
        "TARGETID",
        "PLATE",
        "MJD",
        "FIBERID",
        "RA",
        "DEC",
        "Z",
        "SEARCH",
        "METHOD",
        "PROBABILITY",
        "SNR",
        "WAVE",
        "WAVE_ERR",
        "FLUX",
        "FLUX_ERR",
        "FWHM_KMS",
        "Z_SOURCE",
        "VET_FLAGS",
        "CANDIDATE",
    }
    assert {"NAME", *names} <= {c.name for c in CANDIDATES}


def test_ids_are_int64() -> None:
    for columns in TABLES.values():
        assert schema.dtype_of(columns, FILE=1)["TARGETID"] == np.dtype("i8")


def test_reason_codes_are_unique_and_fit_the_column() -> None:
    codes = [reason.code for reason in REASONS]
    assert len(set(codes)) == len(codes)
    widths = {c.name: np.dtype(c.dtype).itemsize // 4 for c in SPECTRA if c.dtype[0] == "U"}
    assert max(map(len, codes)) <= widths["REASON"]
    assert {reason.status for reason in REASONS} == {"failed", "skipped"}
    assert max(len(reason.status) for reason in REASONS) <= widths["STATUS"]
    assert all(reason.text for reason in REASONS)


def test_every_spectrum_has_exactly_one_status() -> None:
    codes = np.array(["", *(reason.code for reason in REASONS)])
    status = schema.status_of(codes)
    assert status[0] == "scored"
    assert status[1:].tolist() == [reason.status for reason in REASONS]
    assert len(schema.status_of(codes[:0])) == 0


def test_a_reason_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        schema.status_of(np.array(["because"]))


def test_flags_are_single_bits_of_their_own() -> None:
    assert all(flag.bit.bit_count() == 1 for flag in FLAGS)
    assert len({flag.bit for flag in FLAGS}) == len({flag.name for flag in FLAGS}) == len(FLAGS)


def test_flag_names_decode_what_flag_bit_encodes() -> None:
    assert schema.flag_names(0) == []
    for flag in FLAGS:
        assert schema.flag_names(schema.flag_bit(flag.name)) == [flag.name]
    everything = sum(flag.bit for flag in FLAGS)
    assert schema.flag_names(everything) == [flag.name for flag in FLAGS]


def test_text_columns_get_the_width_of_the_data() -> None:
    columns = (Column("FILE", "U0", "", "file"), Column("N", "i4", "", "number"))
    dtype = schema.dtype_of(columns, FILE=17)
    assert dtype == np.dtype([("FILE", "U17"), ("N", "i4")])
