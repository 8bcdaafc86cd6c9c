"""The options that say what is searched for, and behind what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speclens.cli.options import ForegroundKind, SourceKind, asked_for
from speclens.schema import SPECTRA
from speclens.stored_tables import read_rows

Search = Callable[..., tuple[int, str]]


@pytest.fixture
def survey(tmp_path: Path, write_spec: Callable[..., Path]) -> Path:
    """A galaxy and a quasar."""
    folder = tmp_path / "survey"
    write_spec(folder / "spec-1-2-0003.fits", fiberid=3, n_pixels=4640)
    write_spec(folder / "spec-1-2-0004.fits", fiberid=4, class_="QSO", z=0.6, n_pixels=4640)
    return folder


@pytest.fixture
def search(cli: Callable[..., tuple[int, str, str]], survey: Path, tmp_path: Path) -> Search:
    """`search(*options) -> exit code, stderr`: of the survey into `run`."""

    def run(*options: str) -> tuple[int, str]:
        code, _, err = cli(
            "search", survey, "-o", tmp_path / "run", *options, "--workers", "1", "-q"
        )
        return code, err

    return run


def test_options_are_those_of_the_configuration() -> None:
    assert asked_for(None) == ()
    assert asked_for(SourceKind.ELG) == ("elg",)
    assert set(asked_for(SourceKind.ALL)) == {"lya", "elg"}
    assert asked_for(ForegroundKind.QSO) == ("qso",)
    assert set(asked_for(ForegroundKind.AUTO)) == {"galaxy", "qso"}


@pytest.mark.parametrize(
    ("options", "reasons", "searches"),
    [
        ((), ["", ""], {"lya", "qso"}),
        (("--foreground", "auto"), ["", ""], {"lya", "qso"}),
        (("--foreground", "galaxy"), ["", "class_qso"], {"lya"}),
        (("--foreground", "qso"), ["class_galaxy", ""], {"qso"}),
        (("--source", "elg", "--foreground", "galaxy"), ["", "class_qso"], {"elg"}),
        (("--source", "all"), ["", ""], {"lya", "qso", "elg", "redshift"}),
        (("--method", "matched-filter"), ["", "class_qso"], {"lya"}),
        (("--method", "resnet"), ["", "class_qso"], {"lya"}),
        (("-c", "li2019"), ["", "class_qso"], {"lya"}),
        (("-c", "shu2016"), ["", "class_qso"], {"lya"}),
        (("-c", "qso"), ["class_galaxy", ""], {"qso"}),
    ],
)
def test_options_say_which_spectra_are_searched_and_how(
    search: Search,
    tmp_path: Path,
    options: tuple[str, ...],
    reasons: list[str],
    searches: set[str],
) -> None:
    assert search(*options) == (0, "")
    rows = read_rows(tmp_path / "run" / "spectra.fits", SPECTRA)
    assert rows[np.argsort(rows["FIBERID"])]["REASON"].tolist() == reasons
    configuration = json.loads((tmp_path / "run" / "run.json").read_text())["configuration"]
    assert {configuration["search"]["name"], *configuration["searches"]} == searches


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--source", "stars"), "stars"),
        (("--foreground", "star"), "star"),
        (("--source", "all", "--method", "lines"), "ask for one source and one foreground"),
        (("-c", "shu2016", "--foreground", "auto"), "ask for one source and one foreground"),
    ],
)
def test_h1_what_no_search_is_for_is_refused(
    search: Search, tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    code, err = search(*options)
    assert code == 2
    assert named in err
    assert not (tmp_path / "run").exists()
