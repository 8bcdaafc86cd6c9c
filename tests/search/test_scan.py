"""The rows of a shard: what is known of targets goes with hits, what wrappers put in with rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speclens.config import load_config
from speclens.read.sdss.survey import PLATES, SPECS
from speclens.read.shards import Shard
from speclens.read.source import Source
from speclens.read.survey import FileKind
from speclens.run.store import ShardStore
from speclens.sample.preparation import Preparation
from speclens.search.scan import Scanner, ScanSettings, Wrapped, scan_shard
from speclens.search.shard_rows import ShardRows
from speclens.spectra import SpectrumBatch

LINES = dict.fromkeys((1, 3, 5, 7, 9), ((4300.0, 80.0),))


@pytest.fixture
def scan(tmp_path: Path) -> Callable[..., ShardRows]:
    """`scan(kind, *files) -> rows`, searched with the filter alone."""

    def run(kind: FileKind, *files: Path) -> ShardRows:
        config = load_config(None, ["search.method=matched-filter"])
        settings = ScanSettings(config, ShardStore(tmp_path, "0"))
        return scan_shard(Scanner(settings), Shard(kind, tuple(map(str, files))))

    return run


def test_a_hit_has_the_dispersion_and_magnitude_of_its_own_target(
    scan: Callable[..., ShardRows], tmp_path: Path, write_plate: Callable[..., Path]
) -> None:
    fibres = [
        {"FIBERID": i, "Z": 0.5, "VDISP": 100.0 + i, "VDISP_ERR": i / 4} for i in range(1, 11)
    ]
    hits = scan(PLATES, write_plate(tmp_path, fibres=fibres, lines=LINES)).hits
    fibre = hits["FIBERID"]
    assert set(LINES) <= set(fibre.tolist())
    np.testing.assert_array_equal(hits["VDISP"], 100 + fibre)
    np.testing.assert_array_equal(hits["VDISP_ERR"], fibre / 4)
    np.testing.assert_array_equal(hits["MAG_I"], 20 + 0.125 * fibre)


@pytest.mark.parametrize("catalogue", ["SPALL", "SPECOBJ"])
def test_what_the_catalogue_lacks_is_unknown(
    scan: Callable[..., ShardRows],
    tmp_path: Path,
    write_spec: Callable[..., Path],
    catalogue: str,
) -> None:
    path = write_spec(
        tmp_path / "spec-3655-55240-0004.fits", fiberid=4, lines=LINES[1], catalogue=catalogue,
        row={"VDISP": 0.0, "VDISP_ERR": np.nan},
    )  # fmt: skip
    hits = scan(SPECS, path).hits
    assert len(hits) == 1
    assert np.isnan(hits["VDISP"]).all()
    assert np.isnan(hits["VDISP_ERR"]).all()
    np.testing.assert_array_equal(hits["MAG_I"], [20.5 if catalogue == "SPALL" else np.nan])


def test_every_row_names_its_survey(
    scan: Callable[..., ShardRows], tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    good = write_spec(tmp_path / "spec-3655-55240-0001.fits", lines=((4300.0, 80.0),))
    bad = tmp_path / "spec-3655-55240-0002.fits"
    bad.write_bytes(good.read_bytes()[:5000])
    rows = scan(SPECS, good, bad)
    assert rows.spectra["SURVEY"].tolist() == ["sdss", "sdss"]
    assert rows.hits["SURVEY"].tolist() == ["sdss"]


BRIGHTER = np.dtype([("LEVEL", "f4")])


class Brighter:
    """A source with a line at pixel 500 in each spectrum."""

    def __init__(self, source: Source, level: float) -> None:
        self.source, self.level, self.survey = source, level, source.survey
        self.targets, self.reasons = source.targets, source.reasons
        self.flags, self.files = source.flags, source.files
        self.truth = np.zeros(len(source.targets), BRIGHTER)

    def spectra(self, rows: np.ndarray) -> SpectrumBatch:
        batch = self.source.spectra(rows)
        self.truth["LEVEL"][rows] = self.level
        flux = batch.flux.copy()
        line = np.exp(-0.5 * (np.arange(-8, 9) / 1.4) ** 2)
        flux[:, 492:509] += np.float32(self.level) * line.astype(np.float32)
        return replace(batch, flux=flux)


def nothing_and_a_line(source: Source, _: Preparation) -> Iterator[Wrapped]:
    for level in (0, 20):
        yield Brighter(source, level)


def test_sources_that_wrap_a_source_are_searched_in_its_place(
    scan: Callable[..., ShardRows], tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    good = write_spec(tmp_path / "spec-3655-55240-0004.fits", fiberid=4, lines=LINES[1])
    star = write_spec(tmp_path / "spec-3655-55240-0005.fits", fiberid=5, class_="STAR")
    bad = tmp_path / "spec-3655-55240-0006.fits"
    bad.write_bytes(b"")
    plain = scan(SPECS, good, star, bad)
    scanner = Scanner(
        ScanSettings(load_config(None, ["search.method=matched-filter"]), ShardStore(tmp_path, "1"))
    )
    wrapping = scanner.around(
        replace(scanner.settings, wrap=nothing_and_a_line, store=scanner.settings.store.part("x"))
    )
    assert wrapping.detector is scanner.detector
    shard = Shard(SPECS, (str(good), str(star), str(bad)))
    rows = scan_shard(wrapping, shard)
    assert rows.truth is not None
    assert rows.truth["LEVEL"].tolist() == [0, 0, 20, 0, 0]
    assert rows.spectra["STATUS"].tolist() == [
        "scored", "skipped", "scored", "skipped", "failed"
    ]  # fmt: skip
    assert rows.spectra[:2].tobytes() == plain.spectra[:2].tobytes()
    assert rows.hits[:1].tobytes() == plain.hits.tobytes()
    assert set(rows.hit_rows[1:].tolist()) == {2}
    place = scanner.settings.grid.wave[500]
    assert np.abs(rows.hits["WAVE"][1:] - place).min() < 1
    stored = scan_shard(wrapping, shard)
    assert (rows.path, rows.digest) == (stored.path, stored.digest)
    assert stored.truth is not None
    assert stored.truth.tobytes() == rows.truth.tobytes()
    other = scan_shard(scanner, shard)
    assert (other.truth, other.path == rows.path) == (None, False)
