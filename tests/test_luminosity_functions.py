"""Luminosity functions: the numbers of the papers, and which line is of which."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.lines import REST_LINES
from speclens.luminosity_functions import LUMINOSITY_FUNCTIONS, source_populations


@pytest.mark.parametrize(
    ("line", "z", "luminosity", "z_high", "growth"),
    [
        ("[O II]", 0.5, 0.32, 1.3, 2.7),  # Comparat et al. 2016, abstract
        ("H beta", 0.3, 0.13, 0.8, 2.0),
        ("[O III] 5008", 0.3, 0.73, 0.8, 3.5),
        ("Ly alpha", 2.2, 5.29, 3.0, 1.0),  # Konno et al. 2016, abstract
    ],
)
def test_the_bend_is_where_the_papers_have_it(
    line: str, z: float, luminosity: float, z_high: float, growth: float
) -> None:
    low, high = LUMINOSITY_FUNCTIONS[line].l_star(np.array([z, z_high]))
    assert low == pytest.approx(luminosity, rel=0.05)
    assert high / low == pytest.approx(growth, rel=0.05)


def test_beyond_what_was_measured_nothing_evolves() -> None:
    function = LUMINOSITY_FUNCTIONS["[O III] 5008"]
    outside = function.l_star(np.array([0.0, *function.redshifts, 1.5]))
    assert outside[0] == outside[1] < outside[2] == outside[3]


def test_lines_are_told_by_their_wavelength_at_rest() -> None:
    names = ["Ly alpha", "[O II]", "H beta", "[O III] 5008", "H alpha"]
    wave = np.array([REST_LINES[name].wave for name in names]) * (1 + 3e-4)
    l_star, alpha = source_populations(wave, np.full(5, 0.5))
    functions = [LUMINOSITY_FUNCTIONS[name] for name in names]
    assert alpha.tolist() == [function.alpha for function in functions]
    assert l_star.tolist() == [function.l_star(np.array([0.5]))[0] for function in functions]


def test_a_line_without_a_function_takes_that_of_its_galaxies() -> None:
    names = ["[O III] 5008", "[O III] 4960", "H beta", "H gamma"]
    wave = np.array([REST_LINES[name].wave for name in names])
    l_star, alpha = source_populations(wave, np.full(4, 0.5))
    assert alpha[0] == alpha[1] != alpha[2] == alpha[3]
    assert l_star[1] / l_star[0] == pytest.approx(1 / 3, rel=0.02)
    assert l_star[3] / l_star[2] == pytest.approx(0.47, rel=0.1)  # case B


@pytest.mark.parametrize("wave", [1549.5, 2800.0, 6000.0, np.nan, 0.0, -1.0, np.inf])
def test_no_function_tells_of_other_lines(wave: float) -> None:
    assert np.isnan(source_populations(np.array([wave]), np.array([0.5]))).all()
