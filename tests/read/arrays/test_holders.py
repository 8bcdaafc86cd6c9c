"""Tables and spectra of other packages are taken for what they say they are."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.nddata import (
    InverseVariance,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.table import QTable, Table
from numpy.testing import assert_allclose

import speclens
from speclens.errors import SpectraError

WAVE = 10 ** np.arange(3.58, 3.70, 1e-4)
N_PIXELS = len(WAVE)
OURS = units.Unit("1e-17 erg / (s cm2 Angstrom)")


def a_table(kind: type[Table] = Table, **more: Any) -> Table:
    table = kind({"wavelength": WAVE * units.AA, "flux": np.ones(N_PIXELS) * OURS})
    table["ivar"] = np.full(N_PIXELS, 4.0)
    table.meta.update(more)
    return table


@pytest.mark.parametrize("kind", [Table, QTable])
def test_a_table_of_one_spectrum_tells_its_redshift_in_meta(kind: type[Table]) -> None:
    spectra = speclens.read(a_table(kind, Z=0.5, RA=150.0, NAME="mine", CLASS="QSO"))
    (target,) = spectra.targets
    assert (target["Z"], target["SPECTRUM"], target["CLASS"]) == (0.5, "mine", "QSO")
    assert target["RA"] == 150 * units.deg
    assert_allclose(spectra.spectrum(0)["IVAR"].value, 4)
    assert speclens.read(a_table(kind, Z=0.5), z=0.6).targets["Z"].tolist() == [0.6]


def test_several_tables_are_several_spectra() -> None:
    spectra = speclens.read([a_table(z=0.4), a_table(z=0.5)])
    assert spectra.targets["Z"].tolist() == [0.4, 0.5]
    assert spectra.targets["SPECTRUM"].tolist() == ["0", "1"]


def test_a_table_of_many_spectra_has_a_row_for_each() -> None:
    table = Table(
        {
            "NAME": ["a", "b"], "Z": [0.4, 0.5], "LOGLAM": np.tile(np.log10(WAVE), (2, 1)),
            "FLUX": np.ones((2, N_PIXELS)) * OURS, "ERROR": np.full((2, N_PIXELS), 0.5),
        }
    )  # fmt: skip
    spectra = speclens.read(table)
    assert spectra.targets["SPECTRUM"].tolist() == ["a", "b"]
    assert not spectra.resampled
    assert_allclose(spectra.spectrum(1)["IVAR"].value, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.rename_column("flux", "counts"), "no column flux: the table has wavelength"),
        (lambda t: t.remove_column("wavelength"), "no column wavelength"),
        (lambda t: t.remove_column("ivar"), "errors are missing"),
        (lambda t: setattr(t["flux"], "unit", None), "column flux has no unit; if it is 1e-17"),
        (lambda t: setattr(t["wavelength"], "unit", None), "table['wavelength'].unit = 'Angstrom'"),
        (lambda _: None, "redshifts are missing"),
    ],
)
def test_a_table_that_lacks_something_is_refused(change: Any, said: str) -> None:
    table = a_table()
    change(table)
    with pytest.raises(SpectraError, match=re.escape(said)):
        speclens.read(table)


def test_what_a_table_tells_itself_is_not_given_beside_it() -> None:
    with pytest.raises(SpectraError, match="flux, ivar: tables tell that themselves; leave it out"):
        speclens.read(a_table(z=0.5), np.ones(N_PIXELS), np.ones(N_PIXELS))


def a_spectrum(uncertainty: Any, shape: tuple[int, ...] = (N_PIXELS,), **more: Any) -> Any:
    """What specutils calls a Spectrum, by what it has."""
    return SimpleNamespace(
        spectral_axis=(WAVE / 10) * units.nm, flux=np.ones(shape) * OURS, uncertainty=uncertainty,
        mask=None, **{"meta": {}, **more},
    )  # fmt: skip


@pytest.mark.parametrize(
    "uncertainty",
    [
        StdDevUncertainty(np.full(N_PIXELS, 0.5)),
        StdDevUncertainty(np.full(N_PIXELS, 0.5) * OURS),
        VarianceUncertainty(np.full(N_PIXELS, 0.25) * OURS**2),
        InverseVariance(np.full(N_PIXELS, 4.0)),
        InverseVariance(np.full(N_PIXELS, 4.0) * OURS**-2),
    ],
)
def test_a_spectrum_of_specutils_is_read_with_any_uncertainty(uncertainty: Any) -> None:
    spectra = speclens.read(a_spectrum(uncertainty, redshift=0.5))
    assert spectra.targets["Z"].tolist() == [0.5]
    assert_allclose(spectra.spectrum(0)["WAVE"].value, WAVE)
    assert_allclose(spectra.spectrum(0)["IVAR"].value, 4, rtol=1e-6)


def test_a_list_of_spectra_is_read_as_one() -> None:
    ivar = InverseVariance(np.full(N_PIXELS, 4.0))
    spectra = speclens.read([a_spectrum(ivar, meta={"z": z}) for z in (0.4, 0.5)])
    assert spectra.targets["Z"].tolist() == [0.4, 0.5]
    many = a_spectrum(InverseVariance(np.full((3, N_PIXELS), 4.0)), (3, N_PIXELS))
    assert len(speclens.read(many, z=0.5)) == 3


@pytest.mark.parametrize(
    ("uncertainty", "said"),
    [
        (None, "the spectrum has no uncertainty; give it one"),
        (UnknownUncertainty(np.ones(N_PIXELS)), "kind UnknownUncertainty: expected"),
    ],
)
def test_a_spectrum_without_errors_is_refused(uncertainty: Any, said: str) -> None:
    with pytest.raises(SpectraError, match=said):
        speclens.read(a_spectrum(uncertainty), z=0.5)


def test_specutils_itself_is_read() -> None:
    specutils = pytest.importorskip("specutils")
    axis, flux = WAVE * units.AA, np.ones(N_PIXELS) * OURS
    error = StdDevUncertainty(np.full(N_PIXELS, 0.5))
    kind = getattr(specutils, "Spectrum", None) or specutils.Spectrum1D
    one = kind(flux=flux, spectral_axis=axis, uncertainty=error)
    assert len(speclens.read(specutils.SpectrumList([one, one]), z=0.5)) == 2


@pytest.mark.parametrize("name", ["mine.ecsv", "mine.fits"])
def test_a_plain_table_in_a_file_is_read_too(name: str, tmp_path: Path) -> None:
    for i, z in enumerate((0.4, 0.5)):
        a_table(Z=z).write(tmp_path / f"{i}-{name}")
    spectra = speclens.read([tmp_path / f"{i}-{name}" for i in range(2)])
    assert isinstance(spectra, speclens.Spectra)
    assert spectra.targets["Z"].tolist() == [0.4, 0.5]
    assert_allclose(spectra.spectrum(1)["WAVE"].value, WAVE)


def test_a_file_without_units_or_without_a_table_is_refused(tmp_path: Path) -> None:
    a_table().write(tmp_path / "mine.csv")
    with pytest.raises(SpectraError, match="column wavelength has no unit"):
        speclens.read(tmp_path / "mine.csv", z=0.5)
    (tmp_path / "text.ecsv").write_text("nothing")
    with pytest.raises(SpectraError, match="no table that astropy reads"):
        speclens.read(str(tmp_path / "text.ecsv"), z=0.5)


def test_files_of_surveys_are_left_to_their_readers(make_few: Any, tmp_path: Path) -> None:
    folder = make_few(tmp_path / "in")
    renamed = (folder / "spec-0007-55000-0010.fits").rename(folder / "mine.fits")
    assert isinstance(speclens.read(renamed), speclens.SurveySpectra)
    Table({"TARGETID": [1]}).write(tmp_path / "coadd-sv3.fits")
    other = speclens.read(tmp_path / "coadd-sv3.fits")
    assert len(other) == 0
    assert [failure.reason for failure in other.failures] == ["unknown_layout"]
