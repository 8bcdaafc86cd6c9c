"""Every format in which a table comes gives the same columns, told by its content alone."""

from __future__ import annotations

import gzip
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from speclens.errors import RunError, SpeclensError, SpectrumFileError
from speclens.products import write_text_table
from speclens.read.sdss.catalogue import read_catalogue
from speclens.read.table.cells import texts
from speclens.read.table.columns import Wanted
from speclens.read.table.known import read_known
from speclens.read.table.table_file import open_table
from speclens.schema import KNOWN, dtype_of

WANTED = Wanted(
    {"NAME": ("name",), "RA": ("ra",), "Z": ("z",), "CLASS": ("class",)},
    (frozenset(("RA", "Z")),),
)
NAMES = ["name", "RA", "z", "class"]
ROWS = [["A 1", 1.5, 0.5, "GALAXY"], ["B", 2.5, 0.25, "QSO"], ["C", 3.5, 0.125, "STAR"]]


def cells_of(path: Path) -> dict[str, list[str]]:
    """The wanted columns as text, with whole numbers and fractions written alike."""
    with open_table(str(path), WANTED) as table:
        fields = WANTED.columns(table.names)
        columns: dict[str, list[str]] = {field: [] for field in fields}
        for _, piece in table.pieces([places[0] for places in fields.values()]):
            for field, places in fields.items():
                columns[field] += texts(piece[places[0]])
    return columns


def lines_of(mark: str, rows: list[list[object]] = ROWS) -> list[str]:
    quoted = [[f'"{c}"' if " " in str(c) else str(c) for c in row] for row in rows]
    return [mark.join(row) for row in [NAMES, *quoted]]


EXPECTED = {
    "NAME": ["A 1", "B", "C"],
    "RA": ["1.5", "2.5", "3.5"],
    "Z": ["0.5", "0.25", "0.125"],
    "CLASS": ["GALAXY", "QSO", "STAR"],
}

