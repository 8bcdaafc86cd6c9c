"""The network's search as a whole: probabilities for all, and no doubt about whose they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import ConfigError, ModelError, RunError
from speclens.evaluate.completeness import match_lines
from speclens.networks.model import Model
from speclens.networks.model_folder import read_model, write_model
from speclens.read.discovery import find_survey_files
from speclens.read.shards import make_shards
from speclens.run.store import ShardStore
from speclens.sample.selection import redshifts, refusals
from speclens.schema import flag_bit
from speclens.search import network, scan
from speclens.search.engine import Engine, NetworkOutput, open_engine
from speclens.search.scan import Scanner, ScanSettings
from speclens.stored_tables import read_table
from speclens.verbs.search import RunSummary

pytestmark = pytest.mark.usefixtures("no_report")
Run = Callable[..., RunSummary]
Peaks = Callable[..., Model]
LINE = ((4300.0, 40.0),)


def rows_of(path: Path) -> NDArray[np.void]:
    return np.asarray(read_table(path).as_array())


def with_model(folder: Path) -> tuple[str, ...]:
    return (f"search.model='{folder}'",)


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files but the lock, which says when."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def peaks(peak_model: Peaks, tmp_path: Path) -> Path:
    """The folder of a network that sees what the filter's search sees."""
    write_model(tmp_path / "peaks", peak_model(), "")
    return tmp_path / "peaks"


@pytest.fixture
def specs(tmp_path: Path, write_spec: Callable[..., Path]) -> Path:
    """Three galaxies, the second with a line."""
    for fibre in (1, 2, 3):
        path = tmp_path / "in" / f"spec-1-2-{fibre:04d}.fits"
        write_spec(path, fiberid=fibre, lines=LINE if fibre == 2 else ())
    return tmp_path / "in"


def test_every_scored_spectrum_has_a_probability_and_no_other(
    reference: tuple[Path, RunSummary],
) -> None:
    spectra, hits = (rows_of(reference[0] / f"{name}.fits") for name in ("spectra", "hits"))
    probability, scored = spectra["PROBABILITY"], spectra["STATUS"] == "scored"
    assert 60 < scored.sum() < len(spectra)
    np.testing.assert_array_equal(np.isfinite(probability), scored)
    assert ((probability[scored] >= 0) & (probability[scored] <= 1)).all()
    # One hit for each spectrum above the limit, with that spectrum's probability.
    above = dict(zip(spectra["TARGETID"].tolist(), probability.tolist(), strict=True))
    above = {target: value for target, value in above.items() if value > 0.5}
    found = zip(hits["TARGETID"].tolist(), hits["PROBABILITY"].tolist(), strict=True)
    assert sorted(found) == sorted(above.items())
    assert set(hits["METHOD"].tolist()) == {"resnet"}
    assert not (spectra["FLAGS"] & flag_bit("MANY_HITS")).any()


def test_bright_lines_put_in_are_found_at_their_place(
    reference: tuple[Path, RunSummary], mock_survey: Path, mock_config: Config
) -> None:
    truth, hits = rows_of(mock_survey / "truth.fits"), rows_of(reference[0] / "hits.fits")
    spectra = rows_of(reference[0] / "spectra.fits")
    scored = spectra["TARGETID"][spectra["STATUS"] == "scored"]
    bright = truth[
        (truth["KIND"] == "lya") & (truth["IDEAL_SNR"] > 12) & np.isin(truth["TARGETID"], scored)
    ]
    assert len(bright) > 5
    match = match_lines(bright, hits, mock_config.evaluation.match_pixels)
    assert (match >= 0).mean() > 0.7
    found, put_in = hits[match[match >= 0]], bright[match >= 0]
    np.testing.assert_allclose(np.median(found["FLUX"] / put_in["FLUX"]), 1, atol=0.2)
    empty = np.isin(spectra["TARGETID"], truth["TARGETID"], invert=True)
    alarms = spectra["PROBABILITY"][empty & (spectra["STATUS"] == "scored")] > 0.5
    assert len(alarms) > 20
    assert alarms.mean() < 0.1


