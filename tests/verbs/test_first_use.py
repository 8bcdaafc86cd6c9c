"""What goes wrong in the first hour with the tool, and must cost nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speclens.config import load_config
from speclens.errors import RunError
from speclens.read.sdss.identity import targetid
from speclens.search import scan
from speclens.simulate.mock_survey import make_survey

SearchInto = Callable[..., tuple[Any, np.ndarray, list[str]]]
Write = Callable[..., Path]


def test_a_typo_does_not_bind_the_folder(
    tmp_path: Path, write_spec: Write, search_into: SearchInto
) -> None:
    write_spec(tmp_path / "in" / "spec-1-2-0003.fits")
    with pytest.raises(RunError, match=r"nosuch\.fits: No such file"):
        search_into(
            tmp_path / "run", tmp_path / "in", overrides=["foreground.templates='nosuch.fits'"]
        )
    summary, _, _ = search_into(tmp_path / "run", tmp_path / "in")
    assert summary.counts["scored"] == 1


def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, write_spec: Write, search_into: SearchInto
) -> None:
    write_spec(tmp_path / "in" / "spec-1-2-0003.fits")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("It was")
    with pytest.raises(RunError, match="not empty"):
        search_into(tmp_path / "thesis", tmp_path / "in")
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter1.txt"]


def test_inputs_of_an_earlier_search_are_not_dropped(
    tmp_path: Path, write_spec: Write, search_into: SearchInto
) -> None:
    first = write_spec(tmp_path / "in" / "a" / "spec-1-2-0003.fits", fiberid=3)
    second = write_spec(tmp_path / "in" / "b" / "spec-1-2-0004.fits", fiberid=4)
    search_into(tmp_path / "run", first)
    with pytest.raises(RunError, match="spec-1-2-0003"):
        search_into(tmp_path / "run", second)
    assert search_into(tmp_path / "run", first, second)[0].counts["read"] == 2
    assert search_into(tmp_path / "run", tmp_path / "in")[0].counts["read"] == 2
    assert json.loads((tmp_path / "run" / "run.json").read_text())["spectra_per_second"] is None


def test_a_catalogue_does_not_turn_sky_fibres_into_galaxies(
    tmp_path: Path, write_spec: Write, search_into: SearchInto
) -> None:
    write_spec(tmp_path / "in" / "spec-4391-55866-0036.fits", plate=4391, mjd=55866, fiberid=36,
               objtype="SKY", class_="GALAXY")  # fmt: skip
    write_spec(tmp_path / "in" / "spec-4391-55866-0037.fits", plate=4391, mjd=55866, fiberid=37)
    table = tmp_path / "list.csv"
    table.write_text(
        "PLATE,MJD,FIBERID,CLASS,Z\n4391,55866,36,GALAXY,0.5\n4391,55866,37,GALAXY,0.6\n"
    )
    _, rows, _ = search_into(tmp_path / "run", tmp_path / "in", catalogue=str(table))
    by_fibre = {row["FIBERID"]: row for row in rows}
    assert by_fibre[36]["REASON"] == "sky_fibre"
    assert by_fibre[37]["STATUS"] == "scored"
    assert by_fibre[37]["Z"] == 0.6
    assert np.isfinite(by_fibre[37]["RA"])


def test_a12_a_tile_compressed_file_is_refused_with_the_remedy(
    tmp_path: Path, search_into: SearchInto
) -> None:
    from astropy.io import fits

    (tmp_path / "in").mkdir()
    image = fits.CompImageHDU(np.ones((20, 3000), np.float32), compression_type="GZIP_1")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "in" / "spPlate-1-2.fits.fz")
    summary, rows, messages = search_into(tmp_path / "run", tmp_path / "in")
    assert summary.counts["failed"] == 1
    assert rows["REASON"].tolist() == ["unknown_layout"]
    assert "funpack" in messages[0]


def test_a_fault_of_ours_loses_no_fibre_of_a_plate(
    tmp_path: Path, write_plate: Write, search_into: SearchInto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(scan.Detector, "__call__", faulty)
    write_plate(tmp_path / "in", plate=3650, mjd=55244, n_fibres=12)
    summary, rows, messages = search_into(tmp_path / "run", tmp_path / "in")
    assert summary.counts["failed"] == len(rows) == 12
    assert set(rows["REASON"].tolist()) == {"internal_error"}
    assert sorted(rows["TARGETID"].tolist()) == targetid(3650, 55244, np.arange(1, 13)).tolist()
    assert len(messages) == 1
    assert "ZeroDivisionError" in messages[0]


def test_the_ratio_of_a_spectrum_is_that_of_its_best_hit(
    tmp_path: Path, write_spec: Write, search_into: SearchInto
) -> None:
    write_spec(tmp_path / "in" / "spec-1-2-0003.fits", lines=((4300.3, 60.0),))
    summary, rows, _ = search_into(
        tmp_path / "run", tmp_path / "in", overrides=["search.method=matched-filter"]
    )
    assert len(summary.candidates) == 1
    assert rows["SNR"][0] == summary.candidates["SNR"][0]
    assert summary.candidates["FILE"][0] == rows["FILE"][0]


def test_a_mock_survey_does_not_mix_with_another(tmp_path: Path) -> None:
    small = ["survey.n_fibres=20", "survey.n_pixels=1700"]
    make_survey(tmp_path, load_config(None, [*small, "survey.n_plates=2"]), 1, 1)
    with pytest.raises(RunError, match=r"survey\.n_plates: was 2, now 1"):
        make_survey(tmp_path, load_config(None, [*small, "survey.n_plates=1"]), 1, 1)
