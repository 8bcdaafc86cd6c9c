"""Interlopers: emitters put into noise are recognised, and a line that comes alone is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.hypotheses import HYPOTHESES, OII, Companion, Hypothesis, others
from speclens.lines import SPEED_OF_LIGHT_KMS, gaussian_pixels, pixel_width_angstrom
from speclens.simulate.contaminants import decoy_spectra
from speclens.simulate.emitters import Lines, line_spectra
from speclens.spectra import FittedSpectra, LogGrid
from speclens.vet.interlopers import (
    companion_fluxes,
    ln_evidence,
    measure_interlopers,
    measure_lens_lines,
)
from speclens.vet.line_fits import cut_out
from speclens.vet.skewness import fit_skewness

Floats = NDArray[np.float64]
Measured = dict[str, NDArray[np.generic]]

GRID = LogGrid.covering(3550, 10400)
DISPERSION = 1.05
BLUE, RED = 3727.092, 3729.875
BLEND = float(np.sqrt(BLUE * RED))
SPLITTING = float(np.log10(RED / BLUE) * 1e4)
SIGMA = 1.3
"""Standard deviation of the lines before the spectrograph, pixels."""

NOISE = 0.3


def lines_at(wave: Floats, flux: Floats | float) -> Lines:
    """Symmetric lines behind the spectrograph."""
    width = np.hypot(SIGMA, DISPERSION) * pixel_width_angstrom(wave)
    return Lines(wave, np.broadcast_to(flux, wave.shape), width, np.zeros(wave.shape))


def oii_lines(wave: Floats, flux: float) -> Lines:
    """[O II] emitters, as `decoy_spectra` takes them: the blend's width holds its splitting."""
    width = np.sqrt(SIGMA**2 + DISPERSION**2 + (SPLITTING / 2) ** 2)
    flux_of_each = np.full(wave.shape, flux)
    return Lines(wave, flux_of_each, width * pixel_width_angstrom(wave), np.zeros(wave.shape))


@pytest.fixture
def measure(
    defaults: Config, spectra_of: Callable[..., FittedSpectra], rng: np.random.Generator
) -> Callable[..., Measured]:
    """`measure(clean, wave, flux)`: put spectra into noise, and ask what comes with the lines."""

    def put_and_ask(
        clean: Floats, wave: Floats, flux: Floats | float, noise: float = NOISE,
        masked: NDArray[np.bool_] | None = None,
    ) -> Measured:  # fmt: skip
        spectra = spectra_of(GRID, clean, noise, rng)
        if masked is not None:
            spectra.ivar[np.broadcast_to(masked, spectra.ivar.shape)] = 0
        usual = np.full(GRID.n_pixels, DISPERSION)
        cutouts = cut_out(spectra, wave, defaults.vet.fit_half_width, np.full(len(wave), 1.0))
        chi2 = np.asarray(fit_skewness(cutouts, defaults.vet)["CHI2"], np.float64)
        known = {
            "WAVE": wave,
            "FLUX": np.broadcast_to(flux, wave.shape),
            "SIGMA": np.full(wave.shape, SIGMA),
        }
        return dict(measure_interlopers(spectra, cutouts, chi2, known, usual, defaults.vet))

    return put_and_ask


def error_of(rest: float, z: Floats) -> Floats:
    """Standard error of a line's flux on a known continuum."""
    pixels = gaussian_pixels(np.arange(-30, 31.0), np.hypot(SIGMA, DISPERSION))
    return np.asarray(NOISE * pixel_width_angstrom(rest * (1 + z)) / np.sqrt((pixels**2).sum()))


