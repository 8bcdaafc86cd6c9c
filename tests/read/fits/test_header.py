"""Cards of headers, of which many files share the keywords and some the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from speclens.read.fits.header import HeaderError, parse_header
from speclens.read.fits.opening import open_fits


def block(*cards: tuple[str, object]) -> bytes:
    return b"".join(fits.Card(key, value).image.encode() for key, value in cards)


def test_headers_with_the_same_keywords_keep_their_own_values() -> None:
    one, other = (parse_header(block(("PLATEID", plate), ("NAME", "a'b"))) for plate in (1, 23))
    assert (one.get("PLATEID"), other.get("PLATEID")) == (1, 23)
    assert one.get("NAME") == other.get("NAME") == "a'b"
    assert parse_header(block(("PLATEID", 1), ("NAME", "a'b"))) is one


def test_a_keyword_that_stands_twice_must_say_the_same() -> None:
    assert parse_header(block(("MJD", 5), ("MJD", 5))).get("MJD") == 5
    with pytest.raises(HeaderError, match="MJD is both 5 and 6"):
        parse_header(block(("MJD", 5), ("MJD", 6))).get("MJD")


@pytest.mark.parametrize("n_cards", [100, 150, 600])
def test_a_header_may_be_longer_than_what_is_read_at_once(tmp_path: Path, n_cards: int) -> None:
    header = fits.Header([(f"K{i}", i) for i in range(n_cards)])
    path = tmp_path / "long.fits"
    fits.HDUList([fits.PrimaryHDU(header=header), fits.ImageHDU(np.ones(7))]).writeto(path)
    with open_fits(path) as file:
        assert file.hdus[0].header.get(f"K{n_cards - 1}") == n_cards - 1
        assert [hdu.shape for hdu in file.hdus] == [(), (7,)]
