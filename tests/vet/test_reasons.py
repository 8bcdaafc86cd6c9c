"""Every rejected hit says in words what decided, and every reason which limit it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from speclens.config import Config, load_config
from speclens.schema import HITS, REASONS, VET_FLAGS, VetFlag, vet_bits
from speclens.vet.reasons import (
    FLAG_OF_TERM,
    OTHER_TERMS,
    limit_of_reason,
    reads,
    reasons_of,
    rejected_by,
)

Maker = Callable[..., Any]
FLAGS = {flag.name: flag for flag in VET_FLAGS}
WIDTH = next(int(column.dtype[1:]) for column in HITS if column.name == "REASON")

SAID = {
    "FAINT": ({"SNR": 4.25}, "S/N 4.2"),
    "LOW_PEAK": ({"PEAK": 0.625}, "0.62 1e-17 erg/s/cm2/Angstrom"),
    "NOISY": ({"NOISE": 3.5}, "3.50 1e-17 erg/s/cm2/Angstrom"),
    "MASKED": ({"GOOD_PIXELS": 0.25}, "25%"),
    "EDGE": ({"EDGE_PIXELS": 3.0}, "3 pixels"),
    "SPIKE": ({"SPIKE_DCHI2": 12.5}, "12.5"),
    "POOR_FIT": ({"CHI2_NU": 4.5}, "4.5"),
    "DENSE_OBSERVED": ({"DENSE_OBSERVED": 9.5, "WAVE": 4046.6}, "at 4047 Angstrom: hits 9.5 sigma"),
    "DENSE_REST": ({"DENSE_REST": 9.5, "WAVE": 4200.0, "Z": 0.5}, "at 2800 Angstrom of the lens"),
    "NOT_SKEWED": ({"SKEWNESS": -3.0, "SKEWNESS_LOW": -9.0, "SKEWNESS_HIGH": -1.0}, "-9.0 to -1.0"),
    "OII_LINES": (
        {"Z_OII": 0.2341, "OII_SNR": 22.0, "SNR_OIII5007": 22.0},
        "[O II] at z = 0.234: [O III] 5008 at S/N 22",
    ),
    "OII": ({"Z_OII": 0.2, "OII_SNR": 7.0, "SNR_HALPHA": 7.0}, "z = 0.200: H alpha at S/N 7"),
    "OTHER_SOURCE": ({"OTHER_LINE": "H beta", "WAVE": 4862.683 * 0.9}, "H beta at z = -0.100"),
    "LENS_LINE": ({"LENS_LINE": "Mg II 2796", "LENS_LINE_KMS": 67.0}, "Mg II 2796 of the lens: 67"),
    "NEIGHBOUR": ({"NEIGHBOUR_SNR": 11.0, "NEIGHBOUR_DSIGMA": 2.0}, "fibre, at S/N 11"),
    "NOT_REPEATED": ({"N_REPEATS": 3, "REPEAT_DSIGMA": -6.5}, "in 3 other spectra"),
    "ONE_EXPOSURE": ({"N_EXPOSURES": 4, "EXPOSURE_DSIGMA": -5.5}, "of 4 exposures only"),
    "UNLIKELY": ({"P_LYA": 0.0125}, "P(Ly alpha) = 0.01"),
    "DOUBTFUL": ({"HYPOTHESIS": "oii", "P_HYPOTHESIS": 0.2}, "P(oii) = 0.200"),
    "TWO_PEAKS": (
        {"PEAKS_KMS": 310.6, "PEAKS_DCHI2": 20.04}, "two peaks, 311 km/s apart: chi2 better by 20.0"
    ),
    "SKY_LINE": ({"SKY_EXCESS": 3.2}, "errors 3.2 times those around"),
    "NIGHT_SKY": ({"WAVE": 4359.6, "SKY_KMS": 42.0}, "the night sky has a line: 42 km"),
    "SAME_LINE": ({"SAME_P": 0.75}, "by another search, likelier: probability 0.750"),
}  # fmt: skip


@pytest.mark.parametrize("flag", VET_FLAGS, ids=lambda flag: flag.name)
def test_each_flag_names_the_numbers_that_decided(make_hits: Maker, flag: VetFlag) -> None:
    row = make_hits(1)[0]
    columns, said = SAID[flag.name]
    for name, value in columns.items():
        row[name] = value
    assert said in reads(flag, row)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30, 1e30])
@pytest.mark.parametrize("flag", VET_FLAGS, ids=lambda flag: flag.name)
def test_no_number_is_too_odd_for_words(make_hits: Maker, flag: VetFlag, value: float) -> None:
    row = make_hits(1)[0]
    for name in row.dtype.names:
        if row.dtype[name].kind == "f":
            row[name] = value
        elif row.dtype[name].kind == "U":
            row[name] = "\u202e{0}<b>\n"
    text = reads(flag, row, "oii_lines")
    assert text.isascii()
    assert text.isprintable()
    assert not {"nan", "inf"} & set(text.split())


def test_what_was_never_measured_says_why(make_hits: Maker) -> None:
    row = make_hits(1)[0]
    said = set()
    for status in ("no_spectrum", "no_data", "failed", "fitted"):
        row["FIT_STATUS"] = status
        said.add(reads(FLAGS["MASKED"], row))
    assert len(said) == 4


def test_the_first_vetoing_flag_of_the_funnel_decides() -> None:
    set_here = vet_bits(["FAINT", "LENS_LINE", "UNLIKELY"])
    assert rejected_by(set_here, ["UNLIKELY", "LENS_LINE"]) is FLAGS["LENS_LINE"]
    assert rejected_by(set_here, ["UNLIKELY"]) is FLAGS["UNLIKELY"]
    assert rejected_by(set_here, ["MASKED"]) is None


def test_a_reason_belongs_to_rejected_hits_only(make_hits: Maker, default_config: Config) -> None:
    hits = make_hits(3, [["FAINT"], ["UNLIKELY", "MASKED"], ["UNLIKELY"]])
    hits["Z_OII"][2], hits["OII_SNR"][2], hits["SNR_HBETA"][2] = 0.1, 30, 30
    hits["P_LYA"][2] = 0.002
    against = np.array(["", "skewness", "oii_lines"])
    kept, masked, unlikely = reasons_of(hits, against, default_config.vet)
    assert kept == ""
    assert masked.startswith("masked")
    assert unlikely == "[O II] at z = 0.100: H beta at S/N 30; P(Ly alpha) = 0.002"


@pytest.mark.parametrize("term", ["", *FLAG_OF_TERM, *OTHER_TERMS])
def test_the_probability_names_what_speaks_most_against_the_line(
    make_hits: Maker, term: str
) -> None:
    row = make_hits(1)[0]
    text = reads(FLAGS["UNLIKELY"], row, term)
    if term in FLAG_OF_TERM:
        assert text.startswith(reads(FLAGS[FLAG_OF_TERM[term]], row))
    assert len(text) <= WIDTH


def test_reasons_name_the_limits_of_the_configuration_that_was_used() -> None:
    used = load_config(None, ["selection.z_min=0.25", 'selection.classes=["GALAXY", "QSO"]'])
    configuration = used.model_dump(mode="json")
    assert limit_of_reason("z_low", configuration) == "z <= 0.25"
    assert limit_of_reason("z_high", configuration) == f"z > {used.selection.z_max}"
    assert limit_of_reason("class_other", configuration) == "CLASS is not GALAXY or QSO"
    assert limit_of_reason("sky_fibre", configuration) == ""
    assert limit_of_reason("no such code", configuration) == ""
    assert limit_of_reason("z_low", {}) == ""
    assert {reason.code for reason in REASONS if limit_of_reason(reason.code, configuration)} == {
        "class_galaxy", "class_star", "class_qso", "class_other", "subclass", "z_low", "z_high",
        "bad_plate", "no_data", "faint",
    }  # fmt: skip
