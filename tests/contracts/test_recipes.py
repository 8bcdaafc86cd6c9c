"""The recipes of CONTRIBUTING, each followed in a copy of the package: three files, and it works.

A survey, a search, a hypothesis and a vet test are added as anybody would add them, and searched
with from the command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

import speclens

SOURCE = Path(speclens.__file__).parent
MOST_FILES = 3

Rows = NDArray[np.void]
Recipe = Callable[..., "Followed"]


class Followed:
    """A copy of the package in which a recipe was followed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.changed = folder, set[str]()

    def add(self, name: str, text: str) -> None:
        """Write a new file, or add to the end of one."""
        self.changed.add(name)
        path = self.folder / "speclens" / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(before + text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a file."""
        self.changed.add(name)
        path = self.folder / "speclens" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def search(self, *arguments: object, code: int = 0) -> tuple[Rows, Rows, Path]:
        """Search with it; return spectra.fits, hits.fits and the run."""
        assert len(self.changed) <= MOST_FILES
        run = self.folder / "run"
        command = [sys.executable, "-m", "speclens", "search", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        done = subprocess.run(
            [*command, "-o", str(run), "--workers", "1"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        names = ("spectra", "hits")
        tables = [Table.read(run / f"{name}.fits", mask_invalid=False) for name in names]
        for table in tables:
            table.convert_bytestring_to_unicode()
        spectra, hits = (table.as_array() for table in tables)
        return spectra, hits, run


@pytest.fixture
def copy(tmp_path: Path) -> Followed:
    """A copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__", "models")
    shutil.copytree(SOURCE, tmp_path / "copy" / "speclens", ignore=ignored)
    (tmp_path / "copy" / "speclens" / "data" / "models").symlink_to(SOURCE / "data" / "models")
    return Followed(tmp_path / "copy")


TOY_SURVEY = '''"""A survey of single files: numpy arrays on the global grid."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from speclens.errors import SpectrumFileError
from speclens.instrument import INSTRUMENTS
from speclens.read.survey import FileKind
from speclens.spectra import TARGET_DTYPE, LogGrid, SpectrumBatch

FILES = FileKind("toy", "toys", 2)


@dataclass
class ToySource:
    grid: LogGrid
    file: str
    arrays: dict

    survey = "toy"

    @property
    def targets(self):
        rows = np.zeros(len(self.arrays["z"]), TARGET_DTYPE)
        rows["PLATE"] = rows["MJD"] = rows["FIBERID"] = -1
        rows["TARGETID"], rows["Z"], rows["CLASS"] = self.arrays["id"], self.arrays["z"], "GALAXY"
        rows["RA"], rows["DEC"] = 150.0, [2.0, 3.0]
        for name in ("VDISP", "VDISP_ERR", "MAG_I"):
            rows[name] = np.nan
        return rows

    @property
    def reasons(self):
        return np.zeros(len(self.arrays["z"]), "U24")

    @property
    def flags(self):
        return np.zeros(len(self.arrays["z"]), np.int32)

    @property
    def files(self):
        return [self.file] * len(self.arrays["z"])

    def spectra(self, rows):
        own = LogGrid(int(self.arrays["first"]), self.arrays["flux"].shape[1])
        here, there = self.grid.overlap(own)
        shape = (len(rows), self.grid.n_pixels)
        bits = np.full(shape, 1 << INSTRUMENTS["toy"].no_data_bit, np.int32)
        flux, ivar, dispersion = (np.zeros(shape, np.float32) for _ in range(3))
        bits[:, here] = self.arrays["bits"][rows][:, there]
        flux[:, here] = self.arrays["flux"][rows][:, there]
        ivar[:, here], dispersion[:, here] = self.arrays["ivar"][rows][:, there], 1.0
        masked, covered = INSTRUMENTS["toy"].is_masked(bits), INSTRUMENTS["toy"].is_covered(bits)
        return SpectrumBatch(
            self.grid, flux, ivar, masked, covered, dispersion, self.targets[rows],
            [self.file] * len(rows),
        )


class Toy:
    name = "toy"
    kinds = (FILES,)
    wanted = "toy-*.npz"

    def kind_of_name(self, name):
        return FILES if name.startswith("toy-") else None

    def kind_of_content(self, path):
        return FILES if path.endswith(".npz") else None

    def is_companion(self, name):
        return False

    def companions(self, kind, path):
        return []

    @contextmanager
    def open(self, kind, files, grid, settings):
        try:
            arrays = dict(np.load(files[0]))
        except ValueError as error:
            raise SpectrumFileError(files[0], "unknown_layout", str(error)) from error
        yield ToySource(grid, files[0], arrays), ()

    def exposures(self, kind, path, wave_range):
        return []

    def spectrum_names(self, rows):
        return [str(number) for number in rows["TARGETID"].tolist()]

    def target_of_name(self, path):
        target = np.zeros(1, TARGET_DTYPE)
        target["TARGETID"] = -1
        return target

    def detector_places(self, rows):
        return np.full(len(rows), -1)

    def catalogue(self, path, files):
        raise NotImplementedError
'''

TOY_INSTRUMENT = """
[toy]
designation = "TOY"
bad_mask_bits = [3]
no_data_bit = 5
line_spread_limits = [0.3, 5.0]

[toy.links]
"Toy viewer" = "https://toy.example/?at={ra:.6f},{dec:.6f}"
"""


def test_a_survey_is_added(copy: Followed, tmp_path: Path, write_spec: Any) -> None:
    copy.add("read/toy.py", TOY_SURVEY)
    copy.add("data/instruments.toml", TOY_INSTRUMENT)
    copy.replace(
        "read/surveys.py",
        "SURVEYS: list[Survey] = [Sdss(), SdssV(), Desi(), Arrays()]",
        "from speclens.read.toy import Toy\n\n"
        "SURVEYS: list[Survey] = [Sdss(), SdssV(), Desi(), Arrays(), Toy()]",
    )
    survey = tmp_path / "in"
    survey.mkdir()
    with fits.open(write_spec(tmp_path / "spec-1-2-3.fits", lines=[(4300.0, 80.0)])) as hdus:
        coadd = hdus[1].data
        first, n_pixels = round(float(coadd["loglam"][0]) * 1e4), len(coadd)
        bits = np.zeros((2, n_pixels), np.int32)
        bits[1] = 1 << 3
        np.savez(
            survey / "toy-1.npz", first=first, flux=np.tile(coadd["flux"], (2, 1)),
            ivar=np.tile(coadd["ivar"], (2, 1)), bits=bits, z=[0.5, 0.5], id=[-7, 2**60],
        )  # fmt: skip
    write_spec(survey / "spec-3655-55240-0007.fits", fiberid=7, lines=[(4500.0, 80.0)])
    (survey / "toy-2.npz").write_text("no arrays")
    spectra, hits, run = copy.search(survey, "--method", "matched-filter", code=3)
    rows = {(row["SURVEY"], row["SPECTRUM"]): row["REASON"] for row in spectra}
    assert rows[("toy", "-7")] == rows[("sdss", "3655-55240-0007")] == ""
    assert rows[("toy", str(2**60))] == "no_data"
    assert sorted(rows.values()) == ["", "", "no_data", "unknown_layout"]
    own = hits[hits["SURVEY"] == "toy"]
    assert own["TARGETID"].tolist() == [-7]
    assert own["NAME"].tolist() == ["TOY J100000.00+020000.0"]
    assert abs(own["WAVE"][0] - 4300) < 2
    assert hits["CANDIDATE"].all()
    pages = "".join(path.read_text() for path in (run / "report" / "hits").glob("*.html"))
    assert "https://toy.example/?at=150.000000,2.000000" in pages
    assert "skyserver" in pages


TOY_SEARCH = '''"""The brightest pixel as a search."""

import numpy as np

from speclens.search.search import Found


class Brightest:
    engine = None

    def __init__(self, config, matched_filter):
        self.matched_filter = matched_filter

    def __call__(self, spectra, filtered):
        rows = np.flatnonzero(filtered.snr > 20)
        hits = self.matched_filter.hits_at(rows, filtered.best[rows].argmax(axis=1), filtered.best)
        n = len(spectra)
        return Found(hits, np.full(n, np.nan), np.zeros(n, bool), np.zeros(n, "U24"))
'''


def test_a_search_is_added(copy: Followed, tmp_path: Path, write_spec: Any) -> None:
    copy.replace("methods.py", "METHODS = {\n", 'METHODS = {\n    "brightest": "the brightest",\n')
    copy.add("search/brightest.py", TOY_SEARCH)
    copy.replace(
        "search/searches.py",
        '    "resnet": open_network,\n',
        '    "resnet": open_network,\n    "brightest": Brightest,\n',
    )
    copy.replace(
        "search/searches.py",
        "from speclens.search.matched_filter",
        "from speclens.search.brightest import Brightest\nfrom speclens.search.matched_filter",
    )
    for fibre, flux in ((1, 300.0), (2, 12.0)):
        path = tmp_path / "in" / f"spec-3655-55240-{fibre:04d}.fits"
        write_spec(path, fiberid=fibre, lines=[(4300.0, flux)])
    _, hits, run = copy.search(tmp_path / "in", "--method", "brightest")
    assert hits["METHOD"].tolist() == ["brightest"]
    assert hits["FIBERID"].tolist() == [1]
    assert "the brightest" in (run / "report" / "index.html").read_text()


TOY_HYPOTHESIS = """
["H delta"]
companions = [
  { name = "H beta", ratio = 4.0, scatter = 0.2 },
  { name = "[O III] 5008", ratio = 8.0, scatter = 0.9 },
]
"""


def test_a_hypothesis_is_added(copy: Followed, tmp_path: Path, write_spec: Any) -> None:
    copy.add("data/hypotheses.toml", TOY_HYPOTHESIS)
    z = 4600 / 4102.892 - 1
    lines = [(4600.0, 30.0), (4862.683 * (1 + z), 120.0), (5008.239 * (1 + z), 240.0)]
    path = tmp_path / "in" / "spec-3655-55240-0001.fits"
    write_spec(path, fiberid=1, lines=lines, n_pixels=3000)
    _, hits, run = copy.search(tmp_path / "in", "--method", "matched-filter")
    (hit,) = hits[np.abs(hits["WAVE"] - 4600) < 3]
    assert hit["OTHER_LINE"] == "H delta"
    assert hit["OTHER_EVIDENCE"] > 10
    assert any("H delta" in p.read_text() for p in (run / "report" / "hits").glob("*.html"))


TOY_VET_TEST = """
BLUE = VetTest(
    "blue",
    "Blueness",
    "The line",
    columns=(Column("BLUENESS", "f4", "Angstrom", "how far blueward of 5000 the line is"),),
    flags=(
        VetFlag(
            1 << 30,
            "BLUE",
            "BLUENESS",
            "above",
            "blueness_max",
            "the line is blue",
            "blue: {BLUENESS:.0f} Angstrom",
        ),
    ),
)
TESTS = (*TESTS, BLUE)
"""

TOY_MEASURE = '''"""Blueness."""


def measure(spectra):
    return {"BLUENESS": 5000 - spectra.wave}
'''


def test_a_vet_test_is_added(copy: Followed, tmp_path: Path, write_spec: Any) -> None:
    copy.add("schema/vet_tests.py", TOY_VET_TEST)
    copy.add("vet/blue.py", TOY_MEASURE)
    copy.replace(
        "configs/speclens.toml",
        'vetoes = ["MASKED",',
        'blueness_max = 600.0   # BLUE above\nvetoes = ["BLUE", "MASKED",',
    )
    for fibre, wave in ((1, 4200.0), (2, 4600.0)):
        path = tmp_path / "in" / f"spec-3655-55240-{fibre:04d}.fits"
        write_spec(path, fiberid=fibre, lines=[(wave, 80.0)])
    _, hits, run = copy.search(
        tmp_path / "in", "--method", "matched-filter", "--set", "vet.p_lya_min=0.0"
    )
    assert np.round(hits["BLUENESS"], -1).tolist() == [800, 400]
    assert hits["CANDIDATE"].tolist() == [False, True]
    assert hits["VET_FLAGS"][0] & 1 << 30
    assert hits["REASON"][0].startswith("blue: ")
    pages = [path.read_text() for path in (run / "report" / "hits").glob("*.html")]
    assert len(pages) == 2
    assert all("Blueness" in page and "BLUENESS" in page for page in pages)
