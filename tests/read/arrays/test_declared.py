"""What arrays may be: every number with its unit, or a sentence with the remedy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.utils.masked import Masked
from numpy.testing import assert_allclose, assert_array_equal

from speclens.errors import SpectraError
from speclens.read.arrays.batches import Declared, gridded
from speclens.read.arrays.declared import (
    declared_errors,
    declared_flux,
    declared_wave,
    vacuum_wave,
)
from speclens.read.arrays.targets import declared_targets

WAVE = np.arange(3800.0, 5000.0)
FLUX = np.ones((2, len(WAVE)))
OURS = units.Unit("1e-17 erg / (s cm2 Angstrom)")


@pytest.mark.parametrize("unit", [units.nm, units.um, units.Hz, units.eV])
def test_wavelengths_in_any_unit_are_the_same(unit: units.Unit) -> None:
    given = (WAVE * units.AA).to(unit, units.spectral())
    assert_allclose(declared_wave(given, "vacuum"), WAVE)


def test_wavelengths_in_air_become_those_in_vacuum() -> None:
    """The pairs of lines that NIST lists."""
    air = np.array([3726.032, 4861.333, 5006.843, 6562.819])
    assert_allclose(vacuum_wave(air), [3727.092, 4862.690, 5008.240, 6564.632], atol=0.01)
    assert_allclose(declared_wave(air, "air"), vacuum_wave(air))


def test_the_flux_in_other_densities_is_the_same() -> None:
    of_pixel = units.spectral_density(WAVE * units.AA)
    given = (FLUX * OURS).to(units.Jy, of_pixel)
    flux, factor = declared_flux(given, WAVE)
    assert_allclose(flux, FLUX)
    error = (0.5 * FLUX * OURS).to(units.Jy, of_pixel)
    for errors in ({"error": error}, {"error": error.value}, {"ivar": error**-2}):
        assert_allclose(declared_errors(flux, factor, WAVE, **errors), 4 * FLUX)


def test_pixels_without_a_measurement_weigh_nothing() -> None:
    flux = FLUX.copy()
    flux[0, 3] = np.nan
    ivar = np.full(FLUX.shape, 4.0)
    ivar[0, :3] = -1, np.inf, np.nan
    mask = np.zeros(FLUX.shape, bool)
    mask[1, 7] = True
    found = declared_errors(flux, np.ones(len(WAVE)), WAVE, ivar=ivar, mask=mask)
    assert np.argwhere(found == 0).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 7]]
    error = np.where(ivar > 0, 0.5, 0.0)
    assert (declared_errors(flux, np.ones(1), WAVE, error=error)[0, [0, 2]] == 0).all()


def test_masks_of_astropy_and_of_words_count() -> None:
    hidden = np.zeros(FLUX.shape, bool)
    hidden[0, 3] = True
    for flux in (Masked(FLUX * OURS, hidden), np.ma.MaskedArray(FLUX, hidden)):
        assert np.argwhere(np.isnan(declared_flux(flux, WAVE)[0])).tolist() == [[0, 3]]
    ivar = Masked(np.full(FLUX.shape, 4.0), hidden)
    plain = {"flux": FLUX, "factor": np.ones(1), "wave": WAVE}
    assert np.argwhere(declared_errors(**plain, ivar=ivar) == 0).tolist() == [[0, 3]]
    with pytest.raises(SpectraError, match="pixel 200 has none"):
        declared_wave(Masked(WAVE * units.AA, WAVE == 4000), "vacuum")
    words = {"ivar": np.full(FLUX.shape, 4.0), "mask": np.where(hidden, "True", "False")}
    assert np.argwhere(declared_errors(**plain, **words) == 0).tolist() == [[0, 3]]
    with pytest.raises(SpectraError, match="mask says 'bad'"):
        declared_errors(**plain, **words | {"mask": np.where(hidden, "bad", "f")})


@pytest.mark.parametrize(
    ("wave", "medium", "said"),
    [
        (WAVE[::-1], "vacuum", "descend; give wave[::-1]"),
        (np.log10(WAVE), "vacuum", "decimal logarithms; give 10**x"),
        (WAVE / 10, "vacuum", "expected 1000 to 30000"),
        (WAVE * units.kg, "vacuum", "wavelengths in kg: that is no unit of a wavelength"),
        (WAVE * units.one, "vacuum", "no unit of a wavelength"),
        (np.where(WAVE == 4000, np.nan, WAVE), "vacuum", "pixel 200 has none (NaN)"),
        (np.ma.masked_equal(WAVE, 4000), "vacuum", "pixel 200 has none (NaN)"),
        (np.where(WAVE == 4000, 3000, WAVE), "vacuum", "do not increase: after pixel 199, 3999"),
        (np.zeros((2, 3, 4)), "vacuum", "shape (2, 3, 4): give (L,)"),
        (np.zeros(0), "vacuum", "there are none"),
        (WAVE, "water", "medium='water': wavelengths are in 'vacuum' or in 'air'"),
    ],
)
def test_wavelengths_that_cannot_be_are_refused(wave: Any, medium: str, said: str) -> None:
    with pytest.raises(SpectraError, match=re.escape(said)):
        declared_wave(wave, medium)


@pytest.mark.parametrize(
    ("flux", "said"),
    [
        (FLUX.T, "give (1200,) for one spectrum, or (N, 1200); transpose it"),
        (FLUX[:, 1:], "flux has the shape (2, 1199) for 1200 wavelengths"),
        (FLUX * units.ct, "flux in ct: that is no flux density"),
        (FLUX * units.one, "flux in no unit: that is no flux density"),
        (np.zeros((1, 2, len(WAVE))), "flux has the shape (1, 2, 1200)"),
    ],
)
def test_a_flux_that_cannot_be_is_refused(flux: Any, said: str) -> None:
    with pytest.raises(SpectraError, match=re.escape(said)):
        declared_flux(flux, WAVE)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ({}, "errors are missing; give ivar=... or error=..."),
        ({"ivar": FLUX, "error": FLUX}, "both given"),
        ({"ivar": FLUX[:, 1:]}, "ivar has the shape (2, 1199), and the flux (2, 1200)"),
        ({"ivar": FLUX * OURS}, "expected the unit of the flux, to the power -2"),
        ({"error": FLUX * units.s}, "error in s: expected the unit of the flux"),
        ({"ivar": FLUX, "mask": FLUX[0, 1:] > 2}, "mask has the shape (1, 1199)"),
    ],
)
def test_errors_that_cannot_be_are_refused(errors: dict[str, Any], said: str) -> None:
    with pytest.raises(SpectraError, match=re.escape(said)):
        declared_errors(FLUX, np.ones(len(WAVE)), WAVE, **errors)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"z": None}, "redshifts are missing; give z=..."),
        ({"z": [0.1, 0.2]}, "z has the shape (2,) for 3 spectra"),
        ({"z": "near"}, "z: 'near' is no number"),
        ({"z": 0.1 * units.km}, "z in km: expected a plain number"),
        ({"names": ["a", "b"]}, "2 names for 3 spectra"),
        ({"names": ["a", "b", "a"]}, "name 'a' is that of several spectra"),
        ({"names": ["a", "b", "\u00e4"]}, "printable ASCII"),
        ({"classes": ["GALAXY"] * 2}, "classes has the shape (2,) for 3 spectra"),
        ({"ra": 1 * units.AA}, "ra in Angstrom: expected deg"),
    ],
)
def test_targets_that_cannot_be_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpectraError, match=re.escape(said)):
        declared_targets(3, **{"z": 0.5, "classes": "GALAXY", "names": None, **given})


def test_targets_know_what_is_declared() -> None:
    rows = declared_targets(
        2, [0.4, 0.5], "qso", None, ra=[10, 11] * units.hourangle, dec=None, vdisp=250.0
    )
    assert rows["Z"].tolist() == rows["Z_NOQSO"].tolist() == [0.4, 0.5]
    assert rows["CLASS"].tolist() == ["QSO", "QSO"]
    assert rows["SPECTRUM"].tolist() == ["0", "1"]
    assert_allclose(rows["RA"], [150, 165])
    assert np.isnan(rows["DEC"]).all()
    assert rows["VDISP"].tolist() == [250, 250]
    assert rows["PLATE"].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("spread", "said"),
    [
        ({"resolution": 2000, "dispersion": 1}, "give one of them"),
        ({"resolution": -1}, "expected numbers above 0"),
        ({"dispersion": np.ones(3)}, "dispersion has the shape (3,), and the flux (2, 1200)"),
    ],
)
def test_a_line_spread_that_cannot_be_is_refused(spread: dict[str, Any], said: str) -> None:
    with pytest.raises(SpectraError, match=re.escape(said)):
        gridded(Declared(WAVE, FLUX, FLUX), **spread)


def test_a_resolution_is_a_spread_in_pixels() -> None:
    wave = 10 ** np.arange(3.58, 3.70, 1e-4)
    found = gridded(Declared(wave, np.ones(len(wave)), np.ones(len(wave))), resolution=2000.0)
    assert_allclose(found.dispersion, 299792.458 / 2000 / 2.35482 / 69.03, rtol=1e-4)
    assert_array_equal(gridded(Declared(wave, wave, wave)).dispersion, 0)