COMMENTS = ["# Lenses of this and that, with name and z", "#", "# ra dec: J2000, in degrees"]
CSV = lines_of(",")
BARS = [" " + line.replace("|", " | ") for line in lines_of("|")]
TEXTS = {
    "commas": CSV,
    "semicolons": lines_of(";"),
    "tabs": lines_of("\t"),
    "bars": lines_of("|"),
    "blanks": lines_of("   "),
    "a table in Markdown": ["| " + " | ".join(row) + " |" for row in (
        NAMES, ["---"] * 4, *[[str(c) for c in row] for row in ROWS])],
    "a rule of plus and minus": [BARS[0], "------+----+----+-----", *BARS[1:]],
    "comments above": [*COMMENTS, *CSV],
    "comments between": [CSV[0], "# a note, with a comma", *CSV[1:3], "#B,9,9,QSO", CSV[3]],
    "a header among comments": [*COMMENTS, "# " + CSV[0], "# more, of the same kind", *CSV[1:]],
    "a header among comments, blanks": [*COMMENTS, "#" + lines_of(" ")[0], *lines_of(" ")[1:]],
    "a title without a mark": ["Lenses, published here", "", *CSV],
    "a server's mark": ["#Table1", *CSV],
    "a second table": ["#Table1", "plate,mjd", "1,2", "#Table2", *CSV, "#Table3", "a,b", "1,2"],
    "units and a rule": ["#Title", CSV[0], " ,deg, ,", "----,--,-,-----", *CSV[1:]],
    "empty lines and rows": [CSV[0], "", *CSV[1:], "", ",,,", ",,,"],
    "the header again": [*CSV[:3], CSV[0], CSV[3]],
    "an index without a name": ["," + CSV[0], *[f"{i},{line}" for i, line in enumerate(CSV[1:])]],
    "quoted line ends": [CSV[0] + ",note", *[f'{line},"two\nlines"' for line in CSV[1:]]],
    "blanks around cells": [line.replace(",", " , ") for line in CSV],
}  # fmt: skip


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_however_it_is_laid_out(tmp_path: Path, name: str, ends: str) -> None:
    path = tmp_path / "list.fits"  # the suffix says nothing
    path.write_bytes((ends.join(TEXTS[name]) + ends).encode())
    assert cells_of(path) == EXPECTED
    path.write_bytes(ends.join(TEXTS[name]).encode())
    assert cells_of(path) == EXPECTED, "without an end of the last line"


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "gzip"]
)
def test_a_text_is_read_however_it_is_encoded(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list.txt"
    text = "\n".join(CSV).replace("B,", "Böhm \u2013 2,") + "\n"
    if encoding == "gzip":
        path.write_bytes(gzip.compress(text.encode()) + gzip.compress(b""))
    else:
        path.write_bytes(text.encode(encoding))
    assert cells_of(path) == EXPECTED | {"NAME": ["A 1", "Böhm \u2013 2", "C"]}


def table_of(rows: list[list[object]] = ROWS) -> Table:
    return Table(rows=rows, names=NAMES)


def ascii_hdu(rows: list[list[object]] = ROWS) -> fits.TableHDU:
    forms = ["A8", "D12.5", "E10.4", "A6"]
    columns = [
        fits.Column(name, form, array=np.array([row[i] for row in rows]))
        for i, (name, form) in enumerate(zip(NAMES, forms, strict=True))
    ]
    return fits.TableHDU.from_columns(columns)


def heap_hdu(form: str) -> fits.BinTableHDU:
    names = np.array([row[0] for row in ROWS], object if form[0] in "PQ" else "S8")
    columns = [
        fits.Column("name", form, array=names),
        fits.Column("RA", "D", array=[row[1] for row in ROWS]),
        fits.Column("z", "E", array=[row[2] for row in ROWS]),
        fits.Column("class", "8A", array=[row[3] for row in ROWS]),
    ]
    return fits.BinTableHDU.from_columns(columns)


@pytest.mark.parametrize(
    "form",
    ["binary", "ascii", "PA(20)", "QA(20)", "second", "ecsv", "tabledata", "binary2", "votables"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_is_read_from_every_format(tmp_path: Path, form: str, packed: bool) -> None:
    path, table = tmp_path / "list.csv", table_of()
    if form == "binary":
        table.write(path, format="fits")
    elif form == "ascii":
        fits.HDUList([fits.PrimaryHDU(), ascii_hdu()]).writeto(path)
    elif form in ("PA(20)", "QA(20)"):
        fits.HDUList([fits.PrimaryHDU(), heap_hdu(form)]).writeto(path)
    elif form == "second":
        other = fits.BinTableHDU.from_columns([fits.Column("NAME", "4A", array=["x"])])
        hdus = [fits.PrimaryHDU(np.zeros(3)), other, ascii_hdu(), heap_hdu("8A")]
        fits.HDUList(hdus).writeto(path)
    elif form == "ecsv":
        table.write(path, format="ascii.ecsv")
    elif form == "votables":
        from astropy.io.votable import from_table
        from astropy.io.votable.tree import Resource

        several = from_table(Table({"name": ["x"], "other": [1]}))
        several.resources.append(Resource())
        several.resources[-1].tables.append(from_table(table).resources[0].tables[0])
        several.to_xml(str(path))
    else:
        table.write(path, format="votable", tabledata_format=form)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    if packed and form == "second":
        pytest.skip("of a gzipped FITS file the first table is known")
    found = cells_of(path)
    for field in ("RA", "Z"):
        found[field] = [f"{float(cell):g}" for cell in found[field]]
    assert found == EXPECTED


NULLS = ["", "null", "None", "NA", "N/A", "nan", "NaN", "--", "-", "...", "<NA>", "\\N", " NULL "]


@pytest.mark.parametrize("null", NULLS)
def test_a_null_cell_says_nothing(tmp_path: Path, null: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"name,ra,z,class\nA,1.5,{null},{null}\n{null},{null},0.5,QSO\n")
    expected = {"NAME": ["A", ""], "RA": ["1.5", ""], "Z": ["", "0.5"], "CLASS": ["", "QSO"]}
    assert cells_of(path) == expected


@pytest.mark.parametrize("form", ["fits", "votable", "ascii.ecsv", "mask columns"])
def test_a_masked_cell_says_nothing(tmp_path: Path, form: str) -> None:
    table = Table(
        {
            "name": MaskedColumn(["A", "B"], mask=[False, True]),
            "ra": MaskedColumn([1.5, 9.5], mask=[False, True]),
            "z": MaskedColumn([0.5, 0.25], mask=[True, False]),
        }
    )
    path = tmp_path / "list"
    if form == "mask columns":
        table.write(path, format="ascii.ecsv", serialize_method="data_mask")
    else:
        table.write(path, format=form)
    assert cells_of(path) == {"NAME": ["A", ""], "RA": ["1.5", ""], "Z": ["", "0.25"]}


def test_a_null_of_an_ascii_table_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list.fits"
    hdu = ascii_hdu([["A", 1.5, 0.5, "QSO"], ["B", 2.5, 9.5, "QSO"]])
    hdu.header["TNULL3"] = "9.5000E+00"
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    assert cells_of(path)["Z"] == ["5.0000E-01", ""]


@pytest.mark.parametrize("n_at_once", [1, 7, 10**6])
def test_reading_in_pieces_is_reading_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_at_once: int
) -> None:
    from speclens.read.table import text_table

    monkeypatch.setattr(text_table, "ROWS_AT_LEAST", 1)
    monkeypatch.setattr(text_table, "CELLS_AT_ONCE", n_at_once)
    path = tmp_path / "list.csv"
    path.write_text("\n".join(["ra,z", *(f"{i}.5,{i}" for i in range(1, 30))]))
    assert cells_of(path) == {
        "RA": [f"{i}.5" for i in range(1, 30)],
        "Z": [f"{i}" for i in range(1, 30)],
    }


@pytest.mark.parametrize(
    "content",
    ['ra,z\n1.5,"0.5\n2.5,0.25\n', 'ra,z,w\n1.5,"0.5\n2.5",9,9\n', 'ra,z\n"1.5,0.5\n2.5,0.2"\n'],
    ids=["never closed", "closed in another row", "closed at the end"],
)
def test_a_lone_quote_swallows_no_rows_in_silence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content)
    with pytest.raises(SpectrumFileError, match="quote"):
        cells_of(path)


UNEVEN = "plate,mjd,fiberid,ra,z"


@pytest.mark.parametrize(
    ("rows", "bad"),
    [
        (["1,2,3,4.5,0.5", "1,2,3,x,5.5,0.6", "1,2,4,6.5,0.7"], 2),
        (["1,2,3,4.5,0.5", "1,2,3,5.5,0.6,9", "1,2,4,6.5,0.7"], 2),
        (["1,2,3,4.5,0.5", "1,2,3,5.5,0.6", "1,2,4,6."], 3),
    ],
    ids=["a comma within", "a cell more", "cut"],
)
def test_i18_a_row_with_other_cells_than_the_header_is_unknown_and_told(
    tmp_path: Path, rows: list[str], bad: int
) -> None:
    path = tmp_path / "list.csv"
    end = "" if bad == 3 else "\n"
    path.write_text("\n".join([UNEVEN, *rows]) + end)
    catalogue_of = {"RA": ["4.5", "5.5", "6.5"], "Z": ["0.5", "0.6", "0.7"]}
    for cells in catalogue_of.values():
        cells[bad - 1] = ""
    assert cells_of(path) == catalogue_of
    with open_table(str(path), WANTED) as table:
        list(table.pieces([0, 4]))
        (note,) = table.notes
    assert f"row {bad}, has {len(rows[bad - 1].split(','))} cells" in note


@pytest.mark.parametrize("rows", [["1,2,3,4.5,0.5,7", "1,2,3,4.5,0.5,8"], ["1,1,2,3,4.5,0.5"]])
def test_i18_a_table_with_a_column_without_a_name_is_refused(
    tmp_path: Path, rows: list[str]
) -> None:
    path = tmp_path / "list.csv"
    path.write_text("\n".join([UNEVEN, *rows]) + "\n")
    with pytest.raises(SpectrumFileError, match="bad_header"):
        cells_of(path)


@pytest.mark.parametrize("name", ["known.ecsv", "known.txt", "known.ecsv.gz"])
@pytest.mark.parametrize("how", ["whole", "cut", "edited"])
def test_d10_a_table_of_ours_that_was_cut_or_edited_is_refused(
    tmp_path: Path, name: str, how: str
) -> None:
    rows = np.zeros(3, dtype_of(KNOWN))
    rows["NAME"], rows["RA"] = ["a", "b", "c"], [1.25, 2.25, 3.25]
    path = tmp_path / "written.ecsv"
    write_text_table(path, rows, KNOWN, {"CREATOR": "speclens 1"})
    text = path.read_text()
    if how == "cut":
        text = text.rstrip("\n").rpartition("\n")[0] + "\n"
    elif how == "edited":
        text = text.replace("2.25", "2.75")
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    if how == "whole":
        assert len(read_known(path).rows) == 3
        return
    with pytest.raises(RunError, match="cut short or edited"):
        read_known(path)


def test_a_fits_table_that_disagrees_with_its_datasum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.fits"
    table = fits.BinTableHDU(table_of())
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, checksum=True)
    assert cells_of(path) == EXPECTED
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"GALAXY")] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SpectrumFileError) as caught:
        cells_of(path)
    assert caught.value.reason == "checksum"


