"""Selection: one file for each package, by PEP 751 and in the order of pip and uv."""

from __future__ import annotations

import dataclasses
import hashlib
import sysconfig
from typing import TYPE_CHECKING, Any

import pytest
from packaging import _manylinux, _musllinux, tags
from packaging.pylock import Pylock

from interpreters import platforms, target
from venvctl.errors import BuildsDeniedError, LockError, SelectionError, VenvctlError
from venvctl.selection import SelectedFile, Selection, select

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD = {"lock-version": "1.0", "created-by": "a-test"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def file(path: str, /, **fields: Any) -> dict[str, Any]:
    entry = {"url": f"https://x.test/{path}", "hashes": {"sha256": digest(path)}, **fields}
    return {key: value for key, value in entry.items() if value is not None}


def package(
    name: str, *tags: str, version: str = "1.0", sdist: bool = False, **fields: Any
) -> dict[str, Any]:
    """An entry with a wheel for each tag (which may begin with a build tag)."""
    entry: dict[str, Any] = {"name": name, "version": version, **fields}
    if tags:
        entry["wheels"] = [file(f"{name}-{version}-{tag}.whl") for tag in tags]
    if sdist:
        entry["sdist"] = file(f"{name}-{version}.tar.gz")
    return entry


def lock(*packages: dict[str, Any], **fields: Any) -> Pylock:
    return Pylock.from_dict({**HEAD, "packages": list(packages), **fields})


def chosen(pylock: Pylock, **options: Any) -> list[str]:
    options.setdefault("target", target())
    return [found.file for found in select(pylock, **options).files]


def refused(pylock: Pylock, kind: type[VenvctlError], **options: Any) -> str:
    with pytest.raises(kind) as caught:
        select(pylock, options.pop("target", target()), **options)
    assert type(caught.value) is kind
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


PURE = "py3-none-any"
LINUX = "cp311-cp311-manylinux_2_17_x86_64"


def test_what_a_selected_file_says() -> None:
    entry = package("six", PURE, tool={"venvctl": {"place": "requirements.txt:3"}})
    entry["wheels"][0]["size"] = 17
    assert select(lock(entry), target()).files == (
        SelectedFile(
            name="six",
            version="1.0",
            file="six-1.0-py3-none-any.whl",
            kind="wheel",
            sha256=digest("six-1.0-py3-none-any.whl"),
            urls=("https://x.test/six-1.0-py3-none-any.whl",),
            size=17,
            place="requirements.txt:3",
        ),
    )


def test_an_empty_lock_is_an_empty_selection() -> None:
    empty = select(lock(), target())
    assert empty == Selection(files=())
    assert empty.digest == hashlib.sha256(b"").hexdigest()


def test_files_are_sorted_by_name() -> None:
    assert chosen(lock(package("six", PURE), package("idna", PURE))) == [
        "idna-1.0-py3-none-any.whl",
        "six-1.0-py3-none-any.whl",
    ]


def test_the_digest_depends_on_content_not_on_where_it_is() -> None:
    one = package("six", PURE)
    other = package("six", PURE, marker="os_name == 'posix'", index="https://other.test/")
    other["wheels"][0]["url"] = "https://other.test/six-1.0-py3-none-any.whl"
    assert select(lock(one), target()).digest == select(lock(other), target()).digest
    other["wheels"][0]["hashes"]["sha256"] = "0" * 64
    assert select(lock(one), target()).digest != select(lock(other), target()).digest


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((PURE, LINUX), LINUX),
        ((PURE, "py2.py3-none-any"), PURE),
        (("py2.py3-none-any", PURE), "py2.py3-none-any"),
        (("cp39-abi3-manylinux_2_17_x86_64", PURE), "cp39-abi3-manylinux_2_17_x86_64"),
        (("cp39-abi3-manylinux_2_17_x86_64", LINUX), LINUX),
        ((LINUX, "cp311-cp311-manylinux_2_28_x86_64"), "cp311-cp311-manylinux_2_28_x86_64"),
        (("cp311-cp311-manylinux_2_37_x86_64", PURE), PURE),
        (("cp311-cp311-musllinux_1_1_x86_64", "cp312-cp312-linux_x86_64", PURE), PURE),
        ((f"1-{PURE}", PURE, f"10-{PURE}", f"2-{PURE}"), f"10-{PURE}"),
        ((f"2-{PURE}", f"1-{LINUX}", LINUX), f"1-{LINUX}"),
        ((f"1a-{PURE}", f"1b-{PURE}"), f"1b-{PURE}"),
    ],
)
def test_the_best_wheel_is_the_one_of_pip_and_uv(tags: Sequence[str], expected: str) -> None:
    assert chosen(lock(package("six", *tags))) == [f"six-1.0-{expected}.whl"]


