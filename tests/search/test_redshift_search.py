"""The network of redshifts as a search: what the map says becomes hits at lines that are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.errors import ConfigError, ModelError, RunError
from speclens.lines import LYMAN_ALPHA, REST_LINES, gaussian_pixels, pixel_width_angstrom
from speclens.networks.model import Model, check_preparation
from speclens.networks.model_folder import read_model, write_model
from speclens.sample.preparation import PreparedSpectra
from speclens.search.engine import NetworkOutput, open_engine
from speclens.search.input_record import check_record
from speclens.search.matched_filter import MatchedFilter
from speclens.search.network import model_of
from speclens.search.redshift_search import RedshiftSearch, open_redshift_network
from speclens.search.search import Found
from speclens.spectra import LogGrid

torch = pytest.importorskip("torch")

Floats = NDArray[np.float64]
GALAXY = {"[O II]": 8.0, "H beta": 7.0, "[O III] 5008": 15.0, "H alpha": 12.0}
"""Lines of a galaxy, and how many errors a pixel at their middle is high."""

Z, Z_LENS = 0.38, 0.2
"""Of a galaxy with all of its lines in the window, and none at a line of its lens."""


@dataclass
class Told:
    """An engine that says what it is told to say."""

    place: NDArray[np.float32]
    inputs: list[Any] = field(default_factory=list)
    name: str = "told"
    rounding: float = 1.0

    def __call__(self, inputs: NDArray[np.float32]) -> NetworkOutput:
        self.inputs.append(inputs)
        return NetworkOutput(np.zeros(len(inputs), np.float32), self.place)


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config("redshift")


@pytest.fixture(scope="module")
def model(redshift_model: Callable[..., Model]) -> Model:
    return redshift_model()


def prepared(grid: LogGrid, flux: Floats, z: Floats) -> PreparedSpectra:
    """Spectra without a foreground, with errors of 1."""
    shape, n = flux.shape, len(flux)
    zeros = np.zeros(shape, np.float32)
    return PreparedSpectra(
        grid, flux.astype(np.float32), np.ones(shape, np.float32), zeros, zeros + 1,
        np.zeros(n, "U24"), np.zeros(n, np.int32), *np.ones((2, n), np.float32), z,
    )  # fmt: skip


def with_lines(grid: LogGrid, z: float, lines: dict[str, float]) -> Floats:
    flux = np.zeros(grid.n_pixels)
    for name, height in lines.items():
        offset = np.arange(grid.n_pixels) - grid.pixel(REST_LINES[name].wave * (1 + z))
        flux += height * gaussian_pixels(offset, 1.5) / gaussian_pixels(0.0, 1.5)
    return flux


def heat(model: Model, *warm: tuple[str, float, float]) -> NDArray[np.float32]:
    """A map that is cold, but at some kinds and redshifts."""
    logits, start = np.full((1, model.n_places), -30.0, np.float32), 0
    for bins in model.sources:
        for kind, z, height in warm:
            if kind == bins.kind:
                logits[0, start + bins.bin_of(np.array([z]))[0]] = height
        start += bins.n_bins
    return logits


def searched(model: Model, config: Config, flux: Floats, z: Floats, place: Any) -> Found:
    plain = replace(model, calibration=replace(model.calibration, slope=1.0, intercept=0.0))
    matched_filter = MatchedFilter(model.grid, config.matched_filter)
    search = RedshiftSearch(plain, Told(place), config, matched_filter)
    spectra = prepared(model.grid, flux, z)
    found = search(spectra, matched_filter.search(spectra.residual, spectra.ivar))
    assert found.sources is not None
    assert len(found.sources) == len(found.hits)
    return found


def test_a_source_is_a_hit_at_its_strongest_line(model: Model, config: Config) -> None:
    z = Z
    flux = with_lines(model.grid, z, GALAXY)[None]
    place = heat(model, ("elg", z, 6.0), ("lya", 3.0, 2.0))
    found = searched(model, config, flux, np.array([Z_LENS]), place)
    (hit,), (source,) = found.hits, found.sources
    assert hit["WAVE"] == pytest.approx(5008.239 * (1 + z), rel=2e-4)
    assert hit["SNR"] > 20
    assert source["HYPOTHESIS"] == "elg"
    assert source["Z_SOURCE"] == pytest.approx(z, abs=3e-4)
    assert source["N_LINES"] == 4
    assert source["SNR_LINES"] > hit["SNR"]
    # The lines are bright, and bright lines are seldom nothing.
    usual, most = config.search.snr_weighed
    odds = np.exp(config.search.snr_weight * (most - usual))
    total = 1 + (np.exp(6.0) + np.exp(2.0)) * odds
    assert 1 - found.probability[0] == pytest.approx(1 / total, rel=1e-3)
    # What is seen makes a galaxy of any redshift as likely, also one that is no source.
    rival = heat(model, ("elg", z, 6.0), ("elg", 0.1, 9.0))
    assert len(searched(model, config, flux, np.array([Z_LENS]), rival).hits) == 0
    assert source["LN_EVIDENCE"] == pytest.approx(6.0 + np.log(odds), abs=1e-3)
    own = odds * np.exp(6.0)
    assert source["P_HYPOTHESIS"] == pytest.approx(own / (1 + own), abs=1e-5)
    hypotheses = found.readings.hypotheses
    assert hypotheses["PROBABILITY"].sum() == pytest.approx(1)
    assert hypotheses["HYPOTHESIS"][0] == "oiii"
    assert "artefact" in hypotheses["HYPOTHESIS"]
    assert (hypotheses["HIT"] == 0).all()
    heat_map = found.readings.heat_map
    assert heat_map["KIND"].tolist() == ["elg", "lya"]
    assert heat_map["PROBABILITY"].sum() == pytest.approx(1 - 1 / total, rel=1e-4)


def test_a_line_of_which_nobody_knows_what_it_is_keeps_both_readings(
    model: Model, config: Config
) -> None:
    z = 1.1
    z_lya = 3728.48 * (1 + z) / 1215.67 - 1
    flux = with_lines(model.grid, z, {"[O II]": 12.0})[None]
    place = heat(model, ("elg", z, 5.0), ("lya", z_lya, 4.8))
    found = searched(model, config, flux, np.array([0.4]), place)
    (source,) = found.sources  # one line, one hit
    assert source["HYPOTHESIS"] == "oii"
    assert source["N_LINES"] == 1
    assert source["Z_SECOND"] == pytest.approx(z_lya, abs=5e-3)
    assert source["LN_ODDS"] == pytest.approx(0.2, abs=1e-3)
    said = dict(
        zip(
            found.readings.hypotheses["HYPOTHESIS"],
            found.readings.hypotheses["PROBABILITY"],
            strict=True,
        )
    )
    assert said["oii"] > said["lya"] > 0.4
    assert found.probability[0] > 0.98
    # The redshifts are those of one line: the source's own, and what the other makes of its place.
    z_of = dict(found.readings.hypotheses[["HYPOTHESIS", "Z_SOURCE"]].tolist())
    assert z_of["oii"] == source["Z_SOURCE"]
    assert z_of["lya"] == pytest.approx(found.hits["WAVE"][0] / LYMAN_ALPHA - 1, abs=5e-4)


def test_two_sources_are_two_hits(model: Model, config: Config) -> None:
    z, z_lya = Z, 3.1
    flux = with_lines(model.grid, z, GALAXY) + with_lines(model.grid, z_lya, {"Ly alpha": 12.0})
    place = heat(model, ("elg", z, 8.0), ("lya", z_lya, 7.8))
    found = searched(model, config, flux[None], np.array([Z_LENS]), place)
    assert found.hits["ROW"].tolist() == [0, 0]
    assert found.sources["HYPOTHESIS"].tolist() == ["elg", "lya"]
    np.testing.assert_allclose(found.sources["Z_SOURCE"], [z, z_lya], atol=2e-3)
    # Each shares the map with the other, but not its line.
    assert (found.sources["P_HYPOTHESIS"] > 0.95).all()
    assert set(found.readings.hypotheses["HIT"].tolist()) == {0, 1}
    faint = heat(model, ("elg", z, 8.0), ("lya", z_lya, 5.0))
    assert len(searched(model, config, flux[None], np.array([Z_LENS]), faint).hits) == 1


def test_what_is_not_sure_or_not_seen_is_no_hit(model: Model, config: Config) -> None:
    z = Z
    flux, z_lens = with_lines(model.grid, z, GALAXY)[None], np.array([Z_LENS])
    doubtful = searched(model, config, flux, z_lens, heat(model, ("elg", z, -9.0)))
    assert len(doubtful.hits) == 0
    assert doubtful.probability[0] == pytest.approx(1 / (1 + np.exp(9.0)), rel=1e-3)
    before = searched(model, config, flux, np.array([0.36]), heat(model, ("elg", z, 9.0)))
    assert len(before.hits) == 0
    assert before.probability[0] < 1e-3
    empty = searched(model, config, 0 * flux, z_lens, heat(model, ("elg", z, 9.0)))
    assert len(empty.hits) == 0


def test_with_a_low_limit_a_spectrum_that_nothing_is_behind_spoils_no_other(
    model: Model,
) -> None:
    every = load_config("redshift", ["search.probability_min=1e-16"])
    flux = np.stack([with_lines(model.grid, Z, GALAXY)] * 22)
    # Of galaxies before the lens alone: with rounding some sum to less than 1.
    heights = [*np.linspace(-3, 3, 20), 6.0, 6.0]
    place = np.concatenate([heat(model, ("elg", Z, height)) for height in heights])
    z_lens = np.repeat([9.0, Z_LENS], [20, 2])
    assert searched(model, every, flux, z_lens, place).hits["ROW"].tolist() == [20, 21]


def test_what_is_not_searched_has_no_probability(model: Model, config: Config) -> None:
    matched_filter = MatchedFilter(model.grid, config.matched_filter)
    spectra = prepared(model.grid, np.zeros((3, model.grid.n_pixels)), np.full(3, 0.3))
    spectra.reasons[1] = "no_data"
    place = np.repeat(heat(model), 3, axis=0)
    place[2] = np.nan
    search = RedshiftSearch(model, Told(place), config, matched_filter)
    found = search(spectra, matched_filter.search(spectra.residual, spectra.ivar))
    assert found.reasons.tolist() == ["", "", "no_probability"]
    assert np.isnan(found.probability).tolist() == [False, True, True]
    assert search.engine == "told"


def test_the_lens_s_own_lines_are_not_seen(model: Model, config: Config) -> None:
    z_lens = 0.25
    flux = with_lines(model.grid, z_lens, {"[O II]": 30.0, "H alpha": 40.0})
    flux += with_lines(model.grid, 0.7, GALAXY)
    matched_filter = MatchedFilter(model.grid, config.matched_filter)
    engine = Told(heat(model))
    spectra = prepared(model.grid, flux[None], np.array([z_lens]))
    filtered = matched_filter.search(spectra.residual, spectra.ivar)
    RedshiftSearch(model, engine, config, matched_filter)(spectra, filtered)
    seen = dict(zip(model.inputs, engine.inputs[0][0], strict=True))
    for name in ("[O II]", "H alpha"):
        pixel = round(float(model.grid.pixel(REST_LINES[name].wave * (1 + z_lens))))
        assert (seen["noise"][pixel - 5 : pixel + 6] == 0).all()
        assert (seen["residual"][pixel - 5 : pixel + 6] == 0).all()
        assert (seen["lens"][pixel - 5 : pixel + 6] == 1).all()
    pixel = round(float(model.grid.pixel(5008.239 * 1.7)))
    assert seen["residual"][pixel] > 10
    assert seen["lens"].mean() < 0.1
    # A line of the lens that it does not show is searched, and only marked.
    pixel = round(float(model.grid.pixel(5008.239 * (1 + z_lens))))
    assert seen["lens"][pixel] == 1
    assert seen["noise"][pixel] > 0


def test_f2_a_model_comes_back_and_another_one_is_refused(model: Model, tmp_path: Path) -> None:
    write_model(tmp_path / "heat", model, "")
    found = read_model(tmp_path / "heat")
    assert (found.kind, found.sources, found.sections) == (
        "redshift",
        model.sources,
        model.sections,
    )
    check_record(found, "", pytest.fail)
    open_engine(found, "cpu", "float32", say=pytest.fail)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"sources": ()}, "kind redshift with 0 sources"),
        ({"kind": "resnet"}, "kind resnet with 2 sources"),
        ({"sources": model.sources[:1]}, r"probe: place is|has no place in the network"),
        ({"sources": (replace(model.sources[0], n_bins=1100), model.sources[1])}, "no line on"),
        ({"widths": (4, 6)}, "do not fit 2 blocks"),
        ({"grid": LogGrid(model.grid.first + 1, model.grid.n_pixels)}, "but its grid is"),
    ]
    for change, text in changes:
        with pytest.raises(ModelError, match=text):
            replace(model, **change)


def test_f3_a_network_that_scores_otherwise_is_refused(model: Model) -> None:
    place = model.probe.place.copy()
    place[1, 700] += 12
    other = replace(model, probe=replace(model.probe, place=place))
    with pytest.raises(ModelError, match="differs by"):
        open_engine(other, "cpu", "float32", say=lambda _: None)


def test_f3_an_input_that_is_computed_otherwise_is_refused(model: Model) -> None:
    record = model.record
    assert record is not None
    assert record.inputs.shape[1] == len(model.inputs)
    inputs = record.inputs.copy()
    inputs[0, 0] += 1
    with pytest.raises(ModelError, match="its input differs"):
        check_record(replace(model, record=replace(record, inputs=inputs)), "", lambda _: None)


def test_f2_other_masks_of_the_lens_are_refused(model: Model) -> None:
    check_preparation(model, load_config("redshift", ["lines.ln_evidence_min=20.0"]))
    for key, value in (("lens_snr", 5.0), ("level_pixels", 80)):
        with pytest.raises(ConfigError, match=f"lines.{key}"):
            check_preparation(model, load_config("redshift", [f"lines.{key}={value}"]))
    with pytest.raises(ConfigError, match=r"preparation\.window"):
        check_preparation(model, load_config("elg"))


def test_f2_a_method_refuses_a_network_of_another_kind(model: Model, tmp_path: Path) -> None:
    write_model(tmp_path / "heat", model, "")
    named = f"search.model={(tmp_path / 'heat').as_posix()!r}"
    opened = load_config("redshift", [named])
    assert model_of(opened) is not None
    search = open_redshift_network(opened, MatchedFilter(model.grid, opened.matched_filter))
    assert search.engine.startswith(("openvino", "torch"))
    with pytest.raises(ConfigError, match="needs one of kind resnet"):
        model_of(load_config("redshift", [named, "search.method=resnet"]))
    with pytest.raises(ConfigError, match="needs one of kind redshift"):
        model_of(load_config("redshift", ["search.model=speclens"]))
    with pytest.raises((ModelError, RunError), match="no such folder"):
        model_of(load_config("redshift", ["search.model=nowhere"]))


def test_what_is_seen_is_flux_density_about_a_level(model: Model, config: Config) -> None:
    width = pixel_width_angstrom(model.grid.wave)
    assert width[-1] > 2 * width[0]  # a flux of pixels would rise with it
    flux = 3 + with_lines(model.grid, 0.7, GALAXY)[None]
    matched_filter = MatchedFilter(model.grid, config.matched_filter)
    engine = Told(heat(model))
    spectra = prepared(model.grid, flux, np.array([0.25]))
    filtered = matched_filter.search(spectra.residual, spectra.ivar)
    RedshiftSearch(model, engine, config, matched_filter)(spectra, filtered)
    residual = engine.inputs[0][0, model.inputs.index("residual")]
    assert np.median(np.abs(residual)) < 0.01
    for name, height in GALAXY.items():
        place = float(model.grid.pixel(REST_LINES[name].wave * 1.7))
        if place < model.grid.n_pixels - 5:
            assert residual[round(place)] == pytest.approx(height, rel=0.15)
