"""Instruments: what the bits of a survey mean, and which records there are."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.instrument import INSTRUMENTS
from speclens.read.surveys import SURVEYS

SDSS = INSTRUMENTS["sdss"]


def test_every_survey_has_its_record() -> None:
    assert [survey.name for survey in SURVEYS] == list(INSTRUMENTS)


@pytest.mark.parametrize("bit", [0, 7, 18, 22, 24, 25, 26])
def test_b2_bad_bits_mask_a_pixel(bit: int) -> None:
    bits = np.array([[0, 1 << bit, 1 << bit | 1 << 16]], np.int32)
    assert SDSS.is_masked(bits).tolist() == [[False, True, True]]


@pytest.mark.parametrize("bit", [16, 17, 19, 23, 27, 28])
def test_b2_harmless_bits_mask_nothing(bit: int) -> None:
    assert not SDSS.is_masked(np.array([[1 << bit]], np.int32)).any()


def test_b2_all_bits_set_mask_a_pixel_that_is_not_there() -> None:
    bits = np.full((1, 2), -1, np.int32)
    assert SDSS.is_masked(bits).all()
    assert not SDSS.is_covered(bits).any()


def test_only_the_bit_of_no_data_says_that_there_is_no_pixel() -> None:
    bits = np.array([[0, 1, 1 << 24, 1 << 25]], np.int64)
    assert SDSS.is_covered(bits).tolist() == [[True, True, False, True]]


def test_plates_before_boss_have_wider_fibres() -> None:
    plates = np.array([266, 3509, 3510, 15000, -1])
    assert SDSS.fibre_radius(plates).tolist() == [1.5, 1.5, 1.0, 1.0, 1.0]


def test_no_two_kinds_of_files_have_one_name() -> None:
    names = [kind.name for survey in SURVEYS for kind in survey.kinds]
    assert len(set(names)) == len(names)
    assert all(kind.survey == survey.name for survey in SURVEYS for kind in survey.kinds)


def test_sdssv_has_bosss_fibres_and_bits_and_no_plates() -> None:
    sdssv = INSTRUMENTS["sdssv"]
    assert sdssv.fibre_radius(np.array([-1, -1])).tolist() == [1.0, 1.0]
    assert sdssv.bad_mask_bits == SDSS.bad_mask_bits
    assert sdssv.no_data == SDSS.no_data == 1 << 24
    assert sdssv.designation == "SDSS"


def test_a_fibre_is_lost_by_its_status_but_not_by_what_only_informs() -> None:
    desi = INSTRUMENTS["desi"]
    status = np.array([0, 1 << 1, 1 << 3, 1 << 24, 1, 1 << 9 | 1 << 3, 1 << 29])
    assert desi.is_lost(status).tolist() == [False] * 4 + [True] * 3
    assert not SDSS.is_lost(status).any()