@pytest.mark.parametrize(
    ("version", "machine", "libc", "threaded", "expected"),
    [
        ("3.11.2", "x86_64", "glibc-2.36", False, "cp311-cp311-manylinux_2_17_x86_64"),
        ("3.11.2", "aarch64", "glibc-2.36", False, "cp311-cp311-manylinux_2_17_aarch64"),
        ("3.11.2", "x86_64", "musl-1.2", False, "cp311-cp311-musllinux_1_1_x86_64"),
        ("3.13.1", "x86_64", "glibc-2.36", False, "cp313-cp313-manylinux_2_17_x86_64"),
        ("3.13.1", "x86_64", "glibc-2.36", True, "cp313-cp313t-manylinux_2_17_x86_64"),
    ],
)
def test_every_target_gets_its_own_wheel(
    *, version: str, machine: str, libc: str, threaded: bool, expected: str
) -> None:
    tags = (
        "cp311-cp311-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_17_aarch64",
        "cp311-cp311-musllinux_1_1_x86_64",
        "cp313-cp313-manylinux_2_17_x86_64",
        "cp313-cp313t-manylinux_2_17_x86_64",
    )
    image = target(version, machine=machine, libc=libc, threaded=threaded)
    assert chosen(lock(package("six", *tags)), target=image) == [f"six-1.0-{expected}.whl"]


def test_markers_choose_between_versions() -> None:
    pylock = lock(
        package("six", PURE, marker="python_version < '3.12'"),
        package("six", PURE, version="2.0", marker="python_version >= '3.12'"),
        package("idna", PURE, marker="sys_platform == 'win32'"),
    )
    assert chosen(pylock) == ["six-1.0-py3-none-any.whl"]
    assert chosen(pylock, target=target("3.13.1")) == ["six-2.0-py3-none-any.whl"]


def test_extras_and_groups_by_any_spelling() -> None:
    pylock = lock(
        package("web", PURE, marker="'web-ui' in extras"),
        package("dev", PURE, marker="'Dev_Tools' in dependency_groups"),
        package("main", PURE, marker="'main' in dependency_groups"),
        **{
            "extras": ["web-ui"],
            "dependency-groups": ["Dev_Tools", "main"],
            "default-groups": ["main"],
        },
    )
    assert chosen(pylock) == ["main-1.0-py3-none-any.whl"]
    assert chosen(pylock, extras=("Web_UI",), groups=("dev-tools",)) == [
        "dev-1.0-py3-none-any.whl",
        "main-1.0-py3-none-any.whl",
        "web-1.0-py3-none-any.whl",
    ]
    assert refused(pylock, LockError, extras=("gui", "cli")) == (
        "The lock has no extra 'gui', 'cli'; it has web-ui."
    )
    assert refused(pylock, LockError, groups=("test",)) == (
        "The lock has no group 'test'; it has Dev_Tools, main."
    )
    assert refused(lock(), LockError, groups=("test",)) == (
        "The lock has no group 'test'; it has none at all."
    )


def test_a_lock_for_another_python_names_both() -> None:
    assert refused(lock(**{"requires-python": ">=3.12"}), LockError) == (
        "The lock is for Python >=3.12; the image has 3.11.2."
    )
    environments = ["sys_platform == 'win32'", "python_version < '3.10'"]
    assert refused(lock(environments=environments), LockError) == (
        'The lock is for other environments: sys_platform == "win32"; python_version < "3.10".'
        " The image has Python 3.11.2 on linux x86_64."
    )
    assert chosen(lock(environments=[*environments, "os_name == 'posix'"])) == []


