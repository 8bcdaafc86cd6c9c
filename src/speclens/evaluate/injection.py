"""Lines put into the spectra of a source, on their way from the files to a search.

In: a `Source`. Out: sources around it, with the same targets: one with a line in each spectrum, or
with none. What follows, the search and its store, does not know the difference. What is put in is
drawn in `speclens.evaluate.drawing`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from speclens.config import Config
from speclens.evaluate.drawing import DECOYS, DrawnSources, draw
from speclens.read.source import Source
from speclens.sample.preparation import Preparation
from speclens.sample.selection import redshifts
from speclens.search.scan import Wrapped
from speclens.simulate.emitters import ideal_snr
from speclens.spectra import SpectrumBatch

__all__ = [
    "NO_LINE", "PLAIN", "TRUTH", "Around", "Injected", "Injection", "Kept", "Null", "Plain",
    "name_of", "names_of",
]  # fmt: skip

TRUTH = np.dtype([
    ("REPEAT", "i4"), ("KIND", "U16"), ("Z_SOURCE", "f8"), ("LENSED", "?"), ("WAVE", "f8"),
    ("FLUX", "f8"), ("WIDTH", "f8"), ("SKEWNESS", "f8"), ("IDEAL_SNR", "f8"), ("SEARCHED", "?"),
    ("FOREGROUND", "f4"), ("SCALE", "f8"), ("NULL", "U8"),
])  # fmt: skip
"""What was put into a spectrum: columns of `speclens.schema.RECOVERED`, the repeat, the factor on
what was drawn, and the name of the null that the spectrum is of. KIND is empty where nothing was
put in, NULL where something was."""

PLAIN = "plain"
"""The null of spectra as they are."""

NO_LINE = 0
"""The repeat in which nothing is put in: what is found there is a false alarm."""


@dataclass(frozen=True)
class Injection:
    """Puts lines into spectra, a repeat after the other: plain data, sent to every worker.

    Parameters
    ----------
    config : Config
        The lines, and the range of their ideal signal-to-noise ratio.
    seed : int
        Seed of all lines.
    repeats : sequence of int
        Numbers of the repeats; `NO_LINE` puts nothing in.
    kinds : sequence of str, optional
        What is put in, each as often: sources, or decoys; the sources of the search when empty.
    """

    config: Config
    seed: int
    repeats: Sequence[int]
    kinds: Sequence[str] = ()

    def __call__(self, source: Source, preparation: Preparation) -> Iterator[Wrapped]:
        """Wrap a source, once for each repeat.

        Parameters
        ----------
        source : Source
            Spectra as read.
        preparation : Preparation
            The steps before the search: what they mask no search sees.

        Yields
        ------
        Wrapped
            The same spectra, with the lines of a repeat.
        """
        kept = Kept(source, preparation, self.config)
        for repeat in self.repeats:
            yield Null(kept) if repeat == NO_LINE else Injected(kept, self, repeat)

    def draw(
        self,
        repeat: int,
        names: Sequence[tuple[int, int]],
        z_lens: NDArray[np.floating] | float = 0.0,
    ) -> DrawnSources:
        """Draw what is put into each spectrum.

        Parameters
        ----------
        repeat : int
            Number of the repeat.
        names : sequence of (int, int)
            Of N spectra: digest of the file's name, and row in the file.
        z_lens : array of shape (N,) or float, optional
            Redshifts of the targets.

        Returns
        -------
        DrawnSources
            Sources as they come in nature, and the ideal signal-to-noise ratio of each.
        """
        kinds = self.kinds or self.config.search.sources
        z_lens = np.broadcast_to(z_lens, len(names))
        return draw(self.config, self.seed, repeat, names, z_lens, kinds)


class Around:
    """A source around a source, which passes on all but the spectra.

    Parameters
    ----------
    source : Source
        The spectra.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def survey(self) -> str:
        """Name of the survey."""
        return self._source.survey

    @property
    def targets(self) -> NDArray[np.void]:
        """Catalogue rows, shape (N,)."""
        return self._source.targets

    @property
    def reasons(self) -> NDArray[np.str_]:
        """Reason codes of what the catalogue already rules out, shape (N,); else empty."""
        return self._source.reasons

    @property
    def flags(self) -> NDArray[np.int32]:
        """Quality bits, shape (N,)."""
        return self._source.flags

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""
        return self._source.files


@dataclass(frozen=True)
class Plain:
    """Spectra without a line.

    Parameters
    ----------
    batch : SpectrumBatch
        The spectra.
    stated : array of shape (N, L)
        Their inverse variance as the survey states it; 0 where the search masks.
    usable : array of shape (N,)
        False for spectra that cannot be searched.
    model : array of shape (N, L)
        Foreground.
    z : array of shape (N,)
        Redshifts of the targets.
    """

    batch: SpectrumBatch
    stated: NDArray[np.float32]
    usable: NDArray[np.bool_]
    model: NDArray[np.float32]
    z: NDArray[np.float64]


