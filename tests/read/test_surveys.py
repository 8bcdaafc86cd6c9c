"""Surveys of other packages: found by their entry points, and harmless where they are broken."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from speclens import instrument
from speclens.errors import RunError, SpectrumFileError
from speclens.read import surveys
from speclens.read.added import AddedSurvey
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.survey import PLATES, Sdss
from speclens.read.sdss.targets import blank_targets
from speclens.read.survey import ReadSettings
from speclens.spectra import LogGrid

MINE = """
from speclens.read.arrays.survey import Arrays
from speclens.read.survey import FileKind

class Mine(Arrays):
    name = "mine"
    kinds = (FileKind("mine", "mine files", 1),)
    wanted = "mine-*.fits"

    def kind_of_name(self, name):
        return self.kinds[0] if name.startswith("mine-") else None

    def kind_of_content(self, path):
        return None

class Lacking:
    name = "lacking"

class Twin(Mine):
    name = "sdss"

class Bare(Mine):
    name = "bare"
"""
RECORD = """
[mine]
like = "sdss"
designation = "MINE"
"""


def install(folder: Path, name: str, module: str, group: str, record: str = RECORD) -> None:
    """Put a package where Python finds it, as pip would."""
    package = folder / f"speclens_{name}"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "survey.py").write_text(module, encoding="utf-8")
    (package / "instruments.toml").write_text(record, encoding="utf-8")
    told = folder / f"speclens_{name}-1.2.dist-info"
    told.mkdir()
    text = f"Metadata-Version: 2.1\nName: speclens-{name}\nVersion: 1.2\n"
    (told / "METADATA").write_text(text, encoding="utf-8")
    (told / "entry_points.txt").write_text(group, encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where packages are installed; what they add is taken away afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = [*surveys.SURVEYS], dict(instrument.INSTRUMENTS)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("speclens_")]:
        del sys.modules[name]
    surveys.SURVEYS[:] = before[0]
    instrument.INSTRUMENTS.clear()
    instrument.INSTRUMENTS.update(before[1])


def load() -> None:
    """What the imports of `speclens.instrument` and `speclens.read.surveys` do."""
    instrument.INSTRUMENTS.update(instrument.read_instruments())
    surveys.add_surveys()


def test_a_survey_of_another_package_is_one_of_them(place: Path) -> None:
    entries = (
        "[speclens.surveys]\nmine = speclens_mine.survey:Mine\n"
        "[speclens.instruments]\nmine = speclens_mine\n"
    )
    install(place, "mine", MINE, entries)
    load()
    assert [survey.name for survey in surveys.SURVEYS] == [
        "sdss",
        "sdssv",
        "desi",
        "mine",
        "arrays",
    ]
    assert instrument.INSTRUMENTS["mine"].designation == "MINE"
    assert instrument.INSTRUMENTS["mine"].links == instrument.INSTRUMENTS["sdss"].links
    (place / "mine-1.fits").write_bytes(b"")
    (kind,) = find_survey_files([str(place)]).of_kind
    assert kind.survey == "mine"
    assert "mine-*.fits" in surveys.wanted_files()


@pytest.mark.parametrize(
    ("module", "name", "record", "why"),
    [
        ("import nothing_of_this_name", "Mine", RECORD, "ModuleNotFoundError: No module named"),
        (MINE, "Absent", RECORD, "has no attribute 'Absent'"),
        (MINE, "Lacking", RECORD, "it lacks kinds, wanted, kind_of_name"),
        (MINE, "Twin", RECORD, "there is sdss already"),
        (MINE, "Bare", RECORD, "no record bare in an instruments.toml"),
        (MINE, "Mine", "[mine", "TOMLDecodeError"),
    ],
)
def test_a_broken_package_is_named_once_and_stops_nobody(
    place: Path, caplog: pytest.LogCaptureFixture, module: str, name: str, record: str, why: str
) -> None:
    entries = (
        f"[speclens.surveys]\nbroken = speclens_broken.survey:{name}\n"
        "[speclens.instruments]\nbroken = speclens_broken\n"
    )
    install(place, "broken", module, entries, record)
    with caplog.at_level(logging.WARNING, "speclens"):
        load()
    assert [survey.name for survey in surveys.SURVEYS] == ["sdss", "sdssv", "desi", "arrays"]
    first = caplog.messages[0]
    assert first.startswith("speclens: package speclens-broken 1.2: ")
    assert why in first
    assert first.endswith("; update or uninstall it")


FAILING = MINE.replace(
    'return self.kinds[0] if name.startswith("mine-") else None',
    "return 1 / (name != 'odd.fits') and super().kind_of_name(name)",
).replace("return None", "raise OSError('no such thing')")


def test_what_a_package_raises_of_a_file_is_its_fault_and_the_file_is_left_to_others(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = (
        "[speclens.surveys]\nmine = speclens_mine.survey:Mine\n"
        "[speclens.instruments]\nmine = speclens_mine\n"
    )
    install(place, "mine", FAILING, entries)
    load()
    folder = place / "in"
    folder.mkdir()
    for name in ("odd.fits", "spec-0001-50000-0001.fits"):
        (folder / name).write_bytes(b"")
    with caplog.at_level(logging.WARNING, "speclens"):
        (kind,) = find_survey_files([str(folder)]).of_kind
        find_survey_files([str(folder / "odd.fits")])
    assert kind.survey == "sdss"
    of_name, of_content = caplog.messages
    blamed = "package speclens-mine 1.2, survey 'mine': "
    assert of_name.startswith(f"speclens: odd.fits: {blamed}ZeroDivisionError: division by zero")
    assert of_content.startswith(f"speclens: {folder / 'odd.fits'}: {blamed}OSError: no such thing")
    assert of_content.endswith("report it to its authors, update or uninstall it")


def test_other_questions_that_a_package_cannot_answer_are_its_fault_too() -> None:
    class Broken(Sdss):
        name = "broken"

        def _fail(self, *_: Any) -> Any:
            return [][0]

        companions = open = spectrum_names = target_of_name = detector_places = catalogue = _fail

    survey, kind = AddedSurvey(Broken(), "speclens-broken 1.2"), PLATES
    rows = blank_targets(2)
    assert survey.companions(kind, "a.fits") == []
    assert survey.spectrum_names(rows) == ["", ""]
    assert len(survey.target_of_name("a.fits")) == 1
    assert survey.detector_places(rows).tolist() == [-1, -1]
    with pytest.raises(RunError, match=r"catalogue b.fits: package speclens-broken 1.2"):
        survey.catalogue("b.fits", [])
    with (
        pytest.raises(SpectrumFileError, match=r"a.fits: internal_error: package speclens-broken"),
        survey.open(kind, ["a.fits"], LogGrid(35800, 9), ReadSettings()),
    ):
        pass


def test_of_two_packages_with_a_survey_of_one_name_the_first_counts(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, record in (("a", RECORD), ("b", RECORD.replace("MINE", "OTHER"))):
        install(place, name, MINE, f"[speclens.instruments]\n{name} = speclens_{name}\n", record)
    with caplog.at_level(logging.WARNING, "speclens"):
        load()
    assert instrument.INSTRUMENTS["mine"].designation == "MINE"
    (said,) = caplog.messages
    assert "package speclens-b 1.2: instrument 'b'" in said
    assert "there is a record mine already" in said
