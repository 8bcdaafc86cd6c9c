"""Numbers have the digits that were measured; what is not known is a dash."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.schema import HITS, dtype_of
from speclens.view.wording import (
    DASH,
    counted,
    measured,
    number,
    on_page,
    printable,
    quantities,
    skewness,
    sky_links,
)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (30.44, 2.17, "30.4 \u00b1 2.2"),
        (4601.153, 0.0312, "4601.153 \u00b1 0.031"),
        (5.0, np.nan, "5.00"),
        (5.0, 0.0, "5.00"),
        (np.nan, 1.0, DASH),
        (-0.001, 0.9, "0.00 \u00b1 0.90"),
        (1234.0, 250.0, "1234 \u00b1 250"),
    ],
)
def test_errors_give_the_digits(value: float, error: float, text: str) -> None:
    assert measured(value, error) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(np.nan, DASH), (np.inf, DASH), (0.0, "0.00"), (1e30, "1.00e+30"), (0.01234, "0.0123"),
     (12345.6, "12346")],
)  # fmt: skip
def test_numbers_without_an_error_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_counts_agree_with_their_nouns() -> None:
    assert [counted(n, "hit") for n in (0, 1, 1232)] == ["no hits", "1 hit", "1,232 hits"]


def test_c6_hidden_characters_are_seen() -> None:
    assert printable("a\u202eb\x00c\udcff\u00e9") == "a\\u202eb\\x00c\\udcff\u00e9"


def test_places_lead_to_the_viewers() -> None:
    links = list(sky_links("sdss", -1.5, 2.25).values())
    assert links == [
        "https://skyserver.sdss.org/dr18/VisualTools/explore/summary?ra=358.500000&dec=2.250000",
        "https://www.legacysurvey.org/viewer?ra=358.500000&dec=2.250000&zoom=16&layer=ls-dr10",
        "https://www.legacysurvey.org/viewer?ra=358.500000&dec=2.250000&zoom=16&layer=ls-dr10"
        "&desi-spec-dr1",
    ]


@pytest.mark.parametrize(("ra", "dec"), [(np.nan, 1), (1, np.nan), (np.inf, 1), (1, 91)])
def test_c3_there_is_no_link_to_nowhere(ra: float, dec: float) -> None:
    assert not sky_links("sdss", ra, dec)


def test_quantities_have_units_and_errors_and_unknown_ids_are_dashes() -> None:
    row = np.zeros(1, dtype_of(HITS, FILE=8))[0]
    row["WAVE"], row["WAVE_ERR"], row["PLATE"] = 4601.153, 0.31, -1
    wave, plate, vdisp = quantities(row, ["WAVE", "PLATE", "VDISP"])
    assert (wave.label, wave.value, wave.unit) == (
        "Observed line centre, vacuum", "4601.15 \u00b1 0.31", "\u00c5",
    )  # fmt: skip
    assert plate.value == DASH
    assert vdisp.value == "0.00"


@pytest.mark.parametrize(
    ("status", "value", "low", "high", "text"),
    [
        ("fitted", 3.1, 1.9, 4.5, "3.1 \u00b1 0.5"),
        ("at_bound", 25.0, 2.34, 25.0, "> 2.3"),
        ("at_bound", -25.0, -25.0, -1.26, "< -1.3"),
        ("at_bound", 25.0, -2.9, 25.0, "> -2.9"),
        ("at_bound", 25.0, -24.3, 25.0, "unconstrained"),
        ("at_bound", -25.0, -25.0, 17.0, "unconstrained"),
        ("fitted", 1.0, -5.0, 20.0, "unconstrained"),
        ("fitted", -4.0, -20.0, 2.9, "-4.0 \u00b1 0.5"),
        ("no_data", np.nan, np.nan, np.nan, DASH),
        ("no_spectrum", np.nan, np.nan, np.nan, DASH),
    ],
)
def test_a_skewness_is_a_value_a_limit_or_unconstrained(
    status: str, value: float, low: float, high: float, text: str
) -> None:
    row = np.zeros(1, dtype_of(HITS, FILE=8))[0]
    row["FIT_STATUS"], row["SKEWNESS"], row["SKEWNESS_ERR"] = status, value, 0.5
    row["SKEWNESS_LOW"], row["SKEWNESS_HIGH"] = low, high
    assert skewness(row) == text
    # Among the measurements it is the same, but for the digits of a value.
    (measurement,) = quantities(row, ["SKEWNESS"])
    same = measurement.value.replace(".10", ".1").replace(".00", ".0").replace(".50", ".5")
    assert same == text


def test_a_page_has_the_signs_of_the_units() -> None:
    assert on_page("at 4047 Angstrom") == "at 4047 \u00c5"
    assert on_page("41.3 +- 6.2 in 900") == "41.3 \u00b1 6.2 in 900"
    density = on_page("0.5 1e-17 erg/s/cm2/Angstrom")
    assert density == (
        "0.5 10\u207b\u00b9\u2077 erg s\u207b\u00b9 cm\u207b\u00b2 \u00c5\u207b\u00b9"
    )
