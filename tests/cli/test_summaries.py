"""What is printed of candidates names each, and says what is not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speclens.cli.summaries import print_hits
from speclens.schema import CANDIDATES, dtype_of


def test_a_candidate_without_place_and_lens_model_has_its_spectrum_s_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = np.zeros(2, dtype_of(CANDIDATES, FILE=8))
    rows["SPECTRUM"], rows["NAME"][1] = ("mine-7", "3655-55240-0001"), "SDSS J015606.80+531519.3"
    rows["P_LENSED"] = np.nan, 0.5
    print_hits(Path("run"), {"hits": 2, "candidates": 2}, rows, ())
    placeless, other = capsys.readouterr().out.splitlines()[2:4]
    assert placeless.split()[:2] == ["mine-7", "mine-7"]
    assert placeless.split()[-1] == "-"
    assert other.startswith("SDSS J015606.80+531519.3 ")
    assert other.endswith(" 0.500")
    assert len(placeless) == len(other)