def test_a_package_for_another_python_is_refused() -> None:
    entry = {**package("six", PURE), "requires-python": ">=3.12"}
    assert refused(lock(entry), SelectionError) == (
        "package six: six needs Python >=3.12; the image has 3.11.2."
    )
    assert chosen(lock({**entry, "marker": "python_version >= '3.12'"})) == []


def test_a_prerelease_of_python_counts_as_itself() -> None:
    pylock = lock(package("six", PURE), **{"requires-python": ">=3.11"})
    assert chosen(pylock, target=target("3.14.0rc1")) == ["six-1.0-py3-none-any.whl"]


def test_a_package_twice_names_both_places() -> None:
    first = package("six", PURE, tool={"venvctl": {"place": "a.txt:1"}})
    second = package("six", PURE, version="2.0", tool={"venvctl": {"place": "b.txt:7"}})
    assert refused(lock(first, second), SelectionError) == (
        "six is selected twice for Python 3.11.2: 1.0 by a.txt:1, 2.0 by b.txt:7."
    )


def test_all_packages_without_a_file_are_named_with_the_tags_of_both_sides() -> None:
    pylock = lock(
        package("six", "cp312-cp312-win32", "cp312-cp312-win_amd64"),
        package("idna", "cp39-cp39-macosx_11_0_arm64", "cp39-cp39-a", "cp39-cp39-b", "cp39-cp39-c"),
        package("fine", PURE),
    )
    assert refused(pylock, SelectionError) == (
        "No file suits the image's Python 3.11.2: six 1.0 (package six) offers"
        " cp312-cp312-win32, cp312-cp312-win_amd64; idna 1.0 (package idna) offers cp39-cp39-a,"
        " cp39-cp39-b, cp39-cp39-c and 1 more. The image takes"
        " cp311-cp311-manylinux_2_36_x86_64, cp311-cp311-manylinux_2_35_x86_64,"
        f" cp311-cp311-manylinux_2_34_x86_64 and {len(target().tags) - 3} more."
    )


def test_sources_are_denied_all_at_once_or_taken() -> None:
    pylock = lock(
        package("six", sdist=True),
        package("idna", "cp39-cp39-win32", sdist=True),
        package("fine", PURE, sdist=True),
    )
    assert refused(pylock, BuildsDeniedError) == (
        "These packages come only as source for Python 3.11.2, and building is not allowed:"
        " idna 1.0, six 1.0."
    )
    found = select(pylock, target(), builds=True).files
    assert [(each.file, each.kind) for each in found] == [
        ("fine-1.0-py3-none-any.whl", "wheel"),
        ("idna-1.0.tar.gz", "sdist"),
        ("six-1.0.tar.gz", "sdist"),
    ]


def test_archives_and_commits_are_source() -> None:
    pylock = lock(
        {
            "name": "shop",
            "archive": file("v1.tar.gz", subdirectory="py"),
        },
        {
            "name": "tool",
            "vcs": {"type": "git", "url": "https://u:p@git.test/tool", "commit-id": COMMIT},
        },
        {
            "name": "other",
            "vcs": {
                "type": "git",
                "url": "ssh://git@git.test/other",
                "commit-id": COMMIT,
                "subdirectory": "py",
            },
        },
    )
    assert refused(pylock, BuildsDeniedError) == (
        "These packages come only as source for Python 3.11.2, and building is not allowed:"
        " other, shop, tool."
    )
    other, shop, tool = select(pylock, target(), builds=True).files
    assert (shop.file, shop.kind, shop.subdirectory) == ("v1.tar.gz", "archive", "py")
    assert (tool.file, tool.kind, tool.commit, tool.sha256) == ("", "vcs", COMMIT, "")
    assert (other.urls, other.subdirectory) == (("ssh://git@git.test/other",), "py")
    assert "u:p" not in repr(tool)


def test_an_archive_that_is_a_wheel_is_a_wheel() -> None:
    entry = {"name": "six", "archive": file(f"six-1.0-{LINUX}.whl")}
    (found,) = select(lock(entry), target()).files
    assert (found.kind, found.file) == ("wheel", f"six-1.0-{LINUX}.whl")
    assert refused(lock(entry), SelectionError, target=target("3.13.1")).startswith(
        f"No file suits the image's Python 3.13.1: six (package six) offers {LINUX}."
    )


