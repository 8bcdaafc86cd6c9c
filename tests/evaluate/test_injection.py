"""Sources around a source: a line is put in and known, and nothing else is changed."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speclens.config import Config
from speclens.errors import SpectrumFileError
from speclens.evaluate.drawing import DECOYS
from speclens.evaluate.injection import (
    NO_LINE,
    TRUTH,
    Injected,
    Injection,
    Kept,
    Null,
    names_of,
)
from speclens.evaluate.nulls import FLIPPED, SHUFFLED, SKY, Nulls
from speclens.read.sdss.spec import read_spec_files
from speclens.read.source import InMemory, Source
from speclens.run.store import ShardStore
from speclens.sample.preparation import Preparation
from speclens.schema import SPECTRA, dtype_of
from speclens.search.scan import ScanSettings
from speclens.search.shard_rows import ShardRows, failed_rows, join_rows
from speclens.spectra import SpectrumBatch

N_SPECTRA = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, write_spec: Callable[..., Path]) -> list[str]:
    folder = tmp_path_factory.mktemp("specs")
    return [
        str(write_spec(folder / f"spec-7-55000-{i}.fits", plate=7, mjd=55000, fiberid=i))
        for i in range(1, N_SPECTRA + 1)
    ]


@pytest.fixture(scope="module")
def preparation(mock_config: Config) -> Preparation:
    return Preparation(mock_config)


class Counting:
    """A source that counts how often it is read."""

    def __init__(self, source: InMemory) -> None:
        self.source, self.n_read = source, 0
        self.targets, self.reasons, self.flags = source.targets, source.reasons, source.flags
        self.files, self.survey = source.files, source.survey

    def spectra(self, rows: np.ndarray) -> SpectrumBatch:
        self.n_read += 1
        return self.source.spectra(rows)


@pytest.fixture
def source(files: list[str], preparation: Preparation) -> Counting:
    read = read_spec_files(files, preparation.grid)
    batch = read.spectra(np.arange(len(files)))
    return Counting(InMemory(batch, read.reasons, read.flags, [], read.survey))


def injected(
    source: Source, config: Config, preparation: Preparation, repeats: Sequence[int], seed: int = 1
) -> Iterator[tuple[SpectrumBatch, np.ndarray]]:
    """Read all spectra of each repeat."""
    for wrapped in Injection(config, seed, repeats)(source, preparation):
        yield wrapped.spectra(np.arange(len(source.targets))), wrapped.truth


def test_a_wrapped_source_differs_in_its_flux_alone(
    source: Counting, mock_config: Config, preparation: Preparation
) -> None:
    plain = source.source.batch
    for wrapped in Injection(mock_config, 1, (NO_LINE, 1))(source, preparation):
        for name in ("targets", "reasons", "flags", "files"):
            assert getattr(wrapped, name) is getattr(source, name)
        batch = wrapped.spectra(np.arange(N_SPECTRA))
        for name in ("ivar", "mask", "covered", "dispersion", "targets"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(plain, name))
        assert (batch.flux != plain.flux).any() == isinstance(wrapped, Injected)


def test_a_line_is_where_and_as_bright_as_the_truth_says(
    source: Counting, mock_config: Config, preparation: Preparation
) -> None:
    plain = source.source.batch
    pixel_width = plain.grid.wave * np.log(10) * 1e-4
    low, high = mock_config.evaluation.ideal_snr_range
    n_inside = 0
    for batch, truth in injected(source, mock_config, preparation, range(1, 11)):
        added = batch.flux.astype(float) - plain.flux
        inside = truth["SEARCHED"] & (np.abs(truth["WAVE"] - 4400) < 500)
        n_inside += inside.sum()
        flux = (added * pixel_width).sum(1)
        np.testing.assert_allclose(flux[inside], truth["FLUX"][inside], rtol=0.01)
        mean = (added * pixel_width * plain.grid.wave).sum(1) / flux
        np.testing.assert_allclose(mean[inside], truth["WAVE"][inside], atol=0.3)
        assert (truth["KIND"] == "lya").all()
        assert truth["LENSED"].all()
        assert (truth["SCALE"] > 0).all()
        assert (truth["NULL"] == "").all()
        np.testing.assert_allclose(1215.67 * (1 + truth["Z_SOURCE"]), truth["WAVE"])
        ideal = truth["IDEAL_SNR"][inside]
        assert (ideal > low - 1e-9).all()
        assert (ideal < high + 1e-9).all()
        np.testing.assert_allclose(ideal, np.sqrt((added**2 * plain.ivar).sum(1))[inside], rtol=0.2)
    assert n_inside > 30


def test_nothing_is_put_in_without_a_line(
    source: Counting, mock_config: Config, preparation: Preparation
) -> None:
    [(batch, truth)] = injected(source, mock_config, preparation, [NO_LINE])
    np.testing.assert_array_equal(batch.flux, source.source.batch.flux)
    assert truth.dtype == TRUTH
    assert set(truth["NULL"].tolist()) == {"plain"}
    truth["NULL"] = ""
    assert truth.tobytes() == np.zeros(N_SPECTRA, TRUTH).tobytes()


def test_files_are_read_once_for_all_repeats(
    source: Counting, mock_config: Config, preparation: Preparation
) -> None:
    assert len(list(injected(source, mock_config, preparation, range(5)))) == 5
    assert source.n_read == 1


def test_other_rows_are_read_anew(
    source: Counting, mock_config: Config, preparation: Preparation
) -> None:
    kept = Kept(source, preparation, mock_config)
    for rows in ([0, 1], [0, 1], [2]):
        plain = kept.plain(np.array(rows))
        np.testing.assert_array_equal(plain.batch.flux, source.source.batch.flux[rows])
        assert len(plain.stated) == len(plain.usable) == len(rows)
    assert source.n_read == 2


def test_e2_neither_group_nor_folder_nor_order_of_repeats_changes_a_line(
    source: Counting,
    files: list[str],
    mock_config: Config,
    preparation: Preparation,
    tmp_path: Path,
) -> None:
    together = {
        int(truth["REPEAT"][0]): (batch.flux, truth)
        for batch, truth in injected(source, mock_config, preparation, (1, 2, 3))
    }
    moved = []
    for file in files:
        moved.append(str(tmp_path / Path(file).name))
        Path(moved[-1]).write_bytes(Path(file).read_bytes())
    for start, stop in ((0, 2), (2, N_SPECTRA)):
        part = read_spec_files(moved[start:stop], preparation.grid)
        for batch, truth in injected(part, mock_config, preparation, (3, 1)):
            flux, rows = together[int(truth["REPEAT"][0])]
            np.testing.assert_array_equal(batch.flux, flux[start:stop])
            assert truth.tobytes() == rows[start:stop].tobytes()


def test_seed_repeat_file_and_row_each_give_another_line(mock_config: Config) -> None:
    names = [(1, 0), (1, 1), (2, 0)]
    waves = [
        Injection(mock_config, seed, ()).draw(repeat, names).lines.wave
        for seed, repeat in ((1, 1), (1, 2), (2, 1))
    ]
    assert len(np.unique(np.concatenate(waves))) == 9


def test_lines_are_drawn_evenly_over_window_and_range(mock_config: Config) -> None:
    names = [(7, row) for row in range(4000)]
    drawn = Injection(mock_config, 1, ()).draw(1, names)
    lines, wanted = drawn.lines, drawn.wanted
    for values, (low, high) in (
        (lines.wave, mock_config.preparation.window),
        (wanted, mock_config.evaluation.ideal_snr_range),
    ):
        places = (values - low) / (high - low)
        assert ((places >= 0) & (places < 1)).all()
        assert places.mean() == pytest.approx(0.5, abs=0.02)
        assert places.std() == pytest.approx(12**-0.5, abs=0.01)
    assert abs(np.corrcoef(lines.wave, wanted)[0, 1]) < 0.06


def test_spectra_that_cannot_be_searched_get_no_line(
    source: Counting, mock_config: Config, preparation: Preparation
) -> None:
    batch = source.source.batch
    ivar = batch.ivar.copy()
    ivar[2] = 0
    source.source = replace(source.source, batch=replace(batch, ivar=ivar))
    [(found, truth)] = injected(source, mock_config, preparation, [1])
    assert truth["KIND"].tolist() == ["lya", "lya", "", "lya", "lya", "lya"]
    assert (truth["FLUX"][2], truth["SEARCHED"][2]) == (0, False)
    np.testing.assert_array_equal(found.flux[2], batch.flux[2])


def test_spectra_that_are_not_asked_for_stay_blank(
    source: Counting, mock_config: Config, preparation: Preparation
) -> None:
    [wrapped] = Injection(mock_config, 1, [4])(source, preparation)
    assert len(wrapped.spectra(np.array([1, 3]))) == 2
    assert (wrapped.truth["KIND"] != "").tolist() == [False, True, False, True, False, False]
    assert (wrapped.truth["REPEAT"] == 4).all()


def test_an_injection_is_plain_data(mock_config: Config, tmp_path: Path) -> None:
    injection = Injection(mock_config, 1, range(3))
    settings = ScanSettings(mock_config, ShardStore(tmp_path, ""), wrap=injection)
    assert pickle.loads(pickle.dumps(settings)).wrap == injection  # noqa: S301


def test_the_truth_is_kept_with_the_rows_and_blank_where_files_failed(tmp_path: Path) -> None:
    truth = np.zeros(2, TRUTH)
    truth["KIND"], truth["WAVE"] = "lya", [4000, 4100]
    failed = failed_rows(
        SpectrumFileError("spec-1-2-3.fits", "io_error", "gone"), "spec-1-2-3", "sdss"
    )
    rows = replace(failed, spectra=np.zeros(2, dtype_of(SPECTRA)), truth=truth)
    joined = join_rows([failed, rows])
    joined.save(tmp_path / "rows")
    stored = ShardRows.load(tmp_path / "rows")
    assert stored is not None
    assert stored.truth is not None
    assert stored.truth["KIND"].tolist() == ["", "lya", "lya"]
    np.testing.assert_array_equal(stored.truth, joined.truth)
    failed.save(tmp_path / "none")
    plain = ShardRows.load(tmp_path / "none")
    assert plain is not None
    assert plain.truth is None


def test_a_null_passes_spectra_through(source: Counting) -> None:
    null = Null(source)
    np.testing.assert_array_equal(null.spectra(np.array([1])).flux, source.source.batch.flux[[1]])


@pytest.mark.parametrize("kinds", [("elg",), DECOYS])
def test_galaxies_and_decoys_have_the_ratio_that_was_wanted(
    source: Counting, mock_config: Config, preparation: Preparation, kinds: tuple[str, ...]
) -> None:
    batch, seen = source.source.batch, set()
    targets = batch.targets.copy()
    targets["Z"] = 0.05  # so that [O II] of some galaxies behind is in the window
    plain = replace(batch, targets=targets)
    source.source = replace(source.source, batch=plain)
    injection = Injection(mock_config, 1, range(1, 9), kinds)
    for wrapped in injection(source, preparation):
        batch, truth = wrapped.spectra(np.arange(N_SPECTRA)), wrapped.truth
        added = batch.flux.astype(float) - plain.flux
        ideal = np.sqrt((added**2 * plain.ivar).sum(1))
        known = (truth["KIND"] != "") & truth["SEARCHED"]
        np.testing.assert_allclose(truth["IDEAL_SNR"][known], ideal[known], rtol=0.3)
        seen |= set(truth["KIND"][known].tolist())
        galaxy = truth["KIND"] == "elg"
        assert (truth["Z_SOURCE"][galaxy] > 0.1).all()
        assert (truth["LENSED"] == galaxy).all()
        names = names_of(source.files)
        drawn = injection.draw(int(truth["REPEAT"][0]), names, plain.targets["Z"])
        again, _ = drawn.on(plain.grid, plain.dispersion)
        np.testing.assert_allclose(again * truth["SCALE"][:, None], added, atol=1e-4)
    assert seen <= {*kinds}
    assert len(seen) > len(kinds) / 2


def test_nulls_are_turned_over_and_told_other_redshifts(
    source: Counting, mock_config: Config, preparation: Preparation
) -> None:
    plain, rows = source.source.batch, np.arange(N_SPECTRA)
    source.targets = source.targets.copy()
    source.targets["Z"] = np.linspace(0.4, 0.6, N_SPECTRA)
    source.targets["OBJTYPE"][0] = "SKY"
    flipped, shuffled, sky = Nulls(mock_config)(source, preparation)
    assert [null.truth["NULL"][0] for null in (flipped, shuffled, sky)] == [FLIPPED, SHUFFLED, SKY]
    # Twice the foreground minus the flux: both of them have it in their middle.
    prepared = preparation(plain, plain.targets["Z"])
    known = prepared.ivar > 0
    middle = (flipped.spectra(rows).flux + plain.flux) / 2
    np.testing.assert_allclose(middle[known], prepared.model[known], rtol=1e-4, atol=1e-4)
    own, other = source.targets["Z"][1:], shuffled.targets["Z"][1:]
    assert sorted(own) == sorted(other)
    assert (np.abs(own - other) > 0.05).all()
    assert sky.targets["OBJTYPE"][0] == ""
    assert sky.targets["CLASS"][0] == "GALAXY"
    assert sky.targets["Z"][0] in own
    assert (sky.reasons != "").tolist() == [False, *[True] * (N_SPECTRA - 1)]
