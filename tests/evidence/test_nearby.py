"""Which other spectra tell something of a hit: neighbours on the detector, and the same object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.evidence.fixed_line import line_sigma
from speclens.evidence.nearby import companions_of
from speclens.read.sdss.identity import spectrum_names, targetid
from speclens.schema import HITS, SPECTRA, dtype_of

VET = load_config().vet


def rows_of(columns: tuple[Any, ...], **values: Any) -> NDArray[np.void]:
    """Rows of a schema, of plate 4007 at one place, each of another fibre."""
    n = max((len(v) for v in values.values() if isinstance(v, list | np.ndarray)), default=1)
    rows = np.zeros(n, dtype_of(columns, FILE=20))
    rows["PLATE"], rows["MJD"], rows["FIBERID"] = 4007, 55000, np.arange(n) + 1
    rows["RA"], rows["DEC"] = np.nan, np.nan
    for name in rows.dtype.names or ():
        if name in values:
            rows[name] = values[name]
    rows["SURVEY"], rows["SPECTRUM"] = "sdss", spectrum_names(rows)
    rows["TARGETID"] = targetid(rows["PLATE"], rows["MJD"], rows["FIBERID"])
    # Each in a row of its own, and not that of a hit.
    rows["ROW"] = values.get("ROW", 1000 + np.arange(n))
    return rows


def hits_at(**values: Any) -> NDArray[np.void]:
    return rows_of(HITS, **{"WAVE": 4300.0, "FWHM_KMS": 250.0, "ROW": 0, **values})


def spectra_at(**values: Any) -> NDArray[np.void]:
    return rows_of(SPECTRA, **{"STATUS": "scored", **values})


def found(
    hits: NDArray[np.void], *spectra: NDArray[np.void], arcsec: float = 1.0
) -> list[tuple[int, str, str]]:
    requests, files = companions_of(hits, spectra, VET.model_copy(update={"repeat_arcsec": arcsec}))
    assert len(files) == len(requests)
    return [(int(r["HIT"]), str(r["KIND"]), str(r["NAME"])) for r in requests]


@pytest.mark.parametrize(
    ("fibre", "neighbours"),
    [(1, [2]), (2, [1, 3]), (499, [498, 500]), (500, [499]), (501, [502]), (1000, [999])],
)
def test_neighbours_are_the_next_fibres_of_the_same_spectrograph(
    fibre: int, neighbours: list[int]
) -> None:
    plate = spectra_at(FIBERID=np.arange(1, 1001))
    others = [spectra_at(FIBERID=np.arange(1, 1001), **{name: 6}) for name in ("PLATE", "MJD")]
    names = found(hits_at(FIBERID=[fibre]), plate, *others)
    assert names == [(0, "neighbour", f"4007-55000-{n:04d}") for n in neighbours]


def test_plates_of_sdss_have_320_fibres_a_spectrograph() -> None:
    plate = spectra_at(FIBERID=np.arange(1, 641), PLATE=266)
    assert found(hits_at(FIBERID=[320], PLATE=266), plate) == [(0, "neighbour", "0266-55000-0319")]


def test_a_neighbour_of_two_hits_is_asked_for_both_lines() -> None:
    hits = hits_at(FIBERID=[10, 12, 10])
    hits["WAVE"], hits["FWHM_KMS"] = [4300, 4400, 4500], [100, np.nan, 500]
    spectra = spectra_at(FIBERID=[11], FILE="eleven")
    requests, files = companions_of(hits, [spectra], VET)
    assert sorted(requests["HIT"].tolist()) == [0, 1, 2]
    np.testing.assert_array_equal(requests["WAVE"], hits["WAVE"][requests["HIT"]])
    np.testing.assert_array_equal(
        requests["SIGMA"], line_sigma(hits["FWHM_KMS"], VET.line_sigma_range)[requests["HIT"]]
    )
    assert set(requests["ROW"].tolist()) == set(spectra["ROW"].tolist())
    assert files == ["eleven"] * 3


@pytest.mark.parametrize(
    ("place", "offset"),
    [
        ((150.0, 2.0), (0.0, 1.0)),
        ((150.0, 60.0), (2.0, 0.0)),  # an arc second of right ascension is half as long here
        ((0.0, -10.0), (1 / np.cos(np.radians(10)), 0.0)),  # over the end of the circle
        ((77.0, 90.0), (0.0, -1.0)),
    ],
)
def test_spectra_are_of_one_object_within_the_distance_and_not_beyond(
    place: tuple[float, float], offset: tuple[float, float]
) -> None:
    hits = hits_at(RA=place[0], DEC=place[1])
    for factor, expected in ((0.99, [(0, "repeat", "0008-55000-0001")]), (1.01, [])):
        ra = (place[0] - factor * offset[0] / 3600) % 360
        other = spectra_at(PLATE=8, RA=ra, DEC=place[1] + factor * offset[1] / 3600)
        assert found(hits, other) == expected
        assert found(hits, other, arcsec=2.0) == [(0, "repeat", "0008-55000-0001")]


def test_repeats_are_those_that_every_pair_of_distances_gives(rng: np.random.Generator) -> None:
    n_hits, n_spectra = 20, 300
    ra = 150 + rng.uniform(0, 10, (2, n_spectra)) / 3600
    dec = 2 + rng.uniform(0, 10, (2, n_spectra)) / 3600
    hits = hits_at(PLATE=1, RA=ra[0, :n_hits], DEC=dec[0, :n_hits])
    spectra = spectra_at(PLATE=2, RA=ra[1], DEC=dec[1])
    hit_places = SkyCoord(ra[0, :n_hits], dec[0, :n_hits], unit="deg")
    apart = hit_places[:, None].separation(SkyCoord(ra[1], dec[1], unit="deg")[None])
    pairs = np.argwhere(apart.arcsec < 1.0)
    assert len(pairs) > 50
    expected = {(h, "repeat", f"0002-55000-{s + 1:04d}") for h, s in pairs.tolist()}
    assert set(found(hits, *np.array_split(spectra, 7))) == expected
    assert len(found(hits, spectra)) == len(expected)


def test_a_spectrum_is_no_repeat_of_itself_in_whatever_file() -> None:
    hits = hits_at(RA=150.0, DEC=2.0)
    again = spectra_at(RA=150.0, DEC=2.0, FILE=["plate.fits", "spec.fits"])
    again["FIBERID"], again["SPECTRUM"] = 1, hits["SPECTRUM"]
    assert found(hits, again) == []


@pytest.mark.parametrize(
    ("status", "reason", "is_read"),
    [
        ("scored", "", True),
        ("skipped", "class_star", True),
        ("skipped", "sky_fibre", True),
        ("skipped", "duplicate", False),
        ("skipped", "unplugged", False),
        ("failed", "truncated", False),
    ],
)
def test_spectra_that_hold_light_are_read_whatever_the_selection_says(
    status: str, reason: str, is_read: bool
) -> None:
    hits = hits_at(RA=150.0, DEC=2.0)
    other = spectra_at(FIBERID=[2], RA=150.0, DEC=2.0, STATUS=status, REASON=reason)
    kinds = [kind for _, kind, _ in found(hits, other)]
    assert sorted(kinds) == (["neighbour", "repeat"] if is_read else [])


UNKNOWN = [{"PLATE": -1}, {"MJD": -1}, {"FIBERID": -1}, {"FIBERID": 0}]


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_i5_without_ids_nothing_is_a_neighbour_nor_the_same_spectrum(
    unknown: dict[str, int],
) -> None:
    hits = hits_at(RA=150.0, DEC=2.0, **{"FIBERID": 1, **unknown})
    others = spectra_at(RA=[np.nan, 150.0], DEC=2.0, **{"FIBERID": 2, **unknown})
    others["FIBERID"] = np.where(others["FIBERID"] > 0, [2, 1], others["FIBERID"])
    assert [kind for _, kind, _ in found(hits, others)] == ["repeat"]


def test_i5_a_spectrum_without_ids_is_itself_by_file_and_row() -> None:
    hits = hits_at(FIBERID=-1, RA=150.0, DEC=2.0, FILE="a.fits", ROW=3)
    places = [("a.fits", 3), ("a.fits", 4), ("b.fits", 3)]
    files, rows = (list(column) for column in zip(*places, strict=True))
    others = spectra_at(FIBERID=[-1] * 3, RA=150.0, DEC=2.0, FILE=files, ROW=rows)
    requests, asked = companions_of(hits, [others], VET)
    assert [*zip(asked, requests["ROW"].tolist(), strict=True)] == places[1:]
    assert requests["NAME"].tolist() == asked


def test_c3_without_a_position_there_is_no_repeat() -> None:
    hits = hits_at(RA=np.nan, DEC=2.0)
    assert found(hits, spectra_at(PLATE=8, RA=np.nan, DEC=2.0)) == []


def test_i4_a_fibre_whose_targetid_is_another_nights_is_no_neighbour() -> None:
    hits = hits_at(FIBERID=[2])
    others = spectra_at(MJD=54999, FIBERID=[10001, 10003])
    assert found(hits, others) == []


def test_without_hits_nothing_is_asked_for_and_no_spectrum_is_looked_at() -> None:
    class Unread:
        def __iter__(self) -> Any:
            raise AssertionError

    requests, files = companions_of(hits_at(FIBERID=[]), Unread(), VET)
    assert (len(requests), files) == (0, [])
