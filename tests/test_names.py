"""Systems are named as the paper names them; a place that is none has no name."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.names import is_position, sexagesimal, system_name


@pytest.mark.parametrize(
    ("name", "ra", "dec"),
    [  # Li et al. 2019, Table 1: columns 1, 5 and 6
        ("SDSS J111749.50+014036.9", "11:17:49.50", "+01:40:36.95"),
        ("SDSS J121650.13+500700.2", "12:16:50.13", "+50:07:00.26"),
        ("SDSS J122502.89-000907.8", "12:25:02.89", "-00:09:07.85"),
        ("SDSS J142310.55+231928.1", "14:23:10.55", "+23:19:28.17"),
        ("SDSS J143428.11+470111.5", "14:34:28.11", "+47:01:11.53"),
    ],
)
def test_names_of_the_five_candidates_follow_from_their_coordinates(
    name: str, ra: str, dec: str
) -> None:
    hours, minutes, seconds = (float(part) for part in ra.split(":"))
    degrees, arc_minutes, arc_seconds = (float(part) for part in dec[1:].split(":"))
    sign = -1 if dec[0] == "-" else 1
    position = degrees + arc_minutes / 60 + arc_seconds / 3600
    assert (
        system_name("SDSS", 15 * (hours + minutes / 60 + seconds / 3600), sign * position) == name
    )


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (0.0, 0.0, "SDSS J000000.00+000000.0"),
        (360.0, 0.0, "SDSS J000000.00+000000.0"),
        (-1e-20, 0.0, "SDSS J000000.00+000000.0"),
        (359.9999999, 0.0, "SDSS J235959.99+000000.0"),
        (-15.0, 10.0, "SDSS J230000.00+100000.0"),
        (15 * 59.999 / 3600, 0.0, "SDSS J000059.99+000000.0"),
        (15.0, 59.99 / 3600, "SDSS J010000.00+000059.9"),
        (15.0, -59.99 / 3600, "SDSS J010000.00-000059.9"),
        (15.0, 0.99999, "SDSS J010000.00+005959.9"),
        (15.0, -0.0, "SDSS J010000.00+000000.0"),
        (15.0, -1e-9, "SDSS J010000.00-000000.0"),
        (15.0, -0.5, "SDSS J010000.00-003000.0"),
        (15.0, 90.0, "SDSS J010000.00+900000.0"),
        (15.0, -90.0, "SDSS J010000.00-900000.0"),
        (15.0, 1.1, "SDSS J010000.00+010600.0"),
    ],
)
def test_c3_names_are_truncated_never_rounded(ra: float, dec: float, name: str) -> None:
    assert system_name("SDSS", ra, dec) == name


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        (np.nan, 1.0), (1.0, np.nan), (np.inf, 0.0), (1.0, np.inf), (1.0, 1e308), (1.0, 90.1),
        (1.0, -91.0), (1e308, 1.0), (361.0, 1.0), (-361.0, 1.0),
    ],
)  # fmt: skip
def test_c3_a_target_without_a_position_has_no_name(ra: float, dec: float) -> None:
    assert system_name("SDSS", ra, dec) == ""
    assert not is_position(ra, dec)


def test_names_of_a_grid_of_positions_read_back_to_just_below_them() -> None:
    rng = np.random.default_rng(4)
    for ra, dec in zip(rng.uniform(0, 360, 500), rng.uniform(-90, 90, 500), strict=True):
        name = system_name("SDSS", ra, dec)[6:]
        hours = int(name[:2]) + int(name[2:4]) / 60 + float(name[4:9]) / 3600
        degrees = int(name[10:12]) + int(name[12:14]) / 60 + float(name[14:]) / 3600
        assert -1e-9 < ra - 15 * hours < 15 * 0.01 / 3600 + 1e-9
        assert -1e-9 < abs(dec) - degrees < 0.1 / 3600 + 1e-9
        assert (name[9] == "-") == (dec < 0)


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_sexagesimal_seconds_have_the_decimals_asked_for(decimals: int) -> None:
    assert sexagesimal(12 + 34 / 60 + 5.6789 / 3600, decimals) == (
        12,
        34,
        "05.6789"[: 3 + decimals],
    )
