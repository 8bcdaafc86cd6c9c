"""Say it when a search has searched nothing: which reason took the spectra, and what to do.

In: the counts of a run, its catalogue. Out: a sentence, or nothing to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from speclens.config import Config
from speclens.errors import ALLOW
from speclens.read.survey import CatalogueRows
from speclens.schema import REASONS
from speclens.stored_tables import iterate_rows
from speclens.vet.reasons import limit_of_reason

__all__ = ["total_loss"]

REASONS_SHOWN = 5

DECIDED_BY = {
    "z_low": "selection.z_min",
    "z_high": "selection.z_max",
    "z_invalid": "selection.columns, a column or entry z of tables, or another --catalogue",
    "class_star": "selection.classes",
    "class_galaxy": "--foreground",
    "class_qso": "--foreground, selection.columns",
    "class_other": "selection.classes, or another --catalogue",
    "subclass": "selection.refused_subclasses",
    "broad_absorption": "lines.balnicity_max",
    "faint": "lines.median_snr_min",
    "zwarning": "selection.refuse_zwarning",
    "bad_plate": "selection.plate_qualities",
    "no_permission": ALLOW,
    "no_catalogue": "speclens fetch the plates, or give one with --catalogue",
}
"""What a user can change where a reason takes all."""


def total_loss(
    run: Path,
    counts: Mapping[str, int],
    reasons: Mapping[str, int],
    config: Config,
    catalogue: CatalogueRows | None,
) -> str:
    """Say why a search has searched none of its spectra.

    Parameters
    ----------
    run : Path
        The run, with spectra.fits.
    counts : mapping of str to int
        Spectra by status, and all that were `read`.
    reasons : mapping of str to int
        Spectra by reason code.
    config : Config
        The configuration, whose limits are reasons.
    catalogue : CatalogueRows, optional
        The catalogue of the run, after it was read.

    Returns
    -------
    str
        One sentence; empty when any spectrum was searched, or none was there.
    """
    if counts["scored"] or not counts["read"]:
        return ""
    most = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    taken = "; ".join(
        f"{'all ' * (len(most) == 1)}{number} {code}: {_cause(code, run, config, catalogue)}"
        for code, number in most[:REASONS_SHOWN]
    )
    more = f"; and {len(most) - REASONS_SHOWN} more reasons" if len(most) > REASONS_SHOWN else ""
    return f"no spectrum was searched: {taken}{more}"


def _cause(code: str, run: Path, config: Config, catalogue: CatalogueRows | None) -> str:
    if code == "not_in_catalogue" and catalogue is not None:
        return catalogue.strangers(iterate_rows(run / "spectra.fits"))
    text = next(reason.text for reason in REASONS if reason.code == code)
    told = (limit_of_reason(code, config.model_dump(mode="json")), DECIDED_BY.get(code, ""))
    details = ", ".join(detail for detail in told if detail)
    return f"{text} ({details})" if details else text
