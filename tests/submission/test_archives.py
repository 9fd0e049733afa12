"""Zip files: the same bytes whenever written, and every hostile or damaged one refused before anything is given."""

from __future__ import annotations

import stat
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn.errors import InputError
from forgery_rcnn.submission import archives

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0:"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..", *archives._DROPPINGS)
)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=300)), unique_by=lambda member: member[0], max_size=6)


def changed(path: Path, change: Callable[[zipfile.ZipInfo], object], size: int = 100, method: int = 8) -> Path:
    """A zip of three members whose middle one is listed as `change` leaves it, of `size` zeros."""
    with zipfile.ZipFile(path, "w", method) as zipped:
        zipped.writestr("first.txt", b"1")
        zipped.writestr("bad.txt", bytes(size))
        zipped.writestr("last.txt", b"3")
        change(zipped.filelist[1])  # the list of members is written at the end
    return path


def set_to(**fields: Any) -> Callable[[zipfile.ZipInfo], None]:
    def change(info: zipfile.ZipInfo) -> None:
        for field, value in fields.items():
            setattr(info, field, value)

    return change


def contents(path: Path) -> dict[str, bytes]:
    with archives.opened(path) as archive:
        return {name: archive.read(name) for name in archive.names}


@settings(max_examples=60, deadline=None)
@given(members=MEMBERS)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("zip") / "a.zip"
    archives.write(path, iter(members))
    assert list(contents(path).items()) == members
    with zipfile.ZipFile(path) as zipped:  # and by others
        assert [(name, zipped.read(name)) for name in zipped.namelist()] == members


def test_equal_contents_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [("b.txt", b"b" * 1000), ("a/ü.txt", b"")]
    archives.write(tmp_path / "1.zip", members)
    monkeypatch.setattr(time, "time", lambda: 1.9e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(1.9e9))
    archives.write(tmp_path / "other.zip", members)
    data = (tmp_path / "1.zip").read_bytes()
    assert data == (tmp_path / "other.zip").read_bytes() == archives.packed("in memory", members)
    with zipfile.ZipFile(tmp_path / "1.zip") as zipped:
        assert zipped.namelist() == ["b.txt", "a/ü.txt"]
        for info in zipped.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0) and info.create_system == 3
            assert stat.filemode(info.external_attr >> 16) == "-rw-r--r--"
            assert info.compress_type == zipfile.ZIP_DEFLATED
        assert zipped.getinfo("b.txt").compress_size < 100


def test_nothing_is_left_of_a_zip_that_was_not_finished(tmp_path: Path, refused) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"before")
    for second in ("a.txt", "../a.txt", "/a.txt", "a\\b", "", "a//b", "C:a"):
        with refused("a.zip", f"member {second!r} is not packed"):
            archives.write(path, [("a.txt", b""), (second, b"")])
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_members_are_taken_one_at_a_time(tmp_path: Path) -> None:
    sizes = []

    def members() -> Any:
        for number in range(3):
            yield f"{number}.bin", bytes(range(256)) * 4000
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))

    archives.write(tmp_path / "a.zip", members())
    assert len(sizes) == 3 and 0 < sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("C:evil", "drive letter"),
        ("c:/evil", "drive letter"),
        ("a\\b", "backslash"),
        ("..", "'..'"),
        ("../evil", "'..'"),
        ("a/../../evil", "'..'"),
        ("a/./b", "'.'"),
    ],
)
def test_unsafe_names(name: str, why: str, tmp_path: Path, refused) -> None:
    path = changed(tmp_path / "bad.zip", set_to(filename=name))
    with refused("bad.zip", f"member {name!r}", "unsafe name", why), archives.opened(path):
        pytest.fail("it was opened")


@pytest.mark.parametrize("name", ["a//b", "//a", "", "/", "../", "a/../"])
def test_names_with_empty_parts(name: str, tmp_path: Path, refused) -> None:
    with refused("bad.zip", "unsafe name"):
        contents(changed(tmp_path / "bad.zip", set_to(filename=name)))


def test_a_name_behind_a_nul(tmp_path: Path, refused) -> None:
    path = changed(tmp_path / "bad.zip", set_to(filename="bad.txt?.sh"))
    path.write_bytes(path.read_bytes().replace(b"bad.txt?.sh", b"bad.txt\0.sh"))
    with refused("bad.zip", "bad.txt", "NUL"):
        contents(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, stat.S_IFDIR])