def test_an_oii_emitter_has_evidence_and_the_ratios_that_were_put_in(
    measure: Callable[..., Measured], defaults: Config, rng: np.random.Generator
) -> None:
    wave = rng.uniform(3850, 4950, 60)
    clean = decoy_spectra("oii", oii_lines(wave, 30.0), GRID)
    found = measure(clean, wave, 30.0)
    np.testing.assert_allclose(found["Z_OII"], wave / BLEND - 1)
    z = wave / BLEND - 1
    columns = ("SNR_HBETA", "SNR_OIII5007", "SNR_HALPHA")
    rests = (4862.683, 5008.239, 6564.614)
    for name, rest, ratio in zip(columns, rests, (0.3, 0.6, 0.9), strict=True):
        # The width of the lines is known to the test as it is to the fit; the continuum is not.
        pull = found[name] - ratio * 30 / error_of(rest, z)
        expected = ratio * 30 / error_of(rest, z)
        assert np.median(pull / expected) == pytest.approx(0, abs=0.1), name
    assert np.median(np.abs(found["SNR_OIII4959"])) < 1.5
    assert np.median(found["OII_EVIDENCE"]) > 15
    assert (found["OII_EVIDENCE"] > defaults.vet.oii_evidence_max).mean() > 0.97
    assert (found["OII_SNR"] > defaults.vet.oii_snr_max).mean() > 0.97
    highest = np.max([found[name] for name in columns], axis=0)
    np.testing.assert_allclose(found["OII_SNR"], highest)


def test_a_line_that_comes_alone_speaks_against_oii(
    measure: Callable[..., Measured], defaults: Config, rng: np.random.Generator
) -> None:
    wave = rng.uniform(3850, 4950, 100)
    found = measure(line_spectra(lines_at(wave, 30.0), GRID), wave, 30.0)
    assert np.median(found["OII_EVIDENCE"]) < -2
    assert (found["OII_EVIDENCE"] > defaults.vet.oii_evidence_max).mean() < 0.03
    assert (found["OTHER_EVIDENCE"] > defaults.vet.other_evidence_max).mean() < 0.05
    for name in ("SNR_HBETA", "SNR_OIII4959", "SNR_OIII5007", "SNR_HALPHA"):
        assert abs(np.mean(found[name])) < 0.3, name
        # Mostly below one: the errors only grow.
        assert 0.75 < np.std(found[name]) < 1.15, name


def test_a_brighter_lone_line_is_more_certainly_not_oii(
    measure: Callable[..., Measured], rng: np.random.Generator
) -> None:
    wave = rng.uniform(3850, 4950, 60)
    faint, bright = (
        np.median(measure(line_spectra(lines_at(wave, flux), GRID), wave, flux)["OII_EVIDENCE"])
        for flux in (5.0, 50.0)
    )
    assert bright < faint < 0


def test_lines_that_cannot_be_seen_are_no_evidence(
    measure: Callable[..., Measured], rng: np.random.Generator
) -> None:
    wave = rng.uniform(3850, 4950, 10)
    clean = decoy_spectra("oii", oii_lines(wave, 30.0), GRID)
    blind = measure(clean, wave, 30.0, masked=GRID.wave > 4980)
    for name in ("SNR_OIII5007", "SNR_HALPHA"):
        assert np.isnan(blind[name]).all(), name
    blue = wave * 4862.683 / BLEND > 5010
    for name in ("OII_SNR", "OII_EVIDENCE"):
        assert np.isnan(blind[name][blue]).all(), name
    one = measure(clean, wave, 30.0, masked=(GRID.wave > 4980) & (GRID.wave < 6300))
    three = [one[name] for name in ("SNR_HBETA", "SNR_OIII5007", "SNR_HALPHA")]
    assert np.isnan(three).any()
    assert np.isfinite(one["SNR_HALPHA"]).all()
    np.testing.assert_allclose(one["OII_SNR"], np.fmax.reduce(three))
    assert (one["OII_EVIDENCE"] > 0).all()


