"""All that is wanted: each from the reduction that has it, and no fault costs another's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.servers import FileServer, cut, status, web_page
from speclens.errors import RunError
from speclens.fetch.archive import Archive
from speclens.fetch.download import Downloads
from speclens.fetch.fetching import Outcome, fetch_each
from speclens.fetch.holdings import Holding
from speclens.releases import release_named

BOSS = "/boss/v5_7_0/{plate:04}/spPlate-{plate:04}-55240.fits"
SEQUELS = "/boss/v5_7_2/{plate:04}/spPlate-{plate:04}-55240.fits"


def spectrum(fibre: int) -> Holding:
    return Holding("plate", (3655, 55240, fibre))


def lite(fibre: int, run2d: str = "v5_7_0") -> str:
    return f"/boss/{run2d}/spectra/lite/3655/spec-3655-55240-{fibre:04}.fits"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, write_spec: Callable[..., Path]) -> bytes:
    return write_spec(tmp_path_factory.mktemp("small") / "spec-1-2-3.fits").read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "survey").mkdir()
    return tmp_path / "survey"


@pytest.fixture
def fetched(archive: Archive, folder: Path, record: str) -> Callable[..., list[Outcome]]:
    """`fetched(*wanted, dry_run) -> outcomes`, in the order of what is wanted."""

    def run(*wanted: Holding, dry_run: bool = False) -> list[Outcome]:
        release = release_named(record)
        pairs = [(one, release) for one in wanted]
        new = Archive(archive.timeout, archive.wait)
        outcomes = list(fetch_each(pairs, new, Downloads(new, folder), dry_run))
        return sorted(outcomes, key=lambda outcome: wanted.index(outcome.wanted))

    return run


def test_h6_what_is_missing_is_named_and_all_else_fetched(
    fetched: Callable[..., list[Outcome]], server: FileServer, small: bytes, folder: Path
) -> None:
    for fibre in range(1, 10):
        server.files[lite(fibre)] = small
    del server.files[lite(4)]
    server.fail(lite(5), web_page)
    server.fail(lite(6), status(403))
    server.fail(lite(7), status(503), cut(100))
    outcomes = fetched(*map(spectrum, range(1, 10)))
    assert [o.n_files for o in outcomes] == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    lost = {str(o.wanted): o.lost for o in outcomes if o.lost}
    assert list(lost) == ["3655-55240-0004", "3655-55240-0005", "3655-55240-0006"]
    (missing,), (page,), (closed,) = lost.values()
    assert "a release on this machine has no spec-3655-55240-0004.fits" in missing
    assert "choose another --release" in missing
    assert "a web page came" in page
    assert "403" in closed
    kept = sorted(path.name for path in folder.rglob("*.fits"))
    assert kept == [f"spec-3655-55240-{fibre:04}.fits" for fibre in (1, 2, 3, 7, 8, 9)]


def test_a_plate_comes_from_the_reduction_that_has_it_with_its_own_redshifts(
    fetched: Callable[..., list[Outcome]], server: FileServer, small: bytes, folder: Path
) -> None:
    plates = (3655, 3656, 3657)
    for plate in plates:
        path = (BOSS if plate == 3655 else SEQUELS).format(plate=plate)
        server.files[path] = small
        run2d = path.split("/")[2]
        server.files[path.replace("spPlate", f"{run2d}/spZbest")] = small
    # Redshifts of another reduction are none of this plate's.
    del server.files["/boss/v5_7_2/3657/v5_7_2/spZbest-3657-55240.fits"]
    server.files["/boss/v5_7_0/3657/v5_7_0/spZbest-3657-55240.fits"] = small
    outcomes = fetched(*(Holding("plate", (plate, 55240, None)) for plate in plates))
    assert [o.n_files for o in outcomes] == [2, 2, 1]
    assert "spZbest-3657-55240.fits: HTTP 404" in outcomes[2].lost[0]
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.fits"))
    assert found == [
        "v5_7_0/3655/spPlate-3655-55240.fits", "v5_7_0/3655/v5_7_0/spZbest-3655-55240.fits",
        "v5_7_2/3656/spPlate-3656-55240.fits", "v5_7_2/3656/v5_7_2/spZbest-3656-55240.fits",
        "v5_7_2/3657/spPlate-3657-55240.fits",
    ]  # fmt: skip


def test_what_is_there_and_whole_is_not_asked_for(
    fetched: Callable[..., list[Outcome]], server: FileServer, small: bytes, folder: Path
) -> None:
    server.files[lite(1)] = server.files[lite(2, "v5_7_2")] = small
    fetched(spectrum(1), spectrum(2))
    server.requests.clear()
    outcomes = fetched(spectrum(1), spectrum(2))
    assert [(o.n_files, o.n_there) for o in outcomes] == [(0, 1), (0, 1)]
    assert server.requests == []
    path = folder / "v5_7_0" / "spectra" / "lite" / "3655" / "spec-3655-55240-0001.fits"
    path.write_bytes(small[:-2880])
    assert fetched(spectrum(1))[0].n_files == 1
    assert path.read_bytes() == small


def test_nothing_but_what_was_asked_for(
    fetched: Callable[..., list[Outcome]], server: FileServer, small: bytes
) -> None:
    for fibre in range(1, 5):
        server.files[lite(fibre)] = small
    fetched(spectrum(2))
    assert server.asked() == [lite(2)]
    assert server.asked("HEAD") == [lite(2)]


def test_a_dry_run_asks_for_lengths_and_writes_nothing(
    fetched: Callable[..., list[Outcome]], server: FileServer, small: bytes, folder: Path
) -> None:
    server.files[lite(1)] = small
    outcomes = fetched(spectrum(1), spectrum(2), dry_run=True)
    assert [(o.n_files, o.n_bytes) for o in outcomes] == [(1, len(small)), (0, 0)]
    assert outcomes[1].lost
    assert server.asked() == []
    assert list(folder.iterdir()) == []


def test_servers_that_answer_nothing_any_more_end_the_run(
    fetched: Callable[..., list[Outcome]], server: FileServer, small: bytes, folder: Path
) -> None:
    server.files[lite(1)] = small
    fetched(spectrum(1))
    for fibre in range(2, 40):
        server.fail(lite(fibre), *[status(503)] * 20, method="HEAD")
    with pytest.raises(RunError, match=r"5 in a row could not be had.*HTTP 503.*to go on"):
        fetched(*map(spectrum, range(1, 40)))
    asked = {path for path in server.asked("HEAD") if path != lite(1)}
    assert len(asked) < 20
    assert len(list(folder.rglob("*.fits"))) == 1


def test_one_file_that_a_server_fails_at_ends_nothing(
    fetched: Callable[..., list[Outcome]], server: FileServer, small: bytes
) -> None:
    for fibre in range(1, 9):
        server.files[lite(fibre)] = small
    server.fail(lite(3), *[status(500)] * 20)
    outcomes = fetched(*map(spectrum, range(1, 9)))
    assert [o.n_files for o in outcomes] == [1, 1, 0, 1, 1, 1, 1, 1]


def test_a_full_disk_ends_the_run_at_once(
    fetched: Callable[..., list[Outcome]], server: FileServer, small: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for fibre in range(1, 40):
        server.files[lite(fibre)] = small
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 0}))
    with pytest.raises(RunError, match="make room"):
        fetched(*map(spectrum, range(1, 40)))
    assert len(server.asked("HEAD")) < 20


def test_a_fault_of_the_program_is_not_swallowed(
    fetched: Callable[..., list[Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Downloads, "fetch", broken)
    with pytest.raises(ZeroDivisionError):
        fetched(spectrum(1), spectrum(2))


def test_few_connections_at_a_time(
    fetched: Callable[..., list[Outcome]], server: FileServer, small: bytes
) -> None:
    for fibre in range(1, 40):
        server.files[lite(fibre)] = small
    fetched(*map(spectrum, range(1, 40)))
    assert server.n_connections <= 4
