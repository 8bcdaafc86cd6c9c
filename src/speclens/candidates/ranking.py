"""Hits to candidates: those that no vetting flag rules out, ranked, with a lens model.

In: rows of hits.fits. Out: rows of candidates.*. Writing them is left to
`speclens.candidates.tables`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.candidates.lens_model import einstein_radius, lens_dispersion
from speclens.config import CandidatesConfig
from speclens.cosmology import cosmology_named, luminosity_of_unit_flux
from speclens.schema import CANDIDATES, dtype_of, text_width

__all__ = ["candidates_of"]


def candidates_of(hits: NDArray[np.void], config: CandidatesConfig) -> NDArray[np.void]:
    """Return the candidates among hits.

    Parameters
    ----------
    hits : structured array of shape (N,)
        Rows of hits.fits.
    config : CandidatesConfig
        The cosmology, and what is assumed of a lens without a velocity dispersion.

    Returns
    -------
    structured array
        Rows of candidates.*, best first: by P_HYPOTHESIS times P_LENSED; those without last. Ties
        by the former, the latter, LN_EVIDENCE, SNR_LINES, SNR, TARGETID and WAVE.

    Raises
    ------
    ConfigError
        If astropy knows no such cosmology.
    """
    kept = hits[hits["CANDIDATE"]]
    source = kept["P_HYPOTHESIS"]
    highest_first = (
        kept["SNR"], kept["SNR_LINES"], kept["LN_EVIDENCE"], kept["P_LENSED"], source,
        source * kept["P_LENSED"],
    )  # fmt: skip
    kept = kept[np.lexsort((kept["WAVE"], kept["TARGETID"], *(-key for key in highest_first)))]
    rows = np.zeros(len(kept), dtype_of(CANDIDATES, FILE=text_width(kept, "FILE")))
    for name in kept.dtype.names or ():
        rows[name] = kept[name]
    rows["RANK"] = np.arange(len(kept)) + 1
    # Known with the selection function of an evaluation alone.
    rows["COMPLETENESS"] = rows["Q_VALUE"] = np.nan
    _set_lens_model(rows, config)
    return rows


def _set_lens_model(rows: NDArray[np.void], config: CandidatesConfig) -> None:
    cosmology = cosmology_named(config.cosmology)
    unit = luminosity_of_unit_flux(rows["Z_SOURCE"], cosmology)
    rows["LYA_LUMINOSITY"] = unit * rows["FLUX"]
    rows["LYA_LUMINOSITY_ERR"] = unit * rows["FLUX_ERR"]
    sigma, sigma_err, assumed = lens_dispersion(rows["VDISP"], rows["VDISP_ERR"], config)
    rows["SIGMA_SIS"], rows["SIGMA_SIS_ERR"], rows["SIGMA_ASSUMED"] = sigma, sigma_err, assumed
    radius = einstein_radius(sigma, rows["Z"], rows["Z_SOURCE"], cosmology)
    rows["EINSTEIN_RADIUS"] = radius
    rows["EINSTEIN_RADIUS_ERR"] = 2 * radius * sigma_err / sigma
