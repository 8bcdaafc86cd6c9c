"""A folder is the old one until the new one is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from speclens.errors import RunError
from speclens.report.folder import LIST, replacing_folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    with replacing_folder(tmp_path / "report") as part:
        (part / "old").touch()
    return tmp_path / "report"


def test_the_new_folder_stands_in_for_the_old_one(report: Path) -> None:
    with replacing_folder(report) as part:
        (part / "new").touch()
        assert names(report) == [LIST, "old"]
    assert names(report.parent) == ["report", "report/files.json", "report/new"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_d2_a_failure_leaves_the_old_one(report: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), replacing_folder(report):
        raise error
    assert names(report.parent) == ["report", "report/files.json", "report/old"]


def test_d2_a_full_disk_is_one_line(report: Path) -> None:
    with pytest.raises(RunError, match="cannot write: No space"), replacing_folder(report):
        raise OSError(28, "No space left on device")
    assert names(report) == [LIST, "old"]


def test_d1_what_a_killed_process_left_is_taken_up(report: Path) -> None:
    report.rename(report.with_name(".report.old"))
    report.with_name(".report.new").mkdir()
    with pytest.raises(ValueError, match="stop"), replacing_folder(report):
        raise ValueError("stop")
    assert names(report.parent) == ["report", "report/files.json", "report/old"]


def test_i1_what_somebody_else_put_there_stays(report: Path, tmp_path: Path) -> None:
    (report / "notes").mkdir()
    (report / "notes" / "mine.txt").write_text("mine")
    (report / "empty").mkdir()
    (report / "away").symlink_to(tmp_path)
    for _ in range(2):
        with replacing_folder(report) as part:
            (part / "new").touch()
    assert names(report) == ["away", "empty", LIST, "new", "notes", "notes/mine.txt"]
    assert (report / "notes" / "mine.txt").read_text() == "mine"
    assert names(tmp_path)[0] == "report"


def test_i1_a_process_killed_before_the_last_move_loses_nothing(report: Path) -> None:
    (report / "mine.txt").write_text("mine")
    old = report.with_name(".report.old")
    report.rename(old)
    with replacing_folder(report.with_name("other")) as part:
        (part / "new").touch()
    report.with_name("other").rename(report)
    with replacing_folder(report) as part:
        (part / "newer").touch()
    assert names(report.parent) == [
        "report", f"report/{LIST}", "report/mine.txt", "report/newer",
    ]  # fmt: skip


def write(report: Path, name: str) -> None:
    with replacing_folder(report) as part:
        (part / name).parent.mkdir(exist_ok=True)
        (part / name).touch()


@pytest.mark.parametrize("name", ["new", "deep/new"])
@pytest.mark.parametrize("link", [False, True])
def test_i1_nothing_is_written_over_a_strangers_file_or_through_a_link(
    report: Path, tmp_path: Path, name: str, link: bool
) -> None:
    place = report / name.split("/")[0]
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter").write_text("It was")
    if link:
        place.symlink_to(thesis)
    else:
        place.write_text("mine")
    before = names(report)
    with pytest.raises(RunError, match=str(place)):
        write(report, name)
    assert names(report) == before
    assert names(thesis) == ["chapter"]


@pytest.mark.parametrize("name", ["report", ".report.new", ".report.old"])
def test_i1_a_link_in_place_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / name).symlink_to(tmp_path / "thesis")
    with pytest.raises(RunError, match=rf"{name}: a link to"):
        write(tmp_path / "report", "new")
    assert names(tmp_path) == sorted([name, "thesis"])
