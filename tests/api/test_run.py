"""What a run shows of itself: tables, spectra, figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal

import speclens
from speclens.errors import RunError


@pytest.fixture(scope="module")
def run(reference: tuple[Path, Any]) -> speclens.Run:
    return speclens.open_run(reference[0])


def test_the_tables_have_units_and_no_masks(run: speclens.Run) -> None:
    hits, candidates = run.hits, run.candidates
    assert len(run) == len(hits) == run.counts["hits"]
    assert hits["WAVE"].unit == units.AA
    assert not any(hasattr(hits[name], "mask") for name in hits.colnames)
    assert run.spectra["STATUS"].tolist().count("scored") == run.counts["scored"]
    assert candidates["RANK"].tolist() == list(range(1, run.counts["candidates"] + 1))
    of_hit = hits[candidates["HIT"].tolist()]
    assert of_hit["CANDIDATE"].all()
    assert_array_equal(of_hit["WAVE"], candidates["WAVE"])
    assert run.known is None


def test_what_was_put_in_comes_back(run: speclens.Run) -> None:
    table = run.completeness
    assert "lya" in table["kind"]
    assert (table["n_hits"] >= table["n_candidates"]).all()


def test_the_spectrum_of_a_hit_shows_its_line(run: speclens.Run) -> None:
    best = run.candidates["HIT"][0]
    window, whole = run.spectrum(best, window=True), run.spectrum(best)
    assert len(whole) > len(window) == 1192
    wave = run.hits["WAVE"][best]
    near = abs(window["WAVE"] - wave) < 6 * units.AA
    flux = (window["FLUX"] - window["MODEL"])[near]
    width = np.gradient(window["WAVE"])[near]
    assert_allclose((flux * width).sum() / run.hits["FLUX"][best], 1, atol=0.4)
    with pytest.raises(IndexError, match="hit 99999 of"):
        run.spectrum(99999)


def test_what_a_line_may_be_adds_to_one(run: speclens.Run) -> None:
    table = run.hypotheses(0)
    assert_allclose(table["PROBABILITY"].sum(), 1, atol=1e-5)
    assert (np.diff(table["PROBABILITY"]) <= 0).all()


def test_a_hit_is_drawn_on_four_axes(run: speclens.Run) -> None:
    figure = Figure()
    axes = run.plot(0, figure)
    assert len(axes) == len(figure.axes) == 4
    hit = run.hits[0]
    assert hit["NAME"] in axes[0].get_title()
    low, high = axes[2].get_xlim()
    assert low < hit["WAVE"].value < high
    assert [len(bar.get_children()) for bar in axes[3].containers] == [len(run.hypotheses(0))]
    figure.canvas.draw()


def test_a_hit_is_drawn_by_pyplot_where_no_figure_is_given(run: speclens.Run) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"backend": "agg"}):
        from matplotlib import pyplot

        axes = run.plot(-1)
        assert pyplot.fignum_exists(axes[0].figure.number)
        pyplot.close(axes[0].figure)


def test_the_text_counts_and_links(run: speclens.Run) -> None:
    counts = run.counts
    assert repr(run) == (
        f"<Run: {counts['read']} spectra, {counts['scored']} searched with resnet, "
        f"{counts['hits']} hits, {counts['candidates']} candidates>"
    )
    html = run._repr_html_()
    assert html.count("<tr>") == 1 + min(5, counts["candidates"])
    assert run.report.as_uri() in html
    assert run.report.exists()


def test_what_is_no_run_is_refused(tmp_path: Path, run: speclens.Run) -> None:
    with pytest.raises(RunError, match="no run of speclens"):
        speclens.open_run(tmp_path)
    with pytest.raises(RunError, match=r"no such|missing|no run"):
        speclens.open_run(run.path / "report")