def test_the_tables_and_the_record_name_the_network(reference: tuple[Path, RunSummary]) -> None:
    digest = read_model("speclens").digest
    record = json.loads((reference[0] / "run.json").read_text())
    assert record["model_sha256"] == digest
    assert record["method"] == "resnet"
    assert record["engine"].split()[0] in ("openvino", "torch")
    for name in ("spectra", "hits", "candidates"):
        assert fits.getheader(reference[0] / f"{name}.fits", 1)["MODEL"] == digest[:16]


def test_the_filters_search_needs_no_network_and_gives_no_probability(
    specs: Path, run_into: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    absent = with_model(tmp_path / "absent")
    run_into(tmp_path / "run", specs, overrides=("search.method=matched-filter", *absent))
    for name in ("spectra", "hits"):
        assert np.isnan(rows_of(tmp_path / "run" / f"{name}.fits")["PROBABILITY"]).all()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["model_sha256"] is record["engine"] is None
    assert "MODEL" not in fits.getheader(tmp_path / "run" / "spectra.fits", 1)


@pytest.mark.slow
def test_b9_workers_and_the_order_of_plates_do_not_change_a_probability(
    reference: tuple[Path, RunSummary], mock_survey: Path, run_into: Run, tmp_path: Path
) -> None:
    plates = sorted(mock_survey.glob("*/spPlate-*.fits"), reverse=True)
    run_into(tmp_path / "run", *plates, n_workers=2)
    one, two = (
        np.sort(rows_of(run / "spectra.fits"), order="TARGETID")
        for run in (reference[0], tmp_path / "run")
    )
    np.testing.assert_array_equal(one["TARGETID"], two["TARGETID"])
    np.testing.assert_allclose(two["PROBABILITY"], one["PROBABILITY"], rtol=0, atol=1e-6)
    ranked = (
        rows_of(run / "candidates.fits")["SPECTRUM"].tolist()
        for run in (reference[0], tmp_path / "run")
    )
    first, second = ranked
    assert first == second
    assert len(first) > 5


def test_b9_the_company_of_a_spectrum_does_not_change_its_probability(
    mock_survey: Path, mock_config: Config, tmp_path: Path, rng: np.random.Generator
) -> None:
    settings = ScanSettings(mock_config, ShardStore(tmp_path, ""))
    (shard, *_) = make_shards(find_survey_files([str(mock_survey)]))
    with settings.opened(shard) as (source, _):
        chosen = refusals(source.targets, mock_config.selection) == ""
        batch = source.spectra(np.flatnonzero(chosen))
    z = redshifts(batch.targets, mock_config.selection)
    detector = Scanner(settings).detector
    whole = detector(batch, z)
    assert len(batch) > 20
    assert len(whole.hits) > 3
    shuffled = rng.permutation(len(batch))
    parts = {
        "alone": [np.array([i]) for i in range(len(batch))],
        "shuffled": [shuffled],
        "in parts": np.array_split(shuffled, 3),
        "twice": [np.repeat(np.arange(len(batch)), 2)],
    }
    by_row = dict(zip(whole.hits["ROW"].tolist(), whole.hits.tolist(), strict=True))
    for name, groups in parts.items():
        for rows in groups:
            found = detector(batch[rows], z[rows])
            expected = whole.probability[rows]
            np.testing.assert_allclose(found.probability, expected, rtol=0, atol=1e-6, err_msg=name)
            hits = dict(zip(rows[found.hits["ROW"]].tolist(), found.hits.tolist(), strict=True))
            assert hits.keys() == by_row.keys() & set(rows.tolist()), name
            for row, hit in hits.items():
                np.testing.assert_allclose(hit[1:], by_row[row][1:], rtol=1e-4, err_msg=name)


class Doubtful:
    """An engine that gives no number for every third spectrum."""

    name, rounding = "doubtful", 1.0

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, inputs: NDArray[np.float32]) -> NetworkOutput:
        output = self._engine(inputs)
        output.logit[::3], output.place[::3] = np.nan, np.nan
        return output


