"""Who is searched: the sample of Li et al. 2019 or of Shu et al. 2016, by configuration.

In: catalogue rows. Out: for each the redshift to use and a reason code, empty for a target that is
searched. Reading the rows is left to `speclens.read`.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from speclens.config import SelectionConfig

__all__ = ["is_sky", "redshifts", "refusals"]

CLASS_REASONS = {"GALAXY": "class_galaxy", "STAR": "class_star", "QSO": "class_qso"}


def redshifts(targets: NDArray[np.void], config: SelectionConfig) -> NDArray[np.float64]:
    """Return the redshifts that the search uses.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Catalogue rows.
    config : SelectionConfig
        Says whether Z or Z_NOQSO counts.

    Returns
    -------
    array of shape (N,)
        Redshifts.
    """
    return np.asarray(targets[config.columns], np.float64)


def is_sky(targets: NDArray[np.void]) -> NDArray[np.bool_]:
    """Say which targets are sky fibres, whatever their CLASS.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Catalogue rows.

    Returns
    -------
    array of shape (N,)
        True for sky fibres.
    """
    return np.asarray(targets["OBJTYPE"] == "SKY")


def refusals(targets: NDArray[np.void], config: SelectionConfig) -> NDArray[np.str_]:
    """Say why targets are not searched.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Catalogue rows.
    config : SelectionConfig
        The cuts.

    Returns
    -------
    array of shape (N,)
        Reason code of the first cut that refuses a target; empty for the sample.

    Notes
    -----
    Li et al. 2019, section 3.2 by default; Shu et al. 2016, section 2 with `shu2016.toml`. A
    compound SUBCLASS such as "AGN BROADLINE" is refused for any of its words.
    """
    suffix = config.columns[1:]
    z, zwarning = redshifts(targets, config), targets[f"ZWARNING{suffix}"]
    classes = targets[f"CLASS{suffix}"]
    reasons = np.zeros(len(targets), "U24")

    def refuse(where: NDArray[np.bool_], reason: str) -> None:
        reasons[where & (reasons == "")] = reason

    refuse(is_sky(targets), "sky_fibre")
    refuse(targets["OBJTYPE"] == "UNPLUGGED", "unplugged")
    for name, reason in CLASS_REASONS.items():
        if name not in config.classes:
            refuse(classes == name, reason)
    refuse(~np.isin(classes, config.classes), "class_other")
    refuse(_has_word(targets[f"SUBCLASS{suffix}"], config.refused_subclasses), "subclass")
    refuse(~np.isfinite(z) | (z <= 0), "z_invalid")
    refuse(z <= config.z_min, "z_low")
    refuse(z > config.z_max, "z_high")
    if config.refuse_zwarning:
        refuse(zwarning != 0, "zwarning")
    if config.plate_qualities:
        quality = targets["PLATEQUALITY"]
        refuse((quality != "") & ~np.isin(quality, config.plate_qualities), "bad_plate")
    return reasons


def _has_word(texts: NDArray[np.str_], words: tuple[str, ...]) -> NDArray[np.bool_]:
    unique, inverse = np.unique(texts, return_inverse=True)
    found = [not set(words).isdisjoint(re.split(r"\W+", text)) for text in unique.tolist()]
    return np.asarray(np.array(found, bool)[inverse])
