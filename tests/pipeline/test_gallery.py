"""The picture of the best hits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from speclens.config import Config
from speclens.pipeline.gallery import N_SHOWN, draw_best_hits
from speclens.pipeline.scan import ScanSettings
from speclens.pipeline.search import RunSummary
from speclens.pipeline.shards import ShardStore
from speclens.products import read_table
from speclens.report.figures import HitPanel

Run = Callable[..., RunSummary]
LINE = ((4300.0, 40.0),)


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[HitPanel]:
    """What would be drawn."""
    shown: list[HitPanel] = []
    monkeypatch.setattr(
        "speclens.report.figures.draw_hits", lambda _path, panels: shown.extend(panels)
    )
    return shown


def table_of(run: Path, name: str) -> NDArray[np.void]:
    return np.asarray(read_table(run / name).as_array())


def test_a_run_with_hits_has_a_picture_and_one_without_has_none(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path]
) -> None:
    path = write_spec(tmp_path / "in" / "spec-1-2-0003.fits", lines=LINE)
    picture = tmp_path / "run" / "report" / "best_hits.png"
    run_into = partial(run_into, overrides=("search.method=matched-filter",))
    assert run_into(tmp_path / "run", tmp_path / "in").counts["candidates"] == 1
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    image = imread(picture)
    assert image.ndim == 3
    assert image[..., :3].std() > 0.02
    first = picture.read_bytes()
    run_into(tmp_path / "run", tmp_path / "in")
    assert picture.read_bytes() == first
    write_spec(path, lines=())
    assert run_into(tmp_path / "run", tmp_path / "in").counts["hits"] == 0
    assert not picture.exists()


def test_panels_show_the_spectra_of_the_best_hits(
    reference: tuple[Path, RunSummary], mock_config: Config, tmp_path: Path, panels: list[HitPanel]
) -> None:
    candidates = table_of(reference[0], "candidates.fits")
    settings = ScanSettings(mock_config, ShardStore(tmp_path, ""), True)
    assert draw_best_hits(tmp_path, settings, candidates) is not None
    best = list(dict.fromkeys(candidates["NAME"].tolist()))[:N_SHOWN]
    assert [panel.title for panel in panels] == best
    for panel, row in zip(panels, candidates, strict=False):
        assert panel.line_wave == row["WAVE"]
        near = np.abs(panel.wave - row["WAVE"]) < 2 * row["WAVE"] * 1e-3
        excess = ((panel.flux - panel.model) / np.where(panel.error > 0, panel.error, np.inf))[near]
        assert excess.max() > 2
        assert panel.wave.shape == panel.flux.shape == panel.error.shape == panel.model.shape
    assert draw_best_hits(tmp_path, settings, candidates[:0]) is None
    candidates["FILE"] = "/nowhere/spPlate-1-2.fits"
    assert draw_best_hits(tmp_path, settings, candidates) is None


@pytest.mark.parametrize("name", ["spec-1-2 $x$%41é.fits", "spec-1-\udcff.fits"])
def test_a17_g8_odd_names_and_gaps_are_drawn(
    tmp_path: Path,
    run_into: Run,
    write_spec: Callable[..., Path],
    name: str,
) -> None:
    from speclens.pipeline import gallery

    ivar = np.full(1730, 11.0)
    ivar[600:700] = 0
    write_spec(tmp_path / "in" / name, lines=LINE, ivar=ivar, row={"PLUG_RA": np.nan})
    drawn: list[Path | None] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "speclens.pipeline.search.draw_best_hits",
            lambda *given: drawn.append(gallery.draw_best_hits(*given)),
        )
        assert run_into(tmp_path / "run", tmp_path / "in").counts["candidates"] == 1
    assert drawn == [tmp_path / "run" / "report" / "best_hits.png"]
