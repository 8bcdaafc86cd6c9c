"""The verb: what is asked for, in a folder that a search reads; what is missing, said."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.servers import FileServer, cut
from speclens.errors import RunError
from speclens.fetch.archive import Archive
from speclens.run.progress import Silent
from speclens.schema import CANDIDATES
from speclens.stored_tables import read_rows
from speclens.verbs.fetch import FetchRequest, FetchSummary, fetch

Fetch = Callable[..., FetchSummary]
SPEC = "boss/v5_7_0/spectra/lite/3655/spec-3655-55240-0001.fits"


class Listener(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def fetch_into(archive: Archive, record: str, listener: Listener) -> Fetch:
    """`fetch_into(output, *names, **request) -> summary`."""

    def run(output: Path, *names: str, **request: Any) -> FetchSummary:
        new = Archive(archive.timeout, archive.wait)
        return fetch(FetchRequest(names, output, **{"release": record, **request}), listener, new)

    return run


@pytest.fixture
def survey(server: FileServer, mock_survey: Path) -> list[str]:
    """A mock survey as DR12 is laid out; names of its plates."""
    server.add_tree(mock_survey, "boss/v5_7_0")
    return [path.name[8:-5] for path in sorted(mock_survey.rglob("spPlate-*.fits"))]


def files_in(folder: Path) -> list[str]:
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*.fits"))
    return sorted(names)


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
def test_plates_are_fetched_and_searched(
    fetch_into: Fetch, survey: list[str], tmp_path: Path, mock_survey: Path,
    run_into: Callable[..., Any], listener: Listener,
) -> None:  # fmt: skip
    summary = fetch_into(tmp_path / "survey", *survey[:2])
    assert (summary.n_files, summary.n_there, summary.n_lost) == (4, 0, 0)
    assert summary.n_bytes > 1e6
    assert files_in(tmp_path / "survey") == sorted(
        f"v5_7_0/{path.relative_to(mock_survey).as_posix()}"
        for name in survey[:2] for path in mock_survey.rglob(f"*{name}.fits")
    )  # fmt: skip
    of_fetched = run_into(tmp_path / "a", tmp_path / "survey")
    of_survey = run_into(tmp_path / "b", *(mock_survey / name[:4] for name in survey[:2]))
    assert of_fetched.counts["failed"] == 0
    assert of_fetched.counts == of_survey.counts
    assert listener.said == []


def test_a_second_call_goes_on_and_fetches_nothing_twice(
    fetch_into: Fetch, survey: list[str], server: FileServer, tmp_path: Path
) -> None:
    fetch_into(tmp_path / "survey", survey[0])
    server.requests.clear()
    summary = fetch_into(tmp_path / "survey", *survey)
    assert (summary.n_files, summary.n_there) == (4, 2)
    assert not any(survey[0] in path for path in server.asked() + server.asked("HEAD"))


def test_plates_of_a_catalogue(
    fetch_into: Fetch, survey: list[str], mock_survey: Path, tmp_path: Path
) -> None:
    summary = fetch_into(tmp_path / "survey", catalogue=str(mock_survey / "spAll-mock.fits"))
    assert summary.n_files == 2 * len(survey)


def test_candidates_come_as_full_files(
    fetch_into: Fetch, few: Path, server: FileServer, tmp_path: Path,
    write_full_spec: Callable[..., Path],
) -> None:  # fmt: skip
    names = {str(name) for name in read_rows(few / "candidates.fits", CANDIDATES)["SPECTRUM"]}
    for name in names:
        plate, mjd, fibre = map(int, name.split("-"))
        path = write_full_spec(tmp_path / "spec.fits", plate=plate, mjd=mjd, fiberid=fibre)
        server.files[f"/sdss/26/spectra/{plate:04}/spec-{name}.fits"] = path.read_bytes()
    summary = fetch_into(tmp_path / "full", candidates=few)
    assert summary.n_files == len(names) > 0
    assert files_in(tmp_path / "full") == sorted(
        f"26/spectra/{name[:4]}/spec-{name}.fits" for name in names
    )


def test_h6_what_is_missing_is_told_and_counted(
    fetch_into: Fetch, survey: list[str], tmp_path: Path, listener: Listener
) -> None:
    summary = fetch_into(tmp_path / "survey", survey[0], "9999-55555")
    assert (summary.n_files, summary.n_lost) == (2, 1)
    (said,) = listener.said
    assert "9999-55555: a release on this machine has no spPlate-9999-55555.fits" in said


def test_a_dry_run_makes_no_folder(
    fetch_into: Fetch, survey: list[str], server: FileServer, tmp_path: Path
) -> None:
    summary = fetch_into(tmp_path / "survey", *survey, dry_run=True)
    assert summary.n_files == 2 * len(survey)
    wanted = [
        data for path, data in server.files.items() if "/spPlate-" in path or "/spZbest-" in path
    ]
    assert summary.n_bytes == sum(map(len, wanted))
    assert server.asked() == []
    assert not (tmp_path / "survey").exists()


def test_desi_by_its_own_digests(
    fetch_into: Fetch, server: FileServer, tmp_path: Path, write_spec: Callable[..., Path],
    listener: Listener,
) -> None:  # fmt: skip
    data = write_spec(tmp_path / "spec-1-2-3.fits").read_bytes()
    folder = "/desi/iron/healpix/main/dark/100/10016"
    names = ["coadd-main-dark-10016.fits", "redrock-main-dark-10016.fits"]
    for name in names:
        server.files[f"{folder}/{name}"] = data
    digest = hashlib.sha256(data).hexdigest()
    server.files[f"{folder}/redux_iron_healpix_main_dark_100_10016.sha256sum"] = (
        f"{digest}  {names[0]}\n{'0' * 64}  {names[1]}\n".encode()
    )
    summary = fetch_into(tmp_path / "desi", "main-dark-10016")
    assert (summary.n_files, summary.n_lost) == (1, 1)
    assert "its digest is not that of the archive's list" in listener.said[0]
    assert files_in(tmp_path / "desi") == [f"iron/healpix/main/dark/100/10016/{names[0]}"]


def test_i1_a_folder_of_somebody_else_is_refused(
    fetch_into: Fetch, survey: list[str], tmp_path: Path, server: FileServer
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear")
    with pytest.raises(RunError, match="choose another -o"):
        fetch_into(tmp_path / "letters", survey[0])
    assert server.requests == []


def test_d3_two_at_once_in_one_folder(
    fetch_into: Fetch, survey: list[str], tmp_path: Path, server: FileServer
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    path = f"/boss/v5_7_0/{survey[0][:4]}/spPlate-{survey[0]}.fits"
    server.fail(path, cut(5000, lambda: (begun.set(), go_on.wait(20))))
    first = threading.Thread(target=fetch_into, args=(tmp_path / "survey", survey[0]))
    first.start()
    assert begun.wait(20)
    with pytest.raises(RunError, match="another run is already running there"):
        fetch_into(tmp_path / "survey", survey[1])
    go_on.set()
    first.join()
    assert len(files_in(tmp_path / "survey")) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_d6_a_signal_leaves_a_part_to_go_on_from(
    server: FileServer, record: str, tmp_path: Path, write_spec: Callable[..., Path],
    fetch_into: Fetch, number: int, code: int,
) -> None:  # fmt: skip
    data = write_spec(tmp_path / "spec-1-2-3.fits").read_bytes()
    data += bytes(3_000_000 // 2880 * 2880)
    server.files[f"/{SPEC}"] = data
    begun, go_on = threading.Event(), threading.Event()
    server.fail(f"/{SPEC}", cut(len(data) // 2, lambda: (begun.set(), go_on.wait(20))))
    folder = tmp_path / "survey"
    command = "from speclens.__main__ import main; main()"
    names = ["fetch", "3655-55240-0001", "--release", record, "-o", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-c", command, *names],
        stderr=subprocess.PIPE,
        text=True,
        # What runs the tests in the background may have them ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert begun.wait(30)
    while not any(path.stat().st_size for path in folder.rglob("*.part")):
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    go_on.set()
    assert process.returncode == code, error
    assert error.strip().endswith("run the same command again to go on")
    assert files_in(folder) == []
    server.requests.clear()
    assert fetch_into(folder, "3655-55240-0001").n_files == 1
    _, _, headers = next(r for r in server.requests if r[0] == "GET")
    assert headers["Range"].startswith("bytes=")
    (path,) = folder.rglob("spec-*.fits")
    assert path.read_bytes() == data
    assert list(folder.rglob("*.part")) == []


def test_what_is_asked_for_twice_is_fetched_once(
    fetch_into: Fetch, server: FileServer, tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    server.files[f"/{SPEC}"] = write_spec(tmp_path / "spec-1-2-3.fits").read_bytes()
    known = tmp_path / "known.csv"
    known.write_text("name,plate,mjd,fiberid,z_s\na,3655,55240,1,2.4\n")
    summary = fetch_into(tmp_path / "survey", "3655-55240-1", known=str(known))
    assert summary.n_files == 1
    assert server.asked() == [f"/{SPEC}"]
