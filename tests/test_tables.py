"""CSV tables: cells that spreadsheets leave alone and that come back as they were, lines of the file, nothing left behind."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn import tables
from forgery_rcnn.errors import InputError

COLUMNS = ("id", "x")
RISKY = "=+-@\t\r"


def parsed(text: str, columns: tuple[str, ...] = COLUMNS, optional: tuple[str, ...] = ()) -> list[tables.Row]:
    return list(tables.parse(io.StringIO(text, newline=""), "t.csv", columns, optional))


def cells(text: str) -> list[tuple[str, str]]:
    return [(row.cells["id"], row.cells["x"]) for row in parsed(text)]


# Cells


@given(st.text() | st.text("'=+-@\t\rab", max_size=6))
def test_plain_undoes_safe_for_any_text(text: str) -> None:
    written = tables.safe(text)
    assert isinstance(written, str) and tables.plain(written) == text
    assert not written or written[0] not in RISKY


@given(st.text() | st.text("'=+-@\t\rab", max_size=6), st.text() | st.text("'=ab", max_size=4))
def test_no_two_texts_are_written_alike(one: str, other: str) -> None:
    assert (tables.safe(one) == tables.safe(other)) == (one == other)


@given(st.text("'=+-@ab", max_size=6))
def test_what_was_not_written_here_is_changed_only_where_it_looks_quoted(text: str) -> None:
    if not text.startswith("'"):
        assert tables.plain(text) == text


@pytest.mark.parametrize("number", [-1, -0.5, 0, 1e-9, float("-inf"), None, True])
def test_numbers_stay_numbers(number: object) -> None:
    assert tables.safe(number) is number


def test_numbers_in_a_file_have_no_quote() -> None:
    assert tables.text(("a", "b"), [(-0.5, "-0.5"), (1, None)]) == "a,b\n-0.5,'-0.5\n1,\n"


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12)


@given(st.lists(st.tuples(texts, texts | st.text("'=+-@\t\n,\"", max_size=5)), min_size=1, max_size=5))
def test_any_table_comes_back(rows: list[tuple[str, str]]) -> None:
    assert cells(tables.text(COLUMNS, rows)) == rows


def test_carriage_returns_come_back() -> None:
    assert cells(tables.text(COLUMNS, [("a\rb", "1")])) == [("a\rb", "1")]


def test_a_file_is_its_text(tmp_path: Path) -> None:
    rows = [("ünï", "=1+1"), ("'@x", 'a,\n"b"')]
    tables.write(tmp_path / "new" / "t.csv", COLUMNS, iter(rows))
    assert (tmp_path / "new" / "t.csv").read_bytes() == tables.text(COLUMNS, rows).encode()
    assert [tuple(row.cells.values()) for row in tables.read(tmp_path / "new" / "t.csv", COLUMNS)] == rows


# Reading


def test_rows_keep_the_line_of_the_file() -> None:
    text = 'id,x\r\n\r\na,1\r\n"b\r\nb","2\r\n\r\n2"\r\n\r\n\r\nc,3'
    assert [(row.line, row.cells["id"]) for row in parsed(text)] == [(3, "a"), (7, "b\r\nb"), (10, "c")]


def test_columns_are_found_by_name_and_others_ignored() -> None:
    (row,) = parsed("x,note,id,extra,last\n1,n,a,e,more\n", optional=("extra", "none"))
    assert row == tables.Row(2, {"id": "a", "x": "1", "extra": "e"})


@pytest.mark.parametrize(
    ("line", "fault", "found"),
    [
        ("a,1,e", "", {"id": "a", "x": "1", "extra": "e"}),
        ("a,1", "", {"id": "a", "x": "1", "extra": ""}),
        ("a", tables.TOO_FEW, {"id": "a", "x": "", "extra": ""}),
        ("a,", "", {"id": "a", "x": "", "extra": ""}),
        ('""', tables.TOO_FEW, {"id": "", "x": "", "extra": ""}),
        ("a,1,e,more", tables.TOO_MANY, {"id": "a", "x": "1", "extra": "e"}),
        ("a,1,e,", tables.TOO_MANY, {"id": "a", "x": "1", "extra": "e"}),
        ('a,"1, 2",e', "", {"id": "a", "x": "1, 2", "extra": "e"}),
        ("a,[1, 2, 3, 4],e", tables.TOO_MANY, {"id": "a", "x": "[1", "extra": " 2"}),
    ],
)
def test_the_fault_of_a_row_is_the_number_of_its_cells(line: str, fault: str, found: dict[str, str]) -> None:
    (row,) = parsed(f"id,x,extra\n{line}\n", optional=("extra",))
    assert (row.fault, row.cells) == (fault, found)


def test_more_cells_than_the_header_are_a_fault_even_where_the_columns_are_first() -> None:
    assert [row.fault for row in parsed("id,x,note\na,1\na,1,n\na,1,n,m\n")] == ["", "", tables.TOO_MANY]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column id, x; expected id,x"),
        (b"\n\nid,x\n", "no column id, x"),
        (b"id,y\na,1\n", "no column x; expected id,x"),
        (b"id;x\na;1\n", "no column id, x"),
        (b"id,x\n", "no rows in it"),
        (b"id,x\n\n\r\n\n", "no rows in it"),
        (b"id,x\na,\xff\n", "not a readable CSV file"),
        ("id,x\na,1\n".encode("utf-16"), "not a readable CSV file"),
    ],
)
def test_what_is_no_such_table_is_one_line(content: bytes, said: str, tmp_path: Path, refused) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with refused("t.csv: ", said):
        list(tables.read(tmp_path / "t.csv", COLUMNS))


def test_bom_and_long_cells(tmp_path: Path) -> None:
    long = "[" + "1, 1, " * 400_000 + "]"
    (tmp_path / "t.csv").write_bytes(f'\ufeffid,x\r\na,"{long}"\r\n'.encode())
    (row,) = tables.read(tmp_path / "t.csv", COLUMNS)
    assert row.cells == {"id": "a", "x": long}


def test_no_file_and_a_folder(tmp_path: Path, refused) -> None:
    with refused("none.csv: not a readable CSV file (No such file"):
        list(tables.read(tmp_path / "none.csv", COLUMNS))
    with refused(f"{tmp_path}: ", "Is a directory"):
        list(tables.read(tmp_path, COLUMNS))


# Writing


def left(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("old")
    with tables.replacing(tmp_path / "t.csv") as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path and (tmp_path / "t.csv").read_text() == "old"
    assert left(tmp_path) == {"t.csv": "new"}


class Stopped(BaseException):
    """Such as Ctrl-C."""


@pytest.mark.parametrize(
    ("raised", "caught"),
    [(ValueError, ValueError), (InputError, InputError), (OSError, InputError), (Stopped, Stopped)],
)
def test_an_error_leaves_the_old_file_and_nothing_else(
    raised: type[BaseException], caught: type[BaseException], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(caught), tables.replacing(tmp_path / "t.csv") as temporary:
        temporary.write_text("half")
        raise raised("why")
    assert left(tmp_path) == {"t.csv": "old"}


def test_rows_that_fail_half_way_leave_the_old_file(tmp_path: Path) -> None:
    def rows():
        yield ("a", 1)
        raise InputError("the second is bad")

    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(InputError, match="the second is bad"):
        tables.write(tmp_path / "t.csv", COLUMNS, rows())
    assert left(tmp_path) == {"t.csv": "old"}


def test_a_folder_in_the_way(tmp_path: Path, refused) -> None:
    (tmp_path / "t.csv").mkdir()
    with refused("t.csv: cannot be written (Is a directory)"):
        tables.write(tmp_path / "t.csv", COLUMNS, [("a", 1)])
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_file_in_the_way_of_the_folder(tmp_path: Path, refused) -> None:
    (tmp_path / "out").write_text("a file")
    with refused("out/t.csv: cannot be written"):
        tables.write(tmp_path / "out" / "t.csv", COLUMNS, [("a", 1)])
    assert left(tmp_path) == {"out": "a file"}
