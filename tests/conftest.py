"""Small survey files, written with astropy alone, and the generators and folders that tests share.

The files follow the survey's documentation, not the package: they are what its readers are held to.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import settings

# The same examples in every run: a failure is never a matter of luck.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

COEFF0, COEFF1 = 3.5515, 1e-4
N_PIXELS = 1730  # 3560 to 5301 Angstrom
PLATE, MJD, RUN2D = 3655, 55240, "v5_7_0"
SIGMA = 0.3
LINE_SIGMA_PIXELS = 2.2

Lines = Sequence[tuple[float, float]]

TORCH = find_spec("torch") is not None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests of training where torch is not installed."""
    if TORCH or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return re.search(r"^(import|from) torch\b", text, re.MULTILINE) is not None or None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out."""
    if not TORCH:
        terminalreporter.write_line("without torch, without tests of training: make test TRAIN=1")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20190214)


@pytest.fixture(scope="session")
def survey_data() -> Path:
    """The folder of real survey files."""
    folder = os.environ.get("SPECLENS_DATA")
    if not folder:
        pytest.skip("SPECLENS_DATA names no folder of survey files")
    return Path(folder)


@pytest.fixture(scope="session")
def write_spec() -> Callable[..., Path]:
    """`write_spec(path, ...) -> path`: a spec file; see `make_spec`."""
    return make_spec


@pytest.fixture(scope="session")
def write_full_spec() -> Callable[..., Path]:
    """`write_full_spec(path, ...) -> path`: one with its exposures; see `make_full_spec`."""
    return make_full_spec


@pytest.fixture(scope="session")
def write_plate() -> Callable[..., Path]:
    """`write_plate(folder, ...) -> path of the spPlate file`; see `make_plate`."""
    return make_plate


@pytest.fixture(scope="session")
def write_catalogue() -> Callable[..., Path]:
    """`write_catalogue(path, rows, ...) -> path`: a survey catalogue; see `make_catalogue`."""
    return make_catalogue


@pytest.fixture(scope="session")
def write_hdus() -> Callable[..., Path]:
    """`write_hdus(path, hdus, datasum) -> path`: any HDUs, gzipped where the name ends in .gz."""
    return save


@pytest.fixture(scope="session")
def search_into() -> Callable[..., tuple[Any, np.ndarray, list[str]]]:
    """`search_into(output, *inputs, **request) -> summary, rows of spectra.fits, messages`."""
    return run_search


@pytest.fixture(scope="session")
def run_script() -> Callable[..., str]:
    """`run_script("tools/name.py", *arguments) -> stdout`: in a process of its own."""
    root = Path(__file__).parents[1]

    def run(script: str, *arguments: object, code: int = 0) -> str:
        command = [sys.executable, str(root / script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """`make_model(inputs, widths, seed, overrides) -> Model`: a network with random weights."""
    return random_model


@pytest.fixture(scope="session")
def peak_model() -> Callable[..., Any]:
    """`peak_model(inputs, channel, threshold, place, overrides) -> Model`: weights by hand."""
    return model_of_peaks


@cache
def recorded_inputs(overrides: tuple[str, ...], names: tuple[str, ...]) -> Any:
    """What a model of this configuration has seen."""
    from speclens.config import load_config
    from speclens.search.input_record import record_inputs

    return record_inputs(load_config(None, overrides), names)


SEEN_BY_PEAKS = 128
"""Seven poolings of two leave out the pixels after the last multiple of this."""


def model_of_peaks(
    inputs: Sequence[str] = ("residual", "snr", "noise", "foreground"),
    channel: str = "snr",
    threshold: float = 6.0,
    place: bool = True,
    overrides: Sequence[str] = (),
) -> Any:
    """A network whose logit is the highest value of a channel minus a threshold."""
    from speclens.config import load_config
    from speclens.networks.architecture import weight_shapes
    from speclens.networks.model import Calibration, Model, Probe, seen_sections
    from speclens.spectra import LogGrid

    config = load_config(None, overrides)
    grid = LogGrid.covering(*config.preparation.window)
    shapes = weight_shapes(len(inputs), [1] * 8)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    for name in weights:
        if name.endswith(("norms.0.weight", "running_var")):
            weights[name][:] = 1
    if "blocks.0.shortcut.weight" in weights:
        weights["blocks.0.shortcut.weight"][0, inputs.index(channel)] = 1
    weights["probability.weight"][:], weights["probability.bias"][:] = 1, -threshold
    weights["place.weight"][:] = 1
    spectra = np.random.default_rng(0).normal(0, 2, (3, len(inputs), grid.n_pixels))
    seen = np.maximum(spectra[:, inputs.index(channel)], 0).astype(np.float32)
    logit = seen[:, : grid.n_pixels // SEEN_BY_PEAKS * SEEN_BY_PEAKS].max(axis=1) - threshold
    cells = seen[:, : grid.n_pixels // 8 * 8].reshape(3, -1, 8).max(axis=2)
    return Model(
        name="peaks",
        inputs=tuple(inputs),
        grid=grid,
        widths=(1,) * 8,
        dropout=0.0,
        place=place,
        weights=weights,
        sections=seen_sections(config),
        calibration=Calibration(1.0, 0.0),
        probe=Probe(spectra.astype(np.float32), logit.astype(np.float32), cells),
        record=recorded_inputs(tuple(overrides), tuple(inputs)),
    )


def random_model(
    inputs: Sequence[str] = ("residual", "snr", "noise", "foreground"),
    widths: Sequence[int] = (4, 4, 8, 8, 8, 8, 12, 12),
    seed: int = 0,
    overrides: Sequence[str] = ("preparation.window=[3800.0, 3950.0]",),
) -> Any:
    """A model of few pixels; its probe is what torch makes of noise."""
    torch = pytest.importorskip("torch")

    from speclens.config import load_config
    from speclens.networks.architecture import Architecture
    from speclens.networks.layers import build
    from speclens.networks.model import Calibration, Model, Probe, seen_sections
    from speclens.spectra import LogGrid

    config = load_config(None, overrides)
    grid = LogGrid.covering(*config.preparation.window)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build(Architecture("resnet", len(inputs), grid.n_pixels, widths, 0.2)).eval()
        for name, tensor in network.state_dict().items():
            if ".norms." in name and tensor.dtype.is_floating_point:
                tensor.uniform_(0.5, 1.5)  # as after a training, not 0 and 1
        spectra = torch.randn(6, len(inputs), grid.n_pixels) * torch.arange(1, 7)[:, None, None]
    with torch.inference_mode():
        logit, place = (tensor.numpy() for tensor in network(spectra))
    weights = {k: v.numpy() for k, v in network.state_dict().items() if v.dtype.is_floating_point}
    return Model(
        name="made",
        inputs=tuple(inputs),
        grid=grid,
        widths=tuple(widths),
        dropout=0.2,
        place=True,
        weights=weights,
        sections=seen_sections(config),
        calibration=Calibration(1.0, -float(np.median(logit))),
        probe=Probe(spectra.numpy(), logit, place),
        record=recorded_inputs(tuple(overrides), tuple(inputs)),
        metadata={"seed": seed},
    )


def run_search(
    output: Path, *inputs: Path | str, overrides: Sequence[str] = (), **request: Any
) -> tuple[Any, np.ndarray, list[str]]:
    """Search files with the default configuration."""
    from speclens.config import load_config
    from speclens.verbs.search import SearchRequest, Silent, search

    messages: list[str] = []
    listener = Silent()
    listener.message = messages.append  # type: ignore[method-assign]
    config = load_config(None, list(overrides))
    summary = search(
        SearchRequest([os.fspath(path) for path in inputs], output, config, **request), listener
    )
    rows = Table.read(output / "spectra.fits")
    rows.convert_bytestring_to_unicode()
    return summary, np.asarray(rows), messages


def loglam_of(n_pixels: int, coeff0: float) -> np.ndarray:
    """log10 of the wavelengths of a grid, shape (L,)."""
    return coeff0 + COEFF1 * np.arange(n_pixels)


def make_flux(
    loglam: np.ndarray, z: float, rng: np.random.Generator, lines: Lines = (), level: float = 2.0
) -> np.ndarray:
    """A galaxy-like spectrum: a break at rest 4000 Angstrom, noise, and lines (wave, flux)."""
    flux = noiseless_flux(loglam, z, lines, level)
    return (flux + SIGMA * rng.standard_normal(len(loglam))).astype(np.float32)


def noiseless_flux(
    loglam: np.ndarray, z: float, lines: Lines = (), level: float = 2.0
) -> np.ndarray:
    """What `make_flux` adds noise to."""
    wave = 10**loglam
    flux = level * (1 + 0.3 * np.tanh((wave / (1 + max(z, 0)) - 4000) / 200))
    for centre, line_flux in lines:
        sigma = LINE_SIGMA_PIXELS * COEFF1 * np.log(10) * centre
        profile = np.exp(-0.5 * ((wave - centre) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        flux = flux + line_flux * profile
    return flux


def catalogue_row(**values: Any) -> dict[str, Any]:
    """One row of a survey catalogue, with sensible values where none is given."""
    row: dict[str, Any] = {
        "PLATE": PLATE, "MJD": MJD, "FIBERID": 1, "CLASS": "GALAXY", "SUBCLASS": "", "Z": 0.5,
        "Z_ERR": 1e-4, "ZWARNING": 0, "VDISP": 220.0, "VDISP_ERR": 20.0, "OBJTYPE": "GALAXY",
        "PLUG_RA": 150.0 + 0.1 * values.get("FIBERID", 1), "PLUG_DEC": 2.0, "PLATEQUALITY": "good",
        "FIBER2MAG": [23.0, 22.0, 21.0, 20.0 + 0.125 * values.get("FIBERID", 1), 19.0],
    }  # fmt: skip
    row.update(values)
    for name in ("Z", "Z_ERR", "ZWARNING", "CLASS", "SUBCLASS"):
        row.setdefault(f"{name}_NOQSO", row[name])
    return row


CATALOGUE_FORMATS = {
    "PLATE": "J", "MJD": "J", "FIBERID": "J", "CLASS": "6A", "SUBCLASS": "21A", "Z": "E",
    "Z_ERR": "E", "ZWARNING": "J", "VDISP": "E", "VDISP_ERR": "E", "OBJTYPE": "16A",
    "SOURCETYPE": "16A", "PLUG_RA": "D", "PLUG_DEC": "D", "PLATEQUALITY": "8A", "Z_NOQSO": "E",
    "Z_ERR_NOQSO": "E", "ZWARNING_NOQSO": "J", "CLASS_NOQSO": "6A", "SUBCLASS_NOQSO": "21A",
    "FIBER2MAG": "5E", "FIBERMAG": "5E",
}  # fmt: skip


def catalogue_hdu(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    name: str = "",
    formats: Mapping[str, str] | None = None,
    rename: Callable[[str], str] = str,
) -> fits.BinTableHDU:
    """A binary table of catalogue rows; `formats` adds or overrides column formats."""
    known = {**CATALOGUE_FORMATS, **(formats or {})}
    wanted = columns or [n for n in known if n in (rows[0] if rows else catalogue_row())]
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column(rename(n), known[n], array=[r[n] for r in rows] or None) for n in wanted]
    )
    hdu.name = name
    return hdu


def make_catalogue(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    formats: Mapping[str, str] | None = None,
) -> Path:
    """Write a survey catalogue (spAll); what a row does not give is filled in."""
    table = catalogue_hdu([catalogue_row(**row) for row in rows], columns, "SPALL", formats)
    return save(path, [fits.PrimaryHDU(), table])


def make_spec(
    path: Path | str,
    *,
    plate: int = PLATE,
    mjd: int = MJD,
    fiberid: int = 1,
    z: float = 0.5,
    class_: str = "GALAXY",
    subclass: str = "",
    objtype: str = "GALAXY",
    zwarning: int = 0,
    flux: np.ndarray | None = None,
    ivar: np.ndarray | None = None,
    and_mask: np.ndarray | None = None,
    wdisp: np.ndarray | None = None,
    lines: Lines = (),
    n_pixels: int = N_PIXELS,
    coeff0: float = COEFF0,
    upper_case: bool = False,
    hdu_names: bool = True,
    datasum: bool = True,
    with_model: bool = True,
    with_wdisp: bool = True,
    with_and_mask: bool = True,
    with_loglam: bool = True,
    with_coeffs: bool = True,
    catalogue: str | None = "SPALL",
    row: Mapping[str, Any] | None = None,
    extra_columns: Sequence[fits.Column] = (),
    extra_hdus: Sequence[Any] = (),
    header: Mapping[str, Any] | None = None,
    rng: np.random.Generator | None = None,
) -> Path:
    """Write a spec file.

    `catalogue` names HDU 2 (SPALL, SPECOBJ, or None for none); `row` overrides its values;
    `extra_columns` come first in HDU 1, `extra_hdus` last; `header` goes to HDU 0. A name ending in
    .gz is gzipped.
    """
    rng = rng or np.random.default_rng([plate, mjd, fiberid])
    n_pixels = n_pixels if flux is None else len(flux)
    loglam = loglam_of(n_pixels, coeff0)
    flux = make_flux(loglam, z, rng, lines) if flux is None else flux
    arrays: dict[str, tuple[str, np.ndarray | None]] = {
        "flux": ("E", flux),
        "loglam": ("E", loglam if with_loglam else None),
        "ivar": ("E", np.full(n_pixels, SIGMA**-2) if ivar is None else ivar),
        "and_mask": ("J", _default(and_mask, n_pixels, 0) if with_and_mask else None),
        "or_mask": ("J", np.zeros(n_pixels, int)),
        "wdisp": ("E", _default(wdisp, n_pixels, 1.1) if with_wdisp else None),
        "sky": ("E", np.full(n_pixels, 3.0)),
        "model": ("E", np.full(n_pixels, 2.0) if with_model else None),
    }
    case = str.upper if upper_case else str
    columns = [
        fits.Column(case(name), form, array=array)
        for name, (form, array) in arrays.items()
        if array is not None
    ]
    primary = fits.PrimaryHDU()
    primary.header.update({"PLATEID": plate, "MJD": mjd, "FIBERID": fiberid, "RUN2D": RUN2D})
    if with_coeffs:
        primary.header.update({"COEFF0": coeff0, "COEFF1": COEFF1})
    primary.header.update(dict(header or {}))
    coadd = fits.BinTableHDU.from_columns([*extra_columns, *columns])
    coadd.name = "COADD" if hdu_names else ""
    hdus: list[Any] = [primary, coadd]
    if catalogue:
        values = catalogue_row(
            PLATE=plate, MJD=mjd, FIBERID=fiberid, Z=z, CLASS=class_, SUBCLASS=subclass,
            ZWARNING=zwarning, **{"OBJTYPE" if catalogue == "SPALL" else "SOURCETYPE": objtype},
        )  # fmt: skip
        if catalogue != "SPALL":
            del values["OBJTYPE"], values["FIBER2MAG"]
        hdus.append(catalogue_hdu([{**values, **(row or {})}], name=catalogue if hdu_names else ""))
        lines_hdu = fits.BinTableHDU.from_columns(
            [
                fits.Column("LINENAME", "13A", array=["Ly_alpha"]),
                fits.Column("LINEWAVE", "D", array=[1215.67]),
            ]
        )
        lines_hdu.name = "SPZLINE" if hdu_names else ""
        hdus.append(lines_hdu)
    return save(Path(path), [*hdus, *extra_hdus], datasum)


NATIVE_STEP = 1.2  # pixels of an exposure, in those of the global grid
RED_LOGLAM = 3.7600  # 5754 Angstrom: where red exposures begin, beyond the coadd


def make_full_spec(
    path: Path | str,
    *,
    n_exposures: int = 4,
    n_red: int = 1,
    z: float = 0.5,
    lines: Lines = (),
    exposure_lines: Mapping[int, Lines] | None = None,
    exposures: Mapping[int, Mapping[str, np.ndarray | None]] | None = None,
    n_pixels: int = N_PIXELS,
    coeff0: float = COEFF0,
    dispersion: float = 1.1,
    upper_case: bool = False,
    rng: np.random.Generator | None = None,
    **spec: Any,
) -> Path:
    """Write a full spec file: a coadd and the exposures that it is the mean of.

    The exposures have wider pixels than the coadd, off its grid, and the same noise: that of the
    coadd is the mean of theirs, `SIGMA`.

    Parameters
    ----------
    n_exposures, n_red : int
        Blue exposures, and red ones, which the coadd does not reach.
    lines : sequence of (wave, flux)
        Lines in every exposure.
    exposure_lines : mapping, optional
        Lines that only one exposure has, by its number from 0; 1 / n of them is in the coadd.
    exposures : mapping, optional
        Columns by exposure number, over the simulated ones; None leaves a column out.
    dispersion : float
        Line spread, pixels of the global grid, as the survey states it in coadd and exposures.
    **spec
        As for `make_spec`.
    """
    identity = [spec.get(key, 1) for key in ("plate", "mjd", "fiberid")]
    rng = rng or np.random.default_rng([*identity, n_exposures])
    loglam = loglam_of(n_pixels, coeff0)
    hdus, total = [], np.zeros(n_pixels)
    for i in range(n_exposures):
        noise = SIGMA * np.sqrt(n_exposures) * rng.standard_normal(n_pixels)
        put_in = [*lines, *(exposure_lines or {}).get(i, ())]
        total += noiseless_flux(loglam, z, put_in) + noise
        first = coeff0 + COEFF1 * (0.1 + (i + 0.5) / n_exposures)
        native = first + NATIVE_STEP * COEFF1 * np.arange(int((n_pixels - 2) / NATIVE_STEP))
        nearest = np.round((native - coeff0) / COEFF1).astype(int)
        columns = {
            "flux": noiseless_flux(native, z, put_in) + noise[nearest],
            "loglam": native,
            "ivar": np.full(len(native), SIGMA**-2 / n_exposures),
            "mask": np.zeros(len(native), np.int32),
            "wdisp": np.full(len(native), dispersion),
            **(exposures or {}).get(i, {}),
        }
        hdus.append(exposure_hdu(f"B1-{100 + i:08d}-00000099-00000098", columns, upper_case))
    for i in range(n_red):
        native = RED_LOGLAM + 0.8 * COEFF1 * np.arange(400)
        columns = {
            "flux": noiseless_flux(native, z),
            "loglam": native,
            "ivar": np.full(400, SIGMA**-2 / n_exposures),
            "mask": np.zeros(400, np.int32),
            "wdisp": np.full(400, dispersion),
        }
        hdus.append(exposure_hdu(f"r1-{100 + i:08d}-00000099-00000098", columns, upper_case))
    return make_spec(
        path, z=z, flux=total / max(n_exposures, 1), wdisp=np.full(n_pixels, dispersion),
        coeff0=coeff0, upper_case=upper_case, extra_hdus=hdus, **spec,
    )  # fmt: skip


def exposure_hdu(
    name: str, columns: Mapping[str, np.ndarray | None], upper_case: bool = False
) -> fits.BinTableHDU:
    """One exposure of a full spec file; a column that is None is left out."""
    case = str.upper if upper_case else str
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column(case(key), "J" if key == "mask" else f"{np.size(column[0])}E", array=column)
            for key, column in columns.items()
            if column is not None
        ]
    )
    # EXTNAME is written as it is given: astropy's `name` would put it in capitals.
    hdu.header["EXTNAME"] = name
    return hdu


def default_fibres(n_fibres: int) -> list[dict[str, Any]]:
    """A plate's catalogue values: galaxies, but a sky fibre, a star, a quasar, a near galaxy."""
    fibres: list[dict[str, Any]] = [
        {"FIBERID": i + 1, "Z": 0.45 + 0.01 * (i % 15)} for i in range(n_fibres)
    ]
    special: list[dict[str, Any]] = [
        {"OBJTYPE": "SKY", "CLASS": "GALAXY"},
        {"CLASS": "STAR", "SUBCLASS": "F5", "Z": 1e-4, "OBJTYPE": "SPECTROPHOTO_STD"},
        {"CLASS": "QSO", "SUBCLASS": "BROADLINE", "Z": 2.3, "OBJTYPE": "QSO"},
        {"Z": 0.1},
    ]
    for fibre, values in zip(fibres[1::2], special, strict=False):
        fibre.update(values)
    return fibres


