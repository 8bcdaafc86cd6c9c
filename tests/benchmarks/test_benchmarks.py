"""Every benchmark runs, small, and its numbers make sense."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Run = Callable[..., str]
Table = list[dict[str, str]]

pytestmark = pytest.mark.slow


@pytest.fixture
def bench(run_script: Run, tmp_path: Path) -> Callable[..., Mapping[str, Table]]:
    """`bench(name, *arguments) -> tables by name`, which are printed too."""

    def run(name: str, *arguments: object) -> Mapping[str, Table]:
        printed = run_script(f"benchmarks/{name}.py", *arguments, "--tables", tmp_path)
        tables = {}
        for path in tmp_path.glob("*.md"):
            text = path.read_text(encoding="utf-8")
            assert text in printed
            titles, _, *rows = [
                [cell.strip() for cell in line[1:-1].split("|")]
                for line in text.splitlines()
                if line.startswith("|")
            ]
            tables[path.stem] = [dict(zip(titles, row, strict=True)) for row in rows]
        return tables

    return run


def number(cell: str) -> float:
    return float(cell.split()[0].replace(",", ""))


def test_throughput(bench: Callable[..., Mapping[str, Table]]) -> None:
    small = ("--plates", 1, "--fibres", 60, "--batches", 1, "--specs", 4, "--workers", 1)
    tables = bench("throughput", *small)
    rows = {row[""]: row for row in tables["throughput"]}
    for label in ("spPlate to hits, network (default)", "spPlate to hits, `shu2016`"):
        assert 0 < number(rows[label]["scored a second"]) <= number(rows[label]["read a second"])
    assert number(rows["Shu et al. 2016, matched filter"]["scored a second"]) == 35
    (memory,) = tables["memory"]
    assert 50 < number(memory["peak memory of all processes, MB"]) < 3000


def test_grading(bench: Callable[..., Mapping[str, Table]]) -> None:
    pytest.importorskip("uvicorn", reason="needs uvicorn")
    tables = bench("grading", "--hits", 100, "--kills", 2, "--grades", 5)
    rows = {row["what"]: row["measured"] for row in tables["grading"]}
    assert number(rows["hits"]) >= 100
    assert 1 < number(rows["weight of a hit, kB"]) <= 300
    lost = [cell for what, cell in rows.items() if what.startswith("grades lost")]
    assert [number(cell) for cell in lost] == [0, 0]


@pytest.mark.slow
def test_scaling(bench: Callable[..., Mapping[str, Table]]) -> None:
    pytest.importorskip("distributed")
    tables = bench("scaling", "--plates", 1, "--workers", 1, "--fibres", 60)
    here, on_dask, floor = tables["scaling"]
    assert [row["where"] for row in (here, on_dask, floor)] == ["local", "Dask", "floor"]
    for row in (here, on_dask):
        assert 0 < number(row["spectra a second"]) < number(floor["spectra a second"])
        assert 50 < number(row["peak memory, MB"]) < 3000
    assert number(on_dask["peak memory, MB"]) > number(here["peak memory, MB"])


def test_loose_files(
    bench: Callable[..., Mapping[str, Table]], survey_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECLENS_DATA", str(survey_data))
    few, more = bench("loose_files", "--files", 3, 6)["loose_files"]
    assert [few["files"], more["files"]] == ["3", "6"]
    for row in (few, more):
        assert number(row["searched a second"]) > 0
        assert 50 < number(row["peak memory, MB"]) < 3000


def test_inference(bench: Callable[..., Mapping[str, Table]]) -> None:
    pytest.importorskip("torch")
    tables = bench("inference", "li2019", "--spectra", 32, "--repeats", 1, "--threads", 1)
    eager, *others = tables["engines_li2019"]
    assert number(eager["of eager torch"]) == 1
    assert others
    assert all(number(row["max. difference"]) < 1e-2 for row in others)


def test_science(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("science", "--spectra", 100, "--fibres", 60, "--repeats", 20)
    assert len(tables["pure_noise"]) == 4
    for row in tables["pure_noise"]:
        assert abs(number(row["mean of S/N"])) < 0.02
        assert number(row["its standard deviation"]) == pytest.approx(1, abs=0.03)
    for row in tables["filter"]:
        assert number(row["rms of residual / error"]) == pytest.approx(1.05, abs=0.1)
        assert number(row["found above ideal S/N 8"]) > 80


@pytest.mark.parametrize("survey", ["", "desi"])
def test_detection(bench: Callable[..., Mapping[str, Table]], survey: str) -> None:
    of = ("-c", survey, "--models", "speclens") if survey else ()
    test = f"detection_{survey}" if survey else "detection"
    tables = bench("detection", "--plates", 1, "--spectra", 200, *of)
    found = {row.pop("false alarms a spectrum"): row for row in tables[f"{test}_found"]}
    assert len(found) == (7 if survey else 6)
    for row in found.values():
        shares = [number(cell) for cell in row.values()]
        assert shares == sorted(shares, reverse=True)
    assert number(found["network `speclens`"]["0.01"]) > 30
    by_flux = {row.pop("line flux"): row for row in tables[f"{test}_flux"]}
    oracle, network = by_flux["oracle told the artefacts"], by_flux["network `speclens`"]
    assert max(number(network[bin_]) for bin_ in ("7-10", "10-15", "15-25")) > 60
    assert number(oracle["spikes"]) < 20


def test_candidates(bench: Callable[..., Mapping[str, Table]]) -> None:
    (rows,) = bench("candidates", "--plates", 1, "--spectra", 200, "--rate", 0.01).values()
    found = {row.pop("line flux"): row for row in rows}
    told, hits = found["oracle told the artefacts"], found["hits"]
    for name, row in found.items():
        shares = [number(row[bin_]) for bin_ in ("5-7", "7-10", "10-15", "15-25")]
        assert min(shares[2:]) > 60, name
        assert number(row["false"]) <= 2
    # Vetoes only take from what is allowed to be found.
    assert number(found["candidates"]["5-7"]) <= number(hits["5-7"]) <= number(told["5-7"]) + 25


def test_line_searches(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("line_searches", "--plates", 1, "--spectra", 600)
    found = {row["search"]: row for row in tables["line_searches"]}
    assert list(found) == ["lines", "slacs", "bells", "silo", "oracle that knows z_S"]
    at_rate = {name: number(row["found at 0.001"]) for name, row in found.items()}
    assert max(at_rate.values()) == at_rate["oracle that knows z_S"] > 90
    assert at_rate["lines"] > max(at_rate[name] for name in ("slacs", "bells", "silo")) > 60
    by_z = {row["z_S"]: row for row in tables["line_searches_z"]}
    # Beyond, H beta has left its window.
    assert number(by_z["slacs"]["1.2-1.6"]) == 0 < number(by_z["slacs"]["0.6-0.85"])


def test_redshift_network(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("redshift_network", "--plates", 1, "--spectra", 600)
    found = {row["search"]: row for row in tables["redshift_network"]}
    assert list(found) == ["redshift network", "lines"]
    for row in found.values():
        rates = [number(row[f"found and right at {rate}"]) for rate in ("0.0001", "0.001", "0.01")]
        assert 30 < rates[0] <= rates[1] <= rates[2] < 95
        assert number(row["right of the found at 0.001"]) > 85


def test_plain_networks(bench: Callable[..., Mapping[str, Table]], tmp_path: Path) -> None:
    folder = tmp_path / "lenet-adam"
    folder.mkdir()
    epochs = [
        {"epoch": i, "test_accuracy": 0.9, "test_loss": 0.1 / i, "test_completeness": 0.5,
         "test_false_positive_rate": 1e-3}
        for i in (1, 2)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in epochs))
    tables = bench("plain_networks", folder, "--figures", tmp_path)
    plain, young, old = tables["plain_networks"]
    assert (plain["network"], plain["epochs"], plain["loss"]) == ("lenet-adam", "2", "0.0500")
    assert (young["epochs"], old["epochs"]) == ("2", "20")
    assert (tmp_path / "plain_networks.png").stat().st_size > 5000


def test_quasar_searches(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("quasar_searches", "--plates", 2, "--spectra", 25)
    own = {row["search"]: row for row in tables["quasar_searches"]}
    assert list(own) == ["qso", "meyer2017"]
    for row in own.values():
        assert number(row["false alarms a quasar"]) < 0.1
        assert number(row["Lyman alpha found"]) <= number(row["Lyman alpha hit at the line"])
    for kind in ("elg", "lya"):
        at_rate = {
            row["search"]: number(row["found"])
            for row in tables[f"quasar_searches_{kind}"]
            if row["false alarms a quasar"] == "0.01"
        }
        oracle = at_rate.pop("oracle that knows the source")
        assert oracle > 90
        assert oracle >= at_rate["qso"] > at_rate["meyer2017"]
        assert at_rate["qso"] > 40


def test_damaged(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("damaged", "--spectra", 40)
    for search in ("network", "filter"):
        shapes = {row.pop("damaged, sigma"): row for row in tables[f"damaged_{search}_mock"]}
        assert len(shapes) == 10
        for shape, row in shapes.items():
            # At ten errors several pixels in a row may be a line as well.
            least = min(number(row[title]) for title in row if title not in ("+10", "mixed"))
            assert least >= (94 if shape.startswith("9, 12") else 97)
    for row in tables["damaged_alone"]:
        if row["damaged"] in ("single pixels", "several, 30 sigma and more"):
            assert number(row["a spectrum"]) < 0.01


def test_skewness(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("skewness", "--lines", 20)
    for name in ("skewness_published", "skewness_symmetric"):
        assert [number(row["lines"]) for row in tables[name]] == [20] * 5
        assert 0.4 < sum(number(row["in the 68 % interval"]) for row in tables[name]) / 5 <= 0.95
    brightest = tables["skewness_symmetric"][-1]
    assert abs(number(brightest["flux / true - 1"])) < 5


def test_levers(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("levers", "--plates", 2)
    for sd in ("sd of residual", "sd of filter S/N"):
        falling = [number(row[sd]) for row in tables["levers_common"]]
        assert falling == sorted(falling, reverse=True)
        assert 0.02 < 1 - falling[-1] / falling[0] < 0.06
    taken = [number(row["of a line taken, %"]) for row in tables["levers_foreground"]]
    assert taken[0] > 3 > max(taken[1:])
    milliseconds = [number(row["ms a spectrum"]) for row in tables["levers_foreground"]]
    assert min(milliseconds[1:]) > milliseconds[0]


@pytest.mark.usefixtures("survey_data")
def test_lensed(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("lensed", "--sources", 3000)
    for row in tables["lensed_traced"]:
        assert number(row["largest"]) < 0.06
        told = [number(row[f"{sigma} km/s"]) for sigma in (150, 200, 250, 300, 350)]
        assert told == sorted(told)
    for row in tables["lensed_published"]:
        assert 0.6 < number(row["mean P_LENSED"]) <= 1


def test_vetting(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("vetting", "--plates", 1, "--fibres", 300)
    for cuts in ("speclens", "Li et al. 2019", "Shu et al. 2016"):
        left = [number(row[cuts]) for row in tables["vetting_funnel"]]
        assert left == sorted(left, reverse=True)
        assert left[0] > 0
    assert tables["vetting_funnel"][0]["the paper itself"] == "1232 (536 new)"
    assert number(tables["vetting_resnet"][0]["Lyman alpha kept"]) > 50
    assert sum(number(row["hits"]) for row in tables["vetting_probability"]) > 0


@pytest.mark.usefixtures("survey_data")
def test_real_lines(bench: Callable[..., Mapping[str, Table]]) -> None:
    searches = ("network `speclens`", "bank of filters")
    tables = bench("real_lines", "--lines", 4, "--vetted", 1, "--searches", *searches)
    for row in tables["real_lines"]:
        assert number(row["in the window"]) > 80
    (galaxies,) = (title for title in tables["real_spectra"][0] if "galaxies" in title)
    assert [row[galaxies] for row in tables["real_spectra"]] == ["0", "0"]
    assert number(tables["real_cuts_published"][0]["candidates"]) > 50


@pytest.mark.usefixtures("survey_data")
def test_line_search(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("line_search", "--repeats", 1)
    assert set(tables) == {"line_search", "line_search_quasars", "line_search_quasars_lya"}
    for rows in tables.values():
        bright = [row for row in rows if row["total S/N"] in ("15-30", "30-40")]
        assert [int(row["sources"]) > 0 for row in bright] == [True, True]
        for row in bright:
            found, right = (float(row[k].rstrip("%")) for k in ("found", "found, redshift right"))
            assert found >= right > 60


def test_python_interface(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("python_interface", "--plates", 1, "--fibres", 60, "--rounds", 1)
    verb, *others = tables["python_interface"]
    assert number(verb["of the command line's time"]) == 1
    assert [row[""].split()[0] for row in others] == ["spPlate", "arrays,"]
    assert all(0 < number(row["of the command line's time"]) < 5 for row in others)


@pytest.mark.usefixtures("survey_data")
def test_desi(bench: Callable[..., Mapping[str, Table]]) -> None:
    tables = bench("desi", "--repeats", 4, "--spectra", 60)
    for row in tables["desi_grid"]:
        assert number(row["100 km/s"]) > 99
        assert 0.9 < number(row["scatter of noise"]) < 1
    assert {row["survey"] for row in tables["desi_completeness"]} == {"DESI", "BOSS"}
    assert all(number(row["14-24"]) > 90 for row in tables["desi_completeness"])
    assert {row["mock of"] for row in tables["desi_mock"]} == {"DESI", "BOSS"}
    own = [row for row in tables["desi_mock"] if row["false alarms a spectrum"] == "its own"]
    assert all(4 < number(row["half found at"].split()[0]) < 8 for row in own)


def test_doublet(bench: Callable[..., Mapping[str, Table]], tmp_path: Path) -> None:
    tables = bench("doublet", "--plates", 1, "--spectra", 40, "--figures", tmp_path)
    for wave in ("4400 Å", "8300 Å"):
        boss, own, grid = (
            number(row["60 km/s"])
            for row in tables["doublet_noiseless"]
            if row["[O II] at"] == wave
        )
        assert own > 2 * boss
        # What reading loses of it.
        assert 0.9 * own < grid < 1.02 * own
    assert len(tables["doublet_told"]) == 8
    assert (tmp_path / "doublet.png").stat().st_size > 5000


def test_the_papers_numbers_stand_beside_ours(run_script: Run, tmp_path: Path) -> None:
    tables = Path(__file__).parents[2] / "docs" / "tables"
    if not tables.is_dir():
        pytest.skip("no documentation here")
    shutil.copytree(tables, tmp_path / "tables")
    (tmp_path / "tables" / "real_lines.md").unlink()
    printed = run_script("benchmarks/paper.py", tmp_path)
    assert "| accuracy on the test set | 0.9954 | 0.99" in printed
    assert "| left by over-densities | 47 |" in printed
    assert printed.count("not measured: needs SPECLENS_DATA") == 2
    assert "curves.png" in printed
