"""Bad files: nothing is scored from them, they are named, and the run goes on."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import resource
import tracemalloc
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from typer.testing import CliRunner

from speclens.cli.app import app
from speclens.errors import SpectrumFileError
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.read.sdssv.dialect import SDSSV
from speclens.read.sdssv.field import open_field
from speclens.schema import CANDIDATES, HITS, REASONS, SPECTRA, flag_bit
from speclens.search import scan
from speclens.spectra import LogGrid

GRID = LogGrid(35800, 120)
KEEP = {"n_pixels": 200, "coeff0": 3.5780}
CUT = {"truncated", "missing_hdu", "not_fits"}
CODES = {reason.code for reason in REASONS}


class Sample:
    """A complete file, of which damaged copies are read."""

    def __init__(self, path, read):
        self.path, self.content, self._read = path, path.read_bytes(), read
        self.complete = self.read(self.content)
        assert isinstance(self.complete, tuple)

    def read(self, content, verify=True):
        """The spectra of a file with this content, or the error that it causes."""
        self.path.write_bytes(content)
        try:
            return self._read(verify)
        except SpectrumFileError as error:
            return checked(error)
        finally:
            if hasattr(self, "complete"):
                self.path.write_bytes(self.content)

    def hdus(self):
        """Start of the header, start and end of the data, padded end, of every HDU."""
        with fits.open(io.BytesIO(self.content)) as hdus:
            infos = [hdu.fileinfo() | {"size": hdu.size} for hdu in hdus]
        return [
            (i["hdrLoc"], i["datLoc"], i["datLoc"] + i["size"], i["datLoc"] + i["datSpan"])
            for i in infos
        ]


def checked(error):
    assert "\n" not in str(error)
    assert error.reason in CODES
    return error


def same(one, other):
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True)
    )


def arrays_of(source):
    batch = source.spectra(np.arange(len(source.targets)))
    targets = [batch.targets[name] for name in ("TARGETID", "SPECTRUM", "Z", "CLASS", "OBJTYPE")]
    return (batch.flux, batch.ivar, batch.mask, batch.covered, batch.dispersion, *targets)


def spec_reader(path, *dialect):
    def read(verify):
        specs = read_spec_files([str(path)], GRID, None, verify, *dialect)
        if specs.failures:
            raise specs.failures[0]
        return (*arrays_of(specs), specs.flags)

    return read


def plate_reader(path, opened=open_plate):
    def read(verify):
        with opened(str(path), GRID, verify=verify) as plate:
            return (*arrays_of(plate), plate.flags)

    return read


@pytest.fixture(scope="module")
def make_sample(tmp_path_factory, write_spec, write_plate, write_field_spec, write_field):
    def make(kind, datasum=True):
        folder = tmp_path_factory.mktemp("sample")
        if kind.startswith("sdssv"):
            return make_of_field(folder, kind, datasum)
        if kind.startswith("spec"):
            path = write_spec(folder / kind, datasum=datasum, **KEEP)
            return Sample(path, spec_reader(path))
        plate = write_plate(folder, n_fibres=4, datasum=datasum, gz=kind.endswith("gz"), **KEEP)
        path = next(folder.glob("spZbest*")) if kind.startswith("zbest") else plate
        return Sample(path, plate_reader(plate))

    def make_of_field(folder, kind, datasum):
        if "spec" in kind:
            name = f"spec-102359-60089-27021598149616104{kind.partition('spec')[2]}"
            path = write_field_spec(folder, name=name, datasum=datasum, **KEEP)
            return Sample(path, spec_reader(path, SDSSV))
        field = write_field(folder, n_targets=4, datasum=datasum, gz=kind.endswith("gz"), **KEEP)
        path = next(folder.glob("spZbest*")) if "zbest" in kind else field
        return Sample(path, plate_reader(field, open_field))

    return make


KINDS = ("spec", "plate", "zbest", "sdssv spec", "sdssv field", "sdssv zbest")


@pytest.fixture(scope="module", params=[f"{kind}.fits" for kind in KINDS])
def plain(request, make_sample):
    """A file that carries checksums."""
    return make_sample(request.param)


@pytest.fixture(scope="module", params=[f"{kind}.fits" for kind in KINDS])
def unsummed(request, make_sample):
    """A file without checksums."""
    return make_sample(request.param, datasum=False)


@pytest.fixture(scope="module", params=[f"{kind}.fits.gz" for kind in KINDS])
def gzipped(request, make_sample):
    """A gzipped file without checksums of its own."""
    return make_sample(request.param, datasum=False)


def check_cut(sample, length):
    """A file cut short is an error, unless all that is used was complete before the cut."""
    found = sample.read(sample.content[:length])
    if isinstance(found, SpectrumFileError):
        assert found.reason in CUT
        if found.reason == "truncated":
            assert re.search(r"\d+ bytes expected.*\d+ found", str(found))
        return
    assert same(found, sample.complete)
    boundaries = [range(end, padded + 1) for _, _, end, padded in sample.hdus()]
    assert any(length in boundary for boundary in boundaries)


def test_a2_a_file_cut_at_any_block_gives_nothing_or_everything(unsummed):
    for length in range(0, len(unsummed.content), 2880):
        check_cut(unsummed, length)


@settings(deadline=None, max_examples=60)
@given(fraction=st.floats(0, 1, exclude_max=True))
def test_a2_a_file_cut_anywhere_gives_nothing_or_everything(unsummed, fraction):
    check_cut(unsummed, int(fraction * len(unsummed.content)))


def test_a3_a_file_cut_between_hdus_is_a_missing_hdu(unsummed):
    named = []
    for start, *_ in unsummed.hdus()[1:]:
        found = unsummed.read(unsummed.content[:start])
        if isinstance(found, SpectrumFileError):
            assert found.reason == "missing_hdu"
            named.append(str(found))
        else:
            assert same(found, unsummed.complete)
    assert named
    if unsummed.path.name.startswith(("spPlate", "spField")):
        assert "IVAR" in named[0]


def flipped(content, place, bit=0):
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


N_USED = {"spec": 2, "spPlate": 5, "spZbest": 1}


def used_hdus(sample):
    """Data of the HDUs that the search uses; SKY, OR mask, model and lines are not among them."""
    hdus = [(start, end) for _, start, end, _ in sample.hdus() if end > start]
    kind = sample.path.name.split("-")[0].split(".")[0]
    if kind in ("spPlate", "spField"):
        return hdus[:3] + hdus[4:6]
    return hdus[: N_USED[kind]]


def test_a4_a_flipped_bit_is_refused_or_flagged(plain):
    for start, end in used_hdus(plain):
        for place in (start, (start + end) // 2, end - 1):
            content = flipped(plain.content, place, bit=2)
            error = plain.read(content)
            assert isinstance(error, SpectrumFileError)
            assert error.reason == "checksum"
            assert "--no-verify" in str(error)
            unverified = plain.read(content, verify=False)
            if isinstance(unverified, SpectrumFileError):
                assert unverified.reason == "bad_identity"
            else:
                assert (unverified[-1] & flag_bit("CHECKSUM")).all()


def test_a4_files_with_good_checksums_carry_no_flag(plain):
    assert (plain.complete[-1] == 0).all()


def test_a4_files_without_checksums_are_read_as_unverified(unsummed):
    assert (unsummed.complete[-1] & flag_bit("UNVERIFIED")).all()


@settings(deadline=None, max_examples=80)
@given(fraction=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a5_a_flipped_bit_in_a_gzip_never_changes_a_spectrum(gzipped, fraction, bit):
    content = flipped(gzipped.content, int(fraction * len(gzipped.content)), bit)
    found = gzipped.read(content)
    if isinstance(found, SpectrumFileError):
        assert found.reason in {"gzip_crc", "not_fits"}
    else:
        assert same(found, gzipped.complete)


@settings(deadline=None, max_examples=40)
@given(fraction=st.floats(0, 1, exclude_max=True))
def test_a5_a_gzip_cut_short_gives_nothing(gzipped, fraction):
    length = int(fraction * len(gzipped.content))
    found = gzipped.read(gzipped.content[:length])
    assert isinstance(found, SpectrumFileError)
    assert found.reason == ("gzip_crc" if length > 1 else "not_fits")


def with_card(content, key, value):
    """Replace the value of a card wherever it stands."""
    card = f"{key:<8}= {value:>20}".ljust(80).encode()
    changed, number = re.subn(f"{key:<8}= .{{70}}".encode(), card, content, flags=re.DOTALL)
    assert number
    return changed


OF_LIES = {"bad_header", "truncated", "missing_column", "missing_hdu", "no_catalogue",
           "unknown_layout"}  # fmt: skip
LIES = [
    ("NAXIS2", 10**9), ("NAXIS2", 10**18), ("NAXIS2", -1), ("NAXIS2", "'many'"), ("NAXIS1", 10**15),
    ("NAXIS1", 7), ("NAXIS1", 0), ("NAXIS", 999), ("NAXIS", -1), ("NAXIS", "T"), ("BITPIX", 7),
    ("BITPIX", 0), ("BITPIX", "'8'"), ("TFIELDS", 999), ("TFIELDS", 0), ("TFIELDS", "'x'"),
    ("TFORM1", "'99999E'"), ("TFORM1", "'?'"), ("TFORM1", "'-1E'"), ("TFORM1", 5),
    ("NAXIS2", "T"), ("PCOUNT", 10**12), ("PCOUNT", -1), ("GCOUNT", -5), ("GCOUNT", 10**10),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), LIES, ids=[f"{k}={v}" for k, v in LIES])
def test_a7_a_header_that_lies_is_refused_in_little_memory(unsummed, key, value):
    if f"{key:<8}= ".encode() not in unsummed.content:
        pytest.skip("no such card")
    content = with_card(unsummed.content, key, value)
    tracemalloc.start()
    error = unsummed.read(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(error, SpectrumFileError)
    assert error.reason in OF_LIES
    assert peak < 10 * len(content) + 1e6


@settings(deadline=None, max_examples=150)
@given(
    place=st.floats(0, 1, exclude_max=True),
    patch=st.binary(min_size=1, max_size=12) | st.sampled_from([b"-1", b"9999", b"'", b"/"]),
)
def test_a7_no_damage_to_a_header_does_more_than_fail_its_file(unsummed, place, patch):
    headers = np.concatenate([np.arange(start, data) for start, data, *_ in unsummed.hdus()])
    start = headers[int(place * len(headers))]
    content = unsummed.content[:start] + patch + unsummed.content[start + len(patch) :]
    with np.errstate(all="ignore"):
        unsummed.read(content)


def conserved(summary, rows):
    counts = summary.counts
    assert counts["read"] == len(rows) == counts["scored"] + counts["skipped"] + counts["failed"]
    assert ((rows["REASON"] == "") == (rows["STATUS"] == "scored")).all()
    assert np.isfinite(rows["SNR"][rows["STATUS"] == "scored"]).all()
    assert np.isnan(rows["SNR"][rows["STATUS"] != "scored"]).all()


def test_a1_a8_one_good_file_among_all_sorts_of_bad_ones(
    tmp_path, write_spec, write_plate, search_into
):
    folder = tmp_path / "survey"
    good = write_spec(folder / "spec-3655-55240-0001.fits")
    content = good.read_bytes()
    bad = {
        "spec-0001-50000-0001.fits": (b"", "not_fits"),
        "spec-0001-50000-0002.fits": (b"<html>502 Bad Gateway</html>", "not_fits"),
        "spec-0001-50000-0003.fits": (content[:50000], "truncated"),
        "spec-0001-50000-0004.fits": (flipped(content, 20000), "checksum"),
        "spec-0001-50000-0005.fits.gz": (gzip.compress(content)[:-20], "gzip_crc"),
        "spec-0001-50000-0006.fits": (gzip.compress(bytes(100 << 20)), "too_large"),
        "spec-0001-50000-0007.fits": (with_card(content, "NAXIS2", 10**9), "bad_header"),
        "spec-99999999999999-50000-0008.fits": (b"", "not_fits"),
        "spPlate-0001-50000.fits": (bytes(10), "not_fits"),
    }
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "spec-0001-50000-0009.fits")
    (folder / "spec-0001-50000-0010.fits").symlink_to(folder / "nowhere")
    write_plate(folder / "cut", plate=4000, n_fibres=3, order=["FLUX"])
    summary, rows, messages = search_into(tmp_path / "run", folder)
    conserved(summary, rows)
    by_name = {os.path.basename(row["FILE"]): row["REASON"] for row in rows}
    expected = {name: reason for name, (_, reason) in bad.items()}
    expected |= dict.fromkeys(
        ["spec-0001-50000-0009.fits", "spec-0001-50000-0010.fits"], "not_regular"
    )
    expected |= {good.name: "", "spPlate-4000-55240.fits": "missing_hdu"}
    assert by_name == expected
    assert summary.counts["failed"] == len(bad) + 2 + 3
    assert len(messages) == len(bad) + 3
    for name in expected.keys() - {good.name}:
        assert sum(name in message for message in messages) == 1
    assert not any("\n" in message for message in messages)
    known = rows[rows["FILE"] == str(folder / "spec-0001-50000-0003.fits")]
    assert known["TARGETID"].tolist() == [1500000003]


def test_e1_a_file_that_breaks_the_program_leaves_its_neighbours_unharmed(
    tmp_path, write_spec, search_into, monkeypatch
):
    paths = [write_spec(tmp_path / f"spec-{i}.fits", fiberid=i) for i in (1, 2, 3)]

    def poisoned(files, *arguments):
        if str(paths[1]) in files:
            raise ZeroDivisionError("poison")
        return read_spec_files(files, *arguments)

    monkeypatch.setattr("speclens.read.sdss.survey.read_spec_files", poisoned)
    summary, rows, messages = search_into(tmp_path / "run", *paths)
    conserved(summary, rows)
    assert rows["REASON"].tolist() == ["", "internal_error", ""]
    assert len(messages) == 1
    assert str(paths[1]) in messages[0]


def test_a9_a_plate_that_shrinks_in_the_search_fails_with_all_its_fibres(
    tmp_path, write_plate, search_into, monkeypatch
):
    path = write_plate(tmp_path / "survey")
    monkeypatch.setattr("speclens.read.disk.SMALL_FILE", 0)
    refusals = scan.refusals

    def shrink_then_select(*arguments):
        os.truncate(path, 5760)
        return refusals(*arguments)

    monkeypatch.setattr(scan, "refusals", shrink_then_select)
    summary, rows, _ = search_into(tmp_path / "run", path.parent)
    conserved(summary, rows)
    assert rows["REASON"].tolist() == ["truncated"] * 12
    assert rows["FIBERID"].tolist() == list(range(1, 13))


@contextlib.contextmanager
def few_open_files(n_more):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + n_more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_a11_many_files_need_few_open_ones(tmp_path, write_spec, write_plate):
    content = write_spec(tmp_path / "spec.fits", **KEEP).read_bytes()
    broken = content[:9000]
    paths = [tmp_path / f"spec-{i}.fits" for i in range(300)]
    for i, path in enumerate(paths):
        path.write_bytes(broken if i % 3 == 0 else content)
    plate = str(write_plate(tmp_path, n_fibres=2, **KEEP))
    with few_open_files(16):
        specs = read_spec_files([str(path) for path in paths], GRID)
        for _ in range(50):
            with open_plate(plate, GRID) as file:
                file.spectra(np.arange(2))
    assert len(specs.batch) == 200
    assert {failure.reason for failure in specs.failures} == {"truncated"}


@pytest.mark.parametrize("packed", [True, False])
def test_a12_files_are_told_by_their_content_not_by_their_name(tmp_path, write_spec, packed):
    plain = write_spec(tmp_path / "spec.fits", **KEEP)
    expected = spec_reader(plain)(True)
    content = gzip.compress(plain.read_bytes()) if packed else plain.read_bytes()
    for ending in ("fits", "fits.gz", "fits.fz", "dat"):
        path = tmp_path / f"other.{ending}"
        path.write_bytes(content)
        assert same(spec_reader(path)(True), expected)


def test_a16_a_spectrum_in_many_files_is_scored_once(
    tmp_path, write_spec, write_plate, search_into, rng
):
    folder = tmp_path / "survey"
    flux = (2 + 0.3 * rng.standard_normal((2, 1730))).astype("f4")
    wave = 10 ** (3.5515 + 1e-4 * np.arange(1730))
    flux[0] += 8 * np.exp(-0.5 * ((wave - 4200) / 2.1) ** 2)
    write_plate(folder, fibres=[{"FIBERID": 1}, {"FIBERID": 2}], flux=flux)
    spec = write_spec(folder / "spec-3655-55240-0001.fits", flux=flux[0])
    write_spec(folder / "spec-3655-55240-0001.fits.gz", flux=flux[0])
    write_spec(folder / "deep" / "spec-3655-55240-0001.fits", flux=flux[0])
    os.link(spec, folder / "spec-linked.fits")
    summary, rows, _ = search_into(tmp_path / "run", folder, spec)
    conserved(summary, rows)
    assert rows["REASON"].tolist() == ["", "", "duplicate", "duplicate", "duplicate"]
    assert rows["TARGETID"].tolist() == [3655552400001, 3655552400002] + [3655552400001] * 3
    hits = Table.read(tmp_path / "run" / "hits.fits")
    (hit,) = hits[hits["TARGETID"] == 3655552400001]
    assert abs(hit["WAVE"] - 4200) < 1


def test_a16_a_good_copy_counts_when_the_first_is_damaged(tmp_path, write_spec, search_into):
    good = write_spec(tmp_path / "survey" / "b" / "spec-3655-55240-0001.fits")
    (tmp_path / "survey" / "a").mkdir()
    (tmp_path / "survey" / "a" / good.name).write_bytes(good.read_bytes()[:9999])
    summary, rows, _ = search_into(tmp_path / "run", tmp_path / "survey")
    conserved(summary, rows)
    assert sorted(rows["REASON"]) == ["", "truncated"]


ODD = [
    "spec with spaces.fits", "spec-new\nline.fits", "spec-tab\t.fits", "spec-ünïcödé-✨.fits",
    "spec-\udcff\udcfe.fits", "spec-;rm -rf canary;.fits", "spec-$(touch canary).fits",
    "spec-%41%00.fits", "spec-'\"<script>.fits", "spec-*?[a].fits", "spec-" + "x" * 240 + ".fits",
]  # fmt: skip


def test_a17_odd_paths_are_read_and_come_back_whole(tmp_path, write_spec, search_into):
    folder = tmp_path / "deep" / ("d" * 200) / ("e" * 200)
    folder.mkdir(parents=True)
    canary = folder / "canary"
    canary.write_text("alive")
    content = write_spec(tmp_path / "one.fits").read_bytes()
    names = ODD[1:]
    for name in names:
        (folder / name).write_bytes(content)
    (folder / "spec-broken\nspec-name.fits").write_bytes(b"")
    summary, rows, messages = search_into(tmp_path / "run", folder, folder.parent)
    conserved(summary, rows)
    assert summary.counts["failed"] == 1
    assert summary.counts["scored"] == 1
    found = {unquote_to_bytes(file) for file in rows["FILE"].tolist()}
    expected = {os.fsencode(folder / name) for name in [*names, "spec-broken\nspec-name.fits"]}
    assert found == expected
    assert all(file.isascii() and file.isprintable() for file in rows["FILE"].tolist())
    assert not any("\n" in message for message in messages)
    assert canary.read_text() == "alive"


def test_a17_names_that_look_like_options_or_are_odd_are_read_when_named(
    tmp_path, write_spec, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("-odd.fits", "--help", *ODD)):
        write_spec(tmp_path / "written.fits", fiberid=i + 1).rename(name)
    names = ["-odd.fits", "--help", *ODD]
    result = CliRunner().invoke(app, ["search", "-o", "run", "--workers", "1", "-q", "--", *names])
    assert result.exit_code == 0, result.output
    rows = Table.read("run/spectra.fits")
    assert len(rows) == len(names)
    assert set(rows["STATUS"]) == {"scored"}


def test_c1_identifiers_beyond_2_to_the_53_are_exact_in_every_table(
    tmp_path, write_spec, search_into
):
    plate = 20_000_007
    path = write_spec(tmp_path / "spec.fits", plate=plate, fiberid=3, lines=[(4300, 60)])
    _, rows, _ = search_into(tmp_path / "run", path)
    number = plate * 10**9 + 552400003
    assert number > 2**53
    assert rows["TARGETID"].tolist() == [number]
    for name in ("hits.fits", "hits.ecsv", "candidates.fits", "candidates.ecsv"):
        assert Table.read(tmp_path / "run" / name)["TARGETID"].tolist() == [number]
    assert str(number) in (tmp_path / "run" / "candidates.csv").read_text()


def test_c2_rows_and_files_that_do_not_match(tmp_path, write_spec, write_catalogue, search_into):
    folder = tmp_path / "survey"
    for i in (1, 2, 3, 4):
        write_spec(folder / f"spec-3655-55240-000{i}.fits", fiberid=i, catalogue=None)
    rows = [{"FIBERID": 1}, {"FIBERID": 2}, {"FIBERID": 2}, {"FIBERID": 3, "Z": 0.5},
            {"FIBERID": 3, "Z": 0.6}, {"FIBERID": 99}]  # fmt: skip
    catalogue = write_catalogue(tmp_path / "spAll.fits", rows)
    summary, found, _ = search_into(tmp_path / "run", folder, catalogue=str(catalogue))
    conserved(summary, found)
    assert found["REASON"].tolist() == ["", "", "ambiguous_catalogue", "not_in_catalogue"]
    assert found["FIBERID"].tolist() == [1, 2, 3, 4]
    assert found["FLAGS"][1] & flag_bit("CATALOGUE_ROWS")


def test_c2_an_empty_catalogue_gives_complete_empty_tables(
    tmp_path, write_spec, write_plate, write_catalogue
):
    write_spec(tmp_path / "survey" / "spec-3655-55240-0001.fits")
    write_plate(tmp_path / "survey", plate=4000, n_fibres=3)
    catalogue = write_catalogue(tmp_path / "spAll.fits", [])
    arguments = [tmp_path / "survey", "-o", tmp_path / "run", "--catalogue", catalogue]
    result = CliRunner().invoke(app, ["search", *map(str, arguments), "--workers", "1"])
    assert result.exit_code == 0, result.output
    rows = Table.read(tmp_path / "run" / "spectra.fits")
    assert rows["REASON"].tolist() == ["not_in_catalogue"] * 4
    assert rows.colnames == [column.name for column in SPECTRA]
    for stem, columns in (("hits", HITS), ("candidates", CANDIDATES)):
        for ending in ("fits", "ecsv"):
            table = Table.read(tmp_path / "run" / f"{stem}.{ending}")
            assert len(table) == 0
            assert table.colnames == [column.name for column in columns]


def test_exit_code_3_tells_of_failed_files(tmp_path, write_spec):
    write_spec(tmp_path / "survey" / "spec-3655-55240-0001.fits")
    (tmp_path / "survey" / "spec-3655-55240-0002.fits").write_bytes(b"")
    arguments = [tmp_path / "survey", "-o", tmp_path / "run", "--workers", "1"]
    result = CliRunner().invoke(app, ["search", *map(str, arguments)])
    assert result.exit_code == 3
    assert "failed 1" in result.output


def test_the_complete_samples_are_what_they_should_be(plain):
    flux, ivar = plain.complete[:2]
    assert flux.shape[1] == GRID.n_pixels
    assert (ivar > 0).all()
    assert_array_equal(np.isfinite(flux), True)
