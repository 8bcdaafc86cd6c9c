"""Who may talk to the inspection page: the holder of its token, from its own pages.

In: requests. Out: the same, or an answer that refuses them. A page of elsewhere, open in the same
browser, can send requests to 127.0.0.1 and can have its own name lead there: hence the checks of
Host and Origin, and a cookie that no other site's page sends.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LOOPBACK", "MAX_BODY", "Guard"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BODY = 16_384
"""Bytes of a request; a comment has 2000 characters at most."""

POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """An application around the application.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    token : str
        What the address must hold once; then a cookie does.
    hosts : iterable of str
        Names by which the page may be called, without ports.
    images : str, optional
        From where else pictures may be loaded; empty for nowhere.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str], images: str = "") -> None:
        self._app, self._token, self._hosts = app, token, frozenset(hosts)
        # Cookies do not know ports: each server has its own.
        self.cookie = f"speclens-{token[:8]}"
        policy = f"{POLICY}; img-src 'self' {images}" if images else POLICY
        self._headers = {"Content-Security-Policy": policy, **HEADERS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application answer it."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        answer: Response | None = self._refusal(request)
        if answer is None and _same(request.query_params.get("token"), self._token):
            answer = self._welcome()
        elif answer is None and not _same(request.cookies.get(self.cookie), self._token):
            answer = PlainTextResponse("the address with the token is in the terminal\n", 403)
        await (answer or self._app)(scope, receive, self._with_headers(send))

    def _refusal(self, request: HTTPConnection) -> PlainTextResponse | None:
        """Return why a request is refused, whoever sends it."""
        if _host(f"//{request.headers.get('host', '')}") not in self._hosts:
            return PlainTextResponse("unknown host\n", 400)
        origin = request.headers.get("origin")
        if origin is not None and _host(origin) not in self._hosts:
            return PlainTextResponse("of another page\n", 403)
        method = request.scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("not allowed\n", 405)
        if method == "POST":
            return _refused_post(request.headers)
        return None

    def _welcome(self) -> RedirectResponse:
        """Keep the token in a cookie, and take it out of the address."""
        # Relative: behind a proxy the page may lie below another path.
        answer = RedirectResponse("./", 303)
        answer.set_cookie(self.cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        return sending


def _refused_post(headers: Headers) -> PlainTextResponse | None:
    # No form of another site can send this type, and no script without being asked first.
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return PlainTextResponse("only JSON\n", 415)
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return PlainTextResponse("of another page\n", 403)
    length = headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MAX_BODY:
        return PlainTextResponse(f"at most {MAX_BODY} bytes\n", 413)
    return None


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _same(one: str | None, other: str) -> bool:
    return one is not None and hmac.compare_digest(one.encode(), other.encode())