def test_local_files_keep_their_path() -> None:
    entry = {"name": "six", "wheels": [file("x", url=None, path="/srv/six-1.0-py3-none-any.whl")]}
    (found,) = select(lock(entry), target()).files
    assert (found.path, found.urls, found.file) == (
        "/srv/six-1.0-py3-none-any.whl",
        (),
        "six-1.0-py3-none-any.whl",
    )


def test_hosts_are_insecure_on_purpose_only() -> None:
    entry = package("six", PURE)
    entry["wheels"][0]["url"] = "http://u:p@x.test:8080/six-1.0-py3-none-any.whl"
    message = (
        "package six: 'http://x.test:8080/six-1.0-py3-none-any.whl' is not secure: it is plain"
        " HTTP."
    )
    assert refused(lock(entry), LockError) == message
    assert refused(lock(entry), LockError, insecure_hosts=("x.test:80",)) == message
    for host in ("x.test", "x.test:8080"):
        assert chosen(lock(entry), insecure_hosts=(host,)) == ["six-1.0-py3-none-any.whl"]


def with_url(url: str) -> dict[str, Any]:
    return {"name": "six", "wheels": [file("x", name="six-1.0-py3-none-any.whl", url=url)]}


def with_hashes(hashes: dict[str, str]) -> dict[str, Any]:
    return {"name": "six", "wheels": [file("six-1.0-py3-none-any.whl", hashes=hashes)]}


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "editable": (
        {"name": "six", "directory": {"path": "../six", "editable": True}},
        "package six: six is editable: '../six'.",
    ),
    "directory": (
        {"name": "six", "directory": {"path": "."}},
        "package six: six is a directory: '.'.",
    ),
    "file URL": (
        with_url("file:///etc/passwd"),
        "package six: 'file:///etc/passwd' is a `file:` URL.",
    ),
    "other scheme": (
        with_url("ftp://x.test/six"),
        "package six: 'ftp://x.test/six' can't be fetched: it is not an HTTPS URL.",
    ),
    "no scheme": (
        with_url("x.test/six"),
        "package six: 'x.test/six' can't be fetched: it is not an HTTPS URL.",
    ),
    "no host": (
        with_url("https:///six"),
        "package six: 'https:///six' can't be fetched: it is not an HTTPS URL.",
    ),
    "line break in URL": (
        with_url("https://x.test/six\r\nX: y"),
        "package six: 'https://x.test/six\\r\\nX: y' can't be fetched: it is not an HTTPS URL.",
    ),
    "bad port": (
        with_url("https://u:p@x.test:port/six"),
        "package six: 'https://x.test:port/six' is not a URL: its host or port is malformed.",
    ),
    "password with a slash": (
        with_url("https://ann:half/other@x.test/six"),
        "package six: 'https://x.test/six' is not a URL: its host or port is malformed.",
    ),
    "weak hash": (
        with_hashes({"md5": "d41d8cd98f00b204e9800998ecf8427e"}),
        "package six: six-1.0-py3-none-any.whl: There is no SHA-256 hash, only md5.",
    ),
    "other strong hash": (
        with_hashes({"sha512": "0" * 128, "sha384": "0" * 96}),
        "package six: six-1.0-py3-none-any.whl: There is no SHA-256 hash, only sha384, sha512.",
    ),
    "short hash": (
        with_hashes({"sha256": "abc"}),
        (
            "package six: six-1.0-py3-none-any.whl: The hash 'sha256:abc' is malformed:"
            " sha256 has 64 digits of lower-case hex."
        ),
    ),
    "upper-case hash": (
        with_hashes({"sha256": "A" * 64}),
        (
            f"package six: six-1.0-py3-none-any.whl: The hash 'sha256:{'A' * 64}' is malformed:"
            " sha256 has 64 digits of lower-case hex."
        ),
    ),
    "hash that is a path": (
        with_hashes({"sha256": f"{'a' * 61}/.."}),
        (
            f"package six: six-1.0-py3-none-any.whl: The hash 'sha256:{'a' * 61}/..' is malformed:"
            " sha256 has 64 digits of lower-case hex."
        ),
    ),
    "archive named with a separator": (
        {"name": "six", "archive": file("x", url="https://x.test/..%2Fsix.tar.gz")},
        "package six: '../six.tar.gz' can't be a file name.",
    ),
    "archive named by dots": (
        {"name": "six", "archive": file("x", url="https://x.test/..")},
        "package six: '..' can't be a file name.",
    ),
    "archive without name": (
        {"name": "six", "archive": file("x", url="https://x.test/")},
        "package six: '' can't be a file name.",
    ),
    "archive named with NUL": (
        {"name": "six", "archive": file("x", url="https://x.test/a%00b.zip")},
        "package six: 'a\\x00b.zip' can't be a file name.",
    ),
    "archive with a long name": (
        {"name": "six", "archive": file("x", url=f"https://x.test/{'a' * 300}.zip")},
        f"package six: '{'a' * 300}.zip' can't be a file name.",
    ),
    "archive that is a wheel of another": (
        {"name": "six", "archive": file("idna-1.0-py3-none-any.whl")},
        "package six: 'idna-1.0-py3-none-any.whl' is not a wheel of six.",
    ),
    "archive that is a wheel of another version": (
        {"name": "six", "version": "2.0", "archive": file("six-1.0-py3-none-any.whl")},
        "package six: 'six-1.0-py3-none-any.whl' is not a wheel of six 2.0.",
    ),
    "archive with a bad wheel name": (
        {"name": "six", "archive": file("six.whl")},
        "package six: 'six.whl' is not a wheel's file name.",
    ),
    "branch": (
        {"name": "six", "vcs": {"type": "git", "url": "https://u:p@x.test/", "commit-id": "main"}},
        "package six: 'https://x.test/' is not pinned to a commit.",
    ),
    "local repository": (
        {"name": "six", "vcs": {"type": "git", "path": "../six", "commit-id": COMMIT}},
        "package six: six comes from version control other than a git URL.",
    ),
    "repository by file URL": (
        {"name": "six", "vcs": {"type": "git", "url": "file:///six", "commit-id": COMMIT}},
        "package six: 'file:///six' is a `file:` URL.",
    ),
    "other version control": (
        {"name": "six", "vcs": {"type": "hg", "url": "https://x.test/", "commit-id": COMMIT}},
        "package six: six comes from version control other than a git URL.",
    ),
    "marker without a value": (
        package("six", PURE, marker="extra == 'x'"),
        (
            "package six: The marker 'extra == \"x\"' can't be evaluated: 'extra' has no value in a"
            " lock."
        ),
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_entries_are_refused(case: str) -> None:
    entry, message = HOSTILE[case]
    assert refused(lock(entry), LockError, builds=True) == message


@pytest.mark.parametrize(("version", "machine"), [((1, 2), "x86_64"), ((1, 1), "aarch64")])
def test_a_musl_target_has_the_tags_that_packaging_gives_it(
    version: tuple[int, int], machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No image with musl can be made here, so the library is told that this interpreter has it.
    found = _musllinux._MuslVersion(*version)
    monkeypatch.setattr(_musllinux, "_get_musl_version", lambda _: found)
    monkeypatch.setattr(_manylinux, "platform_tags", lambda _: iter(()))
    monkeypatch.setattr(sysconfig, "get_platform", lambda: f"linux-{machine}")
    *musl, plain = platforms(machine, f"musl-{version[0]}.{version[1]}")

    assert list(tags.platform_tags()) == [plain, *musl]
    names = list(tags.platform_tags())
    image = dataclasses.replace(
        target("3.12.1"), tags=tuple(map(str, tags.cpython_tags((3, 12), ["cp312"], names)))
    )
    offered = package(
        "six",
        f"cp312-cp312-manylinux_2_17_{machine}",
        f"cp312-abi3-musllinux_1_0_{machine}",
        f"cp312-cp312-musllinux_1_1_{machine}",
        f"1-cp312-cp312-musllinux_1_1_{machine}",
        f"cp312-cp312-musllinux_1_3_{machine}",
    )
    lock = Pylock.from_dict({**HEAD, "packages": [offered]})
    assert [each.file for each in select(lock, image).files] == [
        f"six-1.0-1-cp312-cp312-musllinux_1_1_{machine}.whl"
    ]