def test_links_and_special_files(kind: int, tmp_path: Path, refused) -> None:
    with refused("bad.zip", "'bad.txt'", "plain files only"):
        contents(changed(tmp_path / "bad.zip", set_to(external_attr=(kind | 0o777) << 16)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"flag_bits": 0x1}, "encrypted"),
        ({"flag_bits": 0x41}, "encrypted"),
        ({"flag_bits": 0x2000}, "encrypted"),
        ({"filename": "first.txt"}, "occurs twice"),
        ({"filename": "first.txt/"}, "occurs twice"),
        ({"compress_type": zipfile.ZIP_LZMA}, "method 14"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "method 12"),
        ({"compress_type": 99}, "method 99"),
    ],
)
def test_members_that_are_refused(fields: dict[str, Any], said: str, tmp_path: Path, refused) -> None:
    name = fields.get("filename", "bad.txt")
    with refused("bad.zip", f"member {name!r}", said):
        contents(changed(tmp_path / "bad.zip", set_to(**fields)))


def limited(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    given_ = {"members": 100, "member_bytes": 10**6, "total_bytes": 10**7, **limits}
    monkeypatch.setattr(archives, "LIMITS", archives.Limits(**given_))


def test_a_member_at_the_limit_and_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused) -> None:
    limited(monkeypatch, member_bytes=50_000)
    assert len(contents(changed(tmp_path / "a.zip", set_to(), 50_000))["bad.txt"]) == 50_000
    with refused("bad.zip", "'bad.txt'", "50,001 bytes, at most 50,000"):
        contents(changed(tmp_path / "bad.zip", set_to(), 50_001))


def test_many_members_that_are_too_much_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused) -> None:
    limited(monkeypatch, total_bytes=102)
    assert len(contents(changed(tmp_path / "a.zip", set_to()))) == 3
    with refused("bad.zip", "103 bytes, at most 102"):
        contents(changed(tmp_path / "bad.zip", set_to(), 101))


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused) -> None:
    archives.write(tmp_path / "a.zip", [(f"{number}", b"") for number in range(11)])
    limited(monkeypatch, members=11)
    assert len(contents(tmp_path / "a.zip")) == 11
    limited(monkeypatch, members=10)
    with refused("a.zip", "11 members, at most 10"):
        contents(tmp_path / "a.zip")
    limited(monkeypatch, members=1)  # the list itself is too long to be looked at
    with refused("a.zip", "list of members takes"):
        contents(tmp_path / "a.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("declared", "said"), [(0, "more than"), (10, "more than"), (99_999, "more than"), (100_001, "less than")]
)
def test_a_header_that_lies_about_the_size(declared: int, said: str, method: int, tmp_path: Path, refused) -> None:
    path = changed(tmp_path / "bad.zip", set_to(file_size=declared), 100_000, method)
    with refused("bad.zip", "'bad.txt'", said, f"{declared:,} bytes"):
        contents(path)


def test_no_more_is_unpacked_than_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused) -> None:
    path = changed(tmp_path / "bad.zip", set_to(file_size=10), 2**26)
    unpacked = []
    true = zipfile.ZipExtFile._read1
    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", lambda self, n: unpacked.append(true(self, n)) or unpacked[-1])
    with refused("'bad.txt'", "more than the 10 bytes"):
        contents(path)
    assert 0 < sum(map(len, unpacked)) < 10_000


def test_a_flipped_bit_in_a_member(tmp_path: Path, refused) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("a.txt", b"here is the content")
    path.write_bytes(path.read_bytes().replace(b"content", b"kontent"))
    with archives.opened(path) as archive:
        assert archive.names == ("a.txt",)
        with refused("a.zip", "'a.txt'", "damaged", "CRC"):
            archive.read("a.txt")


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 400), at=st.integers(0, 400), value=st.integers(0, 255))
def test_any_damage_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, refused, cut: int, at: int, value: int
) -> None:
    members = [("a/b.txt", b"some text " * 9), ("c.bin", bytes(range(60)))]
    data = bytearray(archives.packed("good", members))
    data[at % len(data)] = value
    path = tmp_path_factory.mktemp("zip") / "bad.zip"
    path.write_bytes(data[: len(data) - cut] if cut < len(data) else b"")
    try:
        found = contents(path)
    except InputError as error:
        assert len(str(error).splitlines()) == 1 and str(error).startswith(f"{path}: ")
    else:  # what is not covered by a checksum: dates, attributes, names
        assert {*found.values()} <= {data for _, data in members} and cut == 0


