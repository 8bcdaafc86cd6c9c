"""What every reader of survey files promises: plates, fields and single files are held to the same.

The same spectra are written as each survey writes them, as one file and as single files; of DESI,
whose files hold many, as one file, on pixels of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_array_equal

from fixtures.coadds import STEP, TARGETID
from fixtures.fields import CATALOGID
from speclens.instrument import INSTRUMENTS
from speclens.read.desi.survey import COADDS
from speclens.read.discovery import find_survey_files
from speclens.read.survey import ReadSettings
from speclens.read.surveys import survey_named
from speclens.schema import flag_bit
from speclens.spectra import TARGET_DTYPE, LogGrid

N_FIBRES = 8
COEFF0 = 3.5532
GRIDS = {
    "window": LogGrid.covering(3800, 5000),
    "before the file": LogGrid.covering(3000, 3100),
    "across its start": LogGrid.covering(3500, 3700),
    "across its end": LogGrid.covering(5000, 6000),
    "one pixel": LogGrid(36000, 1),
    "more than the file": LogGrid.covering(3000, 9000),
}
SURVEYS = ("sdss", "sdssv", "desi", "arrays")
Reader = Callable[..., Any]


@dataclass
class Written:
    """The same spectra in the files of one survey.

    Parameters
    ----------
    survey : str
        Its name.
    together : list of str
        One file of all.
    single : list of str
        A file for each.
    catalogue : callable
        Writes a catalogue of rows of some of them, by number from 1.
    arrays : dict
        What was written; of DESI, what all of it is on the grid.
    names : sequence of str
        Names of the spectra.
    """

    survey: str
    together: list[str]
    single: list[str]
    catalogue: Callable[..., Path]
    arrays: dict[str, np.ndarray]
    names: Sequence[str]

    def names_in(self, targets: np.ndarray) -> list[str]:
        """Names of spectra, as the survey gives them."""
        return [*survey_named(self.survey).spectrum_names(targets)]


@pytest.fixture(scope="module", params=SURVEYS)
def survey(request, tmp_path_factory, write_plate, write_spec, write_catalogue, write_field,
           write_field_spec, write_field_catalogue, write_coadd,
           write_zcatalog) -> Written:  # fmt: skip
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(5)
    shape = (N_FIBRES, 1500)
    flux = rng.standard_normal(shape).astype("f4")
    ivar = rng.random(shape).astype("f4")
    mask = rng.integers(0, 2**28, shape)
    dispersion = (1 + rng.random(shape)).astype("f4")
    rows = [
        {"Z": 0.3 + 0.1 * i, "CLASS": ("GALAXY", "QSO")[i % 3 == 1], "SUBCLASS": "AGN",
         "OBJTYPE": ("GALAXY", "SKY")[i % 5 == 2], "ZWARNING": i}
        for i in range(N_FIBRES)
    ]  # fmt: skip
    if request.param == "desi":
        return written_by_desi(folder, rows, write_coadd, write_zcatalog)
    images = {"flux": flux, "ivar": ivar, "and_mask": mask, "coeff0": COEFF0}
    singles = [
        {"flux": flux[i], "ivar": ivar[i], "and_mask": mask[i], "wdisp": dispersion[i],
         "coeff0": COEFF0} for i in range(N_FIBRES)
    ]  # fmt: skip
    instrument = INSTRUMENTS[request.param]
    arrays = {
        "flux": flux, "ivar": ivar, "mask": instrument.is_masked(mask),
        "covered": instrument.is_covered(mask),
    }  # fmt: skip
    if request.param == "arrays":
        return written_as_tables(folder, rows, arrays, dispersion)
    if request.param == "sdss":
        fibres = [{"FIBERID": i + 1, **row} for i, row in enumerate(rows)]
        plate = write_plate(
            folder, fibres=fibres, wavedisp=dispersion, header={"QUALITY": "good"}, **images
        )
        specs = [
            write_spec(
                folder / f"spec-3655-55240-{i + 1:04d}.fits", fiberid=i + 1, z=row["Z"],
                class_=row["CLASS"], subclass="AGN", objtype=row["OBJTYPE"], zwarning=i, **own,
            )
            for i, (row, own) in enumerate(zip(rows, singles, strict=True))
        ]  # fmt: skip

        def catalogue(path, numbers, **values):
            given = [{**rows[n - 1], **values, "FIBERID": n} for n in numbers]
            return write_catalogue(path, given)

        names = [f"3655-55240-{i + 1:04d}" for i in range(N_FIBRES)]
        return Written("sdss", [str(plate)], [*map(str, specs)], catalogue, arrays, names)
    # Of a field the quality stands in the catalogue alone.
    own_rows = [{**row, "FIELDQUALITY": ""} for row in rows]
    field = write_field(folder, targets=own_rows, wavedisp=dispersion, **images)
    specs = [
        write_field_spec(folder, catalogid=CATALOGID + i, index=i + 1, row=row, z=row["Z"], **own)
        for i, (row, own) in enumerate(zip(own_rows, singles, strict=True))
    ]

    def field_catalogue(path, numbers, **values):
        known = {"PLATE": "FIELD"}
        values = {known.get(name, name): value for name, value in values.items()}
        given = [
            {**own_rows[n - 1], **values, "TARGET_INDEX": n, "CATALOGID": CATALOGID + n - 1}
            for n in numbers
        ]
        return write_field_catalogue(path, given)

    names = [Path(path).stem.removeprefix("spec-") for path in specs]
    return Written("sdssv", [str(field)], [*map(str, specs)], field_catalogue, arrays, names)


def written_as_tables(folder, rows, arrays, dispersion) -> Written:
    """Write spectra as plain tables, as whoever has no survey would."""
    names = [f"galaxy-{i + 1}" for i in range(N_FIBRES)]
    loglam = np.tile(COEFF0 + 1e-4 * np.arange(1500), (N_FIBRES, 1))
    flux, ivar, mask = (arrays[name] for name in ("flux", "ivar", "mask"))
    # What is masked has no flux and weighs nothing, as everything that comes as arrays.
    arrays |= {"flux": np.where(mask, 0, flux), "ivar": np.where(mask, 0, ivar)}
    arrays["covered"] = np.ones_like(mask)
    columns = {"LOGLAM": loglam, "FLUX": flux, "IVAR": ivar, "MASK": mask, "WDISP": dispersion}
    known = {name: [row[name] for row in rows] for name in ("Z", "CLASS")}
    table = Table({"NAME": names, **columns, **known})
    table["FLUX"].unit = "1e-17 erg / (s cm2 Angstrom)"
    table.write(folder / "all.fits")
    single = []
    for i, name in enumerate(names):
        one = Table({column: values[i] for column, values in columns.items()})
        one["FLUX"].unit = table["FLUX"].unit
        one.meta |= {key: values[i] for key, values in known.items()}
        one.write(folder / f"{name}.fits")
        single.append(str(folder / f"{name}.fits"))

    def catalogue(path, numbers, **others):
        asked = [f"{'star' if others else 'galaxy'}-{n}" for n in numbers]
        chosen = {key: [values[n - 1] for n in numbers] for key, values in known.items()}
        Table({"SPECTRUM": asked, **chosen}).write(path)
        return path

    return Written("arrays", [str(folder / "all.fits")], single, catalogue, arrays, names)


def written_by_desi(folder, rows, write_coadd, write_zcatalog) -> Written:
    own = [
        {"Z": row["Z"], "SPECTYPE": row["CLASS"], "SUBTYPE": row["SUBCLASS"],
         "ZWARN": row["ZWARNING"], "OBJTYPE": row["OBJTYPE"].replace("GALAXY", "TGT")}
        for row in rows
    ]  # fmt: skip
    # From the first to the last pixel of the others.
    arms = {"B": (3574.0, 1844)}
    mask = np.random.default_rng(5).integers(0, 50, (N_FIBRES, 1844)) == 7
    coadd = write_coadd(folder, targets=own, arms=arms, images={"B_MASK": mask.astype("u4")})
    grid = LogGrid(round(COEFF0 * 1e4), 1500)
    with survey_named("desi").open(COADDS, [str(coadd)], grid, ReadSettings()) as (source, _):
        batch = source.spectra(np.arange(N_FIBRES))
    assert batch.covered.all()
    assert batch.grid.wave[-1] - batch.grid.wave[0] < STEP * 1844
    arrays = {name: getattr(batch, name) for name in ("flux", "ivar", "mask", "covered")}

    def catalogue(path, numbers, **values):
        known = {"PLATE": "TARGETID"}
        values = {known.get(name, name): value for name, value in values.items()}
        return write_zcatalog(path, [{**own[n - 1], "number": n, **values} for n in numbers])

    files = [str(coadd)]
    names = [f"main-dark-{TARGETID + i}" for i in range(N_FIBRES)]
    return Written("desi", files, files, catalogue, arrays, names)


@pytest.fixture
def opened(survey, tmp_path) -> Iterator[Reader]:
    """`opened(files, grid, catalogue=None)`: the source over files, as a search opens them."""
    with ExitStack() as stack:

        def open_files(files, grid, catalogue=None):
            found = find_survey_files(files)
            ((kind, paths),) = found.of_kind.items()
            assert kind.survey == survey.survey
            stored = None
            if catalogue is not None:
                stored = tmp_path / "catalogue.rows"
                survey_named(kind.survey).catalogue(str(catalogue), paths).store(stored)
            settings = ReadSettings(True, stored)
            source, failures = stack.enter_context(
                survey_named(kind.survey).open(kind, paths, grid, settings)
            )
            assert not failures
            return source

        yield open_files


@pytest.fixture(params=["together", "single"])
def read(request, survey, opened) -> Reader:
    """`read(grid, catalogue=None)`: the source over the one file or over the single files."""
    return lambda *arguments: opened(getattr(survey, request.param), *arguments)


def check_same(one, other):
    """Field by field, for what is unknown is no number."""
    assert one.dtype == other.dtype == TARGET_DTYPE
    for name in TARGET_DTYPE.names:
        assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_all_in_one_and_single_files_give_the_same_spectra(survey, opened, grid):
    rows = np.arange(N_FIBRES)
    of_one, of_many = (
        opened(files, grid).spectra(rows) for files in (survey.together, survey.single)
    )
    for name in ("flux", "ivar", "mask", "covered", "dispersion"):
        assert_array_equal(getattr(of_one, name), getattr(of_many, name))
        assert getattr(of_one, name).dtype == getattr(of_many, name).dtype
    check_same(of_one.targets, of_many.targets)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_reading_a_window_is_reading_all_and_cutting(read, survey, grid):
    batch = read(grid).spectra(np.arange(N_FIBRES))
    for j in range(grid.n_pixels):
        i = grid.first + j - round(COEFF0 * 1e4)
        for name in ("flux", "ivar", "mask", "covered"):
            outside = name == "mask"
            array = survey.arrays[name]
            column = array[:, i] if 0 <= i < 1500 else np.full(N_FIBRES, outside)
            if (getattr(batch, name)[:, j] != column).any():
                pytest.fail(f"{name} of pixel {j}")


def test_every_source_is_aligned_with_its_targets(read, survey):
    source = read(GRIDS["window"])
    assert source.survey == survey.survey
    assert source.targets.dtype == TARGET_DTYPE
    assert survey.names_in(source.targets) == [*survey.names]
    assert len(source.reasons) == len(source.flags) == len(source.files) == N_FIBRES
    assert (source.reasons == "").all()
    batch = source.spectra(np.array([1, 4]))
    assert survey.names_in(batch.targets) == [survey.names[1], survey.names[4]]
    assert batch.files == [source.files[1], source.files[4]]


def test_every_spectrum_has_a_name_of_its_own_and_a_place(read, survey):
    targets = read(GRIDS["window"]).targets
    names = survey_named(survey.survey).spectrum_names(targets)
    assert len({*names}) == N_FIBRES
    assert all(name.isascii() and name for name in names)
    places = survey_named(survey.survey).detector_places(targets)
    in_fibres = (targets["FIBERID"] > 0).all()
    assert (np.diff(places) == 1).all() if in_fibres else (places == -1).all()


def test_no_rows_are_an_empty_batch(read):
    batch = read(GRIDS["window"]).spectra(np.zeros(0, int))
    assert len(batch) == 0
    assert batch.flux.shape == (0, 1192)


def test_a_catalogue_replaces_the_files_own_rows(read, survey, tmp_path):
    own = read(GRIDS["window"]).targets
    path = survey.catalogue(tmp_path / "spAll.fits", range(1, N_FIBRES + 1))
    given = read(GRIDS["window"], path).targets
    check_same(own, given)


def test_c2_a_catalogue_of_others_leaves_reasons(read, survey, tmp_path):
    path = survey.catalogue(tmp_path / "spAll.fits", [1], PLATE=1)
    source = read(GRIDS["window"], path)
    # Of DESI's sky fibres no catalogue is asked.
    of_sky = (source.targets["OBJTYPE"] == "SKY") & (survey.survey == "desi")
    assert (source.reasons == np.where(of_sky, "", "not_in_catalogue")).all()
    assert survey.names_in(source.targets) == [*survey.names]


def test_c2_agreeing_rows_are_flagged(read, survey, tmp_path):
    path = survey.catalogue(tmp_path / "spAll.fits", [1, 1, 2])
    flags = read(GRIDS["window"], path).flags
    assert (flags[:2] & flag_bit("CATALOGUE_ROWS") > 0).tolist() == [True, False]
