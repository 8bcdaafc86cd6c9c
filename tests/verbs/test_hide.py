"""Lines hidden in a run's own spectra: they come back where they were put in, like its own hits,
and no table of the run ever has them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speclens.errors import RunError
from speclens.evaluate.recovery import TRUTH
from speclens.evidence.store import read_companions
from speclens.grade.graded_run import GradedRun
from speclens.inspections.store import NAME, GradeStore
from speclens.run.progress import Silent
from speclens.schema import HITS, INJECTED
from speclens.stored_tables import read_rows
from speclens.verbs.finish import vet_again
from speclens.verbs.grade import exchange_grades
from speclens.verbs.hide import hide_lines

N_SPECTRA = 24
UNVERIFIED = 22
"""The first fibre of which the file disagrees with its checksum: RUN was searched all the same."""


class Steps(Silent):
    """Counts the steps of each stage, and how many were done."""

    def __init__(self) -> None:
        self.of_stage: dict[str, list[int]] = {}

    def stage(self, name: str, total: int, counted: str = "spectra") -> None:  # noqa: ARG002
        self.of_stage[name] = [total, 0]

    def advance(self, n_spectra: int) -> None:
        del n_spectra
        [*self.of_stage.values()][-1][1] += 1


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory,
    write_full_spec: Callable[..., Path],
    search_few: Callable[..., Any],
) -> Path:
    """A run of spectra with single exposures, two of them with a line; its lines are hidden."""
    folder = tmp_path_factory.mktemp("hide")
    for fibre in range(10, 10 + N_SPECTRA):
        lines = ((4300.0 + 10 * fibre, 40.0),) if fibre < 12 else ()
        path = folder / "survey" / f"spec-0007-55000-{fibre:04d}.fits"
        write_full_spec(path, plate=7, mjd=55000, fiberid=fibre, lines=lines)
        if fibre >= UNVERIFIED:
            # That of the coadd; the single exposures stay whole.
            content = path.read_bytes()
            path.write_bytes(re.sub(rb"(DATASUM = ')\d", rb"\g<1>0", content, count=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("speclens.verbs.finish.make_report", lambda *_: {})
        search_few(folder / "run", folder / "survey", verify=False)
    shutil.copytree(folder / "run", folder / "before")
    steps = Steps()
    hide_lines(folder / "run", 0.05, progress=steps)
    assert all(total == done > 0 for total, done in steps.of_stage.values()), steps.of_stage
    return folder / "run"


def tables_of(run: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(
        read_rows(path, columns)
        for path, columns in (
            (run / "hits.fits", HITS),
            (run / "hidden" / "hits.fits", HITS),
            (run / "hidden" / TRUTH, INJECTED),
        )
    )


def test_hidden_lines_come_back_where_they_were_put_in(searched: Path) -> None:
    own, hidden, truth = tables_of(searched)
    assert len(own) == 2
    assert len(hidden) == len(truth) > 5
    assert np.abs(hidden["WAVE"] - truth["WAVE"]).max() < 8
    bright = (truth["KIND"] == "lya") & (truth["IDEAL_SNR"] > 8)
    assert bright.any()
    # A measured S/N is that of the line within its noise, and the losses of the search.
    assert np.abs(hidden["SNR"] - truth["IDEAL_SNR"])[bright].max() < 5
    assert not set(hidden["SPECTRUM"].tolist()) & set(own["SPECTRUM"].tolist())
    assert set(truth["KIND"].tolist()) - {"lya"}
    assert (hidden["FIBERID"] >= UNVERIFIED).any()


def test_single_exposures_show_hidden_lines_too(searched: Path) -> None:
    _, hidden, truth = tables_of(searched)
    rows = read_companions(searched / "hidden" / "work", hidden)
    rows = rows[rows["KIND"] == "exposure"]
    for hit in np.flatnonzero(truth["KIND"] == "lya").tolist():
        own = rows[rows["HIT"] == hit]
        assert len(own) == 4
        assert own["FLUX"].mean() == pytest.approx(hidden["FLUX"][hit], rel=0.35)
    assert (hidden["N_EXPOSURES"] == 4).all()


def test_nothing_of_the_run_changes_and_the_second_time_nothing_is_done(
    searched: Path, products_of: Callable[[Path], dict[str, bytes]]
) -> None:
    own = products_of(searched)
    hidden = {name for name in own if name.startswith("hidden/")}
    before = products_of(searched.with_name("before"))
    assert {name: own[name] for name in own.keys() - hidden - {NAME}} == before
    survey = searched.with_name("survey")
    survey.rename(searched.with_name("gone"))
    try:
        hide_lines(searched, 0.05)
    finally:
        searched.with_name("gone").rename(survey)


def test_hidden_lines_look_like_hits_of_the_run(searched: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    own, hidden, _ = tables_of(run)
    shown = hidden[hidden["CANDIDATE"]]
    with closing(GradedRun(run, hidden=run / "hidden")) as graded:
        assert graded.n_hidden == min(10, len(shown)) > 2
        mixed = graded.content.hits[len(own) :]
        # The file that is told is that of the spectrum, as the run names it.
        folders = {name.rpartition("/")[0] for name in own["FILE"].tolist()}
        for row in mixed:
            folder, _, name = str(row["FILE"]).rpartition("/")
            assert folder in folders
            assert name == f"spec-{row['SPECTRUM']}.fits"


@pytest.mark.usefixtures("no_report")
def test_grades_of_hidden_lines_reach_no_table_whatever_is_done_next(
    searched: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    with closing(GradedRun(run, hidden=run / "hidden")) as graded:
        n_own = len(graded.content.hits) - graded.n_hidden
        for row in (0, n_own, n_own + 1):
            graded.store.add("ann", graded.subjects.keys[row], "grade", "A", f"{row:032x}")
        graded.book.refresh()
        assert len(graded.inspections) == 1
        assert graded.book.count_of("ann") == {"A": 3}
    vet_again(run, None, (), None, 1, output=tmp_path / "other")
    stores = {run: [], tmp_path / "other": [run]}
    for folder, merged in stores.items():
        table = tmp_path / "out.csv"
        exchange_grades(folder, merged, [], [table])
        assert table.read_text().count("\n") == 2
    with GradeStore(run / NAME) as store:
        assert store.undo("ann", "f" * 32) is not None


def test_a_run_that_another_network_searched_is_refused(searched: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    shutil.rmtree(run / "hidden")
    record = run / "run.json"
    record.write_text(record.read_text().replace('"sky_sha256": "', '"sky_sha256": "0'))
    with pytest.raises(RunError, match="another network or growth of the errors"):
        hide_lines(run, 0.05)
