"""What the answer of a server means: the file, another address, a fault that passes or stays.

In: statuses and headers of HTTP, and what befalls a connection. Out: `Remote`, or an error of
`speclens.fetch.faults` that says what to do. No message quotes what may be secret.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from urllib3 import exceptions

from speclens.errors import RunError
from speclens.fetch.faults import LostError, NotThereError, PassingError

__all__ = [
    "NO_HEAD",
    "REDIRECTS",
    "WEB_PAGE",
    "Remote",
    "faults_named",
    "judge",
    "next_address",
    "plain",
]

LONGEST_WAIT = 900.0
"""A server that asks for more is left in peace until the user comes again, seconds."""

NOT_THERE = frozenset((404, 410))
CLOSED = frozenset((401, 403, 407, 451, 511))
PASSING = frozenset((408, 416, 425, 429, 500, 502, 503, 504, *range(201, 206), *range(207, 300)))
NO_HEAD = frozenset((405, 501))
"""Of servers that know no such request."""
REDIRECTS = frozenset((301, 302, 303, 307, 308))

WEB_PAGE = (
    "a web page came instead of the file, as of a login or of an archive that is being repaired; "
    "open the address in a browser, or try later"
)


@dataclass(frozen=True)
class Remote:
    """A file as its server announces it.

    Parameters
    ----------
    url : str
        Its address, after redirects.
    length : int or None
        Bytes; None where the server does not say.
    etag, modified : str
        What tells it from a file that replaces it; empty where the server does not say.
    start : int, optional
        The first byte that this answer brings.
    """

    url: str
    length: int | None
    etag: str
    modified: str
    start: int = 0

    @staticmethod
    def of(url: str, status: int, headers: Mapping[str, str]) -> Remote:
        """Read the headers of an answer.

        Parameters
        ----------
        url : str
            Where it came from.
        status : int
            Its status.
        headers : mapping of str to str
            Its headers.

        Returns
        -------
        Remote
            The file.

        Raises
        ------
        PassingError
            If it brings a part and does not say which.
        """
        etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
        if status != HTTPStatus.PARTIAL_CONTENT:
            return Remote(url, _number(headers.get("Content-Length", "")), etag, modified)
        unit, _, rest = headers.get("Content-Range", "").partition(" ")
        span, _, total = rest.partition("/")
        start = _number(span.partition("-")[0])
        if unit != "bytes" or start is None:
            raise PassingError(f"{url}: a part came, and not which")
        return Remote(url, _number(total), etag, modified, start)

    @property
    def validator(self) -> str:
        """For `If-Range`: a strong entity tag, or a date (RFC 9110, section 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    @property
    def mark(self) -> str:
        """What tells this file from another under its name; empty where nothing does."""
        if not self.validator or self.length is None:
            return ""
        told = f"{self.etag}\n{self.modified}\n{self.length}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def is_same(self, later: Remote) -> bool:
        """Say whether another answer is of the same file, as far as it says.

        Parameters
        ----------
        later : Remote
            The other answer.

        Returns
        -------
        bool
            False where the file was replaced meanwhile.
        """
        told = ((self.etag, later.etag), (self.modified, later.modified))
        same = self.length in (None, later.length)
        return same and all("" in (old, new) or old == new for old, new in told)


def judge(url: str, status: int, headers: Mapping[str, str]) -> None:
    """Refuse an answer that is not the file.

    Parameters
    ----------
    url : str
        What was asked for.
    status : int
        Status of the answer.
    headers : mapping of str to str
        Its headers.

    Raises
    ------
    NotThereError
        If there is no such file.
    LostError
        If it cannot be had.
    PassingError
        If the answer may be another one later.
    RunError
        If the server wants to be left alone for long.
    """
    if status in NOT_THERE:
        raise NotThereError(f"{url}: HTTP {status}")
    if status in CLOSED:
        raise LostError(
            f"{url}: the archive refuses access (HTTP {status}); is the release public?"
        )
    if status in PASSING:
        wait = _retry_after(headers.get("Retry-After", ""))
        if wait > LONGEST_WAIT:
            raise RunError(
                f"{urlsplit(url).hostname} asks to wait {wait / 60:.0f} minutes (HTTP {status}); "
                "run the same command again after that"
            )
        raise PassingError(f"{url}: the server cannot answer now (HTTP {status})", wait)
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise LostError(f"{url}: HTTP {status}, which no archive should answer; try later")
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        raise LostError(f"{url}: {WEB_PAGE}")


def next_address(url: str, at: str, location: str) -> str:
    """Return where a redirect leads.

    Parameters
    ----------
    url : str
        What was asked for.
    at : str
        Who redirects.
    location : str
        Where to.

    Returns
    -------
    str
        The address: of a file of the same name, and no less secure.

    Raises
    ------
    LostError
        If it leads elsewhere.
    """
    try:
        to = urljoin(at, location)
        scheme = urlsplit(to).scheme
    except ValueError as error:
        raise LostError(f"{url}: redirected to no address ({error}); tell the archive") from error
    if scheme not in ("http", "https") or (at.startswith("https:") and scheme == "http"):
        raise LostError(f"{url}: redirected to {plain(to)}, which is not safe; tell the archive")
    if not location or _file_name(to) != _file_name(url):
        raise LostError(
            f"{url}: redirected to another page, {plain(to)}, as of a login; is the release public?"
        )
    return to


def plain(url: str) -> str:
    """Return an address without a login and a query.

    Parameters
    ----------
    url : str
        Any address.

    Returns
    -------
    str
        What of it can be shown.
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:200]


@contextmanager
def faults_named(url: str) -> Iterator[None]:
    """Say what befell a connection, not in the words of libraries, which may quote a login.

    Parameters
    ----------
    url : str
        What was asked for.

    Yields
    ------
    None
        While the connection is used.

    Raises
    ------
    PassingError
        If it may be better later.
    RunError
        If nobody knows who answers.
    """
    host = urlsplit(url).hostname
    try:
        yield
    except exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            raise PassingError(f"{host}: the encrypted connection broke") from None
        raise RunError(
            f"{host}: its certificate cannot be verified, so that nobody knows who answers; set "
            "the clock right, install your system's certificates, or name them in SSL_CERT_FILE"
        ) from None
    except exceptions.NameResolutionError:
        raise PassingError(f"{host}: no such host is known here; are you connected?") from None
    except exceptions.NewConnectionError:
        raise PassingError(f"{host}: no connection to it; are you connected?") from None
    except exceptions.TimeoutError:
        raise PassingError(f"{host}: no answer in time") from None
    except exceptions.ProxyError:
        raise PassingError(f"{host}: the proxy of your environment lets nothing through") from None
    except (exceptions.HTTPError, OSError):
        raise PassingError(f"{host}: the connection broke") from None


def _retry_after(text: str) -> float:
    """Read Retry-After: seconds, or a date (RFC 9110, section 10.2.3); 0 for anything else."""
    if text.strip().isdecimal():
        return float(text)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 16 else None


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]
