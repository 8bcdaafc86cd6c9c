"""One file: whole under its name, or a part that is of this file; never anything else."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.servers import FileServer, content, cut, status, web_page, without_length
from speclens.errors import RunError
from speclens.fetch.archive import PAUSES, Archive
from speclens.fetch.download import Downloads
from speclens.fetch.faults import LostError, NotThereError, PassingError
from speclens.releases import Place

PATH = "v5_7_0/spectra/lite/3655/spec-3655-55240-0001.fits"
SUMS = "v5_7_0/spectra/lite/3655/sums.sha256sum"


@pytest.fixture(scope="session")
def spectrum(tmp_path_factory: pytest.TempPathFactory, write_spec: Callable[..., Path]) -> bytes:
    return write_spec(tmp_path_factory.mktemp("spec") / "spec-3655-55240-0001.fits").read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "survey"


@pytest.fixture
def target(folder: Path) -> Path:
    return folder / PATH


@pytest.fixture
def place(server: FileServer, spectrum: bytes) -> Place:
    server.files[f"/{PATH}"] = spectrum
    return Place(server.url, PATH)


@pytest.fixture
def downloads(archive: Archive, folder: Path) -> Downloads:
    folder.mkdir()
    return Downloads(archive, folder)


def files_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def the_part(folder: Path) -> Path:
    (name,) = files_in(folder)
    assert name.endswith(".part")
    return folder / name


def ranges(server: FileServer) -> list[str]:
    return [headers.get("Range", "") for verb, _, headers in server.requests if verb == "GET"]


def test_a_file_comes_whole(
    downloads: Downloads, place: Place, folder: Path, spectrum: bytes, server: FileServer
) -> None:
    assert not downloads.has(place)
    assert downloads.fetch(place) == len(spectrum)
    assert downloads.has(place)
    assert files_in(folder) == [PATH]
    assert (folder / PATH).read_bytes() == spectrum
    assert server.asked() == [f"/{PATH}"]


def test_one_connection_serves_many_requests(
    downloads: Downloads, place: Place, server: FileServer, target: Path
) -> None:
    for _ in range(5):
        downloads.fetch(place)
        target.unlink()
    assert len(server.requests) == 10
    assert server.n_connections == 1


def test_the_length_is_asked_for_and_nothing_fetched(
    downloads: Downloads, place: Place, folder: Path, spectrum: bytes, server: FileServer
) -> None:
    assert downloads.size(place) == len(spectrum)
    assert files_in(folder) == []
    assert server.asked() == []


@pytest.mark.parametrize("has_etags", [True, False])
@pytest.mark.parametrize("n_bytes", [1, 2880, 20000])
def test_h6_what_broke_off_goes_on(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, target: Path,
    n_bytes: int, has_etags: bool,
) -> None:  # fmt: skip
    server.has_etags = has_etags
    server.fail(f"/{PATH}", cut(n_bytes), cut(1000))
    downloads.fetch(place)
    assert target.read_bytes() == spectrum
    assert ranges(server) == ["", f"bytes={n_bytes}-", f"bytes={n_bytes + 1000}-"]


def test_h6_another_run_goes_on_where_the_first_one_was_killed(
    archive: Archive, downloads: Downloads, place: Place, spectrum: bytes, server: FileServer,
    folder: Path, target: Path,
) -> None:  # fmt: skip
    server.fail(f"/{PATH}", cut(5000), *[status(500)] * len(PAUSES))
    with pytest.raises(PassingError):
        downloads.fetch(place)
    assert the_part(folder).read_bytes() == spectrum[:5000]
    server.requests.clear()
    assert Downloads(archive, folder).fetch(place) == len(spectrum)
    assert ranges(server) == ["bytes=5000-"]
    assert files_in(folder) == [PATH]
    assert target.read_bytes() == spectrum


@pytest.mark.parametrize("has_etags", [True, False])
def test_h6_a_file_that_was_replaced_is_never_joined_with_its_old_half(
    archive: Archive, downloads: Downloads, place: Place, spectrum: bytes, server: FileServer,
    folder: Path, target: Path, has_etags: bool, write_spec: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server.has_etags = has_etags
    server.fail(f"/{PATH}", cut(5000), *[status(500)] * len(PAUSES))
    with pytest.raises(PassingError):
        downloads.fetch(place)
    other = write_spec(tmp_path / "spec-3655-55240-0001.fits", z=0.7).read_bytes()
    assert len(other) == len(spectrum)
    server.files[f"/{PATH}"] = other
    monkeypatch.setattr("fixtures.servers.DATE", "Thu, 12 Jan 2023 10:00:00 GMT")
    Downloads(archive, folder).fetch(place)
    assert target.read_bytes() == other
    assert files_in(folder) == [PATH]


def test_h6_a_file_that_is_replaced_between_two_requests_is_begun_anew(
    downloads: Downloads, place: Place, server: FileServer, target: Path, tmp_path: Path,
    write_spec: Callable[..., Path],
) -> None:  # fmt: skip
    other = write_spec(tmp_path / "spec-3655-55240-0001.fits", z=0.7).read_bytes()

    def replace(handler: Any) -> None:
        server.files[f"/{PATH}"] = other
        handler.serve_file(other, True)

    server.fail(f"/{PATH}", cut(5000), replace)
    downloads.fetch(place)
    assert target.read_bytes() == other


def test_h6_a_server_without_ranges_sends_all_again(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, target: Path
) -> None:
    server.has_ranges = False
    server.fail(f"/{PATH}", cut(5000))
    downloads.fetch(place)
    assert target.read_bytes() == spectrum


def test_h6_a_part_that_nothing_marks_is_begun_anew(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, target: Path
) -> None:
    server.has_etags = server.has_dates = False
    server.fail(f"/{PATH}", cut(5000))
    downloads.fetch(place)
    assert target.read_bytes() == spectrum
    assert ranges(server) == ["", ""]


def test_a_weak_tag_does_not_mark_bytes(place: Place, server: FileServer, archive: Archive) -> None:
    server.fail(f"/{PATH}", status(200, ETag='W/"x"', Last_Modified="then"), method="HEAD")
    assert archive.head(place.url).validator == "then"


def test_h6_a_part_that_was_complete_is_not_fetched_again(
    downloads: Downloads, place: Place, server: FileServer, folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            downloads.fetch(place)
    assert the_part(folder)
    server.requests.clear()
    downloads.fetch(place)
    assert server.asked() == []
    assert files_in(folder) == [PATH]


def test_h6_a_part_of_before_a_power_cut_is_begun_anew(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, folder: Path,
    target: Path,
) -> None:  # fmt: skip
    server.fail(f"/{PATH}", cut(len(spectrum) - 10), *[status(500)] * len(PAUSES))
    with pytest.raises(PassingError):
        downloads.fetch(place)
    # Zeros in the middle leave the structure whole.
    part = the_part(folder)
    part.write_bytes(spectrum[:-9000] + bytes(8990))
    os.utime(part, (1, 1))
    downloads.fetch(place)
    assert target.read_bytes() == spectrum


def test_h6_a_part_with_other_bytes_is_found_out(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, folder: Path,
    target: Path,
) -> None:  # fmt: skip
    server.fail(f"/{PATH}", cut(5000), *[status(500)] * len(PAUSES))
    with pytest.raises(PassingError):
        downloads.fetch(place)
    the_part(folder).write_bytes(bytes(5000))
    downloads.fetch(place)
    assert target.read_bytes() == spectrum


@pytest.mark.parametrize("n_bytes", [100_000_000, 40])
def test_h6_a_part_longer_than_the_file_is_begun_anew(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, folder: Path,
    target: Path, n_bytes: int,
) -> None:  # fmt: skip
    server.fail(f"/{PATH}", cut(5000), *[status(500)] * len(PAUSES))
    with pytest.raises(PassingError):
        downloads.fetch(place)
    os.truncate(the_part(folder), len(spectrum) + n_bytes)
    downloads.fetch(place)
    assert target.read_bytes() == spectrum


def test_h6_a_range_that_cannot_be_satisfied(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, target: Path
) -> None:
    server.fail(f"/{PATH}", cut(5000), status(416))
    downloads.fetch(place)
    assert target.read_bytes() == spectrum


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: handler.answer(206, b"x" * 10, {"Content-Range": "bytes 10-19/20"}),
        lambda handler: handler.answer(206, b"x" * 10, {"Content-Range": "lines 1-2/3"}),
        lambda handler: handler.answer(206, b"x" * 10, {}),
    ],
)
def test_h6_a_part_that_was_not_asked_for_is_not_taken(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, target: Path,
    answer: Callable[[Any], None],
) -> None:  # fmt: skip
    server.fail(f"/{PATH}", cut(5000), answer)
    downloads.fetch(place)
    assert target.read_bytes() == spectrum


def test_h6_wrong_length(
    downloads: Downloads, place: Place, server: FileServer, folder: Path, waits: list[float]
) -> None:
    announce = [lambda h: h.answer(200, b"", {"ETag": '"x"'}, 1_000_000)] * 9
    server.fail(f"/{PATH}", *announce, method="HEAD")
    with pytest.raises(PassingError, match="replaced while it was asked for"):
        downloads.fetch(place)
    assert waits == list(PAUSES)
    assert files_in(folder) == []


@pytest.mark.parametrize("sort", ["page", "page as bytes", "empty", "zeros", "text"])
def test_h6_what_is_no_fits_file_never_gets_the_name(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, folder: Path,
    sort: str,
) -> None:  # fmt: skip
    other = {"page": b"", "empty": b"", "zeros": bytes(len(spectrum)), "text": b"SIMPLY a text",
             "page as bytes": b"\n <!DOCTYPE html><html>Log in</html>"}[sort]  # fmt: skip
    if sort == "page":
        server.fail(f"/{PATH}", web_page)
    else:
        server.files[f"/{PATH}"] = other
    words = "a web page came" if "page" in sort else "damaged as it came: not_fits.*, twice"
    with pytest.raises(LostError, match=words):
        downloads.fetch(place)
    assert files_in(folder) == []


def test_h6_a_file_that_the_archive_itself_has_cut_is_refused(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, folder: Path
) -> None:
    server.files[f"/{PATH}"] = spectrum[:-2880]
    with pytest.raises(LostError, match=r"truncated: \d+ bytes expected.*own copy may be damaged"):
        downloads.fetch(place)
    assert files_in(folder) == []
    assert server.asked() == [f"/{PATH}"] * 2


def test_h6_bytes_that_were_damaged_on_the_way_are_fetched_again(
    downloads: Downloads, place: Place, spectrum: bytes, server: FileServer, target: Path
) -> None:
    server.fail(f"/{PATH}", content(bytes(len(spectrum))))
    downloads.fetch(place)
    assert target.read_bytes() == spectrum


def test_h6_a_file_that_is_not_there(
    downloads: Downloads, server: FileServer, folder: Path
) -> None:
    with pytest.raises(NotThereError):
        downloads.fetch(Place(server.url, "v5_7_0/none/spec-1-2-3.fits"))
    assert list(folder.iterdir()) == []


def test_a_gzipped_file_is_verified_by_its_crc(
    downloads: Downloads, spectrum: bytes, server: FileServer, folder: Path
) -> None:
    packed = gzip.compress(spectrum, mtime=0)
    server.files[f"/{PATH}.gz"] = packed
    place = Place(server.url, f"{PATH}.gz")
    gz = {"Content-Encoding": "x-gzip"}
    server.fail(f"/{PATH}.gz", content(packed, **gz))
    downloads.fetch(place)
    assert (folder / place.path).read_bytes() == packed
    (folder / place.path).unlink()
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 4
    server.files[f"/{PATH}.gz"] = bytes(flipped)
    with pytest.raises(LostError, match="gzip_crc"):
        downloads.fetch(place)


@pytest.fixture
def summed(place: Place, server: FileServer, spectrum: bytes) -> Place:
    """A file whose digest the archive lists."""
    digest = hashlib.sha256(spectrum).hexdigest()
    server.files[f"/{SUMS}"] = f"{digest}  {place.name}\n{'0' * 64} *other.fits\n".encode()
    return Place(server.url, PATH, SUMS)


def test_the_list_of_the_archive_is_believed(
    downloads: Downloads, summed: Place, server: FileServer, spectrum: bytes, folder: Path
) -> None:
    downloads.fetch(summed)
    assert files_in(folder) == [PATH]
    (folder / PATH).unlink()
    # Sound as a FITS file, and still not the one of the list.
    other = bytearray(spectrum)
    other[-3000] ^= 1
    server.files[f"/{PATH}"] = bytes(other)
    with pytest.raises(LostError, match="its digest is not that of the archive's list"):
        downloads.fetch(summed)
    assert files_in(folder) == []
    assert server.asked().count(f"/{SUMS}") == 1


@pytest.mark.parametrize("text", ["", "nonsense\n", "SHA256 (a.fits) = 12\n"])
def test_a_list_of_digests_that_is_none_is_not_taken_for_an_empty_one(
    downloads: Downloads, summed: Place, server: FileServer, folder: Path, text: str
) -> None:
    server.files[f"/{SUMS}"] = text.encode()
    with pytest.raises(LostError, match="no list of digests"):
        downloads.fetch(summed)
    assert not (folder / PATH).exists()


def test_what_came_stays_while_its_list_of_digests_is_refused(
    downloads: Downloads, summed: Place, server: FileServer, folder: Path, spectrum: bytes
) -> None:
    server.fail(f"/{SUMS}", status(403))
    with pytest.raises(LostError, match="refuses access"):
        downloads.fetch(summed)
    assert the_part(folder).read_bytes() == spectrum
    downloads.fetch(summed)
    assert files_in(folder) == [PATH]
    assert server.asked().count(f"/{PATH}") == 1


def test_a_length_that_is_told_only_with_the_file_is_believed(
    downloads: Downloads, place: Place, server: FileServer, folder: Path, target: Path,
    spectrum: bytes,
) -> None:  # fmt: skip
    server.fail(f"/{PATH}", *[without_length] * len(PAUSES), method="HEAD")
    assert downloads.fetch(place) == len(spectrum)
    assert server.asked() == [f"/{PATH}"]
    assert target.read_bytes() == spectrum
    assert files_in(folder) == [PATH]


@pytest.mark.parametrize("text", [None, f"{'0' * 64}  other.fits\n"])
def test_where_the_archive_lists_no_digest_the_structure_decides(
    downloads: Downloads, summed: Place, server: FileServer, spectrum: bytes, folder: Path,
    text: str | None,
) -> None:  # fmt: skip
    if text is None:
        del server.files[f"/{SUMS}"]
    else:
        server.files[f"/{SUMS}"] = text.encode()
    downloads.fetch(summed)
    (folder / PATH).unlink()
    server.files[f"/{PATH}"] = spectrum[:-2880]
    with pytest.raises(LostError, match="truncated"):
        downloads.fetch(summed)


def test_d4_a_damaged_file_under_the_name_is_fetched_again(
    downloads: Downloads, place: Place, spectrum: bytes, target: Path
) -> None:
    target.parent.mkdir(parents=True)
    for damaged in (b"", spectrum[:-2880], b"<html>"):
        target.write_bytes(damaged)
        assert not downloads.has(place)
        downloads.fetch(place)
        assert target.read_bytes() == spectrum


def test_d2_a_full_disk_is_said_before(
    downloads: Downloads, place: Place, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"free": 1_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(RunError, match=r"1 MB are free there.*make room"):
        downloads.fetch(place)
    assert server.asked() == []


def test_d2_a_disk_that_fills_up_leaves_a_part_to_go_on_from(
    downloads: Downloads, place: Place, spectrum: bytes, folder: Path, target: Path,
    monkeypatch: pytest.MonkeyPatch, server: FileServer,
) -> None:  # fmt: skip
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.fail(f"/{PATH}", cut(5000))
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(RunError, match=r"cannot write: No space left on device.*goes on"):
            downloads.fetch(place)
    assert the_part(folder).stat().st_size > 0
    downloads.fetch(place)
    assert target.read_bytes() == spectrum


def test_a_folder_that_cannot_be_written(downloads: Downloads, place: Place, folder: Path) -> None:
    (folder / "v5_7_0").write_text("a file in the way")
    with pytest.raises(RunError, match="cannot write"):
        downloads.fetch(place)


def test_i1_nothing_is_written_through_a_link(
    downloads: Downloads, place: Place, folder: Path, target: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "v5_7_0").symlink_to(outside)
    with pytest.raises(RunError, match="leads out of"):
        downloads.fetch(place)
    (folder / "v5_7_0").unlink()
    target.parent.mkdir(parents=True)
    target.symlink_to(outside / "x.fits")
    with pytest.raises(RunError, match="a link to"):
        downloads.fetch(place)
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_part_is_not_followed(
    downloads: Downloads, place: Place, target: Path, tmp_path: Path, archive: Archive
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    target.parent.mkdir(parents=True)
    mark = archive.head(place.url).mark
    target.with_name(f".{target.name}.{mark}.part").symlink_to(victim)
    with pytest.raises(RunError, match="cannot write"):
        downloads.fetch(place)
    assert victim.read_text() == "precious"
