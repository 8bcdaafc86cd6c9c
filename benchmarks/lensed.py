"""P_LENSED beside rays that are traced, and of published samples.

    SPECLENS_DATA=FOLDER python benchmarks/lensed.py [--sources 100000] [--tables docs/tables]

The first table needs no data: lenses, sources and fluxes are drawn, and the share of sources within
the Einstein radius is counted (`ray_tracing.py`). The second takes redshifts, fluxes and velocity
dispersions from `lenses`; beside it stands what share images from space found to be lenses.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ray_tracing import Case, trace
from speclens.candidates.lens_model import einstein_radius
from speclens.candidates.lens_probability import Fibre, lens_probability, lensed_share
from speclens.config import load_config
from speclens.cosmology import cosmology_named, luminosity_of_unit_flux
from speclens.instrument import INSTRUMENTS
from speclens.lines import REST_LINES
from speclens.luminosity_functions import source_populations
from speclens.schema import HITS, dtype_of
from tables import Tables, add_option

SIGMAS, SIGMA_ERR = (150.0, 200.0, 250.0, 300.0, 350.0), 20.0
SOURCES = (
    ("Ly alpha", 0.1, 3.0), ("Ly alpha", 0.5, 2.5), ("Ly alpha", 0.8, 3.0), ("[O II]", 0.3, 0.7),
    ("[O II]", 0.5, 0.9), ("[O II]", 0.8, 1.2), ("[O III] 5008", 0.1, 0.5), ("H alpha", 0.1, 0.3),
)  # fmt: skip
"""Line, redshift of the lens, redshift of the source."""

FLUX = 15.0
SDSS = INSTRUMENTS["sdss"]
FIRST_PLATE, SEEING = SDSS.first_plate, SDSS.seeing_sigma_arcsec
FIBRES = {
    "BOSS": Fibre(SDSS.fibre_radius_arcsec, SEEING),
    "SDSS-I/II": Fibre(SDSS.early_fibre_radius_arcsec, SEEING),
}
FILES = ("cao2020_single_peaked.csv", "cao2020_double_peaked.csv")
BELLS_FLUX = 15.0
"""Of [O II], which is not published."""

ERROR_KMS = 25.0
"""Of the published velocity dispersions, which come without: what BOSS has at their magnitudes."""


def compared(n_sources: int, rng: np.random.Generator) -> Iterator[Sequence[str]]:
    """Compare with traced rays: a row a source and fibre, a column a velocity dispersion."""
    cosmology = cosmology_named("Planck18")
    for label, fibre in FIBRES.items():
        for line, z_lens, z_source in SOURCES:
            z = np.array([z_source])
            l_star, alpha = source_populations(np.array([REST_LINES[line].wave]), z)
            bright = luminosity_of_unit_flux(z, cosmology) * FLUX / l_star
            ratio = 1 - float(
                cosmology.comoving_distance(z_lens) / cosmology.comoving_distance(z_source)
            )
            cells, worst = [], 0.0
            for sigma in SIGMAS:
                theta = einstein_radius(np.array([sigma]), np.array([z_lens]), z, cosmology)
                (told,) = lensed_share(theta, np.array([SIGMA_ERR / sigma]), bright, alpha, fibre)
                case = Case(
                    sigma, SIGMA_ERR, ratio, bright[0], alpha[0], fibre.radius, fibre.seeing
                )  # fmt: skip
                traced = trace(case, n_sources, rng)
                cells.append(f"{told:.3f} {traced:.3f}")
                worst = max(worst, abs(told - traced))
            yield [label, line, f"{z_lens:g}", f"{z_source:g}", *cells, f"{worst:.3f}"]


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a list of published systems."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def hits_of(line: str, *columns: Sequence[str]) -> NDArray[np.void]:
    """Make hits of redshifts of lens and source, velocity dispersions and fluxes."""
    hits = np.zeros(len(columns[0]), dtype_of(HITS))
    for name, values in zip(("Z", "Z_SOURCE", "VDISP", "FLUX"), columns, strict=True):
        hits[name] = [float(value) for value in values]
    hits["SURVEY"], hits["PLATE"], hits["VDISP_ERR"] = "sdss", FIRST_PLATE, ERROR_KMS
    hits["WAVE"] = REST_LINES[line].wave * (1 + hits["Z_SOURCE"])
    return hits


def lya_samples(folder: Path) -> Iterator[tuple[str, str, NDArray[np.void]]]:
    """Return the candidates of Cao et al. (2020); a star marks those that Shu et al. had found."""
    rows = [row for name in FILES for row in rows_of(folder / name)]
    names = ("$z_l$", "$z_s$", r"$\rm \sigma_{eBOSS}$", "$F_{lya}$")
    hits = hits_of("Ly alpha", *([row[name] for row in rows] for name in names))
    grades = np.array([row["grade"] for row in rows])
    yield "Ly alpha, Cao et al. 2020", "", hits
    for grade in "ABC":
        yield f"of these, grade {grade}", "", hits[np.char.find(grades, grade) >= 0]
    gallery = "17 of 21 (BELLS GALLERY)"
    yield "of these, found by Shu et al. 2016", gallery, hits[np.char.find(grades, "star") >= 0]


def bells_samples(folder: Path) -> Iterator[tuple[str, str, NDArray[np.void]]]:
    """Return the systems of BELLS (Brownstein et al. 2012) by how certain they are."""
    rows = [row for row in rows_of(folder / "known_lenses.csv") if row["sample"] == "BELLS"]
    for title, grades in (("certain", "A"), ("others", "BC")):
        own = [row for row in rows if row["grade"] in grades]
        columns = ([row[name] for row in own] for name in ("z_l", "z_s", "vdisp"))
        hits = hits_of("[O II]", *columns, [str(BELLS_FLUX)] * len(own))
        yield f"[O II], BELLS, {title}; flux {BELLS_FLUX:g} assumed", "25 to 36 of 44 (all)", hits


def of_samples(folder: Path) -> Iterator[Sequence[str]]:
    """Say how likely published candidates are lensed."""
    config = load_config().candidates
    for name, found, hits in (*lya_samples(folder), *bells_samples(folder)):
        probability = lens_probability(hits, config)
        shares = [probability.mean(), *np.percentile(probability, (10, 50, 90))]
        yield [name, str(len(hits)), *(f"{share:.2f}" for share in shares), found]


def main() -> None:
    """Compare, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    add_option(parser)
    arguments = parser.parse_args()
    tables = Tables(arguments.tables)
    titles = ["fibre", "line", "z lens", "z source", *(f"{s:.0f} km/s" for s in SIGMAS), "largest"]
    rng = np.random.default_rng(arguments.seed)
    tables.show("lensed_traced", titles, compared(arguments.sources, rng))
    if data := os.environ.get("SPECLENS_DATA"):
        titles = [
            "sample",
            "systems",
            "mean P_LENSED",
            "10 %",
            "median",
            "90 %",
            "lenses, by images",
        ]
        tables.show("lensed_published", titles, of_samples(Path(data) / "lenses"))


if __name__ == "__main__":
    main()
