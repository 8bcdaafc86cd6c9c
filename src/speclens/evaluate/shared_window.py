"""The same sources for all searches: put in where the first one masks nothing.

In: a `Source`, opened on the pixels of any search. Out: sources around it. What is put in is drawn
and scaled on the window that all searches share, so that it does not depend on who looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evaluate.injection import Injection
from speclens.read.source import Source
from speclens.sample.error_growth import read_growth
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.search.scan import Wrapped
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["SameSources", "SharedWindow"]


class SharedWindow(Preparation):
    """The steps before the first search, on the pixels that all searches have.

    Parameters
    ----------
    config : Config
        The first search, with the window that all share.
    """

    def __init__(self, config: Config) -> None:
        grid = LogGrid.covering(*config.preparation.window)
        super().__init__(config, read_growth(config.noise.growth).observed("SKY", grid))

    def __call__(
        self,
        batch: SpectrumBatch,
        z: NDArray[np.floating],
        line: NDArray[np.bool_] | None = None,
    ) -> PreparedSpectra:
        """Prepare spectra, as `Preparation` does; beyond the window there is nothing."""
        _, inside = self.grid.overlap(batch.grid)
        within = super().__call__(batch.on(self.grid), z, None if line is None else line[:, inside])

        def whole(part: NDArray[np.float32]) -> NDArray[np.float32]:
            pixels = np.zeros(batch.flux.shape, np.float32)
            pixels[:, inside] = part
            return pixels

        return replace(
            within, grid=batch.grid, flux=whole(within.flux), ivar=whole(within.ivar),
            model=whole(within.model), dispersion=whole(within.dispersion),
        )  # fmt: skip


@dataclass(frozen=True)
class SameSources:
    """Puts the same sources into the spectra, whichever search follows.

    Parameters
    ----------
    injection : Injection
        The sources, by the first search with the window that all share.
    shared : SharedWindow
        Its preparation.
    """

    injection: Injection
    shared: SharedWindow

    def __call__(self, source: Source, preparation: Preparation) -> Iterator[Wrapped]:  # noqa: ARG002
        """Wrap a source, once for each repeat.

        Parameters
        ----------
        source : Source
            Spectra as read.
        preparation : Preparation
            The steps before the search that follows: not asked.

        Returns
        -------
        iterator of Wrapped
            The same spectra, with the sources of a repeat.
        """
        return self.injection(source, self.shared)