def test_f2_answers_that_are_no_numbers_are_failures_that_are_counted(
    reference: tuple[Path, RunSummary],
    mock_survey: Path,
    run_into: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "open_engine", lambda model: Doubtful(open_engine(model)))
    summary = run_into(tmp_path / "run", mock_survey)
    counts, before = summary.counts, reference[1].counts
    lost = summary.reasons.pop("no_probability")
    assert counts["scored"] + counts["skipped"] + counts["failed"] == counts["read"] == 120
    assert lost == counts["failed"] == summary.n_failed
    assert counts["scored"] == before["scored"] - lost
    assert 0.3 * before["scored"] < lost < 0.4 * before["scored"]
    assert summary.reasons == reference[1].reasons
    spectra = rows_of(tmp_path / "run" / "spectra.fits")
    failed = spectra["STATUS"] == "failed"
    assert set(spectra["REASON"][failed].tolist()) == {"no_probability"}
    assert np.isnan(spectra["PROBABILITY"][failed]).all()
    assert np.isnan(spectra["SNR"][failed]).all()
    assert np.isfinite(spectra["PROBABILITY"][spectra["STATUS"] == "scored"]).all()
    hits = rows_of(tmp_path / "run" / "hits.fits")
    assert len(hits) > 3
    assert not np.isin(hits["TARGETID"], spectra["TARGETID"][failed]).any()


def test_a_network_of_flux_alone_that_tells_no_place_searches(
    peak_model: Peaks, specs: Path, run_into: Run, tmp_path: Path
) -> None:
    model = peak_model(("flux",), "flux", threshold=6.0, place=False)
    write_model(tmp_path / "flux", model, "")
    run_into(tmp_path / "run", specs, overrides=with_model(tmp_path / "flux"))
    spectra = rows_of(tmp_path / "run" / "spectra.fits")
    assert (spectra["PROBABILITY"] > 0.5).tolist() == [False, True, False]
    (hit,) = rows_of(tmp_path / "run" / "hits.fits")
    assert hit["FIBERID"] == 2
    assert hit["WAVE"] == pytest.approx(4300, abs=1)
    assert hit["FLUX"] == pytest.approx(40, rel=0.1)
    # The bank of the filter is not one of its inputs, and may be another.
    other = (*with_model(tmp_path / "flux"), "matched_filter.line_fwhm_kms=[200.0]")
    assert run_into(tmp_path / "narrow", specs, overrides=other).counts["hits"] == 1


def test_a_network_of_another_window_is_refused_with_what_to_do(
    peak_model: Peaks, specs: Path, run_into: Run, tmp_path: Path
) -> None:
    narrow = peak_model(overrides=["preparation.window=[3800.0, 4500.0]"])
    write_model(tmp_path / "narrow", narrow, "")
    expected = r"preparation\.window = \[3800.0, 4500.0\].*5000.0.*train.*--method matched-filter"
    with pytest.raises(ConfigError, match=expected):
        run_into(tmp_path / "run", specs, overrides=with_model(tmp_path / "narrow"))
    assert not (tmp_path / "run").exists()
    overrides = (*with_model(tmp_path / "narrow"), "preparation.window=[3800.0, 4500.0]")
    assert run_into(tmp_path / "run", specs, overrides=overrides).counts["hits"] == 1


