"""SDSS-I to eBOSS: what `speclens.read.survey` asks, answered for plates and spec files.

In: files, rows. Out: the answers. Formats stand in the other modules of this folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.fits.opening import open_fits
from speclens.read.sdss import NAME, layouts
from speclens.read.sdss.catalogue_store import CatalogueStore, PlateCatalogue
from speclens.read.sdss.exposures import read_exposures
from speclens.read.sdss.fibres import detector_places
from speclens.read.sdss.identity import ids_of_name, spectrum_names
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.read.sdss.targets import blank_targets, identify
from speclens.read.sdss.zbest import find_zbest
from speclens.read.source import Exposure, Source
from speclens.read.survey import FileKind, ReadSettings
from speclens.spectra import LogGrid

__all__ = ["PLATES", "SPECS", "Sdss"]

PLATES = FileKind(NAME, "plates", 1000, has_sky=True)
"""spPlate files: all spectra of an observation."""
SPECS = FileKind(NAME, "specs", 1, files_a_shard=400)
"""Single spectra; of a few sky fibres among them nothing is learnt."""

PLATE_NAME = re.compile(r"spPlate-.*\.fits?(\.gz|\.fz)?$", re.IGNORECASE | re.DOTALL)
SPEC_NAME = re.compile(
    r"spec-(?!\w+-\d{5}-(?:\d{6,}|u[\d.]+[+-][\d.]+)\.fits?).*\.fits?(\.gz|\.fz)?$",
    re.IGNORECASE | re.DOTALL,
)
"""Any name but those of SDSS-V, which end in an identifier of more digits than a fibre has."""
ZBEST_NAME = re.compile(r"spZbest-", re.IGNORECASE)
PLATE_NUMBER = re.compile(r"(?:spPlate|spec)-(\d+)-", re.IGNORECASE)


class Sdss:
    """SDSS-I to eBOSS, as `speclens.read.survey.Survey` asks."""

    name = NAME
    kinds = (PLATES, SPECS)
    wanted = "spPlate-*.fits, spec-*.fits"

    def kind_of_name(self, name: str) -> FileKind | None:
        """Say of which kind a file is, as far as its name tells."""
        if PLATE_NAME.match(name):
            return PLATES
        return SPECS if SPEC_NAME.match(name) else None

    def kind_of_content(self, path: str) -> FileKind | None:
        """Say whether a file is laid out as an spPlate or as a spec file."""
        try:
            with open_fits(path) as file:
                if layouts.is_plate(file):
                    return PLATES
                told = layouts.is_spec(file) and layouts.is_named_spec(file)
                return SPECS if told else None
        except SpectrumFileError:
            return None

    def is_companion(self, name: str) -> bool:
        """Say whether a file has the name of an spZbest."""
        return bool(ZBEST_NAME.match(name))

    def companions(self, kind: FileKind, path: str) -> Sequence[str]:
        """Find the spZbest file of a plate."""
        zbest = find_zbest(path) if kind == PLATES else None
        return [] if zbest is None else [zbest]

    @contextmanager
    def open(
        self, kind: FileKind, files: Sequence[str], grid: LogGrid, settings: ReadSettings
    ) -> Iterator[tuple[Source, Sequence[SpectrumFileError]]]:
        """Open a plate, or read spec files; of the catalogue, the rows of their plates are read."""
        catalogue = CatalogueStore(settings.catalogue) if settings.catalogue else None
        if kind == PLATES:
            with open_plate(files[0], grid, catalogue, settings.verify) as plate:
                yield plate, ()
        else:
            specs = read_spec_files(files, grid, catalogue, settings.verify)
            yield specs, specs.failures

    def exposures(
        self, kind: FileKind, path: str, wave_range: tuple[float, float]
    ) -> Sequence[Exposure]:
        """Read the single exposures of a full spec file."""
        return [] if kind == PLATES else read_exposures(path, wave_range)

    def spectrum_names(self, rows: NDArray[np.void]) -> Sequence[str]:
        """Name spectra as their files are named: PPPP-MMMMM-FFFF."""
        return spectrum_names(rows)

    def target_of_name(self, path: str) -> NDArray[np.void]:
        """Return the target row of spec-PPPP-MMMMM-FFFF."""
        target = blank_targets(1)
        identify(target, *ids_of_name(path))
        return target

    def detector_places(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Tell the places of spectra, by plate, date, spectrograph and fibre."""
        return detector_places(rows)

    def catalogue(self, path: str, files: Sequence[str]) -> PlateCatalogue:
        """Choose the rows of the plates of files."""
        numbers = [PLATE_NUMBER.match(os.path.basename(file)) for file in files]
        plates = None if None in numbers else {int(match[1]) for match in numbers if match}
        return PlateCatalogue(path, plates)
