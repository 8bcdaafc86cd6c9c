"""A search from Python is the search of the command line, to the last bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import speclens
from speclens.config import load_searches
from speclens.errors import ConfigError, RunError, SpectraError, SpectrumFileError
from speclens.instrument import INSTRUMENTS
from speclens.schema import SPECTRA
from speclens.stored_tables import read_rows
from speclens.verbs.search import SearchRequest
from speclens.verbs.search import search as search_files

SCORES = ("SNR", "PROBABILITY", "RESIDUAL_RMS", "GOOD_FRACTION")
FILTER = {"method": "matched-filter", "quiet": True}


@pytest.fixture(scope="module")
def plate(mock_survey: Path) -> Path:
    """One plate of the mock survey."""
    return sorted(mock_survey.glob("*/spPlate-*.fits"))[0]


@pytest.fixture(scope="module")
def of_files(tmp_path_factory: pytest.TempPathFactory, plate: Path) -> Path:
    """What the command line makes of the plate: the searches behind galaxies and quasars."""
    output = tmp_path_factory.mktemp("files") / "run"
    search_files(SearchRequest([str(plate)], output, load_searches()))
    return output


def arrays_of(plate: Path) -> dict[str, np.ndarray]:
    """Arrays of a plate, read with astropy alone."""
    with fits.open(plate) as hdus:
        header = hdus[0].header
        n_pixels = header["NAXIS1"]
        bad = sum(1 << bit for bit in INSTRUMENTS["sdss"].bad_mask_bits)
        arrays = {
            "source": 10 ** (header["COEFF0"] + header["COEFF1"] * np.arange(n_pixels)),
            "flux": hdus[0].data.astype("f4"),
            "ivar": hdus["IVAR"].data.astype("f4"),
            "mask": (hdus["ANDMASK"].data & bad) != 0,
            "dispersion": hdus["WAVEDISP"].data.astype("f4"),
        }
    (zbest,) = plate.parent.glob("*/spZbest-*.fits")
    rows = fits.getdata(zbest, 1)
    return arrays | {"z": rows["Z"].astype("f8"), "classes": rows["CLASS"].tolist()}


def test_a_search_of_a_folder_gives_the_tables_of_the_command_line(
    of_files: Path, plate: Path, tmp_path: Path
) -> None:
    run = speclens.search(plate, output=tmp_path / "run", quiet=True)
    for name in ("spectra.fits", "hits.fits", "hypotheses.fits", "candidates.ecsv"):
        assert (run.path / name).read_bytes() == (of_files / name).read_bytes()
    assert run.report.exists()


def test_arrays_have_the_scores_of_the_files_to_the_bit(of_files: Path, plate: Path) -> None:
    expected = read_rows(of_files / "spectra.fits", SPECTRA)
    scored = np.flatnonzero(expected["STATUS"] == "scored")
    assert 15 < len(scored) < len(expected)
    spectra = speclens.read(**arrays_of(plate))
    assert not spectra.resampled
    found = speclens.search(spectra[scored], quiet=True)
    assert found.spectra["SPECTRUM"].tolist() == [str(i) for i in scored]
    assert found.spectra["STATUS"].tolist() == ["scored"] * len(scored)
    for name in SCORES:
        np.testing.assert_array_equal(found.spectra[name], expected[name][scored])
    hits = speclens.open_run(of_files).hits
    assert len(hits) == len(found.hits) > 0
    for name in ("WAVE", "FLUX", "FWHM_KMS", "SKEWNESS", "CHI2_NU"):
        np.testing.assert_array_equal(found.hits[name], hits[name])


def test_other_redshifts_count_instead_of_those_of_the_files(of_files: Path, plate: Path) -> None:
    expected = read_rows(of_files / "spectra.fits", SPECTRA)
    spectra = speclens.read(plate, z=expected["Z"])
    assert isinstance(spectra, speclens.Spectra)
    assert spectra.targets["SPECTRUM"].tolist() == expected["SPECTRUM"].tolist()
    scored = np.flatnonzero((expected["STATUS"] == "scored") & (expected["CLASS"] == "GALAXY"))
    found = speclens.search(spectra[scored], **FILTER)
    assert np.isfinite(found.spectra["SNR"]).all()
    np.testing.assert_array_equal(found.spectra["SNR"], expected["SNR"][scored])
    with pytest.raises(SpectraError, match=r"z has the shape \(3,\) for 40 spectra"):
        speclens.read(plate, z=[0.1, 0.2, 0.3])


def test_a_search_of_arrays_goes_on_in_its_folder(plate: Path, tmp_path: Path) -> None:
    spectra = speclens.read(**arrays_of(plate))
    first = speclens.search(spectra, output=tmp_path / "run", **FILTER)
    tables = {path: path.read_bytes() for path in first.path.glob("*.fits")}
    again = speclens.search(spectra, output=tmp_path / "run", **FILTER)
    assert {path: path.read_bytes() for path in again.path.glob("*.fits")} == tables
    assert again.counts["read"] == len(spectra)
    assert speclens.open_run(tmp_path / "run").spectrum(0).meta == {}
    with pytest.raises(RunError, match="another setup"):
        speclens.search(spectra, output=tmp_path / "run", quiet=True, config="shu2016")
    with pytest.raises(RunError, match="give the -o of a speclens evaluate"):
        speclens.search(spectra, selection=tmp_path / "none", **FILTER)


def test_a_temporary_run_goes_with_its_object() -> None:
    wave = 10 ** np.arange(3.57, 3.71, 1e-4)
    rng = np.random.default_rng(0)
    flux = 2 + 0.5 * rng.standard_normal((2, len(wave)))
    spectra = speclens.read(wave, flux, np.full(flux.shape, 4.0), z=[0.4, np.nan])
    found = speclens.search(spectra, **FILTER)
    place = found.path
    assert place.exists()
    assert found.counts == {
        "read": 2, "scored": 1, "skipped": 1, "failed": 0, "hits": 0, "candidates": 0,
        "hits_failed": 0,
    }  # fmt: skip
    assert found.reasons == {"z_invalid": 1}
    del found
    assert not place.exists()
    before = set(Path(place).parent.parent.glob("speclens-*"))
    with pytest.raises(ConfigError, match=r"selection\.z_min"):
        speclens.search(spectra, settings={"selection.z_min": "low"}, **FILTER)
    with pytest.raises(SpectrumFileError, match=r"spAll\.fits: .*No such file"):
        speclens.search(spectra, catalogue="spAll.fits", **FILTER)
    assert set(Path(place).parent.parent.glob("speclens-*")) == before


def test_more_spectra_than_a_stack_holds_keep_their_numbers(
    monkeypatch: pytest.MonkeyPatch, plate: Path
) -> None:
    from dataclasses import replace

    from speclens.read.arrays import survey

    few = replace(survey.STACKS, spectra_a_file=7)
    monkeypatch.setattr("speclens.api.spectra.STACKS", few)
    spectra = speclens.read(**arrays_of(plate))
    found = speclens.search(spectra, **FILTER)
    assert found.spectra["SPECTRUM"].tolist() == [str(i) for i in range(len(spectra))]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"source": "star"}, "source='star': expected lya, elg, all"),
        ({"foreground": "star"}, "foreground='star': expected galaxy, qso, auto"),
        ({"method": "guess"}, "no such search; known: resnet"),
        ({"settings": {"vet.p_lya": 0.5}}, "unknown key 'vet.p_lya'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(
    wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        speclens.search("nowhere", **wrong)
    assert said in str(raised.value)


def test_the_import_is_light_and_tells_what_there_is(run_python: Callable[[str], str]) -> None:
    out = run_python(
        "import sys, time; before = time.process_time(); import speclens; "
        "print(time.process_time() - before); "
        "print(*{'numpy', 'astropy', 'matplotlib', 'pydantic', 'torch'} & {*sys.modules}); "
        "print(*dir(speclens)); print(callable(speclens.read), callable(speclens.search)); "
        "import speclens.search.scan; print(speclens.search.scan.__name__, speclens.search)"
    ).splitlines()
    assert float(out[0]) < 0.1
    assert out[1] == ""
    assert out[2].split() == sorted(speclens.__all__)
    assert out[3] == "True True"
    assert out[4].startswith("speclens.search.scan <module 'speclens.search'")


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """`run_python(code) -> stdout`: in a process of its own."""

    def run(code: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
