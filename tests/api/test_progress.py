"""A bar in a notebook, the talk of the command line elsewhere."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from speclens.api.progress import listening


class Display:
    """IPython's display, as far as it is used."""

    HTML = staticmethod(str)

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, html: str, display_id: bool) -> Display:
        assert display_id
        self.shown.append(html)
        return self

    def update(self, html: str) -> None:
        self.shown[-1] = html


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Display:
    display = Display()
    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return display


def test_a_notebook_shows_one_bar_and_what_failed(notebook: Display) -> None:
    with listening(quiet=False) as progress:
        progress.stage("spectra", 2)
        progress.advance(400)
        progress.message("spec-1.fits: <damaged>")
    (shown,) = notebook.shown
    assert '<progress max="2" value="1">' in shown
    assert "spectra 1/2" in shown
    assert "spec-1.fits: &lt;damaged&gt;" in shown
    with listening(quiet=False) as progress:
        for number in range(25):
            progress.message(f"file-{number}.")
    assert "15 messages before" in notebook.shown[-1]
    assert "file-14." not in notebook.shown[-1]
    assert "file-24." in notebook.shown[-1]


def test_elsewhere_it_is_told_on_stderr(
    capsys: pytest.CaptureFixture[str], notebook: Display
) -> None:
    for quiet, expected in ((True, "failed\n"), (False, "")):
        with listening(quiet) as progress:
            progress.stage("spectra", 1)
            progress.advance(3)
            progress.message("failed")
        assert capsys.readouterr().err.endswith(expected)
    assert len(notebook.shown) == 1


def test_a_plain_shell_is_no_notebook(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    with listening(quiet=False) as progress:
        progress.stage("spectra", 1)
        progress.advance(3)
    assert capsys.readouterr().err == "speclens: spectra: 1/1, 3 spectra\n"
