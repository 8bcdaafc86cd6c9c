from __future__ import annotations

import json
import os

import pytest

from speclens.errors import RunError
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.survey import PLATES, SPECS
from speclens.read.sdssv.survey import FIELD_SPECS, FIELDS


def make_empty(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def names_of(paths):
    return [os.path.basename(path) for path in paths]


def test_folders_are_searched_to_the_bottom_in_a_fixed_order(tmp_path):
    make_empty(
        tmp_path,
        "b/spPlate-0002-50000.fits",
        "a/spPlate-0001-50000.fits.gz",
        "a/v5/spec-0001-50000-0002.fits",
        "a/v5/spec-0001-50000-0001.FITS",
        "a/spZbest-0001-50000.fits",
        "a/spFlat-b1.fits",
        "c/spField-015143-59205.fits",
        "c/spZbest-015143-59205.fits",
        "c/spec-15143-59205-04544978190.fits",
        "readme.txt",
    )
    files = find_survey_files([str(tmp_path)])
    assert names_of(files.of_kind[PLATES]) == [
        "spPlate-0001-50000.fits.gz", "spPlate-0002-50000.fits",
    ]  # fmt: skip
    assert names_of(files.of_kind[SPECS]) == [
        "spec-0001-50000-0001.FITS", "spec-0001-50000-0002.fits",
    ]  # fmt: skip
    assert names_of(files.of_kind[FIELDS]) == ["spField-015143-59205.fits"]
    assert names_of(files.of_kind[FIELD_SPECS]) == ["spec-15143-59205-04544978190.fits"]
    assert files.paths == [path for paths in files.of_kind.values() for path in paths]
    assert [*files.of_kind] == [PLATES, SPECS, FIELDS, FIELD_SPECS]
    counts = {"plates": 2, "specs": 2, "fields": 1, "field specs": 1, "coadds": 0, "stacks": 0}
    assert files.counts == counts | {"tables": 0}
    assert files.n_ignored == 2
    assert files.ignored == ["readme.txt", "spFlat-b1.fits"]


def test_a_file_that_is_named_outright_is_searched_whatever_its_name(
    tmp_path, write_spec, write_plate
):
    plate = write_plate(tmp_path).rename(tmp_path / "plate.dat")
    spec = write_spec(tmp_path / "galaxy.dat")
    make_empty(tmp_path, "broken.dat")
    files = find_survey_files([str(tmp_path / name) for name in ("broken.dat", spec, plate)])
    assert names_of(files.of_kind[PLATES]) == ["plate.dat"]
    assert names_of(files.of_kind[SPECS]) == ["broken.dat", "galaxy.dat"]
    with pytest.raises(RunError, match=r"no spPlate-.*, spec-.* .3 other files: broken.dat"):
        find_survey_files([str(tmp_path)])


def test_the_first_of_many_ignored_files_are_named(tmp_path):
    make_empty(tmp_path, *(f"spFlat-{i:02d}.fits" for i in range(40)), "spec-1-1-1.fits")
    files = find_survey_files([str(tmp_path)])
    assert files.n_ignored == 40
    assert files.ignored == [f"spFlat-{i:02d}.fits" for i in range(5)]


@pytest.mark.parametrize(
    "name",
    ["SPEC-3655-55240-0001.FITS", "Spec-3655-55240-0001.Fit", "spec-3655-55240-0001.fits.fz",
     "spec-3655-55240-0001.FITS.GZ", "spec-015143-59205-4544978190.fits",
     "spec-55859-F5902_sp01-001.fits"],
)  # fmt: skip
def test_names_of_spectra_in_any_case_and_of_any_survey(tmp_path, name):
    make_empty(tmp_path, name)
    assert names_of(find_survey_files([str(tmp_path)]).paths) == [name]


def test_a16_a_file_that_is_met_twice_is_searched_once(tmp_path):
    make_empty(tmp_path, "a/spec-1-1-1.fits")
    path = tmp_path / "a" / "spec-1-1-1.fits"
    os.link(path, tmp_path / "a" / "spec-1-1-1-again.fits")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    given = [str(tmp_path), str(path), str(tmp_path / "a")]
    assert len(find_survey_files(given).paths) == 1


def test_a8_links_that_lead_in_circles_end(tmp_path):
    make_empty(tmp_path, "a/spec-1-1-1.fits")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    assert len(find_survey_files([str(tmp_path)]).paths) == 1


def test_a8_dangling_links_and_pipes_are_kept_to_be_reported(tmp_path):
    (tmp_path / "spec-1-1-1.fits").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "spec-1-1-2.fits")
    assert len(find_survey_files([str(tmp_path)]).paths) == 2


@pytest.mark.parametrize("name", ["missing.fits", "", "a\0b"])
def test_an_input_that_does_not_exist_is_wrong_usage(name):
    with pytest.raises(RunError, match="no such file or folder"):
        find_survey_files([name])


@pytest.mark.parametrize(("kind", "is_refused"), [
    ("evaluation", True), ("run", True), ("mock survey", False), ("folder of fetched files", False),
])  # fmt: skip
def test_a_folder_of_products_is_no_input(tmp_path, kind, is_refused):
    make_empty(tmp_path, "spec-1-1-1.fits")
    (tmp_path / "speclens.json").write_text(json.dumps({"kind": kind}))
    if is_refused:
        with pytest.raises(RunError, match=f"it is speclens' {kind}, which holds no spectra"):
            find_survey_files([str(tmp_path)])
    else:
        assert len(find_survey_files([str(tmp_path)]).paths) == 1