class Kept(Around):
    """A source that is read and prepared once, however often its spectra are asked for.

    Parameters
    ----------
    source : Source
        Spectra as read.
    preparation : Preparation
        The steps before the search.
    config : Config
        Says which redshifts count.
    """

    def __init__(self, source: Source, preparation: Preparation, config: Config) -> None:
        super().__init__(source)
        self._preparation, self._config = preparation, config
        self._rows: NDArray[np.integer] | None = None

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Return some of the spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra; not to be changed.
        """
        if self._rows is None or not np.array_equal(rows, self._rows):
            self._rows, self._batch = rows, self._source.spectra(rows)
            self._plain: Plain | None = None
        return self._batch

    def plain(self, rows: NDArray[np.integer]) -> Plain:
        """Return some of the spectra, and what the search masks in them.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        Plain
            The spectra.
        """
        batch = self.spectra(rows)
        if self._plain is None:
            prepared = self._preparation(batch, redshifts(batch.targets, self._config.selection))
            # The ideal search knows the noise as the survey states it, and the masks.
            stated = np.where(prepared.ivar > 0, batch.ivar, np.float32(0))
            usable = prepared.reasons == ""
            self._plain = Plain(batch, stated, usable, prepared.model, prepared.z)
        return self._plain

    @cached_property
    def names(self) -> list[tuple[int, int]]:
        """Of each spectrum the digest of its file's name, wherever it lies, and its row there."""
        return names_of(self.files)


class Null(Around):
    """A source with nothing put in: what is found there is a false alarm.

    Parameters
    ----------
    source : Source
        The spectra.
    name : str, optional
        What is done to them, as in the column NULL; nothing when not given.

    Attributes
    ----------
    truth : structured array of shape (N,)
        `TRUTH`, blank but for NULL.
    """

    def __init__(self, source: Source, name: str = PLAIN) -> None:
        super().__init__(source)
        self.truth = np.zeros(len(source.targets), TRUTH)
        self.truth["NULL"] = name

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read some of the spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        return self._source.spectra(rows)


class Injected(Around):
    """A source with a line in each spectrum that can be searched.

    Parameters
    ----------
    source : Kept
        The spectra without.
    injection : Injection
        Draws the lines.
    repeat : int
        Number of the repeat.

    Attributes
    ----------
    truth : structured array of shape (N,)
        `TRUTH`: the lines in the spectra that were read.
    """

    def __init__(self, source: Kept, injection: Injection, repeat: int) -> None:
        super().__init__(source)
        self._kept, self._injection, self._repeat = source, injection, repeat
        self.truth = np.zeros(len(source.targets), TRUTH)
        self.truth["REPEAT"] = repeat

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read some of the spectra, each with a line.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        plain, names = self._kept.plain(rows), self._kept.names
        drawn = self._injection.draw(self._repeat, [names[row] for row in rows.tolist()], plain.z)
        grid = plain.batch.grid
        added, lines = drawn.on(grid, plain.batch.dispersion)
        scale, ideal = _scaled_to(drawn.wanted, added, plain)
        # A galaxy none of whose lines is in the window cannot be found.
        put_in = plain.usable & (drawn.kind != "") & (lines.flux > 0)
        scale[~put_in], ideal[~put_in] = 0, 0
        pixel = grid.nearest(np.where(put_in, lines.wave, grid.wave[0]))
        half_width = self._injection.config.evaluation.foreground_pixels
        truth = self.truth[rows]
        truth["KIND"] = np.where(put_in, drawn.kind, "")
        truth["Z_SOURCE"] = drawn.z_source
        truth["LENSED"] = put_in & ~np.isin(drawn.kind, DECOYS)
        truth["WAVE"], truth["FLUX"] = lines.wave, lines.flux * scale
        truth["WIDTH"], truth["SKEWNESS"] = lines.width, lines.skewness
        truth["IDEAL_SNR"], truth["SCALE"] = ideal, scale
        truth["SEARCHED"] = plain.stated[np.arange(len(rows)), pixel] > 0
        truth["FOREGROUND"] = _brightness(plain, pixel, half_width)
        self.truth[rows] = truth
        added *= scale[:, None].astype(np.float32)
        return replace(plain.batch, flux=plain.batch.flux + added)


def _scaled_to(
    wanted: NDArray[np.float64], added: NDArray[np.float32], plain: Plain
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the factors that give lines a signal-to-noise ratio, and the ratio that they get.

    Both are 0 where the spectrum cannot be searched.
    """
    ideal = ideal_snr(added, plain.stated)
    # Where the line is masked no flux makes it visible: its flux stays as drawn.
    scale = np.where(ideal > 0.2 * wanted, wanted / np.maximum(ideal, 1e-30), 1.0)
    scale[~plain.usable] = 0
    return scale, ideal * scale


def _brightness(plain: Plain, pixel: NDArray[np.intp], half_width: int) -> NDArray[np.floating]:
    """Median flux density within some pixels of one, of those that are not masked."""
    near = pixel[:, None] + np.arange(-half_width, half_width + 1)
    near = np.clip(near, 0, plain.batch.grid.n_pixels - 1)
    row = np.arange(len(pixel))[:, None]
    flux = np.where(plain.stated[row, near] > 0, plain.batch.flux[row, near], np.nan)
    median = np.full(len(pixel), np.nan)
    known = np.isfinite(flux).any(axis=1)
    median[known] = np.nanmedian(flux[known], axis=1)
    return median


def names_of(files: Sequence[str]) -> list[tuple[int, int]]:
    """Name spectra by what does not change with where they lie, or with which others.

    Parameters
    ----------
    files : sequence of str
        The file of each of N spectra.

    Returns
    -------
    list of (int, int)
        Digest of the file's name, and row in the file.
    """
    counters = {file: (name_of(file), count()) for file in set(files)}
    return [(digest, next(row)) for digest, row in map(counters.__getitem__, files)]


def name_of(file: str) -> int:
    """Return the digest of a file's name, wherever the file lies.

    Parameters
    ----------
    file : str
        The file.

    Returns
    -------
    int
        With the row in the file it is the name of a spectrum.
    """
    return xxh3_64_intdigest(os.fsencode(os.path.basename(file)))
