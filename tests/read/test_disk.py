"""Disks that fail for a while, for good, or never answer."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time

import pytest

from speclens.errors import SpectrumFileError
from speclens.read import disk
from speclens.read.disk import patient
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.spec import read_spec_files
from speclens.spectra import LogGrid

GRID = LogGrid(35800, 120)
CALLS = ("open", "fstat", "pread")


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Pauses that were made, none of which takes time."""
    made: list[float] = []
    monkeypatch.setattr(disk.time, "sleep", made.append)
    return made


@pytest.fixture
def path(tmp_path, write_spec):
    return str(write_spec(tmp_path / "spec-3655-55240-0001.fits", n_pixels=200, coeff0=3.5780))


@pytest.fixture
def fail(monkeypatch):
    """`fail(call, code, times)`: a call of the operating system that fails so often."""

    def break_call(name, code, times):
        real, left = getattr(os, name), [times]

        def call(*arguments, **options):
            if left[0] and threading.current_thread() is threading.main_thread():
                left[0] -= 1
                raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)

    return break_call


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("code", ["EIO", "ESTALE", "EAGAIN", "ETIMEDOUT", "EHOSTDOWN"])
def test_a10_an_error_that_passes_is_waited_for(path, fail, pauses, name, code):
    expected = read_spec_files([path], GRID).batch.flux
    fail(name, getattr(errno, code), 3)
    specs = read_spec_files([path], GRID)
    assert not specs.failures
    assert (specs.batch.flux == expected).all()
    assert pauses == list(disk.BACK_OFF)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_a10_an_error_that_stays_is_one_of_that_file(path, fail, monkeypatch, name, small):
    monkeypatch.setattr(disk, "SMALL_FILE", 1 << 20 if small else 0)
    fail(name, errno.EIO, 1 + len(disk.BACK_OFF))
    (failure,) = read_spec_files([path], GRID).failures
    assert failure.reason == "io_error"
    assert path in str(failure)
    assert "try again" in str(failure)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.ELOOP])
def test_a10_what_cannot_pass_is_not_waited_for(path, fail, pauses, code):
    fail("open", code, 1)
    (failure,) = read_spec_files([path], GRID).failures
    assert failure.reason == ("no_permission" if code == errno.EACCES else "not_regular")
    assert ("chmod u+rX" in str(failure)) == (code == errno.EACCES)
    assert pauses == []


def test_a10_an_error_within_a_plate_is_waited_for(tmp_path, write_plate, fail, monkeypatch):
    monkeypatch.setattr(disk, "SMALL_FILE", 0)
    path = write_plate(tmp_path, n_fibres=2, n_pixels=100)
    with open_fits(path) as file:
        fail("pread", errno.EIO, 2)
        assert len(file.read(2880, 100)) == 100
        fail("pread", errno.EIO, 99)
        with pytest.raises(SpectrumFileError, match="io_error"):
            file.read(2880, 100)


def hang(seconds):
    threading.Event().wait(seconds)


def test_a10_a_call_without_an_answer_is_given_up(monkeypatch, pauses):
    monkeypatch.setattr(disk, "PATIENCE", 0.05)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        patient(hang, 20)
    assert time.monotonic() - began < 5
    assert pauses == []


@pytest.mark.parametrize("name", ["open", "pread"])
def test_a10_a_file_that_hangs_is_named_and_the_next_is_read(
    path, tmp_path, write_spec, monkeypatch, name
):
    other = str(write_spec(tmp_path / "other.fits", n_pixels=200, coeff0=3.5780))
    monkeypatch.setattr(disk, "PATIENCE", 0.05)
    real, calls = getattr(os, name), []

    def hangs_once(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            hang(20)
        return real(*arguments)

    monkeypatch.setattr(os, name, hangs_once)
    specs = read_spec_files([path, other], GRID)
    (failure,) = specs.failures
    assert (failure.path, failure.reason) == (path, "io_error")
    assert specs.files == [other]


def test_the_alarm_of_another_goes_on():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert patient(os.getpid) == os.getpid()
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.05
        hang(0.1)
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_other_threads_read_without_an_alarm(path):
    found = []
    thread = threading.Thread(target=lambda: found.append(read_spec_files([path], GRID)))
    thread.start()
    thread.join()
    assert not found[0].failures


def test_an_error_of_the_reader_is_not_one_of_the_file(path):
    with pytest.raises(OSError, match="my own") as caught, open_fits(path):
        raise OSError("my own")
    assert not isinstance(caught.value, SpectrumFileError)
