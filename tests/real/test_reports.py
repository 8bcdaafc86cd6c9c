"""Files that users of survey tools have reported in public, each with its right answer.

The whole way, as a user goes it; skipped where SPECLENS_DATA names no folder.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

from speclens.cli.app import app

Searched = Callable[..., "Outcome"]
LINE = 4301.2
"""Where the line was put, Angstrom."""


class Outcome:
    """A run as its files tell it."""

    def __init__(self, run: Path, exit_code: int, output: str) -> None:
        self.run, self.exit_code, self.output = run, exit_code, output

    @property
    def spectra(self) -> fits.FITS_rec:
        return fits.getdata(self.run / "spectra.fits", 1)

    @property
    def hits(self) -> fits.FITS_rec:
        return fits.getdata(self.run / "hits.fits", 1)

    @property
    def reasons(self) -> list[str]:
        return list(map(str, self.spectra["REASON"]))

    @property
    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.run / "run.json").read_text()))

    def assert_counts_add_up(self) -> None:
        counts = self.record["counts"]
        assert counts["read"] == len(self.spectra)
        assert counts["read"] == counts["scored"] + counts["skipped"] + counts["failed"]


@pytest.fixture
def reports(survey_data: Path) -> Path:
    return survey_data / "reports"


@pytest.fixture
def searched(tmp_path: Path) -> Searched:
    """`searched(path..., *options)`: search, and hand over what came of it."""

    def search(*inputs: Path, options: tuple[str, ...] = (), run: str = "run") -> Outcome:
        output = tmp_path / run
        words = ["search", *map(os.fspath, inputs), "-o", str(output), "--workers", "1", *options]
        result = CliRunner().invoke(app, words)
        assert not isinstance(result.exception, (TypeError, ValueError, KeyError)), result.output
        outcome = Outcome(output, result.exit_code, result.output)
        if (output / "spectra.fits").exists():
            outcome.assert_counts_add_up()
        return outcome

    return search


def assert_one_line(found: Outcome, wave: float = LINE) -> None:
    assert found.exit_code == 0
    assert found.reasons == [""]
    assert list(found.hits["WAVE"]) == [pytest.approx(wave, abs=1)]
    assert found.hits["CANDIDATE"].all()


@pytest.mark.parametrize("name", ["00_base", "31_lower_e"])
def test_the_line_is_found(reports: Path, searched: Searched, name: str) -> None:
    assert_one_line(searched(reports / name))


@pytest.mark.parametrize("given", [False, True])
def test_sdssv_files_are_searched_under_their_own_identity(
    reports: Path, searched: Searched, given: bool
) -> None:
    catalogue = reports / "01_sdssv_catalogue" / "spAll-v6_1_3-subset.fits"
    options = ("--catalogue", str(catalogue)) if given else ()
    found = searched(reports / "01_sdssv", options=options)
    assert found.exit_code == 0
    assert found.spectra["SURVEY"].tolist() == ["sdssv"] * 4
    assert found.spectra["SPECTRUM"].tolist() == [
        "015143-59205-4544978190", "015143-59205-4544978204",
        "102359-60089-27021598149616104", "102359-60089-27021598149616999",
    ]  # fmt: skip
    assert found.reasons == ["", "", "z_low", "sky_fibre"]
    ids = [4544978190, 4544978204, 27021598149616104, 27021598149616999]
    assert found.spectra["CATALOGID"].tolist() == ids
    assert found.spectra["SDSS_ID"].tolist() == [54392545, 54392555, 54392559, 54392561]
    for name in ("TARGETID", "PLATE"):
        assert (found.spectra[name] == -1).all()
    assert list(found.hits["WAVE"]) == pytest.approx([LINE, LINE], abs=1)
    assert found.hits["CANDIDATE"].all()


def test_a_line_that_another_survey_does_not_see_is_no_candidate(
    reports: Path, survey_data: Path, searched: Searched
) -> None:
    # They are spectra of these galaxies, into which a line was put.
    found = searched(reports / "01_sdssv", survey_data / "boss" / "galaxies")
    assert found.exit_code == 0
    assert Counter(found.spectra["SURVEY"].tolist()) == {"sdss": 49, "sdssv": 4}
    assert len({*found.spectra["SPECTRUM"].tolist()}) == 53
    assert list(found.hits["WAVE"]) == pytest.approx([LINE, LINE], abs=1)
    assert (found.hits["N_REPEATS"] == 1).all()
    assert not found.hits["CANDIDATE"].any()


def test_blank_ids_of_a_catalogue_match_nothing(reports: Path, searched: Searched) -> None:
    folder = reports / "02_noid"
    options = ("--catalogue", str(folder / "cat.csv"))
    found = searched(folder / "stack0.fits", folder / "stack1.fits", options=options)
    assert found.reasons == ["not_in_catalogue"] * 2
    assert not len(found.hits)
    assert np.isnan(found.spectra["Z"]).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("c02_photoz_mag.csv", ()),
        ("c03_cas_noqso.csv", ("--set", 'selection.columns="Z_NOQSO"')),
        ("c04_pandas_float.csv", ()),
        ("c06_bom.csv", ()),
    ],
)
def test_a_catalogue_as_it_is_exported(
    reports: Path, searched: Searched, name: str, options: tuple[str, ...]
) -> None:
    catalogue = str(reports / "11_catalogues" / name)
    found = searched(reports / "10_cat", options=("--catalogue", catalogue, *options))
    assert found.exit_code == 0
    assert found.reasons == ["", "", ""]
    assert found.spectra["Z"].tolist() == pytest.approx([0.5736, 0.3636, 0.4140])


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("c08.csv.gz", ["", "", ""]),
        ("c13_masked.fits", ["", "z_invalid", "class_other"]),
        ("c14_nul.fits", ["", "", ""]),
        ("c15b_zero_width.fits", ["", "", ""]),
    ],
)
def test_a_catalogue_with_rows_or_cells_that_are_not_there(
    reports: Path, searched: Searched, name: str, reasons: list[str]
) -> None:
    catalogue = str(reports / "11_catalogues" / name)
    found = searched(reports / "10_cat", options=("--catalogue", catalogue))
    assert found.exit_code == 0
    assert found.reasons == reasons


def test_a_null_cell_is_one_unknown_row(reports: Path, searched: Searched) -> None:
    catalogue = str(reports / "11_catalogues" / "c05_null.csv")
    found = searched(reports / "10_cat", options=("--catalogue", catalogue))
    assert found.reasons[0] == found.reasons[2] == ""
    assert found.spectra["STATUS"][1] == "skipped"
    assert np.isnan(found.spectra["Z"][1])


def test_c13_a_null_warning_is_no_warning(reports: Path, searched: Searched) -> None:
    catalogue = str(reports / "11_catalogues" / "c13_masked.fits")
    options = ("--catalogue", catalogue, "--set", "selection.refuse_zwarning=true")
    assert "zwarning" not in searched(reports / "10_cat", options=options).reasons


def test_several_redshifts_in_a_cell_are_several(reports: Path, searched: Searched) -> None:
    options = ("--known", str(reports / "13_known" / "k10_mixed_paragraph.csv"))
    found = searched(reports / "00_base", options=options)
    known = Table.read(found.run / "known.ecsv")
    mixed = known[[str(name).startswith("SL2SJ1") for name in known["NAME"]]]
    assert sorted(mixed["Z_SOURCE"].tolist()) == [2.1, 2.2]
    # The line is at redshift 2.54: neither of them.
    assert found.record["counts"]["known_found"] == 0
    assert found.record["counts"]["known_found"] <= found.record["counts"]["known_listed"]


@pytest.mark.parametrize("name", ["20_wave_trimmed", "22_vacuum_0"])
def test_wavelengths_that_contradict_themselves(
    reports: Path, searched: Searched, name: str
) -> None:
    found = searched(reports / name)
    assert found.exit_code == 3
    assert found.reasons == ["bad_wavelengths"]
    assert not len(found.hits)


def test_a_plate_number_with_a_point(reports: Path, searched: Searched) -> None:
    found = searched(reports / "42_plate_float_id")
    assert found.exit_code == 0
    assert set(found.spectra["PLATE"]) == {9901}
    assert set(found.spectra["MJD"]) == {58001}
    assert (found.spectra["FIBERID"] > 0).all()


def test_an_spspec_of_dr7_is_one_spectrum_that_is_not_read(
    reports: Path, searched: Searched
) -> None:
    found = searched(reports / "51_spspec_dr7" / "spSpec-55244-3650-001.fit")
    assert found.exit_code == 3
    assert found.reasons == ["unknown_layout"]
    assert found.spectra["PLATE"][0] in (-1, 3650)
    assert found.spectra["FIBERID"][0] in (-1, 1)


def test_a_skyserver_export_has_its_redshift_in_redshift(reports: Path, searched: Searched) -> None:
    folder = reports / "56_real_skyserver_csv"
    options = ("--catalogue", str(folder / "skyserver_40rows.csv"))
    found = searched(folder / "spec-0537-52027-0043.fits", options=options)
    rows = Table.read(folder / "skyserver_40rows.csv", format="ascii.csv", comment="#")
    mine = rows[(rows["plate"] == 537) & (rows["mjd"] == 52027) & (rows["fiberid"] == 43)]
    assert len(mine) == 1
    assert found.spectra["Z"][0] == pytest.approx(mine["redshift"][0], rel=1e-5)


def test_blank_noqso_columns_give_way_to_the_plain_ones(reports: Path, searched: Searched) -> None:
    found = searched(reports / "57_blank_noqso", options=("-c", "shu2016"))
    assert found.exit_code == 0
    assert found.reasons == [""]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_files_with_hits(reports: Path, searched: Searched, workers: str) -> None:
    found = searched(reports / "two_hits_default_workers", options=("--workers", workers))
    assert found.exit_code == 0
    assert len(set(found.hits["FIBERID"])) == 2


@pytest.mark.parametrize("name", ["dec_1e308_crash", "wdisp_inf_crash"])
def test_one_damaged_number_does_not_stop_the_run(
    reports: Path, searched: Searched, name: str
) -> None:
    found = searched(reports / name)
    assert found.exit_code in (0, 3)
    assert len(found.spectra) == 1
    assert (found.run / "report" / "index.html").is_file()
    assert not abs(found.spectra["DEC"][0]) > 90


def test_the_redshifts_of_another_plate_are_refused(reports: Path, searched: Searched) -> None:
    found = searched(reports / "zbest_of_another_plate")
    assert found.exit_code == 3
    assert set(found.spectra["STATUS"]) == {"failed"}
    assert not len(found.hits)


def test_two_columns_called_flux_are_refused(reports: Path, searched: Searched) -> None:
    found = searched(reports / "duplicate_column_flux")
    assert found.exit_code == 3
    assert list(found.spectra["STATUS"]) == ["failed"]
    assert "FLUX" in found.output.upper()


def test_a_line_is_found_beside_a_hot_pixel(reports: Path, searched: Searched) -> None:
    for name in ("clean", "damaged"):
        path = reports / "one_hot_pixel_30" / f"{name}_spec-9901-58001-0037.fits"
        assert_one_line(searched(path, run=name), 4537.15)


def test_a_negative_pixel_is_no_candidate(reports: Path, searched: Searched) -> None:
    for method in ("resnet", "matched-filter"):
        found = searched(reports / "negative_pixel", options=("--method", method), run=method)
        assert found.exit_code == 0
        assert not len(found.hits)


def test_spectra_whose_targetids_would_collide_are_both_there(
    reports: Path, searched: Searched
) -> None:
    found = searched(reports / "targetid_collision")
    assert len(found.spectra) == 2
    assert "duplicate" not in found.reasons
    assert len({*zip(found.spectra["TARGETID"], found.spectra["FILE"], strict=True)}) == 2


def test_a_rerun_sees_a_byte_changed_in_the_middle(
    reports: Path, searched: Searched, tmp_path: Path
) -> None:
    place = tmp_path / "files" / "spec-3650-55244-0025.fits"
    place.parent.mkdir()
    folder = reports / "changed_in_middle"
    tables = []
    for name in ("before", "after"):
        shutil.copy(folder / f"{name}_spec-3650-55244-0025.fits", place)
        os.utime(place, (1e9, 1e9))
        searched(place.parent)
        fresh = searched(place.parent, run=f"fresh-{name}")
        tables.append((tmp_path / "run" / "hits.ecsv").read_bytes())
        assert tables[-1] == (fresh.run / "hits.ecsv").read_bytes()
    assert (folder / "before_spec-3650-55244-0025.fits").read_bytes() != place.read_bytes()
