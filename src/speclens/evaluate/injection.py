"""Lines put into the spectra of a source, on their way from the files to a search.

In: a `Source`. Out: sources around it, with the same targets: one with a line in each spectrum, or
with none. What follows, the search and its store, does not know the difference. A line is drawn
with a generator of its own, of the seed, the repeat, the name of the file and the row in it: how
files are grouped, and who works on them, does not change it.
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
from speclens.lines import LYMAN_ALPHA
from speclens.read.source import Source
from speclens.sample.preparation import Preparation
from speclens.sample.selection import redshifts
from speclens.search.scan import Wrapped
from speclens.simulate.emitters import Lines, emitters_of, ideal_snr, line_spectra
from speclens.spectra import SpectrumBatch

__all__ = [
    "NO_LINE", "TRUTH", "Around", "Injected", "Injection", "Kept", "Null", "Plain", "scaled_to",
]  # fmt: skip

TRUTH = np.dtype([
    ("REPEAT", "i4"), ("KIND", "U16"), ("Z_SOURCE", "f8"), ("LENSED", "?"), ("WAVE", "f8"),
    ("FLUX", "f8"), ("WIDTH", "f8"), ("SKEWNESS", "f8"), ("IDEAL_SNR", "f8"), ("SEARCHED", "?"),
])  # fmt: skip
"""What was put into a spectrum: columns of `speclens.schema.RECOVERED`, and the repeat. KIND is
empty where nothing was."""

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
    """

    config: Config
    seed: int
    repeats: Sequence[int]

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
        self, repeat: int, names: Sequence[tuple[int, int]]
    ) -> tuple[Lines, NDArray[np.float64]]:
        """Draw a line for each spectrum.

        Parameters
        ----------
        repeat : int
            Number of the repeat.
        names : sequence of (int, int)
            Of N spectra: digest of the file's name, and row in the file.

        Returns
        -------
        lines : Lines
            N lines as they come in nature.
        wanted : array of shape (N,)
            The ideal signal-to-noise ratio that each is to have.
        """
        deviates, places = np.empty((len(names), 3)), np.empty((len(names), 2))
        for i, name in enumerate(names):
            rng = np.random.default_rng((self.seed, repeat, *name))
            deviates[i], places[i] = rng.standard_normal(3), rng.random(2)
        window = self.config.preparation.window
        lines = emitters_of(deviates.T, places[:, 0], window, self.config.emitters)
        low, high = self.config.evaluation.ideal_snr_range
        return lines, low + (high - low) * places[:, 1]


class Around:
    """A source around a source, which passes on all but the spectra.

    Parameters
    ----------
    source : Source
        The source.
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
    """

    batch: SpectrumBatch
    stated: NDArray[np.float32]
    usable: NDArray[np.bool_]


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
            self._plain = Plain(batch, stated, prepared.reasons == "")
        return self._plain

    @cached_property
    def names(self) -> list[tuple[int, int]]:
        """Of each spectrum the digest of its file's name, wherever it lies, and its row there."""
        counters = {file: (_digest(file), count()) for file in set(self.files)}
        return [(digest, next(row)) for digest, row in map(counters.__getitem__, self.files)]


class Null(Around):
    """A source with nothing put in: what is found there is a false alarm.

    Parameters
    ----------
    source : Source
        The spectra.

    Attributes
    ----------
    truth : structured array of shape (N,)
        `TRUTH`, blank.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.truth = np.zeros(len(source.targets), TRUTH)

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
        lines, wanted = self._injection.draw(self._repeat, [names[row] for row in rows.tolist()])
        grid = plain.batch.grid
        added = line_spectra(lines, grid, plain.batch.dispersion_at(lines.wave))
        scale, ideal = scaled_to(wanted, added, plain)
        pixel = np.clip(np.round(grid.pixel(lines.wave)).astype(np.intp), 0, grid.n_pixels - 1)
        truth = self.truth[rows]
        truth["KIND"] = np.where(plain.usable, "lya", "")
        truth["Z_SOURCE"], truth["LENSED"] = lines.wave / LYMAN_ALPHA - 1, plain.usable
        truth["WAVE"], truth["FLUX"] = lines.wave, lines.flux * scale
        truth["WIDTH"], truth["SKEWNESS"] = lines.width, lines.skewness
        truth["IDEAL_SNR"] = ideal
        truth["SEARCHED"] = plain.stated[np.arange(len(rows)), pixel] > 0
        self.truth[rows] = truth
        added *= scale[:, None].astype(np.float32)
        return replace(plain.batch, flux=plain.batch.flux + added)


def scaled_to(
    wanted: NDArray[np.float64], added: NDArray[np.float32], plain: Plain
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Say by what lines are multiplied to have a signal-to-noise ratio.

    Parameters
    ----------
    wanted : array of shape (N,)
        The ideal signal-to-noise ratio that each is to have.
    added : array of shape (N, L)
        Their flux density as drawn.
    plain : Plain
        The N spectra that they are put into.

    Returns
    -------
    scale : array of shape (N,)
        Factor on each line; 0 where the spectrum cannot be searched.
    ideal : array of shape (N,)
        The ideal signal-to-noise ratio that it has then.
    """
    ideal = ideal_snr(added, plain.stated)
    # Where the line is masked no flux makes it visible: its flux stays as drawn.
    scale = np.where(ideal > 0.2 * wanted, wanted / np.maximum(ideal, 1e-30), 1.0)
    scale[~plain.usable] = 0
    return scale, ideal * scale


def _digest(file: str) -> int:
    return xxh3_64_intdigest(os.fsencode(os.path.basename(file)))