# What opens nothing else, and waits for nothing.

READERS: dict[str, Callable[[str], object]] = {"known": read_known, "catalogue": read_catalogue}


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Files and addresses that are opened while a test runs."""
    seen: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        named = event == "open" and isinstance(arguments[0], (str, bytes))
        if listening and (named or event in ("socket.connect", "socket.getaddrinfo")):
            seen.append(f"{event} {arguments}")

    # A hook cannot be taken away again.
    listening = [True]
    sys.addaudithook(watch)
    yield seen
    listening.clear()


def votable(stream: str, form: str = "BINARY", before: str = "") -> str:
    fields = "".join(
        f'<FIELD name="{name}" datatype="double"/>' for name in ("ra", "dec", "z_s", "z")
    )
    return (
        f'<?xml version="1.0"?>{before}<VOTABLE version="1.3"><RESOURCE><TABLE>{fields}'
        f"<DATA><{form}>{stream}</{form}></DATA></TABLE></RESOURCE></VOTABLE>"
    )


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", ["vot", "xml", "csv", "fits", "vot.gz"])
@pytest.mark.parametrize(
    "form",
    ["file", "http", "upper", "namespace", "fits", "entity", "parameter entity", "xinclude",
     "external doctype"],
)  # fmt: skip
def test_i7_no_other_file_or_address_is_opened(
    tmp_path: Path, opened: list[str], reader: str, suffix: str, form: str
) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(np.array([10.5, 20.5, 2.5, 0.5], ">f8").tobytes())
    href = {"http": "http://canary.invalid/data"}.get(form, canary.as_uri())
    document = {
        "upper": votable(f'<stream HREF="{href}"/>'),
        "namespace": votable(f'<v:STREAM xmlns:v="x" xmlns:l="y" l:href="{href}"/>'),
        "fits": votable(f'<STREAM href="{href}"/>', "FITS"),
        "entity": votable("&c;", before=f'<!DOCTYPE V [<!ENTITY c SYSTEM "{href}">]>'),
        "parameter entity": votable("", before=f'<!DOCTYPE V [<!ENTITY % c SYSTEM "{href}"> %c;]>'),
        "xinclude": votable(
            f'<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="{href}"/>'
        ),
        "external doctype": votable("", before=f'<!DOCTYPE V SYSTEM "{href}">'),
    }.get(form, votable(f'<STREAM href="{href}"/>'))
    path = tmp_path / f"list.{suffix}"
    content = document.encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    del opened[:]
    with pytest.raises(SpeclensError, match=r"list\."):
        READERS[reader](str(path))
    assert not [event for event in opened if "canary" in event or "socket" in event]


@pytest.mark.parametrize("reader", READERS)
def test_entities_do_not_grow(tmp_path: Path, reader: str) -> None:
    laughs = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "ha"}">' for i in range(12))
    path = tmp_path / "list.xml"
    path.write_text(votable("&e11;", before=f"<!DOCTYPE V [{laughs}]>"))
    with pytest.raises(SpeclensError, match="entity"):
        READERS[reader](str(path))


def test_a_votable_says_no_more_rows_than_it_has(tmp_path: Path) -> None:
    path = tmp_path / "list.xml"
    path.write_text(votable("", "TABLEDATA").replace("<TABLE>", '<TABLE nrows="99999999999">'))
    with pytest.raises(RunError, match="99999999999 rows"):
        read_known(path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "cell", ["@/etc/passwd", "file:///etc/passwd", "=HYPERLINK(1)", "!python/object:os.system"]
)
def test_cells_are_cells(tmp_path: Path, opened: list[str], reader: str, cell: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"name,ra,dec,plate,mjd,fiberid,class,z\n{cell},1,2,3650,55244,1,{cell},0.5\n")
    del opened[:]
    READERS[reader](str(path))
    assert [event for event in opened if "list.csv" not in event] == []


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!astropy.table.Table", "!x"])
def test_f1_tags_of_an_ecsv_header_run_nothing(tmp_path: Path, reader: str, tag: str) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "list.ecsv"
    path.write_text(
        f"# %ECSV 1.0\n# ---\n# datatype:\n# - {{name: ra, datatype: float64}}\n"
        f"# meta: {tag} ['touch {canary}']\nra\n1.5\n"
    )
    with pytest.raises(SpeclensError):
        READERS[reader](str(path))
    assert not canary.exists()


def test_objects_that_an_ecsv_header_describes_are_not_made(tmp_path: Path) -> None:
    from astropy.coordinates import SkyCoord

    path = tmp_path / "list.ecsv"
    Table({"name": ["a"], "ra": [9.5], "dec": [1.5], "place": SkyCoord([1.5], [2.5], unit="deg")}
          ).write(path, format="ascii.ecsv")  # fmt: skip
    assert read_known(path).rows[["RA", "DEC"]].tolist() == [(9.5, 1.5)]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "dangling", "loop", "none"])
def test_a8_what_is_no_file_is_refused_at_once(tmp_path: Path, reader: str, kind: str) -> None:
    path = tmp_path / "list.csv"
    listener = socket.socket(socket.AF_UNIX)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.chdir(tmp_path)  # the name of a socket must be short
        listener.bind("list.csv")
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind in ("dangling", "loop"):
        path.symlink_to(tmp_path / ("away" if kind == "dangling" else "list.csv"))
    told: list[BaseException] = []

    def read() -> None:
        try:
            READERS[reader](str(path))
        except SpeclensError as error:
            told.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    listener.close()
    assert not thread.is_alive()
    assert str(path) in str(told[0])
    assert "not_regular" in str(told[0])


@pytest.mark.parametrize("how", ["flipped", "cut", "bomb"])
def test_a5_a6_a_damaged_gzip_is_refused(tmp_path: Path, how: str) -> None:
    path = tmp_path / "list.csv.gz"
    content = "\n".join(["ra,dec", *(f"{i / 7},{i / 9}" for i in range(500))]).encode()
    if how == "bomb":
        content += b"\n" * (40 << 20)
    packed = bytearray(gzip.compress(content, 9))
    if how == "flipped":
        packed[-6] ^= 1  # of the CRC: the content comes out as it was
    path.write_bytes(packed[: len(packed) // 2] if how == "cut" else packed)
    with pytest.raises(RunError, match="too_large" if how == "bomb" else "gzip_crc"):
        read_known(path)
