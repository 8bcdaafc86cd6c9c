"""Requests: what every answer of a server becomes, and what is asked of it."""

from __future__ import annotations

import socket
import ssl
import threading
from email.utils import formatdate
from time import time
from typing import Any

import pytest
import urllib3

import speclens
from fixtures.servers import FileServer, status, web_page
from speclens.errors import RunError
from speclens.fetch.answers import faults_named, next_address, plain
from speclens.fetch.archive import PAUSES, Archive
from speclens.fetch.faults import LostError, NotThereError, PassingError, StoppedError

PATH = "/a/spec-1-2-3.fits"


@pytest.fixture
def url(server: FileServer) -> str:
    server.files[PATH] = b"0123456789"
    return server.url + PATH[1:]


def test_head_tells_length_and_marks(archive: Archive, server: FileServer, url: str) -> None:
    remote = archive.head(url)
    assert (remote.length, remote.validator) == (10, remote.etag)
    assert remote.mark
    assert server.asked() == []
    before = remote.mark
    server.files[PATH] = b"9876543210"
    assert archive.head(url).mark != before


@pytest.mark.parametrize("number", [405, 501])
def test_a_server_that_knows_no_head_is_asked_for_the_file_and_not_read(
    archive: Archive, server: FileServer, url: str, number: int
) -> None:
    server.fail(PATH, status(number), method="HEAD")
    assert archive.head(url).length == 10
    assert server.asked() == [PATH]


def test_the_tool_is_named_and_nothing_else(
    archive: Archive, server: FileServer, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    archive.head(url)
    _, _, headers = server.requests[0]
    assert headers["User-Agent"] == f"speclens/{speclens.__version__}"
    assert not {"Authorization", "Cookie", "Referer"} & set(headers)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (status(404), NotThereError, "404"),
        (status(410), NotThereError, "410"),
        (status(401), LostError, "is the release public"),
        (status(403), LostError, "is the release public"),
        (status(418), LostError, "418"),
        (status(304), LostError, "304"),
        (status(202), PassingError, "202"),
        (status(429), PassingError, "429"),
        (status(500), PassingError, "500"),
        (status(503), PassingError, "503"),
        (web_page, LostError, "a web page came instead of the file"),
        (status(302, Location="/login?to=spec"), LostError, "as of a login"),
        (status(302, Location="ftp://127.0.0.1/spec-1-2-3.fits"), LostError, "not safe"),
        (status(302, Location="file:///etc/spec-1-2-3.fits"), LostError, "not safe"),
        (status(301), LostError, "redirected"),
        (status(503, Retry_After="3600"), RunError, "60 minutes"),
    ],
)
def test_h6_every_answer_that_is_not_the_file_is_said(
    archive: Archive, server: FileServer, url: str, answer: Any, kind: type, words: str
) -> None:
    server.fail(PATH, answer, method="HEAD")
    with pytest.raises(kind, match=words):
        archive.head(url)
    assert archive.head(url).length == 10


def test_h6_redirects_are_followed_to_the_same_name(
    archive: Archive, server: FileServer, url: str
) -> None:
    server.fail("/old/spec-1-2-3.fits", status(301, Location=PATH), method="HEAD")
    assert archive.head(f"{server.url}old/spec-1-2-3.fits").url == url


def test_h6_a_redirect_in_a_circle_ends(archive: Archive, server: FileServer, url: str) -> None:
    server.fail(PATH, *[status(302, Location=PATH)] * 9, method="HEAD")
    with pytest.raises(LostError, match="redirected 5 times and more"):
        archive.head(url)


def test_no_redirect_leads_from_https_to_http() -> None:
    with pytest.raises(LostError, match="not safe"):
        next_address("https://a/x.fits", "https://a/x.fits", "http://b/x.fits")
    assert next_address("http://a/x.fits", "http://a/x.fits", "https://b/y/x.fits").startswith(
        "https://b/"
    )


