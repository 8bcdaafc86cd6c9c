"""One run over files of SDSS to eBOSS, SDSS-V and DESI: who is who, what they tell of another."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from numpy.typing import NDArray

from fixtures.coadds import TARGETID
from fixtures.fields import CATALOGID, FIELD, MJD
from fixtures.runs import FEW
from speclens.errors import RunError

LINE = (4300.0, 40.0)
Search = Callable[..., tuple[Any, NDArray[np.void], list[str]]]


def hits_of(run: Path) -> NDArray[np.void]:
    table = Table.read(run / "hits.fits")
    table.convert_bytestring_to_unicode()
    return np.asarray(table)


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]*>", "\n", page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: Any, write_spec: Any, write_plate: Any, write_field: Any,
          write_field_spec: Any, write_coadd: Any) -> Path:  # fmt: skip
    """A folder with a plate, a field, spectra of both surveys, and a coadd of DESI."""
    folder = tmp_path_factory.mktemp("mixed")
    write_plate(folder / "eboss" / "3655", n_fibres=3, fibres=[{}, {}, {}])
    write_spec(folder / "eboss" / "spec-3700-55240-0007.fits", plate=3700, fiberid=7, lines=[LINE])
    targets = [
        {"PLUG_RA": 30.0 + i, "RACAT": 30.0 + i} | ({"OBJTYPE": "SKY"} if i == 2 else {})
        for i in range(4)
    ]
    write_field(folder / "v6_1_3" / "fields", targets=targets, lines={2: [LINE]})
    lite = folder / "v6_1_3" / "spectra" / "lite"
    for i, name in enumerate(((15143, 4544978190), ("allepoch_apo", CATALOGID + 50))):
        (field, catalogid), row = name, {"PLUG_RA": 50.0 + i}
        write_field_spec(lite, field=field, mjd=59205, catalogid=catalogid, lines=[LINE], row=row)
    # The same spectrum as in the field.
    write_field_spec(lite, catalogid=CATALOGID + 1, index=2)
    targets = [{"TARGET_RA": 70.0}, {"TARGETID": -2713415, "OBJTYPE": "SKY"},
               {"TARGET_RA": 71.0}]  # fmt: skip
    write_coadd(folder / "healpix", targets=targets, lines={3: [LINE]}, redrock=[2, 0, 1])
    (lite / "spec-102359-60089-27021598149616999.fits").write_text("<html>503</html>")
    (lite / "spSpec-102359-60089-27021598149616999.fits").write_text("another step")
    return folder


@pytest.fixture(scope="module")
def searched(mixed: Path, tmp_path_factory: Any, search_into: Search) -> tuple[Path, Any, Any]:
    output = tmp_path_factory.mktemp("run") / "run"
    summary, rows, _ = search_into(output, mixed, overrides=FEW)
    return output, summary, rows


def test_every_spectrum_is_accounted_for_under_its_own_identity(searched: Any) -> None:
    _, summary, rows = searched
    counts = summary.counts
    assert counts["read"] == 15 == counts["scored"] + counts["skipped"] + counts["failed"]
    names = [(row["SURVEY"], row["SPECTRUM"], row["REASON"]) for row in rows]
    own = f"{FIELD}-{MJD}"
    assert sorted(names) == [
        ("desi", "main-dark--2713415", "sky_fibre"), ("desi", f"main-dark-{TARGETID}", ""),
        ("desi", f"main-dark-{TARGETID + 2}", ""),
        ("sdss", "3655-55240-0001", ""), ("sdss", "3655-55240-0002", ""),
        ("sdss", "3655-55240-0003", ""), ("sdss", "3700-55240-0007", ""),
        ("sdssv", "015143-59205-4544978190", ""),
        ("sdssv", f"{own}-{CATALOGID}", ""),
        ("sdssv", f"{own}-{CATALOGID + 1}", ""), ("sdssv", f"{own}-{CATALOGID + 1}", "duplicate"),
        ("sdssv", f"{own}-{CATALOGID + 2}", "sky_fibre"), ("sdssv", f"{own}-{CATALOGID + 3}", ""),
        ("sdssv", f"{own}-27021598149616999", "not_fits"),
        ("sdssv", f"allepoch_apo-59205-{CATALOGID + 50}", ""),
    ]  # fmt: skip
    of_fields, of_desi = (rows["SURVEY"] == survey for survey in ("sdssv", "desi"))
    assert ((rows["PLATE"] == -1) == of_fields | of_desi).all()
    assert ((rows["TARGETID"] == -1) == of_fields).all()
    assert rows["TARGETID"][of_desi].tolist() == [TARGETID, -2713415, TARGETID + 2]
    for name in ("CATALOGID", "SDSS_ID"):
        assert (rows[name][~of_fields] == -1).all()
    assert CATALOGID + 3 in rows["CATALOGID"].tolist()


def test_lines_are_found_in_all(searched: Any) -> None:
    output, _, _ = searched
    hits = hits_of(output)
    found = {str(name) for name in hits["SPECTRUM"][np.abs(hits["WAVE"] - LINE[0]) < 3]}
    assert found == {
        "3700-55240-0007", "015143-59205-4544978190", f"{FIELD}-{MJD}-{CATALOGID + 1}",
        f"allepoch_apo-59205-{CATALOGID + 50}", f"main-dark-{TARGETID + 2}",
    }  # fmt: skip
    of_desi = hits["SURVEY"] == "desi"
    assert all(str(name).startswith("DESI J") for name in hits["NAME"][of_desi])
    assert all(str(name).startswith("SDSS J") for name in hits["NAME"][~of_desi])
    assert np.isfinite(hits["P_LENSED"]).all()


def test_pages_say_nothing_of_plates_that_there_are_not(searched: Any) -> None:
    output, _, _ = searched
    pages = sorted((output / "report" / "hits").glob("*.html"))
    hits = hits_of(output)
    assert len(pages) == len(hits)
    for page in pages:
        text = text_of(page)
        assert not re.search(r"^\s*-1\s*$", text, re.MULTILINE)
        of_field = bool(re.search(r"^\s*sdssv\s*$", text, re.MULTILINE))
        of_desi = bool(re.search(r"^\s*desi\s*$", text, re.MULTILINE))
        assert ("Plate" in text) != (of_field or of_desi)
        assert of_desi == (str(TARGETID + 2) in text)
        assert ("SDSS-V's catalogue" in text.replace("&#39;", "'")) == of_field
    exact = [text_of(page) for page in pages if str(CATALOGID + 1) in text_of(page)]
    assert len(exact) == 1
    tables = "".join(
        path.read_text(encoding="utf-8") for path in (output / "report").rglob("*.js")
    ) + (output / "report" / "index.html").read_text(encoding="utf-8")
    assert "015143-59205-4544978190" in tables
    assert str(CATALOGID + 1) in tables
    assert '"-1"' not in tables
    assert ">-1<" not in tables


def test_tables_name_the_spectra(searched: Any) -> None:
    output, _, _ = searched
    latex = (output / "candidates.tex").read_text(encoding="utf-8")
    assert "015143-59205-4544978190" in latex
    assert "3700-55240-0007" in latex
    assert rf"allepoch\_apo-59205-{CATALOGID + 50}" in latex
    csv = (output / "candidates.csv").read_text(encoding="utf-8")
    assert f",{CATALOGID + 50}," in csv


def test_a_catalogue_is_of_one_survey(tmp_path: Path, mixed: Path, search_into: Search,
                                      write_field_catalogue: Any) -> None:  # fmt: skip
    catalogue = str(write_field_catalogue(tmp_path / "spAll.fits", [{}]))
    with pytest.raises(
        RunError, match="of one survey, and the inputs are of desi and sdss and sdssv"
    ):
        search_into(tmp_path / "run", mixed, overrides=FEW, catalogue=catalogue)


def test_a_field_is_searched_with_a_catalogue(tmp_path: Path, write_field: Any,
                                              write_field_catalogue: Any, search_into: Search,
                                              ) -> None:  # fmt: skip
    write_field(tmp_path / "in", n_targets=3, zbest=None)
    rows = [{"CATALOGID": CATALOGID + 1, "Z": 0.61}, {"CATALOGID": CATALOGID + 2, "CLASS": "STAR"}]
    path = write_field_catalogue(tmp_path / "spAll.fits", rows)
    _, found, _ = search_into(tmp_path / "run", tmp_path / "in", overrides=FEW, catalogue=str(path))
    assert found["REASON"].tolist() == ["not_in_catalogue", "", "class_star"]
    assert found["Z"][1] == pytest.approx(0.61)


def test_the_same_line_in_neighbouring_fibres_and_exposures(
    tmp_path: Path, write_field: Any, write_field_spec: Any, search_into: Search
) -> None:
    folder = tmp_path / "in"
    places = [{"PLUG_RA": 30.0 + i, "RACAT": 30.0 + i} for i in range(4)]
    write_field(folder, field=5, targets=places, lines={2: [(4300.0, 600.0)], 3: [(4300.0, 20.0)]})
    write_field_spec(folder, n_exposures=4, lines=[(4500.0, 30.0)], row={"PLUG_RA": 60.0})
    write_field_spec(
        folder, mjd=MJD + 1, n_exposures=4, row={"PLUG_RA": 70.0},
        exposure_lines={1: [(4500.0, 160.0)]},
    )  # fmt: skip
    search_into(tmp_path / "run", folder, overrides=FEW)
    hits = hits_of(tmp_path / "run")
    of_field = hits[np.char.startswith(hits["SPECTRUM"], "000005")]
    # The line of the fainter one is light of the brighter.
    flagged = dict(zip(of_field["FIBERID"].tolist(), of_field["REASON"].tolist(), strict=True))
    assert "neighbouring fibre" in flagged[3]
    steady, once = (
        hits[hits["SPECTRUM"] == f"{FIELD}-{mjd}-{CATALOGID}"][0] for mjd in (MJD, MJD + 1)
    )
    assert steady["N_EXPOSURES"] == once["N_EXPOSURES"] == 4
    assert steady["CANDIDATE"]
    assert "exposure" in once["REASON"]


def test_the_same_object_in_both_surveys_is_looked_at_again(
    tmp_path: Path, write_spec: Any, write_field_spec: Any, search_into: Search
) -> None:
    folder, place = tmp_path / "in", {"PLUG_RA": 88.0, "PLUG_DEC": 3.0}
    write_spec(folder / "spec-3655-55240-0001.fits", row=place)
    write_field_spec(folder, lines=[LINE], row=place)
    search_into(tmp_path / "run", folder, overrides=FEW)
    (hit,) = hits_of(tmp_path / "run")
    assert hit["SURVEY"] == "sdssv"
    assert hit["N_REPEATS"] == 1
    assert not hit["CANDIDATE"]
    (page,) = (tmp_path / "run" / "report" / "hits").glob("*.html")
    assert "3655-55240-0001" in text_of(page)
