"""Measure the bundled growth of the errors: `make data`.

    python tools/measure_error_growth.py --data FOLDER [-o FILE]

In: a mock survey of sky fibres, whose noise was measured on real spectra (`build_noise_model.py`),
for real sky fibres at hand are three; the folder of real survey files, `boss/galaxies`, `quasars`
and `boss/stars_and_quasars`. Out: `error_growth.fits`, by `speclens sky` alone, first of the mock,
then, with the factors of its sky fibres, of the real spectra. Sources: BOSS, Data Release 12
(acknowledged in the README).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import speclens
from speclens.config import load_config, toml_value
from speclens.sample.error_growth import BUNDLED, FACTORS, ErrorGrowth
from speclens.simulate.mock_survey import make_survey
from speclens.verbs.sky import SkyRequest, measure_growth

FOLDERS = ("boss/galaxies", "quasars", "boss/stars_and_quasars")
SEED = 20
N_PLATES = 100
PLATES = (
    "survey.n_fibres=100",
    "survey.sky_fraction=0.9",
    # All of them cover what is searched.
    "survey.first_pixel_range=[35515, 35540]",
)
REAL = ("lines.growth_min_spectra=20", "lines.growth_fraction=1.0")
"""The real spectra are few: all of them tell."""


def measure(inputs: Sequence[Path], output: Path, overrides: Sequence[str]) -> None:
    """Measure, and say how many tell."""
    paths = [str(path) for path in inputs]
    summary = measure_growth(SkyRequest(paths, output, None, overrides))
    for name in FACTORS:
        factor = summary.growth.rows[name]
        print(
            f"{name}: {summary.measured[name]} tell of a pixel; mean {factor.mean():.3f}, "
            f"highest {factor.max():.2f}"
        )


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plates", type=int, default=N_PLATES)
    default = Path(speclens.__file__).parent / "data" / BUNDLED
    parser.add_argument("-o", "--output", type=Path, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        survey, sky = Path(folder) / "survey", Path(folder) / "sky.fits"
        unknown = Path(folder) / "unknown.fits"
        ErrorGrowth.unknown().write(unknown, {"CREATOR": f"speclens {speclens.__version__}"})
        config = load_config(None, (*PLATES, f"survey.n_plates={arguments.plates}"))
        make_survey(survey, config, SEED, 1)
        few = "lines.growth_min_spectra=1000000"  # of mock spectra lines tell nothing
        measure([survey], sky, [few, f"noise.growth={toml_value(str(unknown))}"])
        real = [arguments.data / name for name in FOLDERS]
        measure(real, arguments.output, [*REAL, f"noise.growth={toml_value(str(sky))}"])


if __name__ == "__main__":
    main()
