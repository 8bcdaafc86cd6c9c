"""Gathering: what is stored of a hit is what its files hold, and is made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from fixtures.runs import hits_of, told_of
from speclens.config import Config, load_config
from speclens.errors import RunError
from speclens.evidence import gather as gathering
from speclens.evidence.store import Evidence, evidence_paths, read_evidence
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation
from speclens.schema import vet_bits
from speclens.spectra import FittedSpectra, LogGrid, SpectrumBatch
from speclens.verbs.search import RunSummary
from speclens.vet.vetting import vet_hits

pytestmark = pytest.mark.usefixtures("no_report")
Run = Callable[..., RunSummary]
Write = Callable[..., Path]
Bytes = Callable[[Path], dict[str, bytes]]
LINE = ((4300.0, 40.0),)
HALF_WIDTH = 10
WHOLE = (3550.0, 10400.0)
SPECTRUM_NAMES = ("flux", "ivar", "model", "dispersion")


def evidence_of(run: Path) -> list[Evidence]:
    paths = evidence_paths(run / "work", hits_of(run))
    return [read_evidence(path) for path in paths]


def prepared_directly(
    config: Config, batch: SpectrumBatch, hit: np.void, window: tuple[float, float]
) -> FittedSpectra:
    """Prepare one spectrum with the pixels of its line left out of the foreground's fit."""
    section = config.preparation.model_copy(update={"window": window})
    preparation = Preparation(config.model_copy(update={"preparation": section}))
    centre = np.abs(batch.grid.wave - hit["WAVE"]).argmin()
    line = np.abs(np.arange(batch.grid.n_pixels) - centre) <= HALF_WIDTH
    made = preparation(batch, np.array([hit["Z"]]), line[None])
    return FittedSpectra(batch.grid, made.flux, made.ivar, made.model, batch.dispersion)


