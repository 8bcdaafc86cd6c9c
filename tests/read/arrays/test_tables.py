"""Plain tables of spectra in files: every format gives the same, and what is unsaid is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.table import MaskedColumn, Table
from numpy.testing import assert_allclose

from speclens.config import TablesConfig
from speclens.read.arrays.declared import vacuum_wave
from speclens.read.arrays.files import holds_spectra
from speclens.read.arrays.survey import TABLES
from speclens.read.arrays.tables import read_tables
from speclens.read.discovery import find_survey_files
from speclens.read.source import InMemory
from speclens.search.shard_rows import failures_of
from speclens.spectra import LogGrid

WAVE = 10 ** np.arange(3.58, 3.62, 1e-4)
N_PIXELS = len(WAVE)
GRID = LogGrid(35800, N_PIXELS)
SHAPE = (N_PIXELS,)
OURS = "1e-17 erg / (s cm2 Angstrom)"
UNSAID = TablesConfig(medium="vacuum", wave_unit="Angstrom", flux_unit=OURS, resolution=0.0)
FLUX = 1 + np.sin(np.arange(N_PIXELS))


def a_table(**more: Any) -> Table:
    """A spectrum that says all there is to say."""
    table = Table({"wave_vac": WAVE, "flux": FLUX, "error": np.full(N_PIXELS, 0.5)})
    table["wave_vac"].unit, table["flux"].unit = "Angstrom", OURS
    table.meta |= {"Z": 0.5, **more}
    return table


def read(path: Path, unsaid: TablesConfig | None = None) -> InMemory:
    return read_tables([str(path)], GRID, unsaid)


def write_parquet(table: Table, path: Path, **metadata: str) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    fields, columns = [], []
    for name in table.colnames:
        values = table[name].value
        column = arrow.array([*values] if values.ndim == 2 else values)
        unit = {b"unit": str(table[name].unit).encode()} if table[name].unit else None
        fields.append(arrow.field(name, column.type, metadata=unit))
        columns.append(column)
    schema = arrow.schema(fields, metadata=metadata or None)
    parquet.write_table(arrow.Table.from_arrays(columns, schema=schema), path)


@pytest.mark.parametrize("name", ["galaxy.fits", "galaxy.ecsv", "galaxy.csv", "galaxy.parquet"])
def test_every_format_holds_the_same_spectrum(name: str, tmp_path: Path) -> None:
    table = a_table()
    if name.endswith("parquet"):
        write_parquet(table, tmp_path / name, Z="0.5", NAME="1e5")
    else:
        if name.endswith("csv") and not name.endswith("ecsv"):
            table["z"] = 0.5
        table.write(tmp_path / name)
    source = read(tmp_path / name, UNSAID if name.endswith(".csv") else None)
    assert not source.failures
    (target,) = source.targets
    # A name that looks like a number stays what it is.
    spectrum = "1e5" if name.endswith("parquet") else "galaxy"
    assert (target["SPECTRUM"], target["Z"], target["CLASS"]) == (spectrum, 0.5, "GALAXY")
    assert target["TARGETID"] == -1
    batch = source.spectra(np.arange(1))
    assert_allclose(batch.flux[0], FLUX, rtol=1e-6)
    assert_allclose(batch.ivar[0], 4)
    assert holds_spectra(str(tmp_path / name))
    assert [*find_survey_files([str(tmp_path)]).of_kind] == [TABLES]


def many(**more: Any) -> Table:
    table = Table({name: np.tile(a_table()[name], (2, 1)) for name in a_table().colnames})
    for name in ("wave_vac", "flux"):
        table[name].unit = a_table()[name].unit
    for name, values in {"z": [0.4, 0.6], **more}.items():
        table[name] = values
    return table


@pytest.mark.parametrize("name", ["two.fits", "two.parquet"])
def test_a_table_of_many_has_a_row_for_each(name: str, tmp_path: Path) -> None:
    def write(table: Table, path: Path) -> None:
        write_parquet(table, path) if name.endswith("parquet") else table.write(path)

    write(many(), tmp_path / name)
    assert read(tmp_path / name).targets["SPECTRUM"].tolist() == ["two-0", "two-1"]
    named = many(TARGETID=[39627835576420141, -7], RA=[150.0, 151.0], DEC=[2.0, 3.0])
    write(named, tmp_path / f"b-{name}")
    source = read(tmp_path / f"b-{name}")
    assert source.targets["SPECTRUM"].tolist() == ["39627835576420141", "-7"]
    assert source.targets["Z"].tolist() == [0.4, 0.6]
    assert source.targets["RA"].tolist() == [150.0, 151.0]


def test_what_a_table_says_of_air_units_and_line_spread_counts(tmp_path: Path) -> None:
    table = a_table(MEDIUM="air", SPEC_RES=2000.0)
    table.rename_column("wave_vac", "wavelength")
    # Air that becomes vacuum lies between the pixels of the grid.
    table["wavelength"] = WAVE / (vacuum_wave(WAVE) / WAVE) / 10 * units.nm
    table["flux"] = FLUX * 1e-20 * units.Unit("W / (m2 Angstrom)")
    table["error"] = np.full(N_PIXELS, 0.5e-20)
    table.write(tmp_path / "mine.fits")
    batch = read(tmp_path / "mine.fits", UNSAID).spectra(np.arange(1))
    inside = slice(5, -5)
    assert_allclose(batch.flux[0, inside], FLUX[inside], rtol=0.02)
    assert_allclose(batch.dispersion[0, inside], 0.92, rtol=0.1)


Change = Callable[[Table], Any]


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (lambda t: t.rename_column("wave_vac", "wave"), "undeclared", "--set tables.medium=vacuum"),
        (lambda t: setattr(t["flux"], "unit", None), "undeclared", "--set 'tables.flux_unit=1e"),
        (
            lambda t: setattr(t["wave_vac"], "unit", None),
            "undeclared",
            "--set tables.wave_unit=Ang",
        ),
        (lambda t: setattr(t["flux"], "unit", "km"), "bad_values", "that is no flux density"),
        (lambda t: t.remove_column("error"), "bad_values", "errors are missing"),
        (lambda t: t.reverse(), "bad_wavelengths", "wavelengths descend"),
        (lambda t: t.meta.update(AIRORVAC="air"), "bad_wavelengths", "vacuum by column WAVE_VAC"),
        (lambda t: t.meta.update(NAME="n" * 41), "bad_identity", "40 characters at most"),
        (lambda t: t.meta.update(TARGETID=3.9e16), "bad_identity", "identifier that was rounded"),
        (lambda t: t.meta.update(RA="east"), "bad_values", "ra: 'east' is no number and no angle"),
        (lambda t: t.meta.update(SPEC_RES="high"), "bad_values", "resolution: not all of it is"),
    ],
)
def test_what_a_table_does_not_say_is_refused_with_the_remedy(
    change: Change, reason: str, said: str, tmp_path: Path
) -> None:
    table = a_table()
    change(table)
    table.write(tmp_path / "mine.fits")
    source = read(tmp_path / "mine.fits")
    assert len(source.targets) == 0
    (failure,) = source.failures
    assert failure.reason == reason
    assert said in str(failure)
    assert "\n" not in str(failure)


def test_all_that_a_table_does_not_say_is_said_at_once(tmp_path: Path) -> None:
    table = a_table()
    table.rename_column("wave_vac", "wave")
    for name in ("wave", "flux"):
        table[name].unit = None
    table.write(tmp_path / "mine.fits")
    (failure,) = read(tmp_path / "mine.fits").failures
    for option in ("tables.wave_unit=Angstrom", "tables.flux_unit=", "tables.medium=vacuum"):
        assert option in str(failure)
    assert not read(tmp_path / "mine.fits", UNSAID).failures
    wrong = UNSAID.model_copy(update={"wave_unit": "nm"})
    (failure,) = read(tmp_path / "mine.fits", wrong).failures
    assert "taken to be in nm: --set tables.wave_unit=Angstrom" in str(failure)
    assert "astropy" not in str(failure)


@pytest.mark.parametrize(("word", "reason"), [
    ("T", ""), ("F", ""), ("AIR", ""), ("unknown", "undeclared"), ("n/a", "undeclared"),
])  # fmt: skip
def test_a_word_that_tells_neither_vacuum_nor_air_is_not_guessed(
    word: str, reason: str, tmp_path: Path
) -> None:
    table = a_table(VACUUM=word)
    table.rename_column("wave_vac", "wave")
    table.write(tmp_path / "mine.fits")
    assert [one.reason for one in read(tmp_path / "mine.fits").failures] == [reason][: len(reason)]


@pytest.mark.parametrize(("rows", "reason"), [
    ("loglam,flux,ivar,mask\n3.60,1,1,True\n3.6001,1,1,False\n", ""),
    ("loglam,flux,ivar\nabc,1,1\n3.6001,1,1\n", "bad_values"),
    ("loglam,flux,Flux,ivar\n3.60,1,2,1\n3.6001,1,2,1\n", "bad_values"),
])  # fmt: skip
def test_a_csv_of_words_is_read_or_refused_by_a_reason_of_its_own(
    rows: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text(rows, encoding="utf-8")
    source = read(tmp_path / "mine.csv", UNSAID)
    assert [one.reason for one in source.failures] == [reason][: len(reason)]
    if not reason:
        batch = source.spectra(np.arange(1))
        assert (batch.ivar > 0).sum() == 1


def test_the_place_of_a_target_may_be_sexagesimal(tmp_path: Path) -> None:
    a_table(RA="10:32:11.2", DEC="-00:30:00").write(tmp_path / "mine.fits")
    (target,) = read(tmp_path / "mine.fits").targets
    assert target["RA"] == pytest.approx(15 * (10 + 32 / 60 + 11.2 / 3600))
    assert target["DEC"] == -0.5


def test_i5_what_names_no_spectrum_of_many_is_no_name(tmp_path: Path) -> None:
    table = many()
    table["TARGETID"] = MaskedColumn([11, 12], mask=[False, True])
    table.meta |= {"CLASS": "qso", "NAME": "both"}
    table.write(tmp_path / "two.ecsv")
    source = read(tmp_path / "two.ecsv")
    assert source.targets["SPECTRUM"].tolist() == ["11", "two-1"]
    assert source.targets["CLASS"].tolist() == ["QSO", "QSO"]
    table.remove_column("TARGETID")
    table.write(tmp_path / "b.ecsv")
    assert read(tmp_path / "b.ecsv").targets["SPECTRUM"].tolist() == ["b-0", "b-1"]


def test_a_name_of_several_rows_and_one_that_is_none_cost_these_rows_alone(tmp_path: Path) -> None:
    table = many()
    table = table[[0, 1, 0, 1, 0]]
    table["NAME"] = ["a", "b", "a", "g\u00e4", "c"]
    table.write(tmp_path / "five.ecsv")
    source = read(tmp_path / "five.ecsv")
    assert source.targets["SPECTRUM"].tolist() == ["a", "b", "a", "", "c"]
    assert source.reasons.tolist() == ["bad_identity", "", "bad_identity", "bad_identity", ""]
    (said,) = failures_of(source.files, np.arange(5), source.reasons)
    assert f"{tmp_path / 'five.ecsv'}: bad_identity: rows 0, 2, 3: " in said
    assert "several rows have one name" in said
    # A header that names others than there are tells of none.
    several = many()
    several.meta["NAME"] = ["a", "b", "c"]
    several.write(tmp_path / "two.ecsv")
    (failure,) = read(tmp_path / "two.ecsv").failures
    assert "3 names for 2 spectra" in str(failure)


def test_what_is_damaged_or_no_table_costs_itself_alone(tmp_path: Path) -> None:
    a_table().write(tmp_path / "good.fits")
    (tmp_path / "cut.fits").write_bytes((tmp_path / "good.fits").read_bytes()[:4000])
    (tmp_path / "empty.fits").write_bytes(b"")
    (tmp_path / "text.csv").write_text("wave,flux\n1,2,3\n", encoding="utf-8")
    Table({"TARGETID": [1]}).write(tmp_path / "catalogue.fits")
    (tmp_path / "notes.csv").write_text("who,when\n", encoding="utf-8")
    files = find_survey_files([str(tmp_path)])
    assert files.ignored == ["catalogue.fits", "notes.csv"]
    source = read_tables(files.of_kind[TABLES], GRID)
    assert source.files == [str(tmp_path / "good.fits")]
    assert [failure.reason for failure in source.failures] == [
        "truncated", "not_fits", "unknown_layout",
    ]  # fmt: skip


def test_tables_beside_survey_files_are_other_files(write_spec: Any, tmp_path: Path) -> None:
    a_table().write(tmp_path / "mine.fits")
    write_spec(tmp_path / "spec-0001-50000-0001.fits")
    files = find_survey_files([str(tmp_path)])
    assert files.counts["tables"] == 0
    assert files.ignored == ["mine.fits"]
    assert find_survey_files([*map(str, tmp_path.iterdir())]).counts["tables"] == 1
    # A name that files of DESI may have is told from theirs by what is in it.
    (tmp_path / "mine.fits").rename(tmp_path / "spectra-mine.fits")
    assert find_survey_files([str(tmp_path)]).ignored == ["spectra-mine.fits"]
    (tmp_path / "spec-0001-50000-0001.fits").unlink()
    assert find_survey_files([str(tmp_path)]).counts["tables"] == 1


def test_without_pyarrow_a_parquet_file_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    (failure,) = read(tmp_path / "mine.parquet").failures
    assert str(failure).endswith("which is not installed; pip install pyarrow")
    assert holds_spectra(str(tmp_path / "mine.parquet"))


def test_lists_of_several_lengths_are_refused(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {name: [[1.0, 2.0], [1.0]] for name in ("wave_vac", "flux", "ivar")}
    parquet.write_table(arrow.table(columns), tmp_path / "mine.parquet")
    (failure,) = read(tmp_path / "mine.parquet").failures
    assert "lists of several lengths" in str(failure)
