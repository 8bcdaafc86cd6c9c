"""Coadds of DESI and their redrock files: who is who, which pixels count, what is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from fixtures.coadds import ARMS, OF_FIBERMAP, STEP, TARGETID, target_row
from speclens.errors import RunError, SpectrumFileError
from speclens.read.desi.survey import COADDS, Desi
from speclens.read.discovery import find_survey_files
from speclens.read.survey import ReadSettings
from speclens.schema import flag_bit
from speclens.spectra import LogGrid

GRID = LogGrid.covering(4200, 4300)
WIDE = LogGrid.covering(5000, 5300)
STUCK = {"TARGETID": -2713415, "OBJTYPE": "", "COADD_FIBERSTATUS": 1033}
SKY = {"TARGETID": -2713437, "OBJTYPE": "SKY", "COADD_FIBERSTATUS": 2}
Write = Callable[..., Path]


def read(path: Path, grid: LogGrid = GRID, catalogue: Path | None = None) -> Any:
    """The source of a coadd, and all its spectra."""
    stored = None
    if catalogue is not None:
        stored = path.parent / "catalogue.rows"
        Desi().catalogue(str(catalogue), [str(path)]).store(stored)
    with Desi().open(COADDS, [str(path)], grid, ReadSettings(True, stored)) as (source, _):
        return source, source.spectra(np.arange(len(source.targets)))


def error_of(path: Path, grid: LogGrid = GRID) -> SpectrumFileError:
    with pytest.raises(SpectrumFileError) as caught:
        read(path, grid)
    assert "\n" not in str(caught.value)
    return caught.value


def test_targets_are_told_apart_and_keep_every_digit(tmp_path: Path, write_coadd: Write) -> None:
    targets = [STUCK, {}, SKY, {"COADD_FIBERSTATUS": 1 << 16}, {"COADD_FIBERSTATUS": 1 << 3}]
    source, _ = read(write_coadd(tmp_path, targets=targets, redrock=[3, 1, 0, 4, 2]))
    assert source.targets["OBJTYPE"].tolist() == ["UNPLUGGED", "TGT", "SKY", "UNPLUGGED", "TGT"]
    ids = [-2713415, TARGETID + 1, -2713437, TARGETID + 3, TARGETID + 4]
    assert source.targets["TARGETID"].tolist() == ids
    names = Desi().spectrum_names(source.targets)
    assert names == [f"main-dark-{number}" for number in ids]
    assert (source.reasons == "").all()
    assert source.targets["MAG_I"] == pytest.approx(22.5 - 2.5 * 0.53 * np.log10(2), abs=1e-5)


@pytest.mark.parametrize(("name", "header", "group"), [
    ("coadd-sv3-bright-7.fits", {}, "sv3-bright"),
    ("coadd-4-80613-thru20210324.fits", {}, "80613-thru20210324"),
    ("coadd-4-80613-20210324.fits", {"SPGRP": "pernight"}, "80613-20210324"),
    ("coadd-mine.fits", {"SPGRP": "healpix", "SURVEY": "main", "PROGRAM": "dark"}, "main-dark"),
    ("coadd-mine.fits", {}, ""),
    ("coadd-mysurvey-strong_lens_candidates-5.fits", {}, ""),
])  # fmt: skip
def test_a_spectrum_is_named_by_its_group(
    tmp_path: Path, write_coadd: Write, name: str, header: dict[str, str], group: str
) -> None:
    source, _ = read(write_coadd(tmp_path, name=name, header=header, n_targets=1))
    expected = f"{group}-{TARGETID}" if group else str(TARGETID)
    assert source.targets["SPECTRUM"].tolist() == [expected]


def test_a_header_of_another_program_is_refused(tmp_path: Path, write_coadd: Write) -> None:
    header = {"SPGRP": "healpix", "SURVEY": "sv3", "PROGRAM": "dark"}
    error = error_of(write_coadd(tmp_path, header=header))
    assert error.reason == "bad_identity"
    assert "sv3-dark by the header and main-dark by the file's name" in str(error)
    assert len(error.targets) == 4


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("damage", ["cut", "packed when cut", "packed and cut", "too large"])
def test_a_coadd_that_cannot_be_opened_tells_whose_spectra_are_lost(
    tmp_path: Path, write_coadd: Write, monkeypatch: pytest.MonkeyPatch, damage: str, small: bool
) -> None:
    path = write_coadd(tmp_path, n_targets=3, redrock=None)
    content = path.read_bytes()
    monkeypatch.setattr("speclens.read.disk.SMALL_FILE", len(content) if small else 0)
    if damage == "too large":
        monkeypatch.setattr("speclens.read.fits.opening.MAX_SPECTRA", len(content) // 2)
    kept = content if damage in ("packed and cut", "too large") else content[: -len(content) // 3]
    if damage != "cut":
        path.unlink()
        path, kept = path.with_name(f"{path.name}.gz"), gzip.compress(kept)
    path.write_bytes(kept[:-100] if damage == "packed and cut" else kept)
    error = error_of(path)
    assert error.targets["TARGETID"].tolist() == [TARGETID, TARGETID + 1, TARGETID + 2]
    assert error.targets["SPECTRUM"][0] == f"main-dark-{TARGETID}"


def test_arms_that_overlap_are_averaged_by_their_inverse_variance(
    tmp_path: Path, write_coadd: Write
) -> None:
    images = {}
    for (arm, (_, n)), flux, ivar in zip(ARMS.items(), (1.0, 4.0), (1.0, 3.0), strict=True):
        images |= {f"{arm}_FLUX": np.full((1, n), flux, "f4"), f"{arm}_IVAR": np.full((1, n), ivar)}
    _, batch = read(write_coadd(tmp_path, n_targets=1, images=images), WIDE)
    blue, both, red = (batch.grid.nearest(np.array([wave]))[0] for wave in (5060, 5093, 5200))
    assert batch.flux[0, [blue, both, red]] == pytest.approx([1.0, 3.25, 4.0], rel=0.03)
    in_pixel = batch.grid.wave * np.log(10) * 1e-4 / STEP
    expected = [1.0, 4.0, 3.0] * in_pixel[[blue, both, red]]
    assert batch.ivar[0, [blue, both, red]] == pytest.approx(expected, rel=0.06)
    assert batch.covered.all()


def test_a15_a_missing_arm_is_not_there_and_the_others_are_read(
    tmp_path: Path, write_coadd: Write
) -> None:
    source, batch = read(write_coadd(tmp_path, arms={"R": ARMS["R"]}), WIDE)
    there = batch.grid.wave >= ARMS["R"][0]
    assert (batch.covered == there).all()
    assert batch.mask[:, ~there].all()
    assert not read(Path(source.file.path), GRID)[1].covered.any()


def test_masked_pixels_and_no_numbers_are_left_out(tmp_path: Path, write_coadd: Write) -> None:
    _, n = ARMS["B"]
    flux, ivar = np.ones((3, n), "f4"), np.ones((3, n), "f4")
    mask = np.zeros((3, n), "u4")
    middle = round((4250 - ARMS["B"][0]) / STEP)
    flux[0, middle], ivar[1, middle], mask[2, middle] = np.nan, -1, 1 << 2
    images = {"B_FLUX": flux, "B_IVAR": ivar, "B_MASK": mask}
    _, batch = read(write_coadd(tmp_path, n_targets=3, images=images))
    place = batch.grid.nearest(np.array([4250.0]))[0]
    assert batch.mask[:, place].all()
    assert (batch.mask.sum(axis=1) <= 2).all()
    assert batch.flux[~batch.mask] == pytest.approx(1, rel=1e-5)


def test_without_mask_or_resolution_a_coadd_is_read_all_the_same(
    tmp_path: Path, write_coadd: Write
) -> None:
    path = write_coadd(tmp_path, without=("B_MASK", "B_RESOLUTION", "R_MASK", "R_RESOLUTION"))
    source, batch = read(path)
    assert (source.flags == flag_bit("NO_MASK") | flag_bit("NO_SPREAD")).all()
    assert not batch.dispersion.any()
    assert not batch.mask.any()


def test_the_line_spread_is_that_of_the_resolution_matrix(
    tmp_path: Path, write_coadd: Write
) -> None:
    _, batch = read(write_coadd(tmp_path, spread=1.0))
    pixel = batch.grid.wave * np.log(10) * 1e-4
    assert batch.dispersion[0] == pytest.approx(np.sqrt((STEP / pixel) ** 2 - 1 / 12), rel=2e-3)


def test_exposures_are_coadded_per_target_and_flagged(tmp_path: Path, write_coadd: Write) -> None:
    n = ARMS["B"][1]
    columns = tuple(name.removeprefix("COADD_") for name in OF_FIBERMAP)
    stated = ((22, 0), (-5, 1), (22, 0), (11, 0), (22, 1 << 16))
    targets = [{"TARGETID": number, "FIBERSTATUS": status} for number, status in stated]
    flux = np.repeat(np.array([1, 9, 4, 7, 100], "f4")[:, None], n, axis=1)
    ivar = np.repeat(np.array([3, 1, 1, 2, 50], "f4")[:, None], n, axis=1)
    path = write_coadd(
        tmp_path, name="spectra-main-dark-1.fits", targets=targets, columns=columns,
        images={"B_FLUX": flux, "B_IVAR": ivar},
        redrock_rows=[target_row(1, TARGETID=number) for number in (11, 22)],
    )  # fmt: skip
    source, batch = read(path)
    assert source.targets["TARGETID"].tolist() == [22, -5, 11]
    assert source.targets["OBJTYPE"].tolist() == ["TGT", "UNPLUGGED", "TGT"]
    assert (source.flags == flag_bit("COADDED")).all()
    assert batch.flux.mean(axis=1) == pytest.approx([1.75, 9, 7], rel=1e-5)
    assert batch.ivar[0] / batch.ivar[1] == pytest.approx(4, rel=1e-5)


def test_redrock_rows_of_no_target_and_of_several_leave_reasons(
    tmp_path: Path, write_coadd: Write
) -> None:
    rows = [target_row(1), target_row(2), target_row(2, Z=0.7), target_row(3), target_row(3)]
    source, _ = read(write_coadd(tmp_path, targets=[{}, {}, {}, {}, SKY], redrock_rows=rows))
    assert source.reasons.tolist() == ["", "ambiguous_catalogue", "", "not_in_catalogue", ""]
    assert source.flags.tolist() == [0, 0, flag_bit("CATALOGUE_ROWS"), 0, 0]


BROKEN: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "no FIBERMAP": ({"without": ("FIBERMAP",)}, "missing_hdu", ["FIBERMAP", "4 spectra", "fetch"]),
    "no ivar": ({"without": ("B_IVAR",)}, "missing_hdu", ["B_IVAR", "fetch"]),
    "no wavelengths": ({"without": ("B_WAVELENGTH",)}, "missing_hdu", ["B_WAVELENGTH"]),
    "no redrock": ({"redrock": None}, "no_catalogue", ["speclens fetch main-dark-10016"]),
    "redrock of others": (
        {"redrock_rows": [target_row(50)]}, "bad_identity",
        ["redrock-main-dark-10016.fits[1]", str(TARGETID), "row 0 of coadd-main-dark-10016.fits"],
    ),
    "a target twice": (
        {"targets": [{}, {"TARGETID": 5}, {"TARGETID": 5}]}, "bad_identity",
        ["TARGETID 5 in rows 1 and 2", "FIBERMAP", "split"],
    ),
    "of nanometres": (
        {"arms": {"B": (360.0, 400)}}, "bad_wavelengths", ["360", "vacuum Angstrom", "B_WAVELENGTH"]
    ),
    "descending": (
        {"images": {"B_WAVELENGTH": 5101.6 - STEP * np.arange(1877)}}, "bad_wavelengths",
        ["5101.6", "5100.8", "even steps"],
    ),
    "no number": (
        {"images": {"B_WAVELENGTH": np.full(1877, np.nan)}}, "bad_wavelengths", ["nan"]
    ),
    "arms between pixels": (
        {"arms": {"B": ARMS["B"], "R": (5085.2, 300)}}, "bad_wavelengths",
        ["R_FLUX and B_FLUX", "one grid"],
    ),
    "another shape": (
        {"images": {"B_IVAR": np.ones((4, 9))}}, "bad_header", ["B_IVAR", "(4, 9)", "1877 pixels"]
    ),
    "no TARGETID": ({"columns": ("TARGET_RA", "OBJTYPE")}, "missing_column", ["TARGETID"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_missing_or_contradicts_is_said_with_its_place_and_a_remedy(
    tmp_path: Path, write_coadd: Write, case: str
) -> None:
    arguments, reason, words = BROKEN[case]
    error = error_of(write_coadd(tmp_path, **arguments))
    assert error.reason == reason
    for word in words:
        assert word in str(error)
    assert len(error.targets) == len(arguments.get("targets", range(4)))


def test_a_coadd_is_one_under_any_name_and_redrock_goes_with_it(
    tmp_path: Path, write_coadd: Write
) -> None:
    path = write_coadd(tmp_path / "a")
    found = find_survey_files([str(tmp_path)])
    assert found.of_kind == {COADDS: [str(path)]}
    assert found.n_ignored == 0
    assert Desi().companions(COADDS, str(path)) == [
        str(path.with_name("redrock-main-dark-10016.fits"))
    ]
    for name in ("galaxies.fits", "spectra-16-1.fits"):
        path = path.rename(tmp_path / name)
        assert find_survey_files([str(path)]).of_kind == {COADDS: [str(path)]}
    assert find_survey_files([str(tmp_path)]).of_kind == {COADDS: [str(path)]}


def test_only_names_of_healpixels_and_tiles_are_those_of_desi_alone(
    tmp_path: Path, write_hdus: Callable[..., Path]
) -> None:
    own = ("coadd-main-dark-10016.fits", "spectra-0-80613-thru20210324.fits.gz")
    assert all(COADDS.owns(name) for name in own)
    assert not any(COADDS.owns(name) for name in ("spectra-mine.fits", "spectra-ngc-blue-7.fits"))
    # What nobody knows is told by the reader of those whose name it has.
    path = write_hdus(tmp_path / "coadd-mine.fits", [fits.PrimaryHDU(np.zeros((2, 3)))])
    assert find_survey_files([str(tmp_path)]).of_kind == {COADDS: [str(path)]}
    said = str(error_of(path))
    assert "unknown_layout: no arm of DESI's" in said
    assert "a plain table has columns of wavelengths and fluxes" in said


def test_a_catalogue_of_all_programs_serves_for_one(
    tmp_path: Path, write_coadd: Write, write_zcatalog: Write
) -> None:
    path = write_coadd(tmp_path, n_targets=3, redrock=None)
    rows = [{"number": 1, "Z": 0.3}, {"number": 1, "PROGRAM": "bright", "Z": 0.9},
            {"number": 2, "SPECTYPE": "QSO"}]  # fmt: skip
    source, _ = read(path, catalogue=write_zcatalog(tmp_path / "zall.fits", rows))
    assert source.reasons.tolist() == ["", "", "not_in_catalogue"]
    assert source.targets["Z"][0] == 0.3
    assert source.targets["CLASS"].tolist() == ["GALAXY", "QSO", ""]


def test_a_catalogue_of_tiles_serves_for_a_tile_though_it_tells_programs_too(
    tmp_path: Path, write_coadd: Write
) -> None:
    header, row = "TARGETID,SURVEY,PROGRAM,TILEID,LASTNIGHT,Z,SPECTYPE\n", "main,dark,80613"
    table = tmp_path / "zall-tilecumulative.csv"
    table.write_text(header + "".join(
        f"{TARGETID + i},{row},{night},{z},GALAXY\n"
        for i, night, z in ((0, 20210324, 0.3), (0, 20210401, 0.9), (1, 20210401, 0.6))
    ))  # fmt: skip
    for name in ("coadd-4-80613-thru20210324.fits", "coadd-4-80613-20210324.fits"):
        path = write_coadd(tmp_path, name=name, n_targets=2, redrock=None)
        source, _ = read(path, catalogue=table)
        assert source.reasons.tolist() == ["", "not_in_catalogue"]
        assert source.targets["Z"][0] == 0.3


@pytest.mark.parametrize("kind", ["coadd", "spectra"])
def test_i5_unknown_targets_are_not_one_target(
    tmp_path: Path, write_coadd: Write, kind: str
) -> None:
    columns = [name.removeprefix("COADD_" * (kind == "spectra")) for name in OF_FIBERMAP]
    ids = [-1, 5, -1] if kind == "coadd" else [-1, 5, -1, 5]
    path = write_coadd(
        tmp_path, name=f"{kind}-main-dark-1.fits", targets=[{"TARGETID": i} for i in ids],
        columns=columns, redrock_rows=[target_row(1, TARGETID=5)],
    )  # fmt: skip
    source, _ = read(path)
    assert source.targets["TARGETID"].tolist() == [-1, 5, -1]
    assert source.targets["SPECTRUM"].tolist() == ["", "main-dark-5", ""]
    assert source.reasons.tolist() == ["not_in_catalogue", "", "not_in_catalogue"]


def test_c1_identifiers_of_a_text_are_read_to_the_last_digit(
    tmp_path: Path, write_coadd: Write
) -> None:
    path, table = write_coadd(tmp_path, n_targets=2, redrock=None), tmp_path / "mine.csv"
    table.write_text(f"TARGETID,Z,SPECTYPE\n{TARGETID + 1},0.4,GALAXY\n{TARGETID - 1},0.6,GALAXY\n")
    source, _ = read(path, catalogue=table)
    assert source.reasons.tolist() == ["not_in_catalogue", ""]
    table.write_text("TARGETID,Z,SPECTYPE\n3.96278668785147E+16,0.4,GALAXY\n")
    with pytest.raises(RunError, match="no cell of column 'TARGETID' can be read"):
        read(path, catalogue=table)
    Table({"PLATE": [1], "Z": [0.4], "CLASS": ["GALAXY"]}).write(table, overwrite=True)
    with pytest.raises(RunError, match=r"no column TARGETID; .* give its zcatalog"):
        read(path, catalogue=table)


def test_a_changed_byte_of_a_used_arm_is_refused(tmp_path: Path, write_coadd: Write) -> None:
    path = write_coadd(tmp_path)
    with fits.open(path) as hdus:
        places = {hdu.name: hdu.fileinfo()["datLoc"] for hdu in hdus}
    for name in ("FIBERMAP", "B_WAVELENGTH", "B_RESOLUTION"):
        content = bytearray(path.read_bytes())
        content[places[name] + 41] ^= 4
        path.write_bytes(content)
        assert error_of(path).reason in ("checksum", "bad_wavelengths")
        content[places[name] + 41] ^= 4
        path.write_bytes(content)
    assert len(read(path)[1]) == 4
