"""G11: a port that is free, addresses that can be used, and a server that can be killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from speclens.errors import RunError
from speclens.grade.serving import addresses, open_port
from speclens.inspections.store import NAME, GradeStore
from speclens.inspections.subjects import Subjects
from speclens.schema import HITS
from speclens.stored_tables import read_rows

pytest.importorskip("uvicorn", reason="needs uvicorn")
httpx = pytest.importorskip("httpx", reason="needs httpx")


def test_a_port_that_is_taken_is_passed_over() -> None:
    with open_port("127.0.0.1", 20000) as one:
        port = one.getsockname()[1]
        with open_port("127.0.0.1", port) as other:
            assert port < other.getsockname()[1] < port + 50
            assert one.getsockname()[0] == "127.0.0.1"


def test_an_address_of_another_computer_is_refused() -> None:
    with pytest.raises(RunError, match=r"--host 192\.0\.2\.1"):
        open_port("192.0.2.1", 20000)


def test_who_came_by_ssh_is_told_how_to_see_the_page(monkeypatch) -> None:
    for name in ("SSH_CONNECTION", "JUPYTERHUB_SERVICE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    assert addresses("127.0.0.1", 8765, "t") == ["http://127.0.0.1:8765/?token=t"]
    assert addresses("::", 8765, "t") == [f"http://{socket.gethostname()}:8765/?token=t"]
    monkeypatch.setenv("SSH_CONNECTION", "1.2.3.4 5 6.7.8.9 22")
    assert (
        f"ssh -L 8765:127.0.0.1:8765 {socket.gethostname()}" in addresses("127.0.0.1", 8765, "t")[1]
    )
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    assert "/user/ann/proxy/8765/?token=t" in addresses("127.0.0.1", 8765, "t")[2]


@contextmanager
def served(run: Path, grader: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    command = [sys.executable, "-m", "speclens", "grade", str(run), "--grader", grader]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            with httpx.Client(base_url=address[0].partition("?")[0], timeout=60) as client:
                assert client.get(address[0], follow_redirects=True).status_code == 200
                yield server, client
        finally:
            server.kill()


def grade(client: httpx.Client, hit: str, value: str) -> str:
    body = {"id": uuid4().hex, "hit": hit, "kind": "grade", "value": value}
    answer = client.post("api/events", json=body)
    assert answer.status_code == 200
    return str(answer.json()["saved"])


@pytest.mark.slow
def test_g5_what_two_servers_acknowledged_is_there_after_they_were_killed(
    few: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(few, tmp_path / "run"))
    keys = Subjects(read_rows(run / "hits.fits", HITS)).keys
    with served(run, "ann") as (ann, at_ann), served(run, "bob") as (bob, at_bob):
        said = [
            grade(client, keys[i % 3], "ABCX"[i % 4])
            for i in range(20)
            for client in (at_ann, at_bob)
        ]
        for server in (ann, bob):
            os.kill(server.pid, signal.SIGKILL)
    with GradeStore(run / NAME) as store:
        assert [event.id for event in store.events()[0]] == said


@pytest.mark.slow
def test_ctrl_c_ends_the_page_without_a_complaint(few: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(few, tmp_path / "run"))
    with served(run, "ann") as (server, _):
        os.kill(server.pid, signal.SIGINT)
        assert server.wait(timeout=60) == 0
