"""Wheels whose bytes contradict each other: refused with a reason, or taken and harmless."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rawzip import DESCRIPTOR, Archive, Raw, raw
from venvctl import extraction
from venvctl.errors import HostileWheelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE = "evil-1.0-py3-none-any.whl"
INFO = "evil-1.0.dist-info"
MODULE = b"X = 1\n"
METADATA = b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"


def row(name: str, content: bytes, algorithm: str = "sha256") -> str:
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).decode()
    return f"{name},{algorithm}={digest.rstrip('=')},{len(content)}\n"


def members(
    more: Mapping[str, bytes] | None = None,
    *,
    record: Callable[[str], str] = str,
    metadata: bytes = METADATA,
) -> list[Raw]:
    """The members of a good wheel, with some more."""
    files = {
        "evil.py": MODULE,
        f"{INFO}/METADATA": metadata,
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **(more or {}),
    }
    rows = "".join(row(f'"{name}"', content) for name, content in files.items() if name[-1] != "/")
    files[f"{INFO}/RECORD"] = record(rows + f"{INFO}/RECORD,,\n").encode()
    return [raw(name, content) for name, content in files.items()]


def wheel(**changes: object) -> bytes:
    """A wheel whose module stands otherwise in the archive than it should."""
    first, *others = members()
    return Archive(members=[replace(first, **changes), *others]).to_bytes()  # type: ignore[arg-type] # fields by name


def with_more(name: str, content: bytes = b"#!python\nprint()\n") -> bytes:
    return Archive(members=members({name: content})).to_bytes()


def recorded(change: Callable[[str], str]) -> bytes:
    return Archive(members=members(record=change)).to_bytes()


def entry_points(text: bytes) -> bytes:
    return with_more(f"{INFO}/entry_points.txt", text)


def field(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def long(*sizes: int) -> bytes:
    """The field for sizes that are too big for theirs (zip64)."""
    return field(1, struct.pack(f"<{len(sizes)}Q", *sizes))


def unicode_name(name: bytes, instead_of: bytes = b"evil.py") -> bytes:
    return field(0x7075, b"\1" + struct.pack("<L", zlib.crc32(instead_of)) + name)


def descriptor(*, signed: bool = True) -> bytes:
    sums = struct.pack("<3L", zlib.crc32(MODULE), len(raw("x", MODULE).stored), len(MODULE))
    return (b"PK\7\x08" if signed else b"") + sums


GOOD = Archive(members=members()).to_bytes()
OTHER = Archive(members=[raw("evil.py", b"X = 2\n"), *members()[1:]]).to_bytes()
UNLISTED = "it has something that its directory does not list."

REFUSED = {
    "zip64 with a terabyte": (wheel(size=0xFFFFFFFF, extra=long(1 << 40)), "unpacks to 1,099,511,"),
    "zip64 that is one more": (
        wheel(size=0xFFFFFFFF, own_size=0xFFFFFFFF, extra=long(7), own_extra=long(6)),
        "'evil.py' ",
    ),
    "zip64 cut short": (wheel(size=0xFFFFFFFF, extra=field(1, b"abcd")), "is not a readable zip"),
    "zip64 longer than it is": (
        wheel(extra=struct.pack("<HH", 1, 60_000) + b"abcd"),
        "is not a readable zip",
    ),
    "another name in Unicode": (
        wheel(extra=unicode_name(b"../../evil.py")),
        "'evil.py' has another name for other readers.",
    ),
    "another name in capitals": (wheel(own_name=b"EVIL.py"), "has another name in its own header"),
    "a name that ends in NUL": (wheel(own_name=b"evil.p\0"), "has another name in its own header"),
    "another size of its own": (wheel(own_size=5), "is another file in its own header"),
    "encrypted": (wheel(flags=0x1), "'evil.py' is encrypted."),
    "strongly encrypted": (wheel(flags=0x41), "'evil.py' is encrypted."),
    "bzip2": (wheel(method=12), "is compressed with another method than deflate"),
    "deflate64": (wheel(method=9), "is compressed with another method than deflate"),
    "stored, and called deflated": (wheel(stored=MODULE), "can't be unpacked"),
    "something behind the stream": (
        wheel(stored=raw("x", MODULE).stored + b"junk"),
        "lies about its size",
    ),
    "a stream that does not end": (
        wheel(stored=raw("x", MODULE).stored[:-1]),
        "lies about its size",
    ),
    "no size": (wheel(size=0, own_size=0), "has 0 bytes and not the '6' that RECORD says"),
    "an offset far away": (wheel(offset=1_000_000), "has a member behind its end"),
    "compressed to 4 GB": (wheel(compressed=0xFFFFFFF0), "overlaps another member"),
    "a link, made on MS-DOS": (wheel(mode=0o120777, system=0), "is a symbolic link"),
    "a door": (wheel(mode=0o150644), "is neither a file nor a folder"),
    "a folder and a file": (
        Archive(members=members({"a/": b"", "a": b"x"})).to_bytes(),
        "'a' is in it twice",
    ),
    "two archives": (OTHER + GOOD, UNLISTED),
    "an archive in its comment": (
        Archive(members=members(), comment=OTHER).to_bytes(),
        UNLISTED,
    ),
    "an end in its comment": (
        Archive(members=members(), comment=b"PK\5\6" + bytes(18)).to_bytes(),
        UNLISTED,
    ),
    "a program before it": (
        Archive(members=members(), prefix=b"#!/bin/sh\nexit\n").to_bytes(),
        UNLISTED,
    ),
    "something behind it": (GOOD + b"\0", "it has something behind its end."),
    "a member that is not listed": (
        Archive(members=members(), hidden=[raw("hidden.py", b"")]).to_bytes(),
        UNLISTED,
    ),
    "fewer members than it says": (
        Archive(members=members(), count=9).to_bytes(),
        "it says that it has 9 members, and lists 4.",
    ),
    "RECORD with a byte order mark": (recorded(lambda text: "\ufeff" + text), "is in RECORD and"),
    "RECORD with an absolute path": (
        recorded(lambda text: text + "/etc/passwd,sha256=AAAA,1\n"),
        "'/etc/passwd' is in RECORD and not in the archive.",
    ),
    "RECORD with SHA-1": (
        recorded(
            lambda text: text.replace(row('"evil.py"', MODULE), row("evil.py", MODULE, "sha1"))
        ),
        "has a hash in RECORD that is not SHA-256 or stronger ('sha1')",
    ),
    "RECORD with SHAKE": (
        recorded(lambda text: text.replace("sha256=", "shake_128=")),
        "has a hash in RECORD that is not SHA-256 or stronger ('shake_128')",
    ),
    "RECORD with a size of another script": (
        recorded(lambda text: text.replace(",6\n", ",\u0666\n")),
        "has 6 bytes and not the '\u0666' that RECORD says",
    ),
    "RECORD with four columns": (
        recorded(lambda text: text.replace(",6\n", ",6,7\n")),
        "it has a RECORD that can't be read",
    ),
    "RECORD with a quote that does not end": (
        recorded(lambda text: text + '"evil.py,,\n'),
        "has a RECORD that can't be read",
    ),
    "RECORD with a field of 200,000": (
        recorded(lambda text: text + "a" * 200_000 + ",,\n"),
        "has a RECORD that can't be read",
    ),
    "a version that is another": (
        Archive(members=members(metadata=METADATA.replace(b"1.0", b"1.0.post1"))).to_bytes(),
        "says in METADATA that it is 'evil' '1.0.post1'",
    ),
    "a name that moves the cursor": (
        Archive(members=members(metadata=METADATA.replace(b"evil", b"evil\x1b[2J"))).to_bytes(),
        "says in METADATA that it is 'evil\\x1b[2J' '1.0'",
    ),
    "a script that climbs": (
        entry_points(b"[console_scripts]\n../../x = a:b\n"),
        "as an entry point is not a plain file name",
    ),
    "a script in a folder": (
        entry_points(b"[console_scripts]\nx/y = a:b\n"),
        "as an entry point is not a plain file name",
    ),
    "a script of two statements": (
        entry_points(b"[console_scripts]\nx = os; import evil:b\n"),
        "has an entry_points.txt that can't be read",
    ),
    "a script over two lines": (
        entry_points(b"[console_scripts]\nx = a:b\n y = c:d\n"),
        "has an entry_points.txt that can't be read",
    ),
    "a script that moves the cursor": (
        entry_points(b"[console_scripts]\nx\x1b[2J = a:b\n"),
        "as an entry point has a control character in its name",
    ),
    "a script that calls": (
        entry_points(b"[console_scripts]\nx = __import__('os').system('id'):b\n"),
        "has an entry_points.txt that can't be read",
    ),
    "lib as a file": (with_more("evil-1.0.data/data/lib"), "is a file and a folder"),
    "bin as a file": (with_more("evil-1.0.data/data/bin"), "is a file where a folder belongs"),
    "a pin by way of data": (
        with_more("evil-1.0.data/data/lib/python3.11/site-packages/_venvctl_pin.py"),
        "which is reserved",
    ),
    "its own module by way of lib64": (
        with_more("evil-1.0.data/data/lib64/python3.11/site-packages/evil.py"),
        "goes to the same place as 'evil.py'",
    ),
    "RECORD of another by way of purelib": (
        with_more("evil-1.0.data/purelib/other-1.0.dist-info/RECORD"),
        "is in the .dist-info folder of another package",
    ),
}

HARMLESS = {
    "a descriptor": wheel(flags=DESCRIPTOR, trailer=descriptor()),
    "a descriptor without a mark": wheel(flags=DESCRIPTOR, trailer=descriptor(signed=False)),
    "a descriptor that lies": wheel(flags=DESCRIPTOR, trailer=b"PK\7\x08" + bytes(12)),
    "the same name in Unicode": wheel(extra=unicode_name(b"evil.py")),
    "further fields": wheel(extra=field(0x5455, b"\1abcd"), own_extra=field(0x5455, b"\1" * 9)),
    "a comment": Archive(members=members(), comment=b"x" * 65_535).to_bytes(),
    "set user ID": wheel(mode=0o104777),
    "set group ID": wheel(mode=0o102777),
    "sticky": wheel(mode=0o101777),
    "writable by all": wheel(mode=0o100666),
    "no mode": wheel(mode=0),
    "a device of Windows": with_more("aux.py"),
    "a name that ends in a dot": with_more("evil."),
    "a command of a shell": with_more("$(id);`id`.py"),
    "an option": with_more("-rf"),
    "quoted for a URL": with_more("%2e%2e/evil"),
    "composed and decomposed": Archive(
        members=members({"\u00e9.py": b"1\n", "e\u0301.py": b"2\n"})
    ).to_bytes(),
    "from right to left": with_more("\u202egpj.py"),
    "capitals": with_more("EVIL.py"),
    "RECORD with CRLF": recorded(lambda text: text.replace("\n", "\r\n")),
    "RECORD with a line twice": recorded(lambda text: text.partition("\n")[0] + "\n" + text),
    "RECORD with SHA-512": recorded(
        lambda text: text.replace(row('"evil.py"', MODULE), row("evil.py", MODULE, "sha512"))
    ),
    "a first line without an end": with_more("evil-1.0.data/scripts/x", b"#!python"),
    "a first line for Windows": with_more("evil-1.0.data/scripts/x", b"#!pythonw -E\r\nprint()"),
    "a first line of binary": with_more("evil-1.0.data/scripts/x", b"#!python \xff\0\n\0"),
    "100,000 requirements": Archive(
        members=members(metadata=METADATA + b"Requires-Dist: a\n" * 100_000)
    ).to_bytes(),
    "20,000 scripts": entry_points(
        b"[console_scripts]\n" + b"".join(b"x%d = a:b\n" % number for number in range(20_000))
    ),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=list(REFUSED))
def test_it_is_refused_with_the_reason(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(data)

    with pytest.raises(HostileWheelError) as caught:
        extraction.extract(path, tmp_path / "tree", library="python3.11")

    assert caught.value.message.startswith(f"The wheel {FILE!a} is refused: ")
    assert words.encode("ascii", "backslashreplace").decode() in caught.value.message
    assert {each.name for each in tmp_path.iterdir()} <= {FILE, "tree"}


@pytest.mark.parametrize("data", HARMLESS.values(), ids=list(HARMLESS))
def test_it_is_taken_as_plain_files_below_its_tree(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(data)

    manifest = extraction.extract(path, tmp_path / "tree", library="python3.11")

    assert {each.name for each in tmp_path.iterdir()} == {FILE, "tree"}
    module = next(file for file in manifest.files if file.path.endswith("/evil.py"))
    assert module.sha256 == hashlib.sha256(MODULE).hexdigest()
    for folder, _, names in os.walk(tmp_path / "tree"):
        for each in [folder, *(f"{folder}/{name}" for name in names)]:
            mode = os.lstat(each).st_mode
            assert stat.S_ISDIR(mode) or stat.S_ISREG(mode)
            assert stat.S_IMODE(mode) in {0o755, 0o644}
