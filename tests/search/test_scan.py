"""The rows of a shard: what the catalogue knows of a hit's target goes with the hit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speclens.config import load_config
from speclens.read.shards import Shard
from speclens.run.store import ShardStore
from speclens.search.scan import Scanner, ScanSettings, scan_shard
from speclens.search.shard_rows import ShardRows

LINES = dict.fromkeys((1, 3, 5, 7, 9), ((4300.0, 80.0),))


@pytest.fixture
def scan(tmp_path: Path) -> Callable[..., ShardRows]:
    """`scan(kind, *files) -> rows`, searched with the filter alone."""

    def run(kind: str, *files: Path) -> ShardRows:
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
    hits = scan("plate", write_plate(tmp_path, fibres=fibres, lines=LINES)).hits
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
    hits = scan("spec", path).hits
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
    rows = scan("specs", good, bad)
    assert rows.spectra["SURVEY"].tolist() == ["sdss", "sdss"]
    assert rows.hits["SURVEY"].tolist() == ["sdss"]
