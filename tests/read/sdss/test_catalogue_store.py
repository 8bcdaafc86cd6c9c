"""A catalogue on disk answers like the catalogue in memory."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.read.sdss import catalogue_store as store_module
from speclens.read.sdss.catalogue import read_catalogue
from speclens.read.sdss.catalogue_store import CatalogueStore, PlateCatalogue
from speclens.read.sdss.targets import blank_targets, identify
from speclens.schema import flag_bit

PLATES = (3655, 3700, 9901)
ROWS = [
    {"PLATE": plate, "MJD": 55240, "FIBERID": fibre, "Z": fibre / 100 + plate / 1e5}
    for fibre in (7, 3, 900, 1)
    for plate in (3700, 3655, 9901)
] + [
    {"PLATE": 3700, "MJD": 55240, "FIBERID": 3, "Z": 0.9},
    {"PLATE": 3655, "MJD": 55240, "FIBERID": 7, "Z": 0.07 + 0.03655},
]


@pytest.fixture
def path(tmp_path, write_catalogue):
    return str(write_catalogue(tmp_path / "spAll.fits", ROWS))


def spectra_of(plates, fibres):
    spectra = blank_targets(len(plates))
    identify(spectra, np.array(plates), 55240, np.array(fibres))
    return spectra


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_it_finds_what_the_catalogue_finds(tmp_path, path, monkeypatch, at_once):
    monkeypatch.setattr(store_module, "ROWS_AT_ONCE", at_once)
    store = PlateCatalogue(path).store(tmp_path / "catalogue.rows")
    spectra = spectra_of([9901, 3655, 3700, 1234, 3655, 3700], [1, 7, 3, 1, 999, 900])
    expected = read_catalogue(path).lookup(spectra)
    assert expected[1].tolist() == [
        "", "", "ambiguous_catalogue", "not_in_catalogue", "not_in_catalogue", "",
    ]  # fmt: skip
    assert expected[2].tolist() == [0, flag_bit("CATALOGUE_ROWS"), 0, 0, 0, 0]
    for found, wanted in zip(store.lookup(spectra), expected, strict=True):
        assert found.tobytes() == wanted.tobytes()


def test_only_the_plates_asked_for_are_kept(tmp_path, path):
    store = PlateCatalogue(path, {3655}).store(tmp_path / "catalogue.rows")
    reasons = store.lookup(spectra_of([3655, 3700], [3, 3]))[1]
    assert reasons.tolist() == ["", "not_in_catalogue"]


def test_another_process_can_open_it(tmp_path, path):
    PlateCatalogue(path).store(tmp_path / "catalogue.rows")
    again = CatalogueStore(tmp_path / "catalogue.rows")
    assert again.lookup(spectra_of([9901], [900]))[0]["Z"][0] == pytest.approx(9 + 0.09901)


def test_nothing_is_left_but_rows_and_index(tmp_path, path):
    (tmp_path / "work").mkdir()
    PlateCatalogue(path).store(tmp_path / "work" / "catalogue.rows")
    names = sorted(p.name for p in (tmp_path / "work").iterdir())
    assert names == ["catalogue.index", "catalogue.rows"]


def test_c2_an_empty_catalogue_is_stored(tmp_path, write_catalogue):
    path = str(write_catalogue(tmp_path / "empty.fits", []))
    store = PlateCatalogue(path).store(tmp_path / "catalogue.rows")
    assert store.lookup(spectra_of([3655], [1]))[1].tolist() == ["not_in_catalogue"]
