"""The archive's own lists of digests.

In: the address of a list. Out: the digest of each file beside it. A list is read once.
"""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path

from speclens.fetch.archive import Archive
from speclens.fetch.faults import DamagedError, LostError, NotThereError
from speclens.releases import Place

__all__ = ["Checksums"]

LINE = re.compile(r"([0-9a-fA-F]{32,128}) [ *](?:.*/)?([^/\s]+)")
PIECE = 1 << 20


class Checksums:
    """Lists of digests.

    Parameters
    ----------
    archive : Archive
        Where they are.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lists: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def verify(self, place: Place, path: Path) -> bool:
        """Compare a file with the archive's digest.

        Parameters
        ----------
        place : Place
            Where the archive has it.
        path : Path
            The file as it came.

        Returns
        -------
        bool
            False where the archive has no digest of it.

        Raises
        ------
        DamagedError
            If they differ.
        LostError, PassingError
            If the list cannot be had.
        """
        wanted = self._of(place).get(place.name) if place.checksums else None
        if wanted is None:
            return False
        # sha256sum, sha1sum: the suffix of the list.
        digest = hashlib.new(place.checksums.rpartition(".")[2].removesuffix("sum"))
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                self._archive.check()
        if digest.hexdigest() != wanted:
            raise DamagedError(f"{place.url}: its digest is not that of the archive's list")
        return True

    def _of(self, place: Place) -> dict[str, str]:
        """Return the digests of a folder by name; none where the archive has no list of them."""
        url = place.address + place.checksums
        with self._lock:
            if url not in self._lists:
                try:
                    text = self._archive.patiently(lambda: self._archive.text(url))
                    lines = (LINE.fullmatch(line.strip()) for line in text.splitlines())
                    self._lists[url] = {m[2]: m[1].lower() for m in lines if m}
                    if not self._lists[url]:
                        del self._lists[url]
                        raise LostError(f"{url}: this is no list of digests; tell the archive")
                except NotThereError:
                    self._lists[url] = {}
            return self._lists[url]