PLATE_ORDER = ("FLUX", "IVAR", "ANDMASK", "ORMASK", "WAVEDISP", "PLUGMAP", "SKY")


def make_plate(
    folder: Path | str,
    *,
    plate: int = PLATE,
    mjd: int = MJD,
    n_fibres: int = 12,
    n_pixels: int = N_PIXELS,
    coeff0: float = COEFF0,
    fibres: Sequence[Mapping[str, Any]] | None = None,
    flux: np.ndarray | None = None,
    ivar: np.ndarray | None = None,
    and_mask: np.ndarray | None = None,
    wavedisp: np.ndarray | None = None,
    lines: Mapping[int, Lines] | None = None,
    zbest: str | None = "beside",
    zbest_order: Sequence[int] | None = None,
    zbest_columns: Sequence[str] | None = None,
    names: bool = True,
    order: Sequence[str] = PLATE_ORDER,
    header: Mapping[str, Any] | None = None,
    datasum: bool = True,
    gz: bool = False,
    rng: np.random.Generator | None = None,
) -> Path:
    """Write an spPlate file and its spZbest, and return the path of the former.

    Parameters
    ----------
    fibres : sequence of mappings, optional
        Catalogue values by fibre, over the defaults; `default_fibres` when missing.
    flux, ivar, and_mask, wavedisp : array of shape (n_fibres, n_pixels), optional
        The images.
    lines : mapping, optional
        Lines (wave, flux) put into the spectrum of a fibre, by FIBERID.
    zbest : {"beside", "run2d", None}
        Where the spZbest file goes.
    zbest_order : sequence of int, optional
        Order of its rows.
    names : bool
        Write EXTNAME, or leave the HDUs to be known by their position.
    order : sequence of str
        HDUs of the file; those left out are missing.
    """
    rng = rng or np.random.default_rng([plate, mjd])
    rows = [
        catalogue_row(**{"PLATE": plate, "MJD": mjd, "FIBERID": i + 1, **values})
        for i, values in enumerate(default_fibres(n_fibres) if fibres is None else fibres)
    ]
    shape = (len(rows), n_pixels) if flux is None else flux.shape
    loglam = loglam_of(shape[1], coeff0)
    if flux is None:
        put_in = lines or {}
        levels = [0.0 if row["OBJTYPE"] == "SKY" else 2.0 for row in rows]
        flux = np.array(
            [
                make_flux(loglam, row["Z"], rng, put_in.get(row["FIBERID"], ()), level)
                for row, level in zip(rows, levels, strict=True)
            ]
        )
    images = {
        "FLUX": flux.astype(np.float32),
        "IVAR": _default(ivar, shape, SIGMA**-2).astype(np.float32),
        "ANDMASK": _default(and_mask, shape, 0).astype(np.int32),
        "ORMASK": np.zeros(shape, np.int32),
        "WAVEDISP": _default(wavedisp, shape, 1.1).astype(np.float32),
        "SKY": np.full(shape, 3.0, np.float32),
    }
    plugmap = fits.BinTableHDU.from_columns(
        [
            fits.Column("OBJTYPE", "16A", array=[row["OBJTYPE"] for row in rows]),
            fits.Column("RA", "D", array=[row["PLUG_RA"] for row in rows]),
            fits.Column("DEC", "D", array=[row["PLUG_DEC"] for row in rows]),
            fits.Column("FIBERID", "J", array=[row["FIBERID"] for row in rows]),
            fits.Column("MAG", "5E", array=[row["FIBER2MAG"] for row in rows]),
        ]
    )
    hdus: list[Any] = []
    for i, name in enumerate(order):
        if name == "PLUGMAP":
            hdu = plugmap
        else:
            hdu = fits.ImageHDU(images[name]) if i else fits.PrimaryHDU(images[name])
        if names:
            hdu.header["EXTNAME"] = name
        hdus.append(hdu)
    cards = {"PLATEID": plate, "MJD": mjd, "COEFF0": coeff0, "COEFF1": COEFF1, "RUN2D": RUN2D}
    hdus[0].header.update({**cards, **(header or {})})
    ending = ".fits.gz" if gz else ".fits"
    path = save(Path(folder) / f"spPlate-{plate:04d}-{mjd:05d}{ending}", hdus, datasum)
    if zbest:
        beside = Path(folder) / RUN2D if zbest == "run2d" else Path(folder)
        columns = zbest_columns or [
            n for n in CATALOGUE_FORMATS if n in rows[0] and n not in ("PLATEQUALITY", "FIBER2MAG")
        ]
        order_of_rows = range(len(rows)) if zbest_order is None else zbest_order
        table = catalogue_hdu([rows[i] for i in order_of_rows], columns)
        model = fits.ImageHDU(np.full(shape, 2.0, np.float32))
        name = f"spZbest-{plate:04d}-{mjd:05d}{ending}"
        save(beside / name, [fits.PrimaryHDU(), table, model], datasum)
    return path


def save(path: Path, hdus: Sequence[Any], datasum: bool = True) -> Path:
    """Write HDUs, with their checksums or without, gzipped where the name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "wb") as file:
        fits.HDUList(list(hdus)).writeto(file, checksum=datasum)
    return path


def _default(array: np.ndarray | None, shape: int | tuple[int, ...], value: float) -> np.ndarray:
    return np.full(shape, value) if array is None else array
