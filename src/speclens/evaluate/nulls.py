"""Nulls: spectra in which nothing that is sought can be, searched all the same.

In: a `Source`. Out: sources around it: with the residuals of the foreground turned over, with the
redshifts of other targets, and with the sky fibres in the place of the targets. Spectra as they are
stand beside the sources that are put in (`speclens.evaluate.injection`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evaluate.injection import PLAIN, Kept, Null
from speclens.read.source import Source
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.sample.selection import is_sky, redshifts, refusals
from speclens.search.scan import Wrapped
from speclens.spectra import SpectrumBatch

__all__ = ["FLIPPED", "NULL_NAMES", "SHUFFLED", "SKY", "Nulls", "turned_over"]

FLIPPED, SHUFFLED, SKY = "flipped", "shuffled", "sky"

NULL_NAMES = {
    PLAIN: "spectra as they are",
    FLIPPED: "residuals turned over",
    SHUFFLED: "redshifts of other targets",
    SKY: "sky fibres",
}
"""The nulls, as in the column NULL, and what each is."""


@dataclass(frozen=True)
class Nulls:
    """Makes the nulls of a shard, one after the other: plain data, sent to every worker.

    Parameters
    ----------
    config : Config
        Who is of the sample.
    """

    config: Config

    def __call__(self, source: Source, preparation: Preparation) -> Iterator[Wrapped]:
        """Wrap a source, once for each null that can be made of it.

        Parameters
        ----------
        source : Source
            Spectra as read.
        preparation : Preparation
            The steps before the search.

        Yields
        ------
        Wrapped
            The spectra.
        """
        kept = Kept(source, preparation, self.config)
        yield _Flipped(kept)
        others = _shuffled(source, self.config)
        if others is not None:
            yield _Retold(source, SHUFFLED, others, source.reasons)
        sky = is_sky(source.targets)
        if sky.any():
            reasons = np.where(sky, source.reasons, "class_other")
            yield _Retold(source, SKY, _as_sample(source, sky, self.config), reasons)


class _Flipped(Null):
    """A source whose residuals are turned over: absorption becomes emission, and noise noise."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(kept, FLIPPED)
        self._kept = kept

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read some of the spectra, turned over."""
        plain = self._kept.plain(rows)
        return _mirrored(plain.batch, plain.model, plain.stated > 0)


class _Retold(Null):
    """A source whose spectra are told to be of other targets than they are."""

    def __init__(
        self,
        source: Source,
        name: str,
        targets: NDArray[np.void],
        reasons: NDArray[np.str_],
    ) -> None:
        super().__init__(source, name)
        self._targets, self._reasons = targets, reasons

    @property
    def targets(self) -> NDArray[np.void]:
        """Catalogue rows as they are told, shape (N,)."""
        return self._targets

    @property
    def reasons(self) -> NDArray[np.str_]:
        """Reason codes, shape (N,)."""
        return self._reasons


def turned_over(batch: SpectrumBatch, prepared: PreparedSpectra) -> SpectrumBatch:
    """Turn the residuals of spectra over, where their foreground is known.

    Parameters
    ----------
    batch : SpectrumBatch
        N spectra.
    prepared : PreparedSpectra
        What a search makes of them, on the same grid.

    Returns
    -------
    SpectrumBatch
        The same, with twice the foreground minus the flux.
    """
    return _mirrored(batch, prepared.model, prepared.ivar > 0)


def _mirrored(
    batch: SpectrumBatch, model: NDArray[np.float32], known: NDArray[np.bool_]
) -> SpectrumBatch:
    return replace(batch, flux=np.where(known, 2 * model - batch.flux, batch.flux))


def _sample(source: Source, config: Config) -> NDArray[np.intp]:
    """Return the rows of the targets that are searched."""
    reasons = refusals(source.targets, config.selection)
    return np.flatnonzero((source.reasons == "") & (reasons == ""))


def _shuffled(source: Source, config: Config) -> NDArray[np.void] | None:
    """Give each target of the sample the redshift half the sample away; None for a lone one."""
    rows = _sample(source, config)
    if len(rows) < 2:
        return None
    z = redshifts(source.targets, config.selection)[rows]
    order = np.argsort(z, kind="stable")
    others = np.empty_like(z)
    others[order] = np.roll(z[order], len(rows) // 2)
    targets = source.targets.copy()
    targets[config.selection.columns][rows] = others
    return targets


def _as_sample(source: Source, sky: NDArray[np.bool_], config: Config) -> NDArray[np.void]:
    """Tell that sky fibres are targets of the sample, one after the other."""
    targets = source.targets.copy()
    rows, fibres = _sample(source, config), np.flatnonzero(sky)
    suffix = config.selection.columns[1:]
    targets["OBJTYPE"][fibres] = ""
    targets[f"CLASS{suffix}"][fibres] = config.selection.classes[0]
    targets[f"SUBCLASS{suffix}"][fibres] = ""
    targets[f"ZWARNING{suffix}"][fibres] = 0
    low, high = config.selection.z_min, config.selection.z_max
    z = redshifts(source.targets, config.selection)[rows]
    if not len(rows):
        # Where no target tells of the sample its middle stands for it.
        z = np.array([(low + high) / 2])
    targets[config.selection.columns][fibres] = np.resize(z, len(fibres))
    return targets