def test_lines_beyond_the_spectrum_are_not_measured(
    spectra_of: Callable[..., FittedSpectra], rng: np.random.Generator
) -> None:
    spectra = spectra_of(GRID, np.zeros((4, GRID.n_pixels)), 1.0, rng)
    z = np.array([-0.02, 0.2, 0.62, 2.0])
    hits = {"SIGMA": np.full(4, SIGMA)}
    usual = np.full(GRID.n_pixels, DISPERSION)
    fluxes = companion_fluxes(spectra, hits, z, OII.companions, usual, 30)
    seen = np.isfinite([flux for flux, _ in fluxes])
    expected = [[False, True, True, False]] * 3 + [[False, True, False, False]]
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(np.isfinite([error for _, error in fluxes]), expected)


def test_a_doublet_is_preferred_where_it_is_one_and_not_where_it_is_not(
    measure: Callable[..., Measured], rng: np.random.Generator
) -> None:
    wave = rng.uniform(4300, 4950, 60)
    clean = decoy_spectra("oii", oii_lines(wave, 30.0), GRID)
    found = measure(clean, wave, 30.0, noise=0.05)["DOUBLET_DCHI2"]
    assert np.median(found) > 4
    assert (found > 0).mean() > 0.9
    narrow = Lines(wave, np.full(60, 30.0), 1.15 * pixel_width_angstrom(wave), np.zeros(60))
    single = measure(line_spectra(narrow, GRID), wave, 30.0, noise=0.05)["DOUBLET_DCHI2"]
    assert (single < 0).mean() > 0.95
    skewed = Lines(wave, np.full(60, 30.0), 3.5 * pixel_width_angstrom(wave), np.full(60, 8.0))
    lya = measure(line_spectra(skewed, GRID, DISPERSION), wave, 30.0, noise=0.05)["DOUBLET_DCHI2"]
    assert (lya < 0).mean() > 0.95


WAVE_OF = {"H beta": (4895.0, 4960.0), "H gamma": (4400.0, 4950.0)}
"""Where in the window a line can be, if its source lies behind nothing nearer than us."""


def emitters_of(identity: Hypothesis, wave: Floats, flux: float) -> Floats:
    z = wave / identity.wave - 1
    clean = line_spectra(lines_at(wave, flux), GRID).astype(np.float64)
    for line in identity.companions:
        clean += line_spectra(lines_at(line.wave * (1 + z), line.ratio * flux), GRID)
    return clean


OTHERS = ("H beta", "H gamma", "[Ne III]", "Mg II", "C III]", "C IV")


@pytest.mark.parametrize("name", OTHERS)
def test_other_identities_are_found_by_the_lines_that_come_with_them(
    measure: Callable[..., Measured], defaults: Config, rng: np.random.Generator, name: str
) -> None:
    identity = HYPOTHESES[name]
    wave = rng.uniform(*WAVE_OF.get(name, (3950.0, 4900.0)), 30)
    found = measure(emitters_of(identity, wave, 40.0), wave, 40.0)
    assert np.mean(found["OTHER_LINE"] == name) > 0.9
    assert (found["OTHER_EVIDENCE"] > defaults.vet.other_evidence_max).mean() > 0.9


def test_every_other_hypothesis_is_tested_here() -> None:
    assert {line.name for line in others()} == set(OTHERS)


def test_nothing_is_named_where_nothing_could_be_measured(
    measure: Callable[..., Measured], rng: np.random.Generator
) -> None:
    wave = rng.uniform(3850, 4950, 3)
    found = measure(np.zeros((3, GRID.n_pixels)), wave, 10.0, masked=GRID.wave > 0)
    assert found["OTHER_LINE"].tolist() == [""] * 3
    for name in ("OTHER_EVIDENCE", "OII_EVIDENCE", "OII_SNR", "SNR_HALPHA"):
        assert np.isnan(found[name]).all(), name


VET = load_config().vet
COMPANION = Companion("H alpha", ratio=0.9, scatter=0.7)


