"""The demo: what is put in comes back, and the counts add up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import RunError
from speclens.evaluate.completeness import match_lines
from speclens.evaluate.recovery import compare
from speclens.stored_tables import read_table
from speclens.verbs.demo import demo
from speclens.verbs.search import RunSummary

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def by_filter(
    tmp_path_factory: pytest.TempPathFactory,
    mock_survey: Path,
    run_into: Callable[..., RunSummary],
) -> tuple[Path, RunSummary]:
    """The matched filter's run of the mock survey: its completeness does not follow a training."""
    output = tmp_path_factory.mktemp("filter") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("speclens.verbs.finish.make_report", lambda *_: {})
        return output, run_into(output, mock_survey, overrides=("search.method=matched-filter",))


def rows_of(path: Path) -> NDArray[np.void]:
    return np.asarray(read_table(path).as_array())


def test_every_bright_lyman_alpha_line_that_was_searched_is_found_where_it_was_put(
    by_filter: tuple[Path, RunSummary], mock_survey: Path, mock_config: Config
) -> None:
    output = by_filter[0]
    truth, hits = rows_of(mock_survey / "truth.fits"), rows_of(output / "hits.fits")
    spectra = rows_of(output / "spectra.fits")
    scored = spectra["TARGETID"][spectra["STATUS"] == "scored"]
    bright = truth[
        (truth["KIND"] == "lya") & (truth["IDEAL_SNR"] > 9) & np.isin(truth["TARGETID"], scored)
    ]
    assert len(bright) > 5
    match = match_lines(bright, hits, mock_config.evaluation.match_pixels)
    assert (match >= 0).all()
    found = hits[match]
    np.testing.assert_allclose(found["WAVE"], bright["WAVE"], atol=4)
    np.testing.assert_allclose(np.median(found["FLUX"] / bright["FLUX"]), 1, atol=0.15)
    np.testing.assert_allclose(found["Z_SOURCE"], found["WAVE"] / 1215.67 - 1)


def test_counts_of_the_comparison_are_those_of_the_tables(
    by_filter: tuple[Path, RunSummary], mock_survey: Path, mock_config: Config
) -> None:
    truth = rows_of(mock_survey / "truth.fits")
    hits = rows_of(by_filter[0] / "hits.fits")
    recovered = {row.kind: row for row in compare([mock_survey], by_filter[0], hits, mock_config)}
    assert set(recovered) == {*truth["KIND"].tolist(), "other"}
    for kind, row in recovered.items():
        assert row.n_lines == (truth["KIND"] == kind).sum()
        assert row.n_bright_hits <= row.n_hits <= row.n_scored or kind == "other"
        assert row.n_bright_hits <= row.n_bright <= row.n_scored <= row.n_lines
    assert sum(row.n_hits for row in recovered.values()) == by_filter[1].counts["hits"]
    assert recovered["other"].n_lines == recovered["other"].n_scored == 0
    assert recovered["other"].n_hits < 0.1 * by_filter[1].counts["hits"]
    assert recovered["lya"].n_bright_hits >= 5


def test_the_demo_makes_a_survey_searches_it_and_can_be_repeated(
    tmp_path: Path, mock_config: Config, tables_of: Callable[[Path], dict[str, bytes]]
) -> None:
    small = mock_config.model_copy(
        update={"survey": mock_config.survey.model_copy(update={"n_plates": 1})}
    )
    summary, recovered = demo(tmp_path / "demo", small, 3, 1)
    assert summary.counts["read"] == 40
    assert sum(row.n_hits for row in recovered) == summary.counts["hits"] > 0
    assert len(list((tmp_path / "demo" / "survey").glob("*/spPlate-*.fits"))) == 1
    before = tables_of(tmp_path / "demo")
    again, recovered_again = demo(tmp_path / "demo", small, 3, 1)
    assert again.n_new == 0
    assert recovered_again == recovered
    assert tables_of(tmp_path / "demo") == before
    with pytest.raises(RunError, match="seed: was 3, now 4"):
        demo(tmp_path / "demo", small, 4, 1)
    assert tables_of(tmp_path / "demo") == before
