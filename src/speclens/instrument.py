"""Instruments: what differs from survey to survey - bits, limits, fibres, names, links.

In: `data/instruments.toml`, one record a survey, and those of packages that add surveys. Out:
`Instrument`, by the name of the survey. How a survey's files are read is left to its folder in
`speclens.read`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.plugins import INSTRUMENTS_GROUP, offered

__all__ = ["INSTRUMENTS", "Instrument", "read_instruments"]


@dataclass(frozen=True)
class Instrument:
    """The instrument of a survey.

    Parameters
    ----------
    designation : str
        Acronym before the J of a system's name.
    bad_mask_bits : sequence of int
        Bits of a pixel's mask that rule it out.
    no_data_bit : int
        The one among them that says that there is no such pixel.
    line_spread_limits : (float, float)
        Standard deviations of a line spread that can be, pixels.
    fibre_radius_arcsec : float, optional
        Radius of the fibres on the sky; NaN where it is not known.
    seeing_sigma_arcsec : float, optional
        Standard deviation of the usual seeing along one axis; NaN where it is not known.
    first_plate : int, optional
        Plates before it were observed through other fibres.
    early_fibre_radius_arcsec : float, optional
        Radius of those.
    sky_lines : sequence of float, optional
        Lines of the night sky of which subtraction often leaves something, Angstrom, vacuum.
    lost_fibre_bits : sequence of int, optional
        Bits of a fibre's status that say that it did not see its target.
    spike_snr, spike_dchi2 : float, optional
        How far a pixel of its own, which is not that of the searches, stands out from others,
        sigma, and by how much chi2 it is better explained alone than as a line, to be left out.
    links : mapping of str to str
        Addresses of pages of a place of the sky, by name; with `{ra}` and `{dec}`, degrees.
    """

    designation: str
    bad_mask_bits: tuple[int, ...]
    no_data_bit: int
    line_spread_limits: tuple[float, float]
    fibre_radius_arcsec: float = math.nan
    seeing_sigma_arcsec: float = math.nan
    first_plate: int = 0
    early_fibre_radius_arcsec: float = math.nan
    sky_lines: tuple[float, ...] = ()
    lost_fibre_bits: tuple[int, ...] = ()
    spike_snr: float = math.inf
    spike_dchi2: float = 0.0
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def no_data(self) -> int:
        """Mask of a pixel that a file does not have."""
        return 1 << self.no_data_bit

    def is_masked(self, bits: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Say which pixels are ruled out.

        Parameters
        ----------
        bits : array of shape (N, L)
            Masks as the survey's files hold them.

        Returns
        -------
        array of shape (N, L)
            True for pixels that are to be ignored.
        """
        bad = sum(1 << bit for bit in {*self.bad_mask_bits, self.no_data_bit})
        return np.asarray((bits & bits.dtype.type(bad)) != 0)

    def is_covered(self, bits: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Say which pixels there are.

        Parameters
        ----------
        bits : array of shape (N, L)
            Masks as the survey's files hold them.

        Returns
        -------
        array of shape (N, L)
            False where the file has no such pixel.
        """
        return np.asarray((bits & bits.dtype.type(self.no_data)) == 0)

    def is_lost(self, status: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Say which fibres did not see their target.

        Parameters
        ----------
        status : array of shape (N,)
            Bits of the fibres as the survey's files hold them.

        Returns
        -------
        array of shape (N,)
            True for those that are ruled out.
        """
        bad = sum(1 << bit for bit in {*self.lost_fibre_bits})
        return np.asarray((status & bad) != 0)

    def fibre_radius(self, plate: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the radius of the fibres on the sky.

        Parameters
        ----------
        plate : array of shape (N,)
            Plates; negative where a spectrum has none.

        Returns
        -------
        array of shape (N,)
            Radius, arcsec; NaN where it is not known.
        """
        early = (plate >= 0) & (plate < self.first_plate)
        return np.where(early, self.early_fibre_radius_arcsec, self.fibre_radius_arcsec)


def _records(package: str, folder: str = "") -> dict[str, Any]:
    text = (files(package) / folder / "instruments.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _instruments_of(
    records: Mapping[str, Any], known: Mapping[str, Any], taken: Container[str] = ()
) -> dict[str, Instrument]:
    """Make instruments of records, of which one may be like another, or like one of the known."""
    found = {}
    for name, record in records.items():
        if name in taken:
            raise ValueError(f"there is a record {name} already")
        like = {**known, **records}[record["like"]] if "like" in record else {}
        own = {key: value for key, value in {**like, **record}.items() if key != "like"}
        found[name] = Instrument(**own)
    return found


def read_instruments() -> dict[str, Instrument]:
    """Read the records of all surveys, those of other packages too, by the survey's name."""
    records = _records("speclens", "data")
    found = _instruments_of(records, {})
    # Not loaded as entry points are: of a package this needs the folder alone.
    for own in offered(
        INSTRUMENTS_GROUP, lambda entry: _instruments_of(_records(entry.module), records, found)
    ):
        found.update(own)
    return found


INSTRUMENTS = read_instruments()
"""The instrument of each survey, by the survey's name."""