def _moved(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def _cut(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _flipped(folder: Path) -> None:
    path = folder / "probe.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def _unsigned(folder: Path) -> None:
    (folder / "model.json").unlink()


@pytest.mark.parametrize("damage", [_moved, _cut, _flipped, _unsigned])
def test_f2_a_network_that_is_gone_or_damaged_is_refused_before_anything_is_written(
    specs: Path, run_into: Run, tmp_path: Path, peaks: Path, damage: Callable[[Path], None]
) -> None:
    overrides, run = with_model(peaks), tmp_path / "run"
    run_into(run, specs, overrides=overrides)
    before = snapshot(run)
    damage(peaks)
    for output in (run, tmp_path / "new"):
        with pytest.raises(ModelError, match=r"model .*peaks: "):
            run_into(output, specs, overrides=overrides)
    assert snapshot(run) == before
    assert not (tmp_path / "new").exists()


def test_d5_a_search_does_not_go_on_with_another_network_in_the_same_folder(
    specs: Path, run_into: Run, tmp_path: Path, peaks: Path, peak_model: Peaks
) -> None:
    first, run = read_model(peaks).digest, tmp_path / "run"
    run_into(run, specs, overrides=with_model(peaks))
    assert json.loads((run / "run.json").read_text())["model_sha256"] == first
    before = snapshot(run)
    second = write_model(peaks, peak_model(threshold=5.0), "").digest
    with pytest.raises(RunError, match=f"model: was '{first}', now '{second}'"):
        run_into(run, specs, overrides=with_model(peaks))
    assert snapshot(run) == before


def test_a_network_that_changes_while_the_search_runs_is_not_the_one_recorded(
    specs: Path,
    run_into: Run,
    tmp_path: Path,
    peaks: Path,
    peak_model: Peaks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest, shard = read_model(peaks).digest, scan.scan_shard

    def then_another_is_trained(*given: object) -> object:
        rows = shard(*given)  # type: ignore[arg-type]
        write_model(peaks, peak_model(threshold=-50.0), "")
        return rows

    monkeypatch.setattr("speclens.search.scanned.scan_shard", then_another_is_trained)
    assert run_into(tmp_path / "run", specs, overrides=with_model(peaks)).counts["hits"] == 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model_sha256"] == digest
    header = fits.getheader(tmp_path / "run" / "spectra.fits", 1)
    assert header["MODEL"] == digest[:16]


def test_a_network_that_vanishes_ends_the_search_and_fails_no_file(
    specs: Path, run_into: Run, tmp_path: Path, peaks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = scan.scan_shard

    def gone(scanner: Scanner, of_files: object) -> object:
        _moved(peaks)
        return shard(Scanner(scanner.settings), of_files)  # type: ignore[arg-type]

    monkeypatch.setattr("speclens.search.scanned.scan_shard", gone)
    with pytest.raises(ModelError, match=r"model .*peaks: "):
        run_into(tmp_path / "run", specs, overrides=with_model(peaks))
    assert not (tmp_path / "run" / "spectra.fits").exists()
    peaks.with_name("elsewhere").rename(peaks)
    monkeypatch.undo()
    monkeypatch.setattr("speclens.verbs.finish.make_report", lambda *_: {})
    counts = run_into(tmp_path / "run", specs, overrides=with_model(peaks)).counts
    assert (counts["scored"], counts["failed"], counts["hits"]) == (3, 0, 1)


SHUT_OFF = """
import socket, sys

class Refused:
    def __init__(self, *_, **__):
        print("SOCKET", file=sys.stderr)
        raise OSError("no network here")

class Without:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

socket.socket = socket.create_connection = socket.getaddrinfo = Refused
sys.meta_path.insert(0, Without())
from speclens.cli.app import main
main()
"""


@pytest.mark.slow
def test_e6_h2_a_search_needs_no_internet_and_no_torch(
    mock_survey: Path, reference: tuple[Path, RunSummary], tmp_path: Path
) -> None:
    command = [sys.executable, "-W", "error", "-c", SHUT_OFF, "search", str(mock_survey)]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "run"), "--workers", "1"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "SOCKET" not in done.stderr
    assert (tmp_path / "run" / "report" / "index.html").is_file()
    found, expected = (rows_of(run / "spectra.fits") for run in (tmp_path / "run", reference[0]))
    np.testing.assert_allclose(
        found["PROBABILITY"], expected["PROBABILITY"], rtol=0, atol=1e-2
    )  # the other may have used a GPU