def slow_evidence(found: float, error: float, flux: float) -> float:
    """The slow, obvious twin: the likelihood averaged over many ratios drawn from their prior."""
    ratios = 0.9 * np.exp(0.7 * np.random.default_rng(3).normal(size=400_000))

    def likelihood(expected: Floats) -> Floats:
        x = (found - expected) / error
        return 0.95 * np.exp(-0.5 * x**2) + 0.05 / 5 * np.exp(-0.5 * (x / 5) ** 2)

    return float(np.log(likelihood(ratios * flux).mean() / likelihood(np.zeros(1))[0]))


@pytest.mark.parametrize("found", [-20.0, 0.0, 4.0, 9.0, 30.0, 60.0])
@pytest.mark.parametrize("error", [2.0, 8.0])
def test_the_evidence_is_that_of_ratios_drawn_at_random(found: float, error: float) -> None:
    fluxes = [(np.array([found]), np.array([error]))]
    evidence = ln_evidence(fluxes, np.array([12.0]), [COMPANION], VET)
    assert evidence[0] == pytest.approx(slow_evidence(found, error, 12.0), abs=0.15)


def test_evidence_of_several_lines_adds_up_and_of_unseen_ones_is_none() -> None:
    flux = np.full(3, 12.0)
    one = (np.array([10.0, 10.0, np.nan]), np.array([2.0, 2.0, np.nan]))
    two = (np.array([1.0, np.nan, np.nan]), np.array([2.0, np.nan, np.nan]))
    both = ln_evidence([one, two], flux, [COMPANION] * 2, VET)
    alone = ln_evidence([one], flux, [COMPANION], VET)
    other = ln_evidence([two], flux, [COMPANION], VET)
    assert both[0] == pytest.approx(alone[0] + other[0])
    assert both[1] == pytest.approx(alone[1])
    assert np.isnan(both[2])
    assert np.isnan(ln_evidence([one], np.full(3, np.nan), [COMPANION], VET)).all()


@pytest.mark.parametrize("found", [-1e6, -30.0, 1e6])
def test_a_wild_measurement_gives_a_number(found: float) -> None:
    evidence = ln_evidence([(np.array([found]), np.ones(1))], np.full(1, 10.0), [COMPANION], VET)
    assert np.isfinite(evidence).all()
    assert (evidence > 0) == (found > 0)


def test_one_remnant_of_airglow_does_not_outweigh_lines_that_are_missing() -> None:
    remnant = (np.full(1, 7.0), np.full(1, 1.75))
    plain = [(np.zeros(1), np.full(1, 1.75))] * 3
    companions = [COMPANION] * 4
    assert ln_evidence([remnant], np.full(1, 30.0), companions[:1], VET)[0] > 0.5
    assert ln_evidence([remnant, *plain], np.full(1, 30.0), companions, VET)[0] < -3


def test_the_nearest_line_of_the_lens_is_named_with_its_distance(defaults: Config) -> None:
    z = np.array([0.5, 0.6, 0.7, 0.55])
    rest = np.array([2424.0 * (1 + 200 / SPEED_OF_LIGHT_KMS), 2796.35, 2803.0, 2600.0])
    found = measure_lens_lines(rest * (1 + z), z, defaults.vet)
    assert found["LENS_LINE"].tolist() == ["[Ne IV]", "Mg II 2796", "Mg II 2803", "[Ne IV]"]
    kms = SPEED_OF_LIGHT_KMS * np.log(np.array([1, 1, 2803.53 / 2803.0, 2600 / 2424.0]))
    np.testing.assert_allclose(found["LENS_LINE_KMS"], [200, *kms[1:]], rtol=1e-3, atol=1e-6)


def test_without_lines_of_the_lens_none_is_named(defaults: Config) -> None:
    config = defaults.vet.model_copy(update={"lens_lines": ()})
    found = measure_lens_lines(np.array([4000.0, 4100.0]), np.full(2, 0.5), config)
    assert found["LENS_LINE"].tolist() == ["", ""]
    assert np.isnan(found["LENS_LINE_KMS"]).all()
