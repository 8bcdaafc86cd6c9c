"""What sort of file it is, asked before anything is missed in it.

In: an open FITS file. Out: nothing where the file is of the layout that is read, else an
`unknown_layout` error that names the layout and says what to fetch or convert. "Fetch it again" is
left to damage: a whole file of another survey is not mended by that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NoReturn

from speclens.errors import SpectrumFileError
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.header import HeaderError
from speclens.read.sdss.targets import blank_targets, identify

__all__ = [
    "is_field", "is_field_spec", "is_named_spec", "is_plate", "is_spec", "refuse_layout",
]  # fmt: skip

MAX_NAMES = 12
FETCH = "fetch spec-PPPP-MMMMM-FFFF.fits or the spPlate of Data Release 8 to 17"
FETCH_FIELD = "fetch spec-FIELD-MJD-CATALOGID.fits or the spField of Data Release 18 or later"


@dataclass(frozen=True)
class Layout:
    """A layout that is known, and not read here.

    Parameters
    ----------
    name : str
        As its users know it.
    fits : callable
        Says whether a file is one.
    remedy : str
        What to do.
    """

    name: str
    fits: Callable[[FitsFile], bool]
    remedy: str


def is_plate(file: FitsFile) -> bool:
    """Say whether a file is an spPlate: an image of fibres by log-wavelength, of no single fibre.

    Parameters
    ----------
    file : FitsFile
        The file.

    Returns
    -------
    bool
        True also where parts of it are missing.
    """
    return _is_fibre_image(file) and not _is_sdssv(file)


def is_field(file: FitsFile) -> bool:
    """Say whether a file is an spField of SDSS-V: an spPlate of a field, of named targets.

    Parameters
    ----------
    file : FitsFile
        The file.

    Returns
    -------
    bool
        True also where parts of it are missing.
    """
    return _is_fibre_image(file) and _is_sdssv(file)


def is_field_spec(file: FitsFile) -> bool:
    """Say whether a file is a spec file of SDSS-V, with the catalogue row of its target.

    Parameters
    ----------
    file : FitsFile
        The file.

    Returns
    -------
    bool
        True also where parts of it are missing.
    """
    if file.hdus[0].shape or not _is_sdssv(file) or _is_spspec_of_field(file):
        return False
    coadd = file.find(("COADD",), 1)
    return len(file.hdus) == 1 or (coadd is not None and coadd.is_table)


def _is_fibre_image(file: FitsFile) -> bool:
    """Say whether a file is an image of fibres by log-wavelength, of no single fibre."""
    primary = file.hdus[0]
    if not _is_image(primary, 2) or primary.header.get("BITPIX", 8) > 0 or _is_lamost(file):
        return False
    if _text(primary, "FIBERID", "FIBER", "MANGAID"):
        return False
    names = {hdu.name for hdu in file.hdus[1:]}
    dated = bool(_text(primary, "PLATEID", "PLATE", "FIELDID", "MJD"))
    dated |= _called("sp(Plate|Field)-")(file)
    return (bool(_text(primary, "COEFF0")) and dated) or {"IVAR", "PLUGMAP"} <= names


def is_spec(file: FitsFile) -> bool:
    """Say whether a file is a spec file of SDSS-I to eBOSS.

    Parameters
    ----------
    file : FitsFile
        The file.

    Returns
    -------
    bool
        True also where parts of it are missing.
    """
    primary = file.hdus[0]
    if primary.shape or _text(primary, "FIELDID") or _is_lamost(file):
        return False
    if len(file.hdus) == 1:
        return bool(_text(primary, "PLATEID", "COEFF0"))
    coadd, row = file.find(("COADD",), 1), file.find(("SPALL", "SPECOBJ"), 2)
    if coadd is None or not coadd.is_table or (row is not None and _is_of_field(row)):
        return False
    columns = coadd.header.fields
    waves = "LOGLAM" in columns or bool(_text(primary, "COEFF0")) or "WAVELENGTH" not in columns
    return waves and (coadd.name == "COADD" or "FLUX" in columns or "IVAR" in columns)


def is_named_spec(file: FitsFile) -> bool:
    """Say whether a spec file tells that it is one: a plain table of a spectrum looks alike.

    Parameters
    ----------
    file : FitsFile
        A file that `is_spec`.

    Returns
    -------
    bool
        Whether an HDU has a name of SDSS's, the header an identifier, or a row stands beside it.
    """
    named = any(hdu.name == "COADD" for hdu in file.hdus)
    row = file.find(("SPALL", "SPECOBJ"), 2)
    return named or row is not None or bool(_text(file.hdus[0], "PLATEID", "COEFF0"))


def refuse_layout(file: FitsFile, wanted: str) -> NoReturn:
    """Refuse a file by the name of its layout.

    Parameters
    ----------
    file : FitsFile
        A file that is not what was looked for.
    wanted : str
        What was looked for: `spPlate` or `spec`.

    Raises
    ------
    SpectrumFileError
        Always; it carries one spectrum, with the identity that the file itself gives it.
    """
    layout = next((layout for layout in LAYOUTS if _fits(layout, file)), None)
    name = layout.name if layout else f"neither an SDSS {wanted} file nor of another known layout"
    target = blank_targets(1)
    ids = [file.hdus[0].header.get(key) for key in ("PLATEID", "MJD", "FIBERID")]
    remedy = layout.remedy if layout else FETCH
    if all(type(number) is int and number > 0 for number in ids):
        identify(target, *ids)
        remedy = remedy.replace("PPPP-MMMMM-FFFF", "{:04d}-{:05d}-{:04d}".format(*ids))
    error = SpectrumFileError(
        file.path, "unknown_layout", f"{name}; it holds {_found(file)}", None, remedy
    )
    error.targets = target
    raise error


def _fits(layout: Layout, file: FitsFile) -> bool:
    try:
        return layout.fits(file)
    except HeaderError:
        # What a header says twice names no layout.
        return False


def _found(file: FitsFile) -> str:
    """List the HDUs of a file, or the columns of its only table."""
    tables = [hdu for hdu in file.hdus if hdu.is_table]
    if len(tables) == 1 and len(file.hdus) <= 2:
        names = list(_columns(tables[0]))
        what = f"a table of {tables[0].shape[0]} rows with "
    else:
        names = [_described(hdu) for hdu in file.hdus]
        what = ""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{what}{', '.join(names[:MAX_NAMES])}{more}"


def _described(hdu: Hdu) -> str:
    name = hdu.name or ("PRIMARY" if not hdu.index else f"HDU {hdu.index}")
    if hdu.is_table:
        return f"{name} (table of {hdu.shape[0]} rows)"
    return f"{name} ({' x '.join(map(str, hdu.shape)) or 'no data'})"


def _text(hdu: Hdu, *keys: str) -> str:
    """Value of the first of some keywords that is there, as text."""
    return next((str(value) for value in map(hdu.header.get, keys) if value is not None), "")


def _columns(hdu: Hdu) -> Collection[str]:
    try:
        return hdu.header.fields if hdu.is_table else ()
    except HeaderError:
        return ()


def _all_columns(file: FitsFile) -> set[str]:
    return {name for hdu in file.hdus for name in _columns(hdu)}


def _is_image(hdu: Hdu, n_axes: int) -> bool:
    is_image = str(hdu.header.get("XTENSION", "IMAGE")).strip() == "IMAGE"
    return is_image and len(hdu.shape) == n_axes


def _called(pattern: str) -> Callable[[FitsFile], bool]:
    return lambda file: bool(re.match(pattern, os.path.basename(file.path), re.IGNORECASE))


def _is_of_field(table: Hdu) -> bool:
    """Say whether a table is of SDSS-V, whose fields have taken the place of plates."""
    columns = _columns(table)
    return "CATALOGID" in columns or ("FIELD" in columns and "PLATE" not in columns)


def _is_desi(file: FitsFile) -> bool:
    names = {hdu.name for hdu in file.hdus}
    arms = {f"{arm}_{what}" for arm in ("B", "R", "Z", "BRZ") for what in ("FLUX", "WAVELENGTH")}
    return bool(names & ({"FIBERMAP", "EXP_FIBERMAP", "REDSHIFTS"} | arms))


def _is_lamost(file: FitsFile) -> bool:
    primary = file.hdus[0]
    if _text(primary, "TELESCOP").startswith("SDSS"):
        return False
    text = f"{_text(primary, 'TELESCOP')} {_text(primary, 'ORIGIN')} {_text(primary, 'DESIG')}"
    return "LAMOST" in text.upper() or _called(r"(spec|med)-\d{5}-\w+_sp\d\d-\d+")(file)


def _is_sdssv(file: FitsFile) -> bool:
    return bool(_text(file.hdus[0], "FIELDID")) or any(map(_is_of_field, file.hdus))


def _is_spspec_of_field(file: FitsFile) -> bool:
    names = [hdu.name for hdu in file.hdus[:3]]
    return _is_sdssv(file) and names[1:] == ["COADD", "PLUGMAP"]


def _is_spspec(file: FitsFile) -> bool:
    primary = file.hdus[0]
    own = _text(primary, "FIBERID", "FIBER") and _text(primary, "COEFF0")
    return _is_image(primary, 2) and bool(own or _called("spSpec-")(file))


def _is_frame(file: FitsFile) -> bool:
    named = _called("sp(C?Frame|Flat|Arc|Sky|Fluxcalib|FluxCorr|Bias)[-]")(file)
    return named or bool(_text(file.hdus[0], "CAMERAS") and _text(file.hdus[0], "PLATEID"))


def _is_2df(file: FitsFile) -> bool:
    instrument = _text(file.hdus[0], "INSTRUME").upper()
    named = any(word in instrument for word in ("AAOMEGA", "2DF", "HERMES", "KOALA", "SPECTOR"))
    return named or any(hdu.name in ("FIBRES", "FIBRES_IFU") for hdu in file.hdus)


def _is_iraf(file: FitsFile) -> bool:
    primary = file.hdus[0]
    multispec = "MULTISPE" in f"{_text(primary, 'CTYPE1')} {_text(primary, 'WAT0_001')}".upper()
    linear = _text(primary, "CTYPE1").upper() in ("LINEAR", "LAMBDA", "WAVE", "AWAV")
    return bool(primary.shape) and (multispec or linear or bool(_text(primary, "WAT0_001")))


def _is_catalogue(file: FitsFile) -> bool:
    columns = _all_columns(file)
    return {"Z", "CLASS"} <= columns and not columns & {"LOGLAM", "FLUX"}


def _is_zbest(file: FitsFile) -> bool:
    named = _called("sp(Zbest|Zall|Zline)-")(file)
    beside = len(file.hdus) > 2 and _is_image(file.hdus[2], 2)
    return named or (_is_catalogue(file) and beside)


def _is_sky_image(file: FitsFile) -> bool:
    axes = f"{_text(file.hdus[0], 'CTYPE1')} {_text(file.hdus[0], 'CTYPE2')}"
    return "RA-" in axes or "DEC-" in axes or "GLON" in axes


LAYOUTS = (
    Layout(
        "tile-compressed (.fz)",
        lambda file: any(
            hdu.header.get(key) is True for hdu in file.hdus for key in ("ZIMAGE", "ZTABLE")
        ),
        "run funpack on it first",
    ),
    Layout("an spPlate file", is_plate, "rename it to spPlate-PPPP-MMMMM.fits"),
    Layout("a spec file", is_spec, "rename it to spec-PPPP-MMMMM-FFFF.fits"),
    Layout(
        "a DESI file",
        _is_desi,
        "give its coadd file as coadd-SURVEY-PROGRAM-PIXEL.fits; redrock is found beside it",
    ),
    Layout("a LAMOST file", _is_lamost, f"LAMOST is not supported; {FETCH}"),
    Layout(
        "a raw frame of a camera (sdR)", _called("sdR-"), "fetch the spectra that were made of it"
    ),
    Layout("a field of SDSS-V (spField)", is_field, "rename it to spField-FIELD-MJD.fits"),
    Layout(
        "a spectrum of SDSS-V (FIELD, MJD, CATALOGID)",
        is_field_spec,
        "rename it to spec-FIELD-MJD-CATALOGID.fits",
    ),
    Layout(
        "an spSpec file of SDSS-V, without class and redshift", _is_spspec_of_field, FETCH_FIELD
    ),
    Layout("another file of SDSS-V (FIELD, MJD, CATALOGID)", _is_sdssv, FETCH_FIELD),
    Layout(
        "an APOGEE file",
        _called("(ap|as)(Visit|Star|pcap)"),
        "infrared: no window of it is searched",
    ),
    Layout(
        "a MaNGA cube",
        lambda file: bool(_text(file.hdus[0], "MANGAID")),
        "cubes are not supported",
    ),
    Layout("an spSpec file of SDSS Data Release 7 or before", _is_spspec, FETCH),
    Layout(
        "a frame of SDSS (spFrame, spCFrame, spFlat)",
        _is_frame,
        "fetch the spPlate file of its plate, which holds the coadded spectra",
    ),
    Layout(
        "a file of AAOmega or 2dF", _is_2df, "not supported: write each spectrum as a spec file"
    ),
    Layout(
        "an image of spectra as IRAF writes them", _is_iraf, "write each spectrum as a spec file"
    ),
    Layout(
        "the redshifts of a plate (spZbest)",
        _is_zbest,
        "give the spPlate file; its spZbest is found beside it",
    ),
    Layout(
        "a catalogue (spAll, specObj), not spectra",
        _is_catalogue,
        "give it with --catalogue, and the spPlate or spec files as INPUT",
    ),
    Layout("an image of the sky", _is_sky_image, "give the spectra"),
)
"""Layouts in the order in which they are tried."""
