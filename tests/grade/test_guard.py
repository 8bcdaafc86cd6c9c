"""G2: nobody but the holder of the token, from the page's own pages, is let in."""

from __future__ import annotations

import pytest

from .conftest import TOKEN

BODY = {"id": "0" * 32, "hit": "x", "kind": "grade", "value": "A"}


def test_the_token_becomes_a_cookie_and_leaves_the_address(make_client) -> None:
    client = make_client(known=False)
    assert client.get("/").status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    answer = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    cookie = answer.headers["set-cookie"].lower()
    assert "samesite=strict" in cookie
    assert "httponly" in cookie
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.com", "127.0.0.1.evil.com", "evil.com:8765", "", "[", "localhost@evil.com"]
)
def test_another_host_is_refused_even_with_the_cookie(make_client, host: str) -> None:
    assert make_client().get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8765"])
def test_the_names_of_the_loopback_are_known_with_any_port(make_client, host: str) -> None:
    # The port is another one behind ssh -L.
    assert make_client().get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.com", "null", "http://127.0.0.1.evil.com", "file://"]
)
def test_another_origin_is_refused(make_client, origin: str) -> None:
    for send in ("get", "post"):
        answer = getattr(make_client(), send)("/api/hit", headers={"Origin": origin})
        assert answer.status_code == 403


def test_forms_and_requests_of_other_sites_are_refused(make_client) -> None:
    client = make_client()
    assert client.post("/api/events", data=BODY).status_code == 415
    text = {"Content-Type": "text/plain"}
    assert client.post("/api/events", content=b"{}", headers=text).status_code == 415
    for site in ("cross-site", "same-site", "none"):
        headers = {"Sec-Fetch-Site": site}
        assert client.post("/api/events", json=BODY, headers=headers).status_code == 403
    assert client.put("/api/events", json=BODY).status_code == 405
    assert client.options("/api/events").status_code == 405


def test_without_the_cookie_nothing_is_told_and_nothing_changes(make_client, graded) -> None:
    client = make_client(known=False)
    for path in ("/", "/hit", "/api/hit", "/agreement", "/export", "/static/hit.js", "/none"):
        assert client.get(path).status_code == 403
    body = BODY | {"hit": graded.subjects.keys[0]}
    assert client.post("/api/events", json=body).status_code == 403
    assert graded.store.events()[0] == []


def test_every_answer_forbids_what_is_of_elsewhere(make_client) -> None:
    for known in (True, False):
        answer = make_client(known=known).get("/")
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_a_name_of_this_computer_or_of_a_proxy_can_be_allowed(graded) -> None:
    testclient = pytest.importorskip("starlette.testclient")
    from speclens.grade.app import make_app

    app = make_app(graded, "ann", TOKEN, ["hub.example.org"])
    client = testclient.TestClient(app, base_url="https://hub.example.org")
    assert client.get("/").status_code == 403
    assert client.get("/evil", headers={"Host": "evil.org"}).status_code == 400
    client.cookies.set(app.cookie, TOKEN)
    assert client.get("/", headers={"Origin": "https://hub.example.org"}).status_code == 200
