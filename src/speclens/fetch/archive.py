"""Requests to the servers of an archive: few, polite and verified.

In: addresses. Out: what a server says of a file, and its bytes from any place on. Only http and
https are spoken, certificates are verified, and nothing is sent that names a user. What an answer
means is left to `speclens.fetch.answers`, what becomes of the bytes to `speclens.fetch.download`.
"""

from __future__ import annotations

import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import urllib3

import speclens
from speclens.fetch.answers import (
    NO_HEAD,
    REDIRECTS,
    Remote,
    faults_named,
    judge,
    next_address,
    plain,
)
from speclens.fetch.faults import LostError, PassingError, StoppedError

__all__ = ["PAUSES", "Archive"]

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Before a request is tried again, seconds."""
SECONDS_TO_CONNECT, SECONDS_OF_SILENCE = 15.0, 60.0
MAX_REDIRECTS = 5
PIECE = 1 << 18
MAX_TEXT = 1 << 24
"""Longest list of digests, bytes."""

Answer = TypeVar("Answer")


@dataclass
class Archive:
    """The servers.

    Parameters
    ----------
    timeout : urllib3.Timeout, optional
        How long a server may be silent.
    wait : callable, optional
        Waits some seconds, or until the run ends.
    """

    timeout: urllib3.Timeout = field(
        default_factory=lambda: urllib3.Timeout(connect=SECONDS_TO_CONNECT, read=SECONDS_OF_SILENCE)
    )
    wait: Callable[[float], object] | None = None

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._managers: dict[str, urllib3.PoolManager] = {}
        self._quiet_until = 0.0

    def stop(self) -> None:
        """End all waiting, and all requests at their next piece."""
        self._stopping.set()

    def check(self) -> None:
        """Say whether the run ends.

        Raises
        ------
        StoppedError
            If it does.
        """
        if self._stopping.is_set():
            raise StoppedError

    def pause(self, seconds: float) -> None:
        """Wait.

        Parameters
        ----------
        seconds : float
            How long.

        Raises
        ------
        StoppedError
            If the run ends meanwhile.
        """
        (self.wait or self._stopping.wait)(seconds)
        self.check()

    def patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask, and ask again after faults that may pass.

        Parameters
        ----------
        ask : callable
            The question.

        Returns
        -------
        object
            Its answer.

        Raises
        ------
        PassingError
            If the fault stays.
        """
        for pause in PAUSES:
            try:
                return ask()
            except PassingError as fault:
                self.pause(max(pause, fault.wait))
        return ask()

    def head(self, url: str) -> Remote:
        """Ask what a file is.

        Parameters
        ----------
        url : str
            Its address.

        Returns
        -------
        Remote
            What its server says.

        Raises
        ------
        NotThereError, LostError, PassingError
            If it has no such file, or none that can be had, or not now.
        """
        with self._answer("HEAD", url, {}) as (response, at):
            return Remote.of(at, response.status, response.headers)

    def text(self, url: str) -> str:
        """Read a short text.

        Parameters
        ----------
        url : str
            Its address.

        Returns
        -------
        str
            The text.

        Raises
        ------
        NotThereError, LostError, PassingError
            As `head`.
        """
        data = bytearray()
        with self._answer("GET", url, {}) as (response, _):
            for piece in self._pieces(response, url):
                data += piece
                if len(data) > MAX_TEXT:
                    raise LostError(f"{url}: more than {MAX_TEXT} bytes for a list of digests")
        return data.decode("utf-8", "replace")

    @contextmanager
    def body(self, remote: Remote, start: int) -> Iterator[tuple[Remote, Iterator[bytes]]]:
        """Ask for the bytes of a file.

        Parameters
        ----------
        remote : Remote
            The file.
        start : int
            The first byte that is wanted; those before it are there already.

        Yields
        ------
        remote : Remote
            The file as the server announces it now. Its first byte is 0 where the server sends all
            of it, as it does of a file that has been replaced.
        pieces : iterator of bytes
            The bytes.

        Raises
        ------
        NotThereError, LostError, PassingError
            As `head`.
        """
        asked = {"Range": f"bytes={start}-", "If-Range": remote.validator} if start else {}
        with self._answer("GET", remote.url, asked) as (response, at):
            now = Remote.of(at, response.status, response.headers)
            yield now, self._pieces(response, remote.url)

    def _pieces(self, response: urllib3.BaseHTTPResponse, url: str) -> Iterator[bytes]:
        with faults_named(url):
            # A .gz may be announced as an encoding; the file is wanted as it is.
            for piece in response.stream(PIECE, decode_content=False):
                self.check()
                yield piece

    @contextmanager
    def _answer(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> Iterator[tuple[urllib3.BaseHTTPResponse, str]]:
        """Follow redirects to the file; every other answer is an error."""
        at = url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._request(method, at, headers)
            try:
                if method == "HEAD" and response.status in NO_HEAD:
                    # The headers of the file itself are the same; it is not read.
                    method = "GET"
                    continue
                if response.status not in REDIRECTS:
                    self._judge(url, response)
                    yield response, at
                    return
                at = next_address(url, at, response.headers.get("Location", ""))
            finally:
                # With nothing left to read the connection serves the next request.
                if method == "HEAD":
                    response.drain_conn()
                response.release_conn() if response.closed else response.close()
        raise LostError(
            f"{url}: redirected {MAX_REDIRECTS} times and more, last to {plain(at)}; try later"
        )

    def _judge(self, url: str, response: urllib3.BaseHTTPResponse) -> None:
        try:
            judge(url, response.status, response.headers)
        except PassingError as fault:
            # What it asks of one connection holds for all.
            self._quiet_until = max(self._quiet_until, time.monotonic() + fault.wait)
            raise

    def _request(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        self.check()
        quiet = self._quiet_until - time.monotonic()
        if quiet > 0:
            self.pause(quiet)
        own = {"User-Agent": f"speclens/{speclens.__version__}", "Accept-Encoding": "identity"}
        with faults_named(url):
            return self._manager(url).request(
                method, url, headers={**own, **headers}, timeout=self.timeout, retries=False,
                redirect=False, preload_content=False,
            )  # fmt: skip

    def _manager(self, url: str) -> urllib3.PoolManager:
        """Return the connections to a server, through the proxy that the environment names."""
        parts = urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme, "")
        if proxy and urllib.request.proxy_bypass(parts.hostname or ""):
            proxy = ""
        with self._lock:
            if proxy not in self._managers:
                self._managers[proxy] = _connections(proxy)
            return self._managers[proxy]


def _connections(proxy: str) -> urllib3.PoolManager:
    context = ssl.create_default_context()
    if not proxy:
        return urllib3.PoolManager(maxsize=8, ssl_context=context)
    if "://" not in proxy:
        proxy = f"http://{proxy}"  # as curl takes it
    login = urlsplit(proxy)
    headers = (
        urllib3.make_headers(proxy_basic_auth=f"{login.username}:{login.password or ''}")
        if login.username
        else {}
    )
    return urllib3.ProxyManager(proxy, maxsize=8, proxy_headers=headers, ssl_context=context)
