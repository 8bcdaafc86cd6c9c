"""The best hits of a run as a picture.

In: the candidate rows of a run. Out: report/best_hits.png. The spectra are read again, a few files
only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.pipeline.detection import near_line
from speclens.pipeline.scan import ScanSettings, opened
from speclens.pipeline.shards import Shard
from speclens.read.discovery import is_plate
from speclens.spectra import SpectrumBatch

if TYPE_CHECKING:
    from speclens.report.figures import HitPanel

__all__ = ["draw_best_hits"]

N_SHOWN = 4


def draw_best_hits(
    folder: Path, settings: ScanSettings, candidates: NDArray[np.void]
) -> Path | None:
    """Draw the best candidates, each of another spectrum.

    Parameters
    ----------
    folder : Path
        The run.
    settings : ScanSettings
        What the search used.
    candidates : structured array of shape (N,)
        Rows of the candidate table, best first.

    Returns
    -------
    Path or None
        The picture; None when there is nothing to show.
    """
    from speclens.report.figures import draw_hits

    path = folder / "report" / "best_hits.png"
    first = np.sort(np.unique(candidates["TARGETID"], return_index=True)[1])[:N_SHOWN]
    panels = [panel for row in candidates[first] for panel in _panels(settings, row)]
    if not panels:
        path.unlink(missing_ok=True)
        return None
    draw_hits(path, panels)
    return path


def _panels(settings: ScanSettings, row: np.void) -> Iterator[HitPanel]:
    """Read and prepare the spectrum of one hit; nothing when its file is gone."""
    path = os.fsdecode(unquote_to_bytes(str(row["FILE"])))
    kind = "plate" if is_plate(path) else "specs"
    try:
        with opened(settings, Shard(kind, (path,))) as (source, _):
            rows = np.flatnonzero(source.targets["TARGETID"] == row["TARGETID"])[:1]
            batch = source.spectra(rows)
    except SpectrumFileError:
        return
    if len(rows):
        yield _panel(settings, batch, row)


def _panel(settings: ScanSettings, batch: SpectrumBatch, row: np.void) -> HitPanel:
    from speclens.report.figures import HitPanel

    half_width = settings.config.matched_filter.half_width
    line = near_line(batch.grid, float(row["WAVE"]), half_width)
    prepared = settings.preparation(batch, np.array([row["Z"]]), line[None])
    ivar = prepared.ivar[0]
    error = np.where(ivar > 0, 1 / np.sqrt(np.maximum(ivar, 1e-30)), 0)
    return HitPanel(
        str(row["NAME"]) or str(row["SPECTRUM"]),
        f"{row['SPECTRUM']}   z = {row['Z']:.3f}   line {row['WAVE']:.1f} Å   S/N {row['SNR']:.1f}"
        f"   if Ly-alpha: z = {row['Z_SOURCE']:.3f}",
        batch.grid.wave,
        prepared.flux[0],
        error,
        prepared.model[0],
        float(row["WAVE"]),
    )
