"""Archives that lie, climb, repeat themselves or explode: refused by what they list alone."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest

from venvctl.archives import Header, Limits, data_offset
from venvctl.errors import HostileWheelError
from venvctl.extraction import extract
from venvctl.wheels import read
from wheelhouse import SYMLINK, make_wheel

if TYPE_CHECKING:
    from pathlib import Path

FILE = "evil-1.0-py3-none-any.whl"
FIFO = 0o010644


def refusal(path: Path, *, limits: Limits | None = None) -> str:
    """The message with which a wheel is refused."""
    with pytest.raises(HostileWheelError) as caught:
        read(path, library="python3.11", limits=limits)
    assert caught.value.hint == (
        "Do not use this file: choose another version, or tell those who publish it."
    )
    return caught.value.message


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("../outside.py", "climbs out of its folder"),
        ("evil/../../outside.py", "climbs out of its folder"),
        ("evil/..", "climbs out of its folder"),
        ("/etc/passwd", "is an absolute path"),
        ("//etc/passwd", "is an absolute path"),
        ("evil\\..\\x.py", "has a backslash in its name"),
        ("evil.py\0.txt", "has a control character in its name"),
        ("evil\n.py", "has a control character in its name"),
        ("evil\x7f.py", "has a control character in its name"),
        ("evil/./x.py", "has an empty part in its name"),
        ("evil//x.py", "has an empty part in its name"),
        ("C:/evil.py", "is an absolute path"),
        ("c:evil.py", "is an absolute path"),
        ("e" * 256, "has too long a name"),
        ("/".join(["long"] * 300), "has too long a name"),
    ],
)
def test_refuses_a_member_that_is_called(tmp_path: Path, member: str, reason: str) -> None:
    wheel = make_wheel(tmp_path, "evil", files={member: b""})
    assert refusal(wheel.path) == f"The wheel {FILE!a} is refused: {member!a} {reason}."


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(SYMLINK, "is a symbolic link"), (FIFO, "is neither a file nor a folder")],
)
def test_refuses_what_is_no_plain_file(tmp_path: Path, mode: int, reason: str) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"x.py": b"/etc"}, modes={"x.py": mode})
    assert refusal(wheel.path) == f"The wheel {FILE!a} is refused: 'x.py' {reason}."


def test_refuses_a_member_that_is_there_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):  # zipfile's own, while writing it
        wheel = make_wheel(tmp_path, "evil", files={"x.py": b"1"}, extra=[("x.py", b"2")])
    assert refusal(wheel.path) == f"The wheel {FILE!a} is refused: 'x.py' is in it twice."


def test_refuses_a_file_that_is_a_folder_too(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"x": b"1", "x/": b""})
    assert refusal(wheel.path) == f"The wheel {FILE!a} is refused: 'x' is in it twice."


def test_refuses_a_folder_with_content(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"x/": b"1"})
    assert refusal(wheel.path) == f"The wheel {FILE!a} is refused: 'x/' is a folder with content."


def test_accepts_names_that_differ_in_case_alone(tmp_path: Path) -> None:
    # The store's file system keeps them apart, and uv installs them.
    wheel = make_wheel(tmp_path, "evil", files={"x.py": b"1", "X.py": b"2"})
    assert len(read(wheel.path, library="python3.11").members) == 4


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + b"\xff" * 18])
def test_refuses_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE
    path.write_bytes(content)
    assert refusal(path).startswith(
        f"The wheel {FILE!a} is refused: it is not a readable zip archive"
    )


def test_refuses_more_than_the_limit_of_bytes(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"x": bytes(2000)})
    total = sum(info.file_size for info in zipfile.ZipFile(wheel.path).infolist())
    assert refusal(wheel.path, limits=Limits(total_size=2000)) == (
        f"The wheel {FILE!a} is refused: it unpacks to {total:,} bytes, more than 2,000."
    )


def test_refuses_more_than_the_limit_of_members(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={f"{number}": b"" for number in range(8)})
    assert refusal(wheel.path, limits=Limits(members=10)) == (
        f"The wheel {FILE!a} is refused: it has more than 10 members."
    )


def test_refuses_a_bomb_by_its_ratio(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"x": bytes(65 << 20)})
    assert refusal(wheel.path) == (
        f"The wheel {FILE!a} is refused: it unpacks to more than 250 times its size."
    )
    assert read(wheel.path, library="python3.11", limits=Limits(ratio=2000)).size > 65 << 20


def patch(
    path: Path, member: str, field: int, value: int, *, width: str = "<L", both: bool = False
) -> None:
    """Overwrite a number in a member's entry of the archive's directory, or in its header too."""
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    while True:
        length = struct.unpack_from("<H", data, entry + 28)[0]
        if data[entry + 46 : entry + 46 + length] == member.encode():
            break
        entry = data.index(b"PK\x01\x02", entry + 4)
    struct.pack_into(width, data, entry + field, value)
    if both:  # the two have the same fields, two bytes apart
        header = struct.unpack_from("<L", data, entry + 42)[0]
        struct.pack_into(width, data, header + field - 2, value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("field", "value", "width"),
    [(10, 0, "<H"), (16, 7, "<L"), (24, 3, "<L")],
    ids=["method", "checksum", "size"],
)
def test_refuses_a_local_header_that_tells_of_another_file(
    tmp_path: Path, field: int, value: int, width: str
) -> None:
    # Some installers read a wheel from its begin on, and never see the directory at its end.
    wheel = make_wheel(tmp_path, "evil", files={"a.py": b"content"})
    before = wheel.path.read_bytes()
    patch(wheel.path, "a.py", field, value, width=width, both=True)
    own = wheel.path.read_bytes()[: before.index(b"PK\x01\x02")]
    wheel.path.write_bytes(own + before[len(own) :])
    with pytest.raises(HostileWheelError) as caught:
        extract(wheel.path, tmp_path / "tree", library="python3.11")
    assert caught.value.message == (
        f"The wheel {FILE!a} is refused: 'a.py' is another file in its own header."
    )


def test_takes_sizes_behind_the_content(tmp_path: Path) -> None:
    stream = _Forwards()
    wheel = make_wheel(tmp_path, "evil")
    with zipfile.ZipFile(wheel.path) as source, zipfile.ZipFile(stream, "w") as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info), zipfile.ZIP_DEFLATED)
    wheel.path.write_bytes(stream.getvalue())
    assert extract(wheel.path, tmp_path / "tree", library="python3.11").name == "evil"


class _Forwards(io.BytesIO):
    """What can't go back, so that zip writes sizes behind the content."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise OSError

    def tell(self) -> int:
        raise OSError


