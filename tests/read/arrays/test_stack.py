"""Stacks hold what was handed over, bit by bit, and say what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from speclens.errors import SpectrumFileError
from speclens.read.arrays.stack import is_stack, open_stack, write_stack
from speclens.read.arrays.survey import STACKS
from speclens.read.arrays.targets import declared_targets
from speclens.read.surveys import kind_of_file
from speclens.spectra import LogGrid, SpectrumBatch

GRID = LogGrid.covering(3700, 5200)
WINDOW = LogGrid.covering(3800, 5300)


@pytest.fixture
def batch(rng: np.random.Generator) -> SpectrumBatch:
    shape = (5, GRID.n_pixels)
    targets = declared_targets(
        5, rng.random(5), ["GALAXY", "QSO"] * 2 + ["STAR"], list("abcde"), ra=1.5, dec=-2.5
    )
    return SpectrumBatch(
        GRID, rng.standard_normal(shape).astype("f4"), rng.random(shape).astype("f4"),
        rng.random(shape) < 0.1, rng.random(shape) < 0.9, (1 + rng.random(shape)).astype("f4"),
        targets, [""] * 5,
    )  # fmt: skip


@pytest.fixture
def stack(batch: SpectrumBatch, tmp_path: Path) -> Path:
    write_stack(tmp_path / "stack-000000.fits", batch)
    return tmp_path / "stack-000000.fits"


def test_a_stack_holds_what_was_written(stack: Path, batch: SpectrumBatch) -> None:
    rows = np.array([0, 3, 4])
    with open_stack(str(stack), WINDOW) as source:
        found = source.spectra(rows)
        assert source.targets.tobytes() == batch.targets.tobytes()
    here, there = WINDOW.overlap(GRID)
    for name in ("flux", "ivar", "dispersion", "covered"):
        assert_array_equal(getattr(found, name)[:, here], getattr(batch, name)[rows][:, there])
    masked = batch.mask | ~batch.covered
    assert_array_equal(found.mask[:, here], masked[rows][:, there])
    assert not found.covered[:, here.stop :].any()


def test_a_stack_is_known_by_its_name_and_by_its_content(stack: Path, tmp_path: Path) -> None:
    other = stack.rename(tmp_path / "mine.fits")
    assert is_stack(str(other))
    assert kind_of_file(str(other)) == kind_of_file("stack-000001.fits") == STACKS
    assert not is_stack(str(tmp_path / "absent.fits"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"flux": np.zeros((4, 4), "f4")}, "flux"),
        ({"hdus": ("IVAR",)}, "no ivar for"),
        ({"hdus": ("TARGETS",)}, "no TARGETS of 5 rows"),
        ({"mark": "tower"}, "no stack"),
    ],
)
def test_a_stack_that_lacks_something_says_so(
    stack: Path, change: dict[str, object], said: str
) -> None:
    with fits.open(stack) as hdus:
        kept = [hdu.copy() for hdu in hdus if hdu.name not in change.get("hdus", ())]
    kept[0].header["SPECLENS"] = change.get("mark", "stack")
    if "flux" in change:
        kept[0] = fits.PrimaryHDU(change["flux"], kept[0].header)
        said = "no ivar for"
    fits.HDUList(kept).writeto(stack, overwrite=True)
    with pytest.raises(SpectrumFileError, match=said), open_stack(str(stack), WINDOW):
        pass


def test_shapes_that_disagree_are_no_batch(batch: SpectrumBatch) -> None:
    with pytest.raises(ValueError, match="mask has shape"):
        replace(batch, mask=batch.mask[:, 1:])
