"""What `speclens.read` takes, gives back, and refuses."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import speclens
from speclens.errors import RunError, SpectraError

WAVE = 10 ** np.arange(3.58, 3.70, 1e-4)
FLUX = np.ones((3, len(WAVE)))


@pytest.mark.parametrize("name", ["reading", "spectra", "searching", "run"])
def test_the_examples_of_the_documentation_hold(name: str) -> None:
    module = import_module(f"speclens.api.{name}")
    options = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    done = doctest.testmod(module, optionflags=options)
    assert done.attempted > 1
    assert done.failed == 0


def test_arrays_of_one_spectrum_and_of_many_are_spectra() -> None:
    one = speclens.read(WAVE, FLUX[0], FLUX[0], z=0.5)
    many = speclens.read(WAVE, FLUX, error=FLUX, z=[0.4, 0.5, 0.6], names=["a", "b", "c"])
    assert (len(one), len(many)) == (1, 3)
    assert many[[0, 2]].targets["SPECTRUM"].tolist() == ["a", "c"]
    assert many[-1].targets["Z"].tolist() == [0.6]
    assert_array_equal(many.spectrum(-1)["FLUX"].value, 1)
    with pytest.raises(IndexError):
        many.spectrum(3)


def test_spectra_with_wavelengths_of_their_own_share_a_grid() -> None:
    wave = np.stack([WAVE, WAVE * 10**0.01, WAVE * 10**0.00005])
    spectra = speclens.read(wave, FLUX, FLUX, z=0.5)
    assert spectra.resampled
    assert spectra.batch.grid.n_pixels == len(WAVE) + 100
    assert spectra.batch.covered.sum(axis=1).tolist()[:2] == [len(WAVE)] * 2


def test_the_text_says_what_was_done_and_what_is_assumed() -> None:
    spectra = speclens.read(np.arange(3800.0, 5000.0), FLUX[0, :1200], FLUX[0, :1200], z=0.5)
    said = "1 spectrum, 3800 to 4999 Angstrom, z 0.5; resampled; line spread not known, taken to be"
    assert said in repr(spectra)
    assert said in spectra._repr_html_()
    assert "<td>GALAXY</td>" in spectra._repr_html_()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((3.5,), "a float holds no spectra that are known: give a path, a table"),
        ((WAVE,), "flux is missing; give read(wave, flux, ivar, z=z)"),
        (([],), "flux is missing"),
        ((WAVE, FLUX), "errors are missing"),
        ((WAVE, FLUX, FLUX), "redshifts are missing"),
        ((WAVE, FLUX, FLUX, 0.5), "read(wave, flux, ivar, 0.5): the fourth has no name; give z="),
        ((WAVE, [FLUX[0], FLUX[0, :9]], FLUX), "rows are of several lengths"),
    ],
)
def test_what_holds_no_spectra_is_refused(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(SpectraError, match=re.escape(said)):
        speclens.read(*given)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"flux": FLUX * 1e-17}, "flux of 1e-17 at most: numbers without a unit are 1e-17 erg"),
        ({"ivar": -FLUX}, f"ivar is below 0 in {FLUX.size} of {FLUX.size} pixels, as -1"),
        ({"ivar": None, "error": -FLUX}, "that is no error; give 0 where nothing was measured"),
        ({"z": [0.5, -1, 0.5]}, "z=-1 of spectrum 1: redshifts lie between 0 and 15; give NaN"),
        ({"z": 99}, "z=99 of spectrum 0"),
        ({"z": [0.4, 0.5]}, "z has the shape (2,) for 3 spectra: give one number for all, or (3,)"),
        ({"flux": FLUX.T}, "transpose it"),
        ({"flux": FLUX * 1j}, "flux: not all of it is numbers"),
    ],
)
def test_numbers_that_mean_something_else_are_refused(change: dict[str, Any], said: str) -> None:
    given = {"source": WAVE, "flux": FLUX, "ivar": FLUX, "z": 0.5, **change}
    with pytest.raises(SpectraError, match=re.escape(said)):
        speclens.read(given.pop("source"), **given)


def test_an_unknown_redshift_is_no_error_and_one_name_is_a_name() -> None:
    spectra = speclens.read(WAVE, FLUX[0], FLUX[0], z=np.nan, names="mine")
    assert spectra.targets["SPECTRUM"].tolist() == ["mine"]
    assert "z unknown" in repr(spectra)


def test_files_are_found_and_read_when_asked_for(make_few: Any, tmp_path: Path) -> None:
    folder = make_few(tmp_path / "in")
    spectra = speclens.read(folder)
    assert repr(spectra) == f"<SurveySpectra: 5 specs in {folder}>"
    assert "5 specs" in spectra._repr_html_()
    (folder / "spec-0009-55000-0001.fits").write_bytes(b"damaged")
    spectra = speclens.read(str(folder))
    assert len(spectra) == 5
    assert [failure.reason for failure in spectra.failures] == ["not_fits"]
    assert spectra.targets["SPECTRUM"][2] == "0007-55000-0012"
    assert spectra.targets["Z"].tolist() == [0.5] * 5
    table = spectra.spectrum(2)
    assert table["FLUX"][table["WAVE"].value > 4600].max() > spectra.spectrum(1)["FLUX"].max()
    assert spectra.in_memory([1, 3]).targets["SPECTRUM"].tolist() == [
        "0007-55000-0011", "0008-55000-0010",
    ]  # fmt: skip
    for rows in ([3, 1], [-1], [5]):
        with pytest.raises(SpectraError, match="from 0 to 4 that increase"):
            spectra.in_memory(rows)


def test_files_tell_of_themselves_and_must_be_there(make_few: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file or folder"):
        speclens.read(tmp_path / "absent")
    told = {"names": ["a"], "ra": 3, "resolution": 2000, "medium": "air"}
    with pytest.raises(SpectraError, match="names, ra, resolution, medium: files of a survey tell"):
        speclens.read(make_few(tmp_path / "in"), **told)
