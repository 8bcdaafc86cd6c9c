"""What artificial spectra take of a survey: its own sky fibres, or none where they are few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from fixtures.training_sets import paper_config
from speclens.errors import RunError, SpectrumFileError
from speclens.lines import PIXEL_LOGLAM
from speclens.simulate.survey_galaxies import SurveyGalaxies, analyse_survey
from speclens.spectra import LogGrid


def test_the_sky_fibres_are_those_of_the_files(plates: Path, analysed: SurveyGalaxies) -> None:
    flux = []
    grid = LogGrid.covering(*paper_config().preparation.window)
    for path in sorted(plates.glob("*/spPlate-*.fits")):
        with fits.open(path) as hdus:
            first = round(hdus[0].header["COEFF0"] / PIXEL_LOGLAM)
            sky = hdus[5].data["OBJTYPE"] == "SKY"
            window = slice(grid.first - first, grid.first - first + grid.n_pixels)
            flux.append(hdus[0].data[sky, window])
    expected = np.concatenate(flux)
    assert analysed.sky is not None
    assert len(expected) == len(analysed.sky) > 60
    good = analysed.sky.ivar > 0
    assert good.mean() > 0.9
    np.testing.assert_array_equal(analysed.sky.flux[good], expected[good])


def test_with_few_sky_fibres_the_noise_is_the_models_and_the_user_is_told(plates: Path) -> None:
    messages: list[str] = []
    config = paper_config("noise.sky_min_fibres=500")
    assert analyse_survey([str(plates)], config, 5, 1, messages.append).sky is None
    assert any("fewer than 500: sky residuals" in text for text in messages)


def test_a10_a_set_is_not_made_of_what_happens_to_be_readable(
    plates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = SpectrumFileError("spPlate-1.fits", "io_error", "stale file handle")

    def unreadable(*_: Any) -> None:
        raise error

    monkeypatch.setattr("speclens.simulate.survey_galaxies.open_shard", unreadable)
    with pytest.raises(RunError, match=r"spPlate-1.fits: io_error.*same command again"):
        analyse_survey([str(plates)], paper_config(), 5, 1, lambda _: None)
