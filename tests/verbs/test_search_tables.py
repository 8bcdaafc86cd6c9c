"""`speclens search` of plain tables: a survey like others, from the files to the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from fixtures.files import SIGMA, make_flux
from fixtures.runs import FEW
from speclens.config import load_config
from speclens.errors import ConfigError, RunError
from speclens.evaluate.evaluation import evaluate
from speclens.read.arrays.catalogue import NameCatalogue
from speclens.read.sdss.targets import blank_targets
from speclens.run.parts import Share
from speclens.schema import HITS, SPECTRA
from speclens.stored_tables import read_rows
from speclens.verbs.merge import merge_parts
from speclens.verbs.parts import search_part
from speclens.verbs.search import RunSummary, SearchRequest

LOGLAM = 3.5515 + 1e-4 * np.arange(1730)
OURS = "1e-17 erg / (s cm2 Angstrom)"
LINE = (4301.2, 40.0)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Three galaxies, one of them with a line, in three formats; a fourth says no medium."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for i, name in enumerate(("a.ecsv", "b.fits", "c.fits", "unsaid.fits")):
        lines = (LINE,) if name == "b.fits" else ()
        flux = make_flux(LOGLAM, 0.5, np.random.default_rng(i), lines)
        table = Table({"wave_vac": 10**LOGLAM, "flux": flux})
        table["ivar"] = np.full(len(flux), SIGMA**-2, np.float32)
        table["wave_vac"].unit, table["flux"].unit = "Angstrom", OURS
        table.meta["SPEC_RES"] = 1900.0
        if name != "c.fits":
            table.meta["Z"] = 0.5
        if name == "unsaid.fits":
            table.rename_column("wave_vac", "wave")
        table.write(folder / name)
    return folder


Search = Callable[..., RunSummary]


@pytest.mark.usefixtures("no_report")
def test_tables_are_searched_and_a_second_search_goes_on(
    tables: Path, search_few: Search, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    summary = search_few(run, tables)
    spectra = read_rows(run / "spectra.fits", SPECTRA)
    told = {row["SPECTRUM"]: (row["STATUS"], row["REASON"]) for row in spectra}
    assert told == {
        "a": ("scored", ""), "b": ("scored", ""), "c": ("skipped", "z_invalid"),
        "unsaid": ("failed", "undeclared"),
    }  # fmt: skip
    (hit,) = read_rows(run / "hits.fits", HITS)
    assert (hit["SURVEY"], hit["SPECTRUM"], hit["ROW"]) == ("arrays", "b", 0)
    assert abs(hit["WAVE"] - LINE[0]) < 2
    assert summary.counts["candidates"] == 1
    assert summary.n_new == 4
    # A second time only what failed for the moment is new; the same files, the same rows.
    again = search_few(run, tables)
    assert again.n_new == 0


@pytest.mark.usefixtures("no_report")
def test_what_tables_leave_unsaid_can_be_said_into_the_same_run_until_one_is_scored(
    tables: Path, search_few: Search, tmp_path: Path
) -> None:
    run, unsaid = tmp_path / "run", tables / "unsaid.fits"
    assert search_few(run, unsaid).counts["scored"] == 0
    vacuum = ("tables.medium=vacuum",)
    assert search_few(run, unsaid, overrides=vacuum).counts["scored"] == 1
    scored = (run / "spectra.fits").read_bytes()
    with pytest.raises(RunError, match=r"tables\.medium: was 'vacuum', now 'air'"):
        search_few(run, unsaid, overrides=("tables.medium=air",))
    assert (run / "spectra.fits").read_bytes() == scored
    # A job array, of which nothing is scored, is searched again likewise.
    request = SearchRequest([str(unsaid)], tmp_path / "parts", load_config(None, FEW))
    for said, number in (((), 0), (vacuum, 1)):
        config = load_config(None, (*FEW, *said))
        search_part(replace(request, config=config), Share(1, 1))
        assert merge_parts([request.output]).counts["scored"] == number


def test_sources_are_put_into_tables_as_the_configuration_says_they_are_meant(
    tables: Path, tmp_path: Path
) -> None:
    config = load_config(None, (*FEW, "tables.medium=vacuum"))
    assert evaluate([str(tables / "unsaid.fits")], tmp_path / "out", config, 3, 1).lines.size


@pytest.mark.usefixtures("no_report")
def test_redshifts_come_from_a_catalogue_of_names(
    tables: Path, search_few: Search, tmp_path: Path
) -> None:
    Table({"NAME": ["a", "b", "c"], "redshift": [0.5, 0.5, 0.6]}).write(tmp_path / "z.csv")
    said = ("tables.medium=vacuum",)
    summary = search_few(
        tmp_path / "run", tables, overrides=said, catalogue=str(tmp_path / "z.csv")
    )
    spectra = read_rows(tmp_path / "run" / "spectra.fits", SPECTRA)
    assert dict(zip(spectra["SPECTRUM"], spectra["REASON"], strict=True)) == {
        "a": "", "b": "", "c": "", "unsaid": "not_in_catalogue",
    }  # fmt: skip
    assert spectra["Z"][spectra["SPECTRUM"] == "c"] == 0.6
    assert summary.counts["hits"] == 1


def test_a_catalogue_of_other_names_says_which_they_are(tmp_path: Path) -> None:
    # One of them is longer than any spectrum's: cut off, it would be the second's.
    Table({"SPECTRUM": ["x", "n" * 41], "Z": [0.5, 0.5]}).write(tmp_path / "z.csv")
    catalogue = NameCatalogue(str(tmp_path / "z.csv"))
    targets = blank_targets(2)
    targets["SPECTRUM"] = "b", "n" * 40
    _, reasons, _ = catalogue.store(tmp_path / "rows").lookup(targets)
    assert (reasons == "not_in_catalogue").all()
    said = "names 1 spectra, as x, and those that are searched have names as b"
    assert said in catalogue.strangers([targets])
    Table({"OBJECT": ["x"], "Z": [0.5]}).write(tmp_path / "other.csv")
    with pytest.raises(RunError, match=r"no column SPECTRUM: spectra of tables are looked up by"):
        NameCatalogue(str(tmp_path / "other.csv")).store(tmp_path / "rows")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("medium", '"water"', "'vacuum' or 'air'"), ("resolution", "-1.0", "greater than or equal")],
)
def test_what_tables_may_mean_is_checked(key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(None, [f"tables.{key}={value}"])
