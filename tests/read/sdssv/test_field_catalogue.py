"""SDSS-V's catalogues: rows by field, date and identifier, exact to the last digit."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose

from fixtures.fields import CATALOGID, FIELD, MJD, field_row, spec_name
from speclens.errors import RunError
from speclens.read.sdss.catalogue_store import CatalogueStore
from speclens.read.sdss.targets import blank_targets
from speclens.read.sdssv.catalogue import FIELD_KEY, FieldCatalogue
from speclens.read.sdssv.identity import FieldIds
from speclens.read.sdssv.survey import SdssV
from speclens.read.sdssv.targets import identify
from speclens.schema import flag_bit


def spectra_of(*ids):
    rows = blank_targets(len(ids))
    for i, own in enumerate(ids):
        identify(rows[i : i + 1], FieldIds(*own))
    return rows


def stored(path, tmp_path, fields=None):
    catalogue = FieldCatalogue(str(path), fields)
    return catalogue, catalogue.store(tmp_path / "work.rows")


ROWS = [
    {"CATALOGID": CATALOGID, "Z": 0.5},
    {"CATALOGID": CATALOGID + 1, "Z": 0.6},
    {"CATALOGID": CATALOGID, "MJD": MJD + 1, "Z": 0.7},
    {"CATALOGID": CATALOGID, "FIELD": 15143, "Z": 0.8},
    {"CATALOGID": 4544978190, "FIELD": 15143, "Z": 0.9},
    {"CATALOGID": 4544978190, "FIELD": 15143, "Z": 0.95},
    {"CATALOGID": CATALOGID + 2, "Z": 0.4},
    {"CATALOGID": CATALOGID + 2, "Z": 0.4},
    {"CATALOGID": -999, "Z": 0.4, "SPEC_FILE": ""},
]
ASKED = [
    (str(FIELD), MJD, str(CATALOGID)), (str(FIELD), MJD, str(CATALOGID + 1)),
    (str(FIELD), MJD + 1, str(CATALOGID)), ("15143", MJD, str(CATALOGID)),
    ("15143", MJD, "4544978190"), (str(FIELD), MJD, str(CATALOGID + 2)),
    (str(FIELD), MJD, str(CATALOGID + 3)), ("", MJD, str(CATALOGID)), ("", -1, ""),
]  # fmt: skip


def test_c2_rows_are_found_by_field_date_and_identifier(tmp_path, write_field_catalogue):
    catalogue, store = stored(write_field_catalogue(tmp_path / "spAll.fits", ROWS), tmp_path)
    assert (catalogue.n_rows, catalogue.n_unknown) == (9, 1)
    assert "1 of 9 rows have no FIELD, MJD and CATALOGID" in " ".join(catalogue.notes)
    for one in (store, CatalogueStore(tmp_path / "work.rows", FIELD_KEY)):
        targets, reasons, flags = one.lookup(spectra_of(*ASKED))
        assert reasons.tolist() == [
            "", "", "", "", "ambiguous_catalogue", "", *["not_in_catalogue"] * 3,
        ]  # fmt: skip
        assert_allclose(targets["Z"][[0, 1, 2, 3, 5]], [0.5, 0.6, 0.7, 0.8, 0.4], rtol=1e-6)
        assert flags.tolist() == [0, 0, 0, 0, 0, flag_bit("CATALOGUE_ROWS"), 0, 0, 0]
        names = [f"{FIELD}-{MJD}-{CATALOGID}", f"{FIELD}-{MJD}-{CATALOGID + 1}"]
        assert targets["SPECTRUM"].tolist()[:2] == names
        assert targets["CATALOGID"].tolist()[:2] == [CATALOGID, CATALOGID + 1]
        assert targets["SDSS_ID"].tolist()[0] == 54000001


@pytest.mark.parametrize("release", [18, 19, 20])
def test_catalogues_of_every_release(tmp_path, write_field_catalogue, release):
    rows = [{"FIELD": 15143, "MJD": 59205, "CATALOGID": 4544978190}]
    without = ("RUN", "RERUN", "CAMCOL")
    path = write_field_catalogue(tmp_path / "a.fits", rows, release=release, without=without)
    _, store = stored(path, tmp_path)
    targets, reasons, _ = store.lookup(spectra_of(("15143", 59205, "4544978190")))
    assert reasons.tolist() == [""]
    assert targets["PLATEQUALITY"].tolist() == ["good" if release > 18 else ""]
    assert targets["VDISP"].tolist() == [220.0]


def test_the_name_of_the_file_counts(tmp_path, write_field_catalogue):
    names = [spec_name("allepoch_apo", 59373, CATALOGID), spec_name(FIELD, MJD, "u0955+0131")]
    rows = [{"FIELD": 0, "MJD": 59373, "CATALOGID": CATALOGID, "SPEC_FILE": names[0], "Z": 0.3},
            {"CATALOGID": 0, "SPEC_FILE": names[1], "Z": 0.4}]  # fmt: skip
    _, store = stored(write_field_catalogue(tmp_path / "a.fits", rows), tmp_path)
    asked = spectra_of(("allepoch_apo", 59373, str(CATALOGID)), (str(FIELD), MJD, "u0955+0131"))
    targets, reasons, _ = store.lookup(asked)
    assert reasons.tolist() == ["", ""]
    assert_allclose(targets["Z"], [0.3, 0.4], rtol=1e-6)


@pytest.mark.parametrize(
    "row", [{"CATALOGID": CATALOGID + 1}, {"MJD": MJD + 1}, {"FIELD": 15143}], ids=str
)
def test_i4_a_row_that_names_two_spectra_belongs_to_none(tmp_path, write_field_catalogue, row):
    rows = [{"SPEC_FILE": spec_name(FIELD, MJD, CATALOGID), **row}, {"CATALOGID": CATALOGID + 5}]
    catalogue, store = stored(write_field_catalogue(tmp_path / "a.fits", rows), tmp_path)
    assert catalogue.n_unknown == 1
    asked = [(str(FIELD), MJD, str(CATALOGID)), (str(FIELD), MJD, str(CATALOGID + 5))]
    assert store.lookup(spectra_of(*asked))[1].tolist() == ["not_in_catalogue", ""]


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "vot", "fits"])
def test_c1_identifiers_are_exact_in_every_format(tmp_path, suffix):
    rows = [field_row(CATALOGID=CATALOGID + i, TARGET_INDEX=i + 1) for i in range(2)]
    names = ["FIELD", "MJD", "CATALOGID", "CLASS", "Z", "ZWARNING", "SDSS_ID"]
    table = Table({name: [row[name] for row in rows] for name in names})
    path = tmp_path / f"catalogue.{suffix}"
    table.write(path, format={"csv": "ascii.csv", "ecsv": "ascii.ecsv", "vot": "votable"}.get(
        suffix, "fits"))  # fmt: skip
    _, store = stored(path, tmp_path)
    asked = [(str(FIELD), MJD, str(CATALOGID + i)) for i in (0, 1, 2)]
    targets, reasons, _ = store.lookup(spectra_of(*asked))
    assert reasons.tolist() == ["", "", "not_in_catalogue"]
    assert targets["SDSS_ID"].tolist() == [54000001, 54000002, -1]


@pytest.mark.parametrize("cells", [["2.70215981496E+16"] * 2, ["b'x'", "n.a."]])
def test_c1_rounded_identifiers_are_refused(tmp_path, cells):
    path = tmp_path / "a.csv"
    lines = [f"{FIELD},{MJD},{cell},GALAXY,0.5" for cell in cells]
    path.write_text("\n".join(["FIELD,MJD,CATALOGID,CLASS,Z", *lines]))
    with pytest.raises(RunError, match=r"CATALOGID.*already rounded"):
        stored(path, tmp_path)


def test_c1_one_rounded_identifier_is_unknown_and_told(tmp_path):
    path = tmp_path / "a.csv"
    cells = [str(CATALOGID), "2.7E+16", ""]
    lines = [f"{FIELD},{MJD},{cell},GALAXY,0.5" for cell in cells]
    path.write_text("\n".join(["FIELD,MJD,CATALOGID,CLASS,Z", *lines]))
    catalogue, store = stored(path, tmp_path)
    assert store.lookup(spectra_of(ASKED[0]))[1].tolist() == [""]
    assert "1 of the cells of column 'CATALOGID'" in " ".join(catalogue.notes)


@pytest.mark.parametrize(
    ("without", "said"),
    [(("CATALOGID", "SPEC_FILE"), "FIELD, MJD, CATALOGID"), (("CLASS",), "CLASS"), (("Z",), "Z")],
)
def test_c7_missing_columns_are_named(tmp_path, write_field_catalogue, without, said):
    path = write_field_catalogue(tmp_path / "a.fits", [{}], without=without)
    with pytest.raises(RunError, match=f"no column.*{said}.*Found FIELD|no column.*{said}"):
        stored(path, tmp_path)


def test_a_catalogue_of_plates_is_refused(tmp_path, write_catalogue):
    path = write_catalogue(tmp_path / "spAll.fits", [{}])
    with pytest.raises(RunError, match="of SDSS-V: give its spAll"):
        stored(path, tmp_path)


def test_c2_an_empty_catalogue_holds_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("FIELD,MJD,CATALOGID,CLASS,Z\n")
    _, store = stored(path, tmp_path)
    assert store.lookup(spectra_of(*ASKED))[1].tolist() == ["not_in_catalogue"] * len(ASKED)


def test_only_rows_of_the_fields_that_are_searched_are_kept(tmp_path, write_field_catalogue):
    path = str(write_field_catalogue(tmp_path / "spAll.fits", ROWS))
    files = [f"/x/{spec_name(15143, MJD, 4544978190)}", f"/x/spField-{FIELD}-{MJD + 1}.fits"]
    kept = [len(rows) for rows in SdssV().catalogue(path, files)]
    assert sum(kept) == 4
    assert sum(len(rows) for rows in SdssV().catalogue(path, [*files, "/x/lens.fits"])) == 8


def test_strangers_are_told_by_their_fields(tmp_path, write_field_catalogue):
    catalogue, _ = stored(write_field_catalogue(tmp_path / "a.fits", ROWS), tmp_path)
    told = catalogue.strangers([spectra_of(("5", MJD, "4544978190"))])
    assert "15143 to 102359, the spectra's 5; give the catalogue of these fields" in told
    assert "compare MJD and CATALOGID" in catalogue.strangers([spectra_of(ASKED[6])])
    assert "unknown" in catalogue.strangers([blank_targets(2)])
    assert np.isnan(blank_targets(1)["Z"][0])
