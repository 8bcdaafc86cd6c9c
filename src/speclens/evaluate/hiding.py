"""Lines hidden in a few spectra of a run, so that who looks at its hits can be tested.

In: which spectra, a configuration, a seed. Out: the line of each, a source's or a decoy's, as an
evaluation puts them in; and settings of a search whose files hold these lines, whatever is read of
them: the window, the whole spectrum, single exposures. What follows, the search and the vetting,
does not know the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import SpectrumFileError
from speclens.evaluate.drawing import spectra_of
from speclens.evaluate.injection import Around, Injected, Injection, Kept
from speclens.read.shards import Shard
from speclens.read.source import Exposure, Source
from speclens.sample.error_growth import preparation_of
from speclens.sample.preparation import Preparation
from speclens.schema import INJECTED, dtype_of
from speclens.search.scan import ScanSettings
from speclens.search.shard_rows import rows_of
from speclens.simulate.emitters import Lines
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["PLACE", "HidingSettings", "draw_hidden", "hidden_dtype"]

PLACE = ("FILE", "ROW")
"""A spectrum, as spectra.fits names it."""

KINDS = ("lya", "lya", "lya", "oii", "spike", "sky_line")
"""Half of the lines are of sources; a grader should tell the others from them."""

SEARCHED_BEFORE = "duplicate"
"""Reason of the other spectra of a file."""


def hidden_dtype(places: NDArray[np.void]) -> np.dtype[Any]:
    """Return the columns of a hidden line: its spectrum, and `speclens.schema.INJECTED`.

    Parameters
    ----------
    places : structured array
        With the columns `PLACE`.

    Returns
    -------
    dtype
        The columns.
    """
    place = [(name, places.dtype[name]) for name in PLACE]
    return np.dtype([*place, *dtype_of(INJECTED).descr])


def draw_hidden(
    settings: ScanSettings, shards: Sequence[Shard], places: NDArray[np.void], seed: int
) -> NDArray[np.void]:
    """Draw a line for each of some spectra.

    Parameters
    ----------
    settings : ScanSettings
        The search whose window they fall into.
    shards : sequence of Shard
        The files that hold the spectra.
    places : structured array of shape (N,)
        The spectra, by the columns `PLACE`.
    seed : int
        Seed of all lines; each depends on it, on the name of the file and on the row in it alone.

    Returns
    -------
    structured array of shape (n,)
        `hidden_dtype`: lines of the spectra that can be searched.
    """
    preparation = preparation_of(settings.config)
    parts = [np.zeros(0, hidden_dtype(places))]
    for shard in shards:
        try:
            with settings.opened(shard) as (source, _):
                parts.append(_hidden_in(source, preparation, places, settings.config, seed))
        except SpectrumFileError:
            # It has gone since it was searched: no line is put into it.
            continue
    return np.concatenate(parts)


@dataclass(frozen=True)
class HidingSettings(ScanSettings):
    """A search of spectra that hold lines put in; the others of their files are left out.

    Parameters
    ----------
    hidden : structured array of shape (N,)
        `hidden_dtype`.
    """

    hidden: NDArray[np.void] = field(
        default_factory=lambda: np.zeros(0, [("FILE", "U1"), ("ROW", "i4")])
    )

    @contextmanager
    def opened(
        self, shard: Shard, grid: LogGrid | None = None
    ) -> Iterator[tuple[Source, Sequence[SpectrumFileError]]]:
        """Open the files of a shard, with the lines in their spectra.

        Parameters
        ----------
        shard : Shard
            The files.
        grid : LogGrid, optional
            Pixels to read; the window when not given.

        Yields
        ------
        source : Source
            The spectra.
        failures : sequence of SpectrumFileError
            One for each single file that failed.
        """
        with super().opened(shard, grid) as (source, failures):
            yield _WithHidden(source, self.hidden), failures

    def exposures(self, shard: Shard, wave_range: tuple[float, float]) -> Sequence[Exposure]:
        """Read the single exposures of the one file of a shard, each with its line.

        Parameters
        ----------
        shard : Shard
            The file.
        wave_range : (float, float)
            Between which wavelengths, Angstrom.

        Returns
        -------
        sequence of Exposure
            The exposures that cover any of it.
        """
        found = super().exposures(shard, wave_range)
        if not found:
            return found
        with super().opened(shard) as (source, _):
            line = _WithHidden(source, self.hidden).line[:1]
        if (line < 0).any():
            return found
        grid = LogGrid.covering(*wave_range)
        (added,) = _flux_of(self.hidden[line], grid, np.zeros((1, grid.n_pixels)))
        return [
            replace(one, flux=one.flux + np.interp(one.wave, grid.wave, added, 0, 0))
            for one in found
        ]


class _WithHidden(Around):
    """A source with lines in some of its spectra; the others are not searched."""

    def __init__(self, source: Source, hidden: NDArray[np.void]) -> None:
        super().__init__(source)
        number = {place: i for i, place in enumerate(hidden[list(PLACE)].tolist())}
        self._hidden = hidden
        # Number of the line in each spectrum, shape (N,); -1 for none.
        self.line = np.array([number.get(place, -1) for place in _places(source)], np.intp)

    @property
    def reasons(self) -> NDArray[np.str_]:
        """Reason codes of what is not searched, shape (N,); else empty."""
        return np.where((self.line < 0) & (super().reasons == ""), SEARCHED_BEFORE, super().reasons)

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Return some of the spectra, with their lines.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        batch = self._source.spectra(rows)
        own = np.flatnonzero(self.line[rows] >= 0)
        if not len(own):
            return batch
        lines = self._hidden[self.line[rows[own]]]
        flux = batch.flux.copy()
        flux[own] += _flux_of(lines, batch.grid, batch.dispersion[own])
        return replace(batch, flux=flux)


def _places(source: Source) -> list[tuple[str, int]]:
    rows = rows_of(source.targets, source.files, source.survey)
    places: list[tuple[str, int]] = rows[list(PLACE)].tolist()
    return places


def _hidden_in(
    source: Source, preparation: Preparation, places: NDArray[np.void], config: Config, seed: int
) -> NDArray[np.void]:
    wanted = set(places[list(PLACE)].tolist())
    own = _places(source)
    rows = np.array([i for i, place in enumerate(own) if place in wanted], np.intp)
    hidden = np.zeros(len(rows), hidden_dtype(places))
    if not len(rows):
        return hidden
    injected = Injected(Kept(source, preparation, config), Injection(config, seed, (), KINDS), 1)
    injected.spectra(rows)
    truth = injected.truth[rows]
    hidden["FILE"], hidden["ROW"] = zip(*(own[row] for row in rows.tolist()), strict=True)
    hidden["TARGETID"] = source.targets["TARGETID"][rows]
    for column in INJECTED:
        if column.name != "TARGETID":
            hidden[column.name] = truth[column.name]
    return np.asarray(hidden[truth["KIND"] != ""])


def _flux_of(
    hidden: NDArray[np.void], grid: LogGrid, dispersion: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return the flux density of hidden lines, 1e-17 erg/s/cm2/Angstrom, shape (N, L)."""
    lines = Lines(*(hidden[name] for name in ("WAVE", "FLUX", "WIDTH", "SKEWNESS")))
    return spectra_of(hidden["KIND"], lines, grid, dispersion)
