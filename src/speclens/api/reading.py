"""`speclens.read`: spectra from files, folders, arrays, tables and other packages' objects.

In: whatever holds spectra. Out: `Spectra` in memory, or `SurveySpectra` of files. What numbers may
be is checked in `speclens.read.arrays`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speclens.api.spectra import Spectra
from speclens.api.survey_spectra import SurveySpectra
from speclens.errors import SpectraError
from speclens.read.arrays.batches import Declared, batch_of_arrays, gridded
from speclens.read.arrays.gridded import joined
from speclens.read.arrays.holders import (
    declared_by_spectrum,
    declared_by_table,
    is_spectrum,
    is_table,
)
from speclens.read.arrays.outright import table_of_file
from speclens.read.arrays.targets import declared_targets, refuse_odd_redshifts

__all__ = ["read"]


def read(
    source: Any,
    flux: Any = None,
    ivar: Any = None,
    *others: Any,
    error: Any = None,
    mask: Any = None,
    z: Any = None,
    classes: str | Sequence[str] | None = None,
    names: Sequence[Any] | None = None,
    ra: Any = None,
    dec: Any = None,
    vdisp: Any = None,
    medium: str | None = None,
    resolution: Any = None,
    dispersion: Any = None,
) -> Spectra | SurveySpectra:
    """Read spectra.

    Parameters
    ----------
    source : path, table, spectrum, array, or a list of one of the first three
        Files or folders of a survey; a plain table, in a file or of astropy; a `Spectrum` or `SpectrumList` of
        specutils; or wavelengths, with `flux` and errors. Wavelengths have the shape (L,), or
        (N, L) where each spectrum has its own. Numbers without a unit are Angstrom.
    flux : array or Quantity of shape (L,) or (N, L), optional
        Flux densities; numbers without a unit are 1e-17 erg/s/cm2/Angstrom.
    ivar, error : array or Quantity, optional
        Inverse variance or standard deviation of each, in the same unit; one of them.
    *others : object
        Nothing: what follows has a name.
    mask : array of bool, optional
        True for pixels that are to be ignored.
    z : float or array of shape (N,), optional
        Redshifts of the targets, the would-be lenses. Files of a survey have their own, which these
        replace: the spectra are then read into memory.
    classes : str or sequence of str, optional
        GALAXY (when not given) or QSO.
    names : sequence, optional
        Names of the spectra, for the column SPECTRUM; their numbers from 0 when not given.
    ra, dec : float or array of shape (N,), optional
        Places of the targets, degrees.
    vdisp : float or array of shape (N,), optional
        Their velocity dispersions, km/s.
    medium : str, optional
        In what wavelengths are measured: `vacuum` or `air`. Vacuum, unless a table says otherwise.
    resolution : float or array, optional
        Resolving power, wavelength over full width at half maximum. Where it is not told the line
        spread is taken to be that of BOSS.
    dispersion : float or array, optional
        Instead: standard deviation of the line spread, pixels of 69 km/s, as WDISP of SDSS.

    Returns
    -------
    Spectra or SurveySpectra
        The latter for files, which are not read yet.

    Raises
    ------
    SpectraError
        If something is missing, has another shape, or a unit that cannot be meant.
    RunError
        If there is no such file, or no survey file among them.

    Notes
    -----
    Searches work on SDSS's grid, pixels of 1e-4 in log10 of the wavelength. Spectra that lie on it
    are taken as they are, others resampled (`speclens.read.arrays.gridded`): flux and information
    are conserved, but neighbouring pixels become correlated.

    Examples
    --------
    >>> import numpy as np
    >>> import speclens
    >>> wave = 10 ** np.arange(3.56, 3.96, 1e-4)
    >>> speclens.read(wave, np.ones(4000), np.ones(4000), z=0.5, resolution=2000)
    <Spectra: 1 spectrum, 3631 to 9118 Angstrom, z 0.5>
    >>> speclens.read(wave[::-1], np.ones(4000), np.ones(4000), z=0.5)
    Traceback (most recent call last):
    speclens.errors.SpectraError: wavelengths descend; give wave[::-1], and flux and errors reversed likewise
    """  # noqa: E501 - a message is one line
    if others:
        raise SpectraError(
            f"read(wave, flux, ivar, {others[0]!r}): the fourth has no name; give z=..., and all "
            "that follows by name too"
        )
    given = {
        "z": z, "classes": classes, "names": names, "ra": ra, "dec": dec, "vdisp": vdisp,
    }  # fmt: skip
    arrays = {"flux": flux, "ivar": ivar, "error": error, "mask": mask}
    spread = {"resolution": resolution, "dispersion": dispersion}
    paths = _paths(source)
    tables = [table_of_file(path) for path in paths]
    if any(table is None for table in tables):
        return _of_files(paths, z, {**arrays, **given, **spread, "medium": medium, "z": None})
    declared = _declared(tables if paths else source, arrays)
    parts = [gridded(one, medium, **spread) for one in declared]
    known = _known(declared, [len(part) for part in parts], given)
    together = joined(parts)
    targets = declared_targets(len(together), **known)
    refuse_odd_redshifts(targets["Z"])
    return Spectra(batch_of_arrays(together, targets), together.resampled)


def _paths(source: Any) -> list[str]:
    """Return the paths that are given, one or several; none where it is something else."""
    several = source if isinstance(source, list | tuple) else [source]
    return (
        [os.fspath(path) for path in several]
        if several and all(isinstance(path, str | Path) for path in several)
        else []
    )


def _of_files(paths: Sequence[str], z: Any, others: Mapping[str, Any]) -> Spectra | SurveySpectra:
    _refuse(others, "files of a survey")
    spectra = SurveySpectra(paths)
    return spectra if z is None else spectra.in_memory(z=z)


def _refuse(given: Mapping[str, Any], who: str) -> None:
    """Refuse what is given although the spectra tell it."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise SpectraError(f"{', '.join(names)}: {who} tell that themselves; leave it out")


def _declared(source: Any, arrays: Mapping[str, Any]) -> list[Declared]:
    several = source if isinstance(source, list | tuple) else [source]
    if several and all(is_spectrum(one) for one in several):
        _refuse(arrays, "spectra of specutils")
        return [declared_by_spectrum(one) for one in several]
    if several and all(is_table(one) for one in several):
        _refuse(arrays, "tables")
        return [declared_by_table(one) for one in several]
    if arrays["flux"] is not None:
        return [Declared(source, **arrays)]
    if hasattr(source, "__array__") or isinstance(source, list | tuple):
        raise SpectraError("flux is missing; give read(wave, flux, ivar, z=z)")
    raise SpectraError(
        f"a {type(source).__name__} holds no spectra that are known: give a path, a table of "
        "astropy, a Spectrum of specutils, or arrays of wavelength, flux and inverse variance"
    )


def _known(
    declared: Sequence[Declared], numbers: Sequence[int], given: dict[str, Any]
) -> dict[str, Any]:
    """Return what is known of the targets: what is given counts before what the spectra tell."""
    known = dict(given)
    for name, value in given.items():
        told: list[Any] = [one.known.get(name) for one in declared]
        if value is None and all(one is not None for one in told):
            each = [np.broadcast_to(v, n) for v, n in zip(told, numbers, strict=True)]
            known[name] = np.concatenate(each) if len(each) > 1 else told[0]
    if known["classes"] is None:
        known["classes"] = "GALAXY"
    return known
