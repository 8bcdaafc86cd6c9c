"""DESI: what `speclens.read.survey` asks, answered for coadds.

In: files, rows. Out: the answers. Formats stand in the other modules of this folder; what DESI
shares with SDSS - rows of targets, catalogues, checks of FITS files - in `speclens.read.sdss`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.desi import NAME
from speclens.read.desi.arms import arm_names
from speclens.read.desi.catalogue import TargetCatalogue
from speclens.read.desi.coadd import open_coadd
from speclens.read.desi.identity import OWN_NAMES, group_of_name, is_named_so
from speclens.read.desi.redrock import find_redrock, is_redrock
from speclens.read.desi.targets import TARGET_KEY
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.catalogue_store import CatalogueStore
from speclens.read.sdss.targets import blank_targets
from speclens.read.source import Exposure, Source
from speclens.read.survey import FileKind, ReadSettings
from speclens.spectra import LogGrid

__all__ = ["COADDS", "Desi"]

COADDS = FileKind(NAME, "coadds", 500, has_sky=True, own_names=OWN_NAMES)
"""All targets of a healpix, or of a petal and tile."""


class Desi:
    """DESI, as `speclens.read.survey.Survey` asks."""

    name = NAME
    kinds = (COADDS,)
    wanted = "coadd-*.fits, spectra-*.fits"

    def kind_of_name(self, name: str) -> FileKind | None:
        """Say whether a file may be a coadd, or spectra to be coadded, by its name."""
        return COADDS if is_named_so(name) else None

    def kind_of_content(self, path: str) -> FileKind | None:
        """Say whether a file holds an arm of DESI's spectrographs."""
        try:
            with open_fits(path) as file:
                return COADDS if arm_names(file) else None
        except SpectrumFileError:
            return None

    def is_companion(self, name: str) -> bool:
        """Say whether a file has the name of a redrock file."""
        return is_redrock(name)

    def companions(self, kind: FileKind, path: str) -> Sequence[str]:  # noqa: ARG002 - the one
        """Find the redrock file of a coadd."""
        redrock = find_redrock(path)
        return [] if redrock is None else [redrock]

    @contextmanager
    def open(
        self,
        kind: FileKind,  # noqa: ARG002 - the one
        files: Sequence[str],
        grid: LogGrid,
        settings: ReadSettings,
    ) -> Iterator[tuple[Source, Sequence[SpectrumFileError]]]:
        """Open a coadd; of the catalogue, the rows of its bricks of the sky are read."""
        stored = settings.catalogue
        catalogue = CatalogueStore(stored, TARGET_KEY) if stored else None
        with open_coadd(files[0], grid, catalogue, settings.verify) as coadd:
            yield coadd, ()

    def exposures(
        self,
        kind: FileKind,  # noqa: ARG002 - the one
        path: str,  # noqa: ARG002 - none has any
        wave_range: tuple[float, float],  # noqa: ARG002 - as above
    ) -> Sequence[Exposure]:
        """Find no exposures: a coadd has none."""
        return []

    def spectrum_names(self, rows: NDArray[np.void]) -> Sequence[str]:
        """Name spectra by program, or tile, and target: GROUP-TARGETID."""
        return [str(name) for name in rows["SPECTRUM"].tolist()]

    def target_of_name(self, path: str) -> NDArray[np.void]:  # noqa: ARG002 - it tells nothing
        """Return a target row of which nothing is known."""
        return blank_targets(1)

    def detector_places(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Tell that no places on a detector are known: exposures differ in them."""
        return np.full(len(rows), -1, np.int64)

    def catalogue(self, path: str, files: Sequence[str]) -> TargetCatalogue:
        """Choose the rows of the programs, or tiles, of files."""
        groups = {group_of_name(file) for file in files}
        return TargetCatalogue(path, None if "" in groups else groups)