@pytest.mark.parametrize("content", [b"", b"PK", b"a,b\n1,2\n", b"PK\5\6" + bytes(17)])
def test_what_is_no_zip(content: bytes, tmp_path: Path, refused) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with refused("a.zip", "not a zip file"):
        contents(tmp_path / "a.zip")


def test_no_file_and_a_folder(tmp_path: Path, refused) -> None:
    for path in (tmp_path / "none.zip", tmp_path):
        with refused(str(path), "not a readable zip file"):
            contents(path)


def test_the_size_and_the_head_of_a_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused) -> None:
    path = changed(tmp_path / "a.zip", set_to(), 2**26)
    unpacked = []
    true = zipfile.ZipExtFile._read1
    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", lambda self, n: unpacked.append(true(self, n)) or unpacked[-1])
    with archives.opened(path) as archive:
        assert (archive.size("bad.txt"), archive.size("last.txt")) == (2**26, 1) and not unpacked
        assert archive.head("bad.txt", 10) == bytes(10) and 0 < sum(map(len, unpacked)) < 10_000
        assert archive.head("last.txt", 10) == b"3" and archive.head("last.txt", 0) == b""
    path.write_bytes(b"x" * 8 + path.read_bytes()[8:])
    with archives.opened(path) as archive, refused("a.zip", "'first.txt' is damaged"):
        archive.head("first.txt", 10)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", False),
        (b"PK", False),
        (b"PK\3\4", True),
        (b"PK\5\6 cut", True),
        (b"case_id\n", False),
    ],
)
def test_what_begins_as_a_zip(content: bytes, expected: bool, tmp_path: Path, refused) -> None:
    (tmp_path / "a").write_bytes(content)
    assert archives.is_zip(tmp_path / "a") is expected
    with refused("none: not readable (No such file or directory)"):
        archives.is_zip(tmp_path / "none")


def test_an_empty_zip(tmp_path: Path) -> None:
    archives.write(tmp_path / "a.zip", [])
    assert contents(tmp_path / "a.zip") == {}


def test_folders_and_droppings_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for name in ("a/", "a/1.txt", "__MACOSX/a/._1.txt", ".DS_Store", "a/.DS_Store", "b.DS_Store"):
            zipped.writestr(name, b"" if name.endswith("/") else name)
        zipped.filelist[0].external_attr = (stat.S_IFDIR | 0o755) << 16
    assert contents(path) == {"a/1.txt": b"a/1.txt", "b.DS_Store": b"b.DS_Store"}


def test_a_dropping_is_judged_too(tmp_path: Path, refused) -> None:
    with refused("bad.zip", "'__MACOSX/../../evil'", "unsafe name"):
        contents(changed(tmp_path / "bad.zip", set_to(filename="__MACOSX/../../evil")))


def test_a_zip_in_memory_has_its_own_limits(refused) -> None:
    data = archives.packed("a.npz", [("mask.npy", bytes(1000))])
    archive = archives.unpacked(data, "a.npz", archives.Limits(1, 1000, 1000))
    assert archive.names == ("mask.npy",) and archive.read("mask.npy") == bytes(1000)
    with refused("a.npz", "'mask.npy'", "1,000 bytes, at most 999"):
        archives.unpacked(data, "a.npz", archives.Limits(1, 999, 1000))
    with refused("a.npz", "not a zip file"):
        archives.unpacked(b"\x93NUMPY", "a.npz", archives.LIMITS)


@pytest.mark.parametrize("case", ["", ".", "..", "a/b", "/a", "a\\b", "a\0b", "../a", "C:a", "a\ud800", "é" * 121])
def test_case_ids_that_are_no_file_names(case: str, refused) -> None:
    with refused("case id", "cannot be a file name"):
        archives.file_name(case, ".png")


@settings(deadline=None)
@given(case=NAMES)
def test_other_case_ids_are(case: str) -> None:
    name = archives.file_name(case, ".png")
    assert name == f"{case}.png"
    archive = archives.unpacked(archives.packed("a.zip", [(name, b"1")]), "a.zip", archives.LIMITS)
    assert archive.names == (name,)
