"""Lists of names: files of them, published systems, candidates of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from speclens.errors import ConfigError, RunError
from speclens.fetch.lists import of_candidates, of_known, of_names
from speclens.releases import release_named
from speclens.schema import CANDIDATES
from speclens.stored_tables import read_rows


def names(listed: object) -> list[str]:
    return [str(wanted) for wanted in listed.wanted]  # type: ignore[attr-defined]


def test_names_and_files_of_names(tmp_path: Path) -> None:
    path = tmp_path / "plates.txt"
    path.write_text(
        "# the first plates\n4055-55359   # of the paper\n\n4056 55357\n"
        "4057,55357,20\nspec-4058-55358-0001.fits main-dark-10016\n4055-55359\n"
    )
    assert names(of_names([str(path), "4059-55359"], None, None)) == [
        "4055-55359", "4056-55357", "4057-55357-0020", "4058-55358-0001", "main-dark-10016",
        "4059-55359",
    ]  # fmt: skip


def test_a_file_that_is_called_like_a_plate_is_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("4055-55359").write_text("4056-55357")
    assert names(of_names(["4055-55359"], None, None)) == ["4055-55359"]


def test_what_is_no_name_is_said_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'4055/55359': neither a name nor a file of names"):
        of_names(["4055-55359", "4055/55359"], None, None)
    path = tmp_path / "plates.txt"
    path.write_text("4055-55359\nplate mjd\n")
    with pytest.raises(RunError, match=r"plates\.txt, line 2: 'plate': neither a name"):
        of_names([str(path)], None, None)
    path.write_bytes(b"SIMPLE  =\xff\xfe")
    with pytest.raises(RunError, match="no text of names; is it a --catalogue"):
        of_names([str(path)], None, None)


def test_targetids_need_a_catalogue(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="39627641234567890: give the catalogue"):
        of_names(["39627641234567890"], None, None)
    path = tmp_path / "zpix.csv"
    path.write_text(
        "TARGETID,SURVEY,PROGRAM,HEALPIX\n39627641234567890,main,dark,10016\n"
        "39627641234567891,main,dark,10016\n-110547443,sv3,bright,0\n39627641234567890,main,bright,7\n"
    )
    listed = of_names(
        ["39627641234567890", "-110547443", "55555555", "main-dark-1"], None, str(path)
    )
    assert names(listed) == ["main-dark-1", "main-dark-10016", "sv3-bright-0", "main-bright-7"]
    assert listed.notes == [f"{path}: 1 of 3 TARGETIDs are not in it: 55555555"]


def test_published_systems(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    path.write_text(
        "name,ra,dec,plate,mjd,fiberid,z_s\na,150,2,4055,55359,20,2.4\na,150,2,4055,55359,20,2.5\n"
        "b,151,2,,,,2.2\nc,152,2,4055,55359,21,2.3\n"
    )
    listed = of_known(str(path))
    assert names(listed) == ["4055-55359-0020", "4055-55359-0021"]
    assert any("1 systems have no plate, date and fibre" in note for note in listed.notes)
    path.write_text("name,ra,dec,z_s\na,150,2,2.4\n")
    with pytest.raises(RunError, match="no system has plate, date and fibre"):
        of_known(str(path))


def test_candidates_of_a_run(few: Path) -> None:
    listed, release = of_candidates(few)
    rows = read_rows(few / "candidates.fits", CANDIDATES)
    assert len(rows) > 0
    assert names(listed) == list(dict.fromkeys(rows["SPECTRUM"].tolist()))
    assert (release, listed.notes) == ("", [])


def test_candidates_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run of speclens"):
        of_candidates(tmp_path)


def test_the_folders_of_candidates_tell_their_release(
    few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_rows(few / "candidates.fits", CANDIDATES)[:1].repeat(3)
    rows["FILE"] = "/data/v5_7_0/0007/spPlate-0007-55000.fits"
    rows["SPECTRUM"] = ["0007-55000-0010", "main-dark-39627641234567890", ""]
    rows["FILE"][1] = "/data/x/coadd-main-dark-10016.fits"
    monkeypatch.setattr("speclens.fetch.lists.read_rows", lambda *_: rows)
    listed, release = of_candidates(few)
    assert names(listed) == ["0007-55000-0010", "main-dark-10016"]
    assert release == "dr12"
    assert listed.notes == [f"{few}: 1 of 3 candidates have no name by which files are named"]
    rows["FILE"][1] = "/data/v5_13_2/coadd-main-dark-10016.fits"
    assert of_candidates(few)[1] == ""


def test_the_release_decides_what_a_name_is() -> None:
    assert names(of_names(["15143-59205"], release_named("dr20"), None)) == ["015143-59205"]
