"""The growth of the errors as a file: whole, checked, the same for every search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speclens.config import load_config
from speclens.errors import RunError
from speclens.products import write_fits
from speclens.sample.error_growth import FACTORS, PIXELS, ErrorGrowth, preparation_of, read_growth
from speclens.sample.preparation import Preparation
from speclens.schema import SPECTRA
from speclens.spectra import LogGrid

META = {"CREATOR": "speclens test"}


@pytest.fixture
def grid() -> LogGrid:
    return LogGrid.covering(3600.0, 4800.0)


def test_what_is_written_is_read(tmp_path: Path, grid: LogGrid) -> None:
    factor = np.linspace(1, 2, grid.n_pixels)
    number = np.arange(grid.n_pixels)
    before = ErrorGrowth.unknown()
    growth = before.with_factor("SKY", grid.first, factor, number)
    growth.write(tmp_path / "sky.fits", META)
    read = read_growth(str(tmp_path / "sky.fits"))
    np.testing.assert_array_equal(read.rows, growth.rows)
    assert read.digest == growth.digest != before.digest
    np.testing.assert_allclose(read.observed("SKY", grid), factor, rtol=1e-6)
    assert read.rows["N_SKY"].max() == grid.n_pixels - 1
    # Beyond what was measured errors stay as they are.
    wide = LogGrid.covering(3000.0, 11000.0)
    assert read.observed("SKY", wide)[[0, -1]].tolist() == [1, 1]
    # Where nothing new is known the old stays.
    again = read.with_factor("SKY", grid.first, 2 * factor, np.where(number < 500, 0, number))
    expected = np.where(number < 500, factor, 2 * factor)
    np.testing.assert_allclose(again.observed("SKY", grid), expected, rtol=1e-6)


def test_pixels_may_differ_by_what_processors_make_of_a_power_of_ten(tmp_path: Path) -> None:
    rows = ErrorGrowth.unknown().rows.copy()
    rows["WAVE"] = np.nextafter(rows["WAVE"], np.inf)
    ErrorGrowth(rows).write(tmp_path / "sky.fits", META)
    assert read_growth(str(tmp_path / "sky.fits")).rows["WAVE"][0] == rows["WAVE"][0]


def test_the_bundled_growth_is_small_where_the_networks_look(grid: LogGrid) -> None:
    growth = read_growth("")
    blue = growth.observed("SKY", grid)
    # They are trained on spectra without it.
    assert blue.mean() < 1.01
    assert blue.max() < 1.15
    assert growth.rows["N_SKY"].max() > 500
    # Airglow is where it should be: of [O I] 5577, and of OH redwards of 7200 Angstrom.
    wave, sky = PIXELS.wave, growth.rows["SKY"]
    assert sky[np.abs(wave - 5578.9) < 3].max() > 1.05
    assert sky[(wave > 7200) & (wave < 9700)].mean() > sky[(wave > 4800) & (wave < 5500)].mean()
    for name in FACTORS[1:]:
        assert 1 < growth.rows[name].mean() < 1.2


def test_a_search_lets_the_errors_grow_and_a_training_does_not(tmp_path: Path) -> None:
    path = tmp_path / "sky.fits"
    n_pixels = PIXELS.n_pixels
    twice = np.full(n_pixels, 2.0)
    growth = ErrorGrowth.unknown().with_factor("SKY", PIXELS.first, twice, np.ones(n_pixels))
    growth.write(path, META)
    config = load_config(None, [f'noise.growth="{path}"'])
    np.testing.assert_array_equal(preparation_of(config)._sky_growth, 2)
    np.testing.assert_array_equal(Preparation(config)._sky_growth, 1)
    # It is no part of what a network sees: models that were trained before can be used.
    assert "growth" not in config.deciding("network")["noise"]
    assert "growth" in config.deciding("search")["noise"]


@pytest.mark.parametrize("content", [None, b"", b"no FITS", b"SIMPLE  =   T cut short"])
def test_h1_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "sky.fits"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"sky\.fits: "):
        read_growth(str(path))


def test_d4_a_foreign_or_changed_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sky.fits"
    write_fits(path, [], 0, SPECTRA, META)
    with pytest.raises(RunError, match="no growth of the errors: expected columns WAVE, SKY"):
        read_growth(str(path))
    growth = ErrorGrowth.unknown()
    growth.write(path, META)
    content = bytearray(path.read_bytes())
    content[-3000] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="cut short or edited"):
        read_growth(str(path))
    for column, value, message in (
        ("SKY", 0.5, "only grow"),
        ("WAVE", 1.0, "pixels"),
        ("LINES", np.nan, "only grow"),
    ):
        rows = growth.rows.copy()
        rows[column][7] = value
        ErrorGrowth(rows).write(path, META)
        with pytest.raises(RunError, match=message):
            read_growth(str(path))