def test_h6_retry_after_is_honoured_by_all_connections(
    archive: Archive, server: FileServer, url: str, waits: list[float]
) -> None:
    server.fail(PATH, status(429, Retry_After="40"), status(503), method="HEAD")
    assert archive.patiently(lambda: archive.head(url)).length == 10
    assert waits[0] == 40
    assert PAUSES[1] in waits
    # Whoever asks meanwhile waits, too.
    assert any(39 < wait < 40 for wait in waits[1:])


def test_h6_retry_after_may_be_a_date(
    archive: Archive, server: FileServer, url: str, waits: list[float]
) -> None:
    server.fail(PATH, status(503, Retry_After=formatdate(time() + 60, usegmt=True)), method="HEAD")
    server.fail(PATH, status(503, Retry_After="soon"), method="HEAD")
    archive.patiently(lambda: archive.head(url))
    assert 55 < waits[0] < 61


def test_h6_a_server_that_stays_silent_is_asked_a_few_times(
    archive: Archive, server: FileServer, url: str, waits: list[float]
) -> None:
    server.fail(PATH, *[status(500)] * 20, method="HEAD")
    with pytest.raises(PassingError, match="500"):
        archive.patiently(lambda: archive.head(url))
    assert waits == list(PAUSES)
    assert len(server.requests) == len(PAUSES) + 1


def test_h6_a_server_that_never_answers_is_given_up(server: FileServer, url: str) -> None:
    release = threading.Event()
    server.fail(PATH, lambda _: release.wait(10), method="HEAD")
    with pytest.raises(PassingError, match="no answer in time"):
        Archive(urllib3.Timeout(connect=1, read=0.05)).head(url)
    release.set()


def test_h6_a_port_without_a_server(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PassingError, match="no connection to it"):
        archive.head(f"http://127.0.0.1:{port}/x.fits")


def test_a_certificate_that_nobody_knows_ends_the_run() -> None:
    unverified = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] unable to get")
    with pytest.raises(RunError, match="cannot be verified"), faults_named("https://a/x.fits"):
        raise urllib3.exceptions.SSLError(unverified)
    with pytest.raises(PassingError, match="broke"), faults_named("https://a/x.fits"):
        raise urllib3.exceptions.SSLError("EOF occurred in violation of protocol")


def test_certificates_are_verified_by_default() -> None:
    manager = Archive()._manager("https://data.sdss.org/")
    context = manager.connection_pool_kw["ssl_context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_proxy_of_the_environment_is_used_and_its_password_not_told(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = server.url.removeprefix("http://").rstrip("/")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", f"http://me:secret@{host}")
    archive = Archive(urllib3.Timeout(1), lambda _: None)
    with pytest.raises(NotThereError) as caught:
        archive.head("http://archive.invalid/x.fits")
    assert server.asked("HEAD") == ["http://archive.invalid/x.fits"]
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with pytest.raises(PassingError) as failed:
        archive.head("http://archive.invalid/x.fits")
    assert "secret" not in str(failed.value)
    monkeypatch.setenv("http_proxy", host)
    with pytest.raises(NotThereError):
        archive.head("http://archive.invalid/y.fits")
    assert server.asked("HEAD")[-1] == "http://archive.invalid/y.fits"


def test_secrets_of_an_address_are_not_shown() -> None:
    assert plain("https://me:secret@a.org/x?token=1#y") == "https://a.org/x"


def test_whoever_waits_can_be_stopped() -> None:
    archive = Archive()
    archive.stop()
    with pytest.raises(StoppedError):
        archive.pause(3600)
    with pytest.raises(StoppedError):
        archive.head("http://127.0.0.1:9/x.fits")


def test_a_list_of_digests_has_a_length(
    archive: Archive, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/list.sha256sum"] = b"x" * 100
    assert len(archive.text(f"{server.url}list.sha256sum")) == 100
    monkeypatch.setattr("speclens.fetch.archive.MAX_TEXT", 99)
    with pytest.raises(LostError, match="more than 99 bytes"):
        archive.text(f"{server.url}list.sha256sum")