def assert_stored_is(stored: FittedSpectra, expected: FittedSpectra) -> None:
    assert stored.grid == expected.grid
    good = expected.ivar > 0
    assert good.sum() > 800
    np.testing.assert_array_equal(stored.ivar > 0, good)
    for name in SPECTRUM_NAMES:
        found, wanted = (getattr(spectra, name) for spectra in (stored, expected))
        assert found.dtype == np.float32
        # Other company in the fit moves the last digits.
        np.testing.assert_allclose(found[good], wanted[good], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", ["spec", "plate"])
def test_what_is_stored_is_a_direct_reading_and_preparation(
    tmp_path: Path, search_few: Run, write_spec: Write, write_plate: Write, kind: str
) -> None:
    config = load_config()
    if kind == "spec":
        mask = np.zeros(1730, int)
        mask[1000:1004] = 1 << 22  # bright sky
        path = write_spec(tmp_path / "spec-3655-55240-0001.fits", lines=LINE, and_mask=mask)
    else:
        path = write_plate(tmp_path / "in", lines={3: LINE, 7: ((4500.0, 40.0),)})
    search_few(tmp_path / "run", path)
    hits = hits_of(tmp_path / "run")
    (evidence,) = evidence_of(tmp_path / "run")
    assert evidence.hit.tolist() == list(range(len(hits)))
    assert len(hits) == (1 if kind == "spec" else 2)
    assert config.matched_filter.half_width == HALF_WIDTH
    for stored, window in ((evidence.window, config.preparation.window), (evidence.whole, WHOLE)):
        grid = LogGrid.covering(*window)
        for i, hit in enumerate(hits):
            if kind == "spec":
                batch = read_spec_files([str(path)], grid).batch
            else:
                with open_plate(str(path), grid) as plate:
                    batch = plate.spectra(np.array([hit["FIBERID"] - 1]))
            # The ends of the grid are pixels of it, which a rounding must not cost.
            ends = (float(grid.wave[0]) - 0.1, float(grid.wave[-1]) + 0.1)
            assert_stored_is(stored[[i]], prepared_directly(config, batch, hit, ends))


def test_the_stored_flux_is_that_of_the_file(
    tmp_path: Path, search_few: Run, write_spec: Write
) -> None:
    path = write_spec(tmp_path / "spec-3655-55240-0001.fits", lines=LINE)
    search_few(tmp_path / "run", path)
    (evidence,) = evidence_of(tmp_path / "run")
    whole = evidence.whole
    table = fits.getdata(path, 1)
    stored = dict(zip(np.round(whole.grid.loglam * 1e4).astype(int), whole.flux[0], strict=True))
    good = dict(zip(np.round(whole.grid.loglam * 1e4).astype(int), whole.ivar[0], strict=True))
    n_compared = 0
    for loglam, flux in zip(table["loglam"], table["flux"], strict=True):
        pixel = round(float(loglam) * 1e4)
        if good.get(pixel, 0) > 0:
            assert stored[pixel] == flux
            n_compared += 1
    assert n_compared > 1400
    # Nothing where the file has nothing.
    assert (whole.ivar[0, whole.grid.wave > 5310] == 0).all()


def test_a_fibre_of_a_plate_and_its_spec_file_are_vetted_alike(
    tmp_path: Path, search_few: Run, write_plate: Write, write_spec: Write
) -> None:
    plate = write_plate(tmp_path / "plate", n_fibres=1, lines={1: LINE})
    flux = fits.getdata(plate)[0]
    spec = write_spec(tmp_path / "spec-3655-55240-0001.fits", flux=flux, z=0.45)
    for name, path in (("plate-run", plate), ("spec-run", spec)):
        # A plate of one fibre has no sky, whose correction a spec file could not have.
        search_few(tmp_path / name, path)
    (one,), (other,) = (hits_of(tmp_path / name) for name in ("plate-run", "spec-run"))
    assert one["FIT_STATUS"] == "fitted"
    for name in one.dtype.names:
        if name != "FILE":
            np.testing.assert_equal(one[name], other[name], err_msg=name)


@pytest.mark.usefixtures("settled")
def test_e2_a_second_search_finds_what_was_gathered(
    tmp_path: Path,
    make_few: Callable[[Path], Path],
    search_few: Run,
    tables_of: Bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    survey, run = make_few(tmp_path / "in"), tmp_path / "run"
    search_few(run, survey)
    before = tables_of(run)
    evidence = {path: path.read_bytes() for path in (run / "work").glob("*.hits")}
    assert len(evidence) == 5  # three files with hits, two that their hits ask of
    monkeypatch.setattr(gathering, "_arrays_of", None)
    search_few(run, survey)
    assert {path: path.read_bytes() for path in (run / "work").glob("*.hits")} == evidence
    assert tables_of(run) == before


@pytest.mark.usefixtures("settled")
def test_i21_a_file_in_front_does_not_have_the_others_read_again(
    tmp_path: Path,
    make_few: Callable[[Path], Path],
    write_spec: Callable[..., Path],
    search_few: Callable[..., RunSummary],
    tables_of: Callable[[Path], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    survey, run = make_few(tmp_path / "survey"), tmp_path / "run"
    search_few(run, survey)
    first = survey / "spec-0001-55000-0001.fits"
    write_spec(first, plate=1, mjd=55000, fiberid=1, lines=((4500.0, 50.0),))
    read: list[str] = []
    gathered_from = gathering._gathered_from

    def watched(gatherer: Any, task: Any) -> Any:
        read.append(task.path)
        return gathered_from(gatherer, task)

    monkeypatch.setattr(gathering, "_gathered_from", watched)
    assert search_few(run, survey).counts["hits"] == 4
    assert read == [str(first)]
    search_few(tmp_path / "fresh", survey)
    assert tables_of(run) == tables_of(tmp_path / "fresh")


@pytest.mark.usefixtures("settled")
def test_d4_damaged_evidence_is_named_by_vetting_and_made_again_by_a_search(
    tmp_path: Path, make_few: Callable[[Path], Path], search_few: Run, tables_of: Bytes
) -> None:
    survey, run = make_few(tmp_path / "in"), tmp_path / "run"
    search_few(run, survey)
    before, hits = tables_of(run), hits_of(run)
    path, other = evidence_paths(run / "work", hits)[:2]
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for content in (None, b"", whole[:middle], flipped, other.read_bytes()):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(RunError, match=rf"{path.name}: missing or damaged; run the same"):
            vet_hits(run, hits, load_config(), None, 1)
        search_few(run, survey)
        assert path.read_bytes() == whole
    assert tables_of(run) == before


def vanishing(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Let files vanish when all spectra are searched, and none of the hits is gathered."""
    gather = gathering.gather

    def then(*given: Any) -> Any:
        for path in paths:
            path.unlink()
        return gather(*given)

    monkeypatch.setattr("speclens.verbs.search.gather", then)


def test_a_file_that_vanishes_leaves_its_hits_and_a_note(
    tmp_path: Path,
    make_few: Callable[[Path], Path],
    search_few: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    survey, run = make_few(tmp_path / "in"), tmp_path / "run"
    gone = survey / "spec-0007-55000-0010.fits"
    vanishing(monkeypatch, gone)
    messages: list[str] = []
    monkeypatch.setattr(
        "speclens.run.progress.Silent.message", lambda _, text: messages.append(text)
    )
    summary = search_few(run, survey)
    assert summary.counts["hits"] == 3
    assert summary.counts["failed"] == 0
    lost, kept, again = hits_of(run)
    assert (lost["PLATE"], lost["FIBERID"]) == (7, 10)
    assert lost["FIT_STATUS"] == "no_spectrum"
    assert int(lost["VET_FLAGS"]) == vet_bits(["MASKED"])
    assert lost["GOOD_PIXELS"] == 0
    assert not lost["CANDIDATE"]
    assert np.isnan([lost["SKEWNESS"], lost["P_LYA"], lost["NOISE"]]).all()
    assert kept["FIT_STATUS"] == again["FIT_STATUS"] == "fitted"
    assert again["N_REPEATS"] == 0  # what vanished cannot be asked
    assert lost["N_REPEATS"] == 1
    assert len(messages) == 1
    assert gone.name in messages[0]
    assert "not vetted for it: 1" in messages[0]
    (note,) = [text for text in summary.notes if "MASKED" in text]
    assert note == "hits marked MASKED because their spectra could not be read again: 1"
    assert summary.not_gathered == {"not_regular": 1}
    assert summary.n_failed == 1
    assert any("not_regular 1" in text for text in summary.notes)


def test_a_plate_whose_redshifts_vanish_leaves_its_hits(
    tmp_path: Path,
    write_plate: Write,
    search_few: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plate = write_plate(tmp_path / "in", lines={1: LINE})
    vanishing(monkeypatch, next((tmp_path / "in").glob("spZbest*")))
    assert search_few(tmp_path / "run", plate).counts["hits"] == 1
    (hit,) = hits_of(tmp_path / "run")
    assert hit["FIT_STATUS"] == "no_spectrum"


def test_a_file_that_comes_back_is_gathered(
    tmp_path: Path,
    make_few: Callable[[Path], Path],
    search_few: Run,
    tables_of: Bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    survey, run = make_few(tmp_path / "in"), tmp_path / "run"
    gone = survey / "spec-0007-55000-0010.fits"
    content = gone.read_bytes()
    with monkeypatch.context() as patch:
        vanishing(patch, gone)
        search_few(run, survey)
    gone.write_bytes(content)
    search_few(run, survey)
    search_few(tmp_path / "clean", survey)
    assert tables_of(run) == tables_of(tmp_path / "clean")
    assert (hits_of(run)["FIT_STATUS"] == "fitted").all()


def test_a_file_that_holds_other_spectra_now_is_not_taken_for_the_one_searched(
    tmp_path: Path, write_spec: Write, search_few: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    # Names that tell no ids, which the reader would hold against the header's.
    changed, other = (
        write_spec(tmp_path / "in" / f"spec-{name}.fits", fiberid=fibre, lines=LINE)
        for fibre, name in enumerate("ab", 1)
    )
    whole = changed.read_bytes()
    gathered = gathering.gather

    def then(*given: Any) -> Any:
        changed.write_bytes(other.read_bytes())
        return gathered(*given)

    with monkeypatch.context() as patch:
        patch.setattr("speclens.verbs.search.gather", then)
        summary = search_few(run, tmp_path / "in")
    assert summary.not_gathered == {"io_error": 1}
    assert hits_of(run)["FIT_STATUS"].tolist() == ["no_spectrum", "fitted"]
    changed.write_bytes(whole)
    summary = search_few(run, tmp_path / "in")
    assert summary.n_failed == 0
    assert (hits_of(run)["FIT_STATUS"] == "fitted").all()


@pytest.mark.parametrize("kind", ["plate", "spec"])
def test_i2_a_fault_of_our_own_costs_one_hit_and_says_so(
    tmp_path: Path,
    write_plate: Write,
    write_spec: Write,
    search_few: Run,
    tables_of: Bytes,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    waves = {1: 4300.0, 3: 4400.0, 5: 4500.0}
    if kind == "plate":
        write_plate(tmp_path / "in", lines={i: ((wave, 60.0),) for i, wave in waves.items()})
    for fibre, wave in waves.items() if kind == "spec" else ():
        path = tmp_path / "in" / f"spec-3655-55240-{fibre:04d}.fits"
        write_spec(path, fiberid=fibre, lines=((wave, 60.0),))
    run, messages = tmp_path / "run", []
    fitted = gathering._fitted

    def faulty(gatherer: Any, batch: SpectrumBatch, hits: NDArray[np.void]) -> Any:
        if (np.abs(hits["WAVE"] - 4400) < 5).any():
            raise ZeroDivisionError("of our own")
        return fitted(gatherer, batch, hits)

    with monkeypatch.context() as patch:
        patch.setattr(gathering, "_fitted", faulty)
        patch.setattr("speclens.run.progress.Silent.message", lambda _, text: messages.append(text))
        summary = search_few(run, tmp_path / "in")
    assert summary.not_gathered == {"internal_error": 1}
    assert summary.n_failed == 1
    assert hits_of(run)["FIT_STATUS"].tolist() == ["fitted", "no_spectrum", "fitted"]
    assert any("internal_error 1" in note for note in summary.notes)
    [message] = messages
    assert "ZeroDivisionError" in message
    assert "test_gather.py, line" in message
    assert search_few(run, tmp_path / "in").n_failed == 0
    search_few(tmp_path / "clean", tmp_path / "in")
    assert tables_of(run) == tables_of(tmp_path / "clean")


def test_i5_two_spectra_without_ids_are_gathered_each_from_its_own_row(
    tmp_path: Path, write_spec: Write, search_few: Run
) -> None:
    unknown = {"plate": -1, "mjd": -1, "fiberid": -1, "rng": np.random.default_rng(0)}
    for name, wave, dec in (("a", 4300.0, 2.0), ("b", 4600.0, 2.1)):
        path = tmp_path / "in" / f"spec-{name}.fits"
        write_spec(path, lines=((wave, 60.0),), row={"PLUG_DEC": dec}, **unknown)
    summary = search_few(tmp_path / "run", tmp_path / "in")
    assert (summary.counts["scored"], summary.counts["hits"]) == (2, 2)
    hits = hits_of(tmp_path / "run")
    assert hits["SPECTRUM"].tolist() == ["", ""]
    assert len(set(hits["FILE"].tolist())) == 2
    np.testing.assert_allclose(hits["FIT_WAVE"], hits["WAVE"], atol=3)
    assert told_of(tmp_path / "run") == set()
