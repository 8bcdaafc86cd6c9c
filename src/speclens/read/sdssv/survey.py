"""SDSS-V: what `speclens.read.survey` asks, answered for fields and spec files.

In: files, rows. Out: the answers. Formats stand in the other modules of this folder; what is the
same as in files of SDSS to eBOSS, in `speclens.read.sdss`.
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
from speclens.read.sdss.catalogue_store import CatalogueStore
from speclens.read.sdss.exposures import read_exposures
from speclens.read.sdss.layouts import is_field, is_field_spec
from speclens.read.sdss.spec import read_spec_files
from speclens.read.sdss.targets import blank_targets
from speclens.read.sdss.zbest import find_zbest
from speclens.read.sdssv import INSTRUMENT, NAME
from speclens.read.sdssv.catalogue import FIELD_KEY, FieldCatalogue
from speclens.read.sdssv.dialect import SDSSV
from speclens.read.sdssv.field import open_field
from speclens.read.sdssv.identity import (
    DATES_A_FIELD,
    field_numbers,
    ids_of_field_name,
    ids_of_name,
    is_named_so,
    spectrum_names,
    spectrum_text,
)
from speclens.read.sdssv.targets import MAX_FIBRES, identify
from speclens.read.source import Exposure, Source
from speclens.read.survey import FileKind, ReadSettings
from speclens.spectra import LogGrid

__all__ = ["FIELDS", "FIELD_SPECS", "SdssV"]

FIELDS = FileKind(NAME, "fields", 500, has_sky=True)
"""spField files: all spectra of a field and date."""
FIELD_SPECS = FileKind(NAME, "field specs", 1, files_a_shard=400)
"""Single spectra; of a few sky fibres among them nothing is learnt."""

FIELD_NAME = re.compile(r"sp(?:Field|Fullsky)-.*\.fits?(\.gz|\.fz)?$", re.IGNORECASE | re.DOTALL)
PLACES_A_DATE = 10**4
"""A date stands before its fibres."""


class SdssV:
    """SDSS-V, as `speclens.read.survey.Survey` asks."""

    name = NAME
    kinds = (FIELDS, FIELD_SPECS)
    wanted = "spField-*.fits"

    def kind_of_name(self, name: str) -> FileKind | None:
        """Say of which kind a file is, as far as its name tells."""
        if FIELD_NAME.match(name):
            return FIELDS
        return FIELD_SPECS if is_named_so(name) else None

    def kind_of_content(self, path: str) -> FileKind | None:
        """Say whether a file is laid out as an spField or as a spec file of SDSS-V."""
        try:
            with open_fits(path) as file:
                if is_field(file):
                    return FIELDS
                return FIELD_SPECS if is_field_spec(file) else None
        except SpectrumFileError:
            return None

    def is_companion(self, name: str) -> bool:
        """Say whether a file has the name of an spZbest."""
        return name.lower().startswith("spzbest-")

    def companions(self, kind: FileKind, path: str) -> Sequence[str]:
        """Find the spZbest file of a field."""
        zbest = find_zbest(path) if kind == FIELDS else None
        return [] if zbest is None else [zbest]

    @contextmanager
    def open(
        self, kind: FileKind, files: Sequence[str], grid: LogGrid, settings: ReadSettings
    ) -> Iterator[tuple[Source, Sequence[SpectrumFileError]]]:
        """Open a field, or read spec files; of the catalogue, the rows of their fields are read."""
        stored = settings.catalogue
        catalogue = CatalogueStore(stored, FIELD_KEY) if stored else None
        if kind == FIELDS:
            with open_field(files[0], grid, catalogue, settings.verify) as field:
                yield field, ()
        else:
            specs = read_spec_files(files, grid, catalogue, settings.verify, SDSSV)
            yield specs, specs.failures

    def exposures(
        self, kind: FileKind, path: str, wave_range: tuple[float, float]
    ) -> Sequence[Exposure]:
        """Read the single exposures of a full spec file."""
        return [] if kind == FIELDS else read_exposures(path, wave_range, INSTRUMENT)

    def spectrum_names(self, rows: NDArray[np.void]) -> Sequence[str]:
        """Name spectra as their files are named: FIELD-MJD-CATALOGID."""
        return spectrum_names(rows)

    def target_of_name(self, path: str) -> NDArray[np.void]:
        """Return the target row of spec-FIELD-MJD-CATALOGID, or of an spField as far as it goes."""
        target = blank_targets(1)
        of_spec = ids_of_name(path)
        identify(target, of_spec if of_spec.catalogid else ids_of_field_name(path))
        return target

    def detector_places(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Tell the places of spectra, by field, date, spectrograph and fibre.

        Spectra of which several fibres saw parts have none, and no more have coadds over fields.
        """
        group, fibre = field_numbers(rows["SPECTRUM"].tolist()), rows["FIBERID"].astype(np.int64)
        spectrograph = (fibre - 1) // MAX_FIBRES
        known = (group >= DATES_A_FIELD) & (fibre > 0)
        return np.where(known, group * PLACES_A_DATE + fibre + spectrograph, -1)

    def catalogue(self, path: str, files: Sequence[str]) -> FieldCatalogue:
        """Choose the rows of the fields of files."""
        names = [os.path.basename(file) for file in files]
        ids = [ids_of_name(name) for name in names]
        of_files = [
            own.of_field if own.catalogid else ids_of_field_name(name)
            for own, name in zip(ids, names, strict=True)
        ]
        numbers = {*field_numbers([spectrum_text(own) for own in of_files]).tolist()}
        return FieldCatalogue(path, None if -1 in numbers else numbers)