def test_refuses_a_link_whatever_system_it_claims_to_come_from(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path, "evil", files={"x": b"/etc"}, modes={"x": SYMLINK}, create_system=0
    )
    assert refusal(wheel.path) == f"The wheel {FILE!a} is refused: 'x' is a symbolic link."


def test_counts_members_before_it_makes_anything_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, "evil", files={f"{number}": b"" for number in range(50)})

    def made(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(zipfile.ZipInfo, "__init__", made)
    assert refusal(wheel.path, limits=Limits(members=10)) == (
        f"The wheel {FILE!a} is refused: it has more than 10 members."
    )


def test_refuses_a_forest_of_folders(tmp_path: Path) -> None:
    # 22 MB of names were five million folders, and 3 GB of memory (measured).
    files = {f"{number}/" + "d/" * 480 + "x": b"" for number in range(30)}
    wheel = make_wheel(tmp_path, "evil", files=files)
    assert refusal(wheel.path, limits=Limits(members=5_000)) == (
        f"The wheel {FILE!a} is refused: it has more than 5,000 files and folders."
    )


def test_refuses_members_that_share_bytes(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"a.py": b"1", "b.py": b"2"})
    with zipfile.ZipFile(wheel.path) as archive:
        offset = archive.getinfo("a.py").header_offset
    patch(wheel.path, "b.py", 42, offset)
    assert refusal(wheel.path).endswith("overlaps another member.")


def test_refuses_an_encrypted_member(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"a.py": b"1"})
    patch(wheel.path, "a.py", 8, 1, width="<H")
    assert refusal(wheel.path) == f"The wheel {FILE!a} is refused: 'a.py' is encrypted."


def test_refuses_another_compression(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"a.py": b"1"})
    patch(wheel.path, "a.py", 10, zipfile.ZIP_LZMA, width="<H")
    assert refusal(wheel.path) == (
        f"The wheel {FILE!a} is refused: 'a.py' is compressed with another method than deflate."
    )


def test_refuses_a_local_header_with_another_name(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "evil", files={"a.py": b"1"})
    data = wheel.path.read_bytes()
    wheel.path.write_bytes(data.replace(b"a.py", b"b.py", 1))
    (member,) = (
        member for member in read(wheel.path, library="x").members if member.name == "a.py"
    )
    with wheel.path.open("rb") as stream, pytest.raises(HostileWheelError) as caught:
        data_offset(
            stream.fileno(),
            FILE,
            member.name,
            Header(member.offset, member.deflated, member.compressed, member.size, member.checksum),
        )
    assert caught.value.message == (
        f"The wheel {FILE!a} is refused: 'a.py' has another name in its own header."
    )
