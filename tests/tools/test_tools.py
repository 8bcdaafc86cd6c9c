"""Every tool runs, small, and what it makes is what the package holds, or makes sense."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import speclens
from speclens.networks.model_folder import read_model
from speclens.sample.error_growth import read_growth
from speclens.vet.weights import AGAINST, checked_weights

Run = Callable[..., str]

DATA = Path(speclens.__file__).parent / "data"
DOCS = Path(__file__).parents[2] / "docs"
PNG = b"\x89PNG"


def test_the_tables_of_the_documentation_are_current(run_script: Run) -> None:
    if not DOCS.is_dir():
        pytest.skip("the documentation is not here")
    assert run_script("tools/write_tables.py", "--check", "--docs", DOCS) == ""


def test_the_figure_of_the_data_flow_is_that_of_the_contracts(
    run_script: Run, tmp_path: Path
) -> None:
    if DOCS.is_dir():
        assert run_script("tools/draw_data_flow.py", "--check", "--docs", DOCS) == ""
    assert "not current" in run_script(
        "tools/draw_data_flow.py", "--check", "--docs", tmp_path, code=1
    )


def test_a_table_that_is_old_is_told_and_written_anew(run_script: Run, tmp_path: Path) -> None:
    page, kept = tmp_path / "page.md", tmp_path / "tables" / "mine.md"
    kept.parent.mkdir()
    kept.write_text("| a |\n| --- |\n| 1 |\n")
    page.write_text("before\n<!-- table mine -->\nold\n<!-- end -->\nafter\n")
    assert "not current" in run_script(
        "tools/write_tables.py", "--check", "--docs", tmp_path, code=1
    )
    run_script("tools/write_tables.py", "--docs", tmp_path)
    filled = f"before\n<!-- table mine -->\n{kept.read_text()}<!-- end -->\nafter\n"
    assert page.read_text() == filled
    assert run_script("tools/write_tables.py", "--check", "--docs", tmp_path) == ""
    page.write_text("<!-- table nowhere -->\n<!-- end -->\n")
    run_script("tools/write_tables.py", "--docs", tmp_path, code=1)


AIMS = """
[[part]]
title = "Speed"
command = "make bench"
numbers = [{{ aim = "a second", goal = "230", table = "mine", row = "{row}", column = "b" }}]
"""


def test_aims_stand_beside_what_was_measured_and_a_cell_that_is_missing_is_told(
    run_script: Run, tmp_path: Path
) -> None:
    page, aims = tmp_path / "page.md", tmp_path / "measured.toml"
    (tmp_path / "tables").mkdir()
    table = "| a | b |\n| --- | --- |\n| one | 4,616 |\n| two | 7 |\n"
    (tmp_path / "tables" / "mine.md").write_text(table)
    page.write_text("<!-- table MEASURED -->\n<!-- end -->\n")
    aims.write_text(AIMS.format(row="one"))
    run_script("tools/write_tables.py", "--docs", tmp_path)
    assert "| a second | 230 | 4,616 | `make bench` |" in page.read_text()
    aims.write_text(AIMS.format(row="three"))
    run_script("tools/write_tables.py", "--docs", tmp_path, code=1)


@pytest.mark.slow
def test_the_inputs_of_a_model_are_recorded_without_a_change_of_its_weights(
    run_script: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "li2019"
    shutil.copytree(DATA / "models" / "li2019", folder)
    run_script("tools/record_inputs.py", folder)
    for name in ("weights.safetensors", "probe.safetensors", "README.md", "curves.png"):
        assert (folder / name).read_bytes() == (DATA / "models" / "li2019" / name).read_bytes()
    made, bundled = read_model(folder).record, read_model("li2019").record
    assert made is not None
    assert bundled is not None
    assert made.sections == bundled.sections  # else: make inputs
    np.testing.assert_allclose(made.inputs, bundled.inputs, atol=1e-2)  # other processors' noise


@pytest.mark.slow
def test_weights_are_calibrated_on_a_small_survey(run_script: Run, tmp_path: Path) -> None:
    output = tmp_path / "probability.json"
    run_script("tools/calibrate_vetting.py", "--plates", 1, "--fibres", 200, "-o", output)
    bundled = json.loads((DATA / "vetting" / "probability.json").read_text())
    found = json.loads(output.read_text())
    features = list(bundled["weights"]["resnet"])
    weights = checked_weights(output.read_text(), features)
    assert set(weights) == set(bundled["weights"])
    assert all(of_method[name] <= 0 for of_method in weights.values() for name in AGAINST)
    assert found["hits"]["resnet"]["lya"] > 0


@pytest.mark.slow
def test_the_basis_can_be_built_again(run_script: Run, survey_data: Path, tmp_path: Path) -> None:
    run_script("tools/build_eigenspectra.py", "--data", survey_data, "-o", tmp_path)
    for name, precision in (("eigenspectra.fits", 1e-6), ("quasar_eigenspectra.fits", 1e-4)):
        with fits.open(tmp_path / name) as made, fits.open(DATA / name) as bundled:
            for one, other in zip(made, bundled, strict=True):
                assert one.header.tostring() == other.header.tostring()
            np.testing.assert_allclose(made[0].data, bundled[0].data, atol=precision)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("instrument", "name"), [("sdss", "noise_model.fits"), ("desi", "desi_noise_model.fits")]
)
def test_the_noise_model_can_be_measured_again(
    run_script: Run, survey_data: Path, tmp_path: Path, instrument: str, name: str
) -> None:
    output = tmp_path / name
    options = ("--instrument", instrument, "--data", survey_data, "-o", output)
    printed = run_script("tools/build_noise_model.py", *options)
    rates = dict(line.split(" = ") for line in printed.splitlines())
    assert 0.005 < float(rates["sky_line_rms"]) < 0.1
    with fits.open(output) as made, fits.open(DATA / name) as bundled:
        for name in bundled["NOISE"].columns.names:
            np.testing.assert_allclose(
                made["NOISE"].data[name], bundled["NOISE"].data[name], rtol=1e-4, atol=1e-6
            )


@pytest.mark.slow
def test_the_growth_of_the_errors_can_be_measured_again(
    run_script: Run, survey_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "growth.fits"
    options = ("--data", survey_data, "--plates", 8, "-o", output)
    run_script("tools/measure_error_growth.py", *options)
    made, bundled = (read_growth(path).rows for path in (str(output), ""))
    assert (made["N_SKY"].max(), bundled["N_SKY"].max()) == (720, 9000)
    told = bundled["N_SKY"] > 0
    # Of so few plates the growth is noisy, and airglow is told.
    assert np.corrcoef(made["SKY"][told], bundled["SKY"][told])[0, 1] > 0.7
    for name in ("LINES", "GALAXIES_REST", "QUASARS_REST"):
        # The sky decides which lines of a lens are seen, and masked: others tell elsewhere.
        assert abs(int(made[f"N_{name}"].max()) - int(bundled[f"N_{name}"].max())) <= 2
        ratio = made[name] / bundled[name]
        np.testing.assert_allclose(np.quantile(ratio, [0.02, 0.98]), 1, atol=0.1)


@pytest.mark.slow
def test_mock_and_real_spectra_are_alike(
    run_script: Run, survey_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "figure.png"
    printed = run_script(
        "tools/compare_mock_and_real.py", "--data", survey_data, "--plates", 1, "-o", output
    )
    (line,) = (text for text in printed.splitlines() if "standard deviation" in text)
    real, mock = map(float, line.split()[-2:])
    assert real == pytest.approx(mock, rel=0.1)
    assert output.read_bytes().startswith(PNG)


@pytest.mark.slow
def test_the_tails_of_mock_and_real_spectra_are_alike(
    run_script: Run, survey_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "tails.png"
    printed = run_script("tools/compare_tails.py", "--data", survey_data, "--plates", 3,
                         "-o", output)  # fmt: skip
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines()]
    (searched,) = (row for row in rows if row[0].startswith("galaxies, 3800") and row[1] == "3.5")
    assert searched[2].endswith("of 41")
    low, high = map(float, searched[4].split("(")[1].rstrip(")").split("-"))
    assert low < 1 < high
    (far,) = (row for row in rows if row[0] == "above +4.5")
    assert int(far[1]) <= 2
    assert output.read_bytes().startswith(PNG)


@pytest.mark.slow
def test_mock_and_real_quasars_are_alike(run_script: Run, survey_data: Path) -> None:
    printed = run_script("tools/compare_quasars.py", "--data", survey_data)
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines()]
    flux = [row for row in rows if row[0].startswith("flux density")]
    assert len(flux) == 5
    for _, real, mock in flux:
        quantiles = [[float(x) for x in cell.split(", ")] for cell in (real, mock)]
        np.testing.assert_allclose(*(q[:4] for q in quantiles), rtol=0.35, atol=0.1)
        np.testing.assert_allclose(*(q[4] for q in quantiles), rtol=0.6)  # of three spectra
    (blue,) = (row for row in rows if row[0].startswith("to 7000 Å: S/N"))
    np.testing.assert_allclose(*([float(x) for x in cell.split(", ")] for cell in blue[1:]),
                               atol=0.6)  # fmt: skip


@pytest.mark.slow
def test_the_figures_of_the_paper_are_drawn(
    run_script: Run, survey_data: Path, tmp_path: Path
) -> None:
    run_script("tools/draw_paper_figures.py", "--data", survey_data, "--plates", 1, "-o", tmp_path)
    for name in ("figure5.png", "figure6.png"):
        assert (tmp_path / name).read_bytes().startswith(PNG)


@pytest.mark.slow
def test_the_inspection_page_is_photographed(
    run_script: Run, reference: tuple[Path, object], tmp_path: Path
) -> None:
    pytest.importorskip("playwright", reason="NO BROWSER TESTS: needs playwright and chromium")
    if not (os.environ.get("CHROMIUM") or shutil.which("chromium")):
        pytest.skip("NO BROWSER TESTS: needs chromium")
    run_script("tools/photograph_page.py", reference[0], "--figures", tmp_path)
    pictures = sorted(tmp_path.glob("*.png"))
    assert [path.name for path in pictures] == [
        "grade_dark.png", "grade_gallery.png", "grade_hit.png",
    ]  # fmt: skip
    for path in pictures:
        assert path.read_bytes()[:4] == PNG
        assert 5_000 < path.stat().st_size < 150_000
    assert not list(reference[0].glob("grades*"))


def test_a_release_is_tried_with_the_whole_tutorial(monkeypatch):
    monkeypatch.syspath_prepend(DOCS.parent / "tools")
    import check_release

    script = check_release.tutorial()
    assert script.startswith("from pathlib import Path")
    assert script.rstrip().endswith('found.hits["SPECTRUM", "Z", "WAVE", "SNR", "CANDIDATE"]')
    compile(script, "tutorial.py", "exec")
