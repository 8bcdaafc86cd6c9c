"""What a run says of the published systems that it was given.

In: vetted hits with the systems. Out: notes, and the systems that are worth a row.
"""

from __future__ import annotations

from dataclasses import replace

from speclens.vet.known import n_systems
from speclens.vet.vetting import Vetted

__all__ = ["strangers", "without_absent"]

MAX_KNOWN_ABSENT = 10_000
"""In longer lists of published systems those that the run cannot tell of are left out."""


def strangers(vetted: Vetted) -> list[str]:
    """Say so where no published system has a spectrum in the run.

    Parameters
    ----------
    vetted : Vetted
        With the systems, if any were given.

    Returns
    -------
    list of str
        A note, or none.
    """
    if vetted.known is None or not len(vetted.known) or (vetted.known["OUTCOME"] != "absent").any():
        return []
    return [
        f"none of the {n_systems(vetted.known)} published systems is among the spectra of this "
        "run: are their places in degrees, and their spectra of this survey?"
    ]


def without_absent(vetted: Vetted) -> tuple[Vetted, list[str]]:
    """Leave the systems out of which the run has no spectrum, where the list is very long.

    Parameters
    ----------
    vetted : Vetted
        With the systems, if any were given.

    Returns
    -------
    vetted : Vetted
        The same, perhaps with fewer systems.
    notes : list of str
        A note where any was left out.
    """
    if vetted.known is None or len(vetted.known) <= MAX_KNOWN_ABSENT:
        return vetted, []
    kept = vetted.known[vetted.known["OUTCOME"] != "absent"]
    note = (
        f"of the {n_systems(vetted.known)} published systems {n_systems(kept)} have a spectrum in "
        "this run; the others are left out of known.ecsv and of the report"
    )
    return replace(vetted, known=kept), [note]
