"""One file from an archive: whole under its name, or a part from which the next call goes on.

In: the place of a file in an archive, and a folder. Out: the file. What came so far stands beside
it in a part whose name tells which file of the server it is of, so that a file that was replaced
there is never joined with its old half. Only what is as long as announced, and agrees with the
archive's digest or else is a whole FITS file, gets the name.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from speclens.errors import RunError, SpectrumFileError
from speclens.fetch.answers import WEB_PAGE, Remote, plain
from speclens.fetch.archive import PAUSES, Archive
from speclens.fetch.checksums import Checksums
from speclens.fetch.faults import DamagedError, LostError, PassingError
from speclens.products import refuse_link
from speclens.read.fits.opening import open_fits
from speclens.releases import Place

__all__ = ["Downloads"]

SPARE_BYTES = 64 << 20
"""Room that is left on the disk."""
PROGRESS_BYTES = 1 << 20
"""A connection that brought so much was worth another."""


class Downloads:
    """Fetches files into a folder.

    Parameters
    ----------
    archive : Archive
        The servers.
    folder : Path
        The folder.
    """

    def __init__(self, archive: Archive, folder: Path) -> None:
        self._archive, self._folder = archive, folder
        self._checksums = Checksums(archive)

    def has(self, place: Place) -> bool:
        """Say whether a file is there and whole.

        Parameters
        ----------
        place : Place
            The file.

        Returns
        -------
        bool
            False for a damaged one, too.
        """
        path = self._folder / place.path
        if not os.path.lexists(path):
            return False
        try:
            with open_fits(path):
                return True
        except SpectrumFileError:
            return False

    def size(self, place: Place) -> int | None:
        """Ask how long a file is, and fetch nothing.

        Parameters
        ----------
        place : Place
            The file.

        Returns
        -------
        int or None
            Bytes; None where the server does not say.

        Raises
        ------
        NotThereError, LostError, PassingError
            As `Archive.head`.
        """
        return self._archive.patiently(lambda: self._archive.head(place.url)).length

    def fetch(self, place: Place) -> int:
        """Fetch a file.

        Parameters
        ----------
        place : Place
            The file.

        Returns
        -------
        int
            Its length, bytes.

        Raises
        ------
        NotThereError, LostError, PassingError
            If it cannot be had; what came of it stays where it is of use.
        RunError
            If it cannot be written.
        """
        target = self._folder / place.path
        n_tries, n_damaged, there = 0, 0, 0
        while True:
            try:
                return self._attempt(place, target)
            except DamagedError as fault:
                n_damaged += 1
                if n_damaged > 1:
                    raise LostError(
                        f"{fault}, twice; the archive's own copy may be damaged"
                    ) from fault
            except PassingError as fault:
                before, there = there, _length_of_parts(target)
                n_tries = 0 if there - before >= PROGRESS_BYTES else n_tries + 1
                if n_tries > len(PAUSES):
                    raise
                self._archive.pause(max(PAUSES[max(n_tries - 1, 0)], fault.wait))
            except OSError as error:
                raise self._cannot_write(target, error) from error

    def _attempt(self, place: Place, target: Path) -> int:
        remote = self._archive.head(place.url)
        self._prepare(target)
        part = _part(target, remote)
        start = _length(part) if remote.mark and not _is_from_before_boot(part) else 0
        if remote.length is not None and start > remote.length:
            start = 0
        self._require(target, (remote.length or 0) - start)
        if remote.length is None or start < remote.length or not start:
            remote = self._continue(remote, part, start)
        length = _length(part)
        if remote.length is not None and length != remote.length:
            _remove(part)
            raise PassingError(f"{place.url}: {length} bytes came of {remote.length} announced")
        try:
            self._verify(place, part)
        except DamagedError:
            _remove(part)
            raise
        os.replace(part, target)
        return length

    def _prepare(self, target: Path) -> None:
        """Make the folder of a file, which must lie within that of the user."""
        inside = Path(os.path.realpath(self._folder))
        if not Path(os.path.realpath(target.parent)).is_relative_to(inside):
            raise RunError(f"{target.parent}: a link leads out of {self._folder}; remove it")
        target.parent.mkdir(parents=True, exist_ok=True)
        refuse_link(target)

    def _require(self, target: Path, n_bytes: int) -> None:
        free = shutil.disk_usage(target.parent).free
        if free < n_bytes + SPARE_BYTES:
            raise RunError(
                f"{self._folder}: {free / 1e6:.0f} MB are free there, and {target.name} needs "
                f"{n_bytes / 1e6:.0f} MB; make room, and run the same command again to go on"
            )

    def _continue(self, remote: Remote, part: Path, start: int) -> Remote:
        """Write the bytes from one on, or all of them where the server begins anew."""
        with self._archive.body(remote, start) as (now, pieces):
            first = now.start
            if not remote.is_same(now) or first not in (0, start):
                raise PassingError(f"{plain(remote.url)}: it was replaced while it was asked for")
            with open(part, "r+b" if start else "wb", opener=_no_link) as file:
                file.truncate(first)
                file.seek(first)
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        return now

    def _verify(self, place: Place, part: Path) -> None:
        """Refuse what is not the file; it stays where only its list of digests cannot be had."""
        if self._checksums.verify(place, part):
            return
        try:
            with open_fits(part):
                return
        except SpectrumFileError as error:
            if _is_page(part):
                _remove(part)
                raise LostError(f"{place.url}: {WEB_PAGE}") from error
            raise DamagedError(
                f"{place.url}: damaged as it came: {error.reason}: {error.detail}"
            ) from error

    def _cannot_write(self, target: Path, error: OSError) -> RunError:
        return RunError(
            f"{target}: cannot write: {error.strerror or error}; make room or choose another -o; "
            "the same command goes on where this one stopped"
        )


def _part(target: Path, remote: Remote) -> Path:
    """Name the part of a file, and remove parts of others that stood under its name."""
    part = target.with_name(f".{target.name}.{remote.mark or 'unmarked'}.part")
    for other in _parts(target):
        if other != part:
            _remove(other)
    return part


def _parts(target: Path) -> list[Path]:
    start = f".{target.name}."
    try:
        names = os.listdir(target.parent)
    except OSError:
        return []
    return [target.with_name(n) for n in names if n.startswith(start) and n.endswith(".part")]


def _length_of_parts(target: Path) -> int:
    return sum(map(_length, _parts(target)))


def _length(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _is_from_before_boot(part: Path) -> bool:
    """Say whether the machine went down since: zeros may stand then where bytes were."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    boot = time.time() - time.clock_gettime(clock)
    return part.exists() and part.stat().st_mtime < boot


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"
