"""`requirements.txt`: what pip accepts reads as for pip; anything else says where it is wrong."""

from __future__ import annotations

import codecs
import hashlib
from typing import TYPE_CHECKING

import pytest

from venvctl import lockfiles
from venvctl.errors import LockError
from venvctl.lockfiles import Index, Lock, LockOptions, Pin

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = "a" * 64, "b" * 64, "c" * 64

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def read(folder: Path, content: str | bytes, *, name: str = "requirements.txt") -> Lock:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return lockfiles.read(path, options=LockOptions(project=folder))


def refused(folder: Path, content: str | bytes) -> LockError:
    with pytest.raises(LockError) as caught:
        read(folder, content)
    return caught.value


def test_pins_with_hashes_keep_their_place(tmp_path: Path) -> None:
    lock = read(
        tmp_path,
        f"# made by a tool\n\nFlask_Login==0.6.3 \\\n    --hash=sha256:{B} \\\n"
        f"    --hash=sha256:{A}\n    # via shop\nflask[async]==3.0 ; python_version >= '3.8'"
        f" --hash sha256:{C}\n",
    )
    assert lock.format == "requirements"
    assert lock.pins[0] == Pin(
        name="flask-login",
        version="0.6.3",
        place="requirements.txt:3",
        hashes=(f"sha256:{A}", f"sha256:{B}"),
    )
    assert (lock.pins[1].name, lock.pins[1].version, lock.pins[1].place) == (
        "flask",
        "3.0",
        "requirements.txt:7",
    )
    assert str(lock.pins[1].marker) == 'python_version >= "3.8"'
    assert lock.pylock.packages == []
    assert lock.warnings == ()


def test_pins_without_hashes_are_for_the_pin_record(tmp_path: Path) -> None:
    lock = read(tmp_path, "flask==3.0.0\nsix===1.16.0\n")
    assert [(pin.name, pin.version, pin.hashes) for pin in lock.pins] == [
        ("flask", "3.0.0", ()),
        ("six", "1.16.0", ()),
    ]


def test_an_empty_file_is_an_empty_lock(tmp_path: Path) -> None:
    lock = read(tmp_path, "# nothing\n\n")
    assert (lock.pins, list(lock.pylock.packages)) == ((), [])


def test_includes_are_followed_and_digested_once_in_reading_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/base.txt").write_text("-r deeper.txt\nsix==1.16.0\n")
    (tmp_path / "sub/deeper.txt").write_text("idna==3.0\n")
    read_paths: list[Path] = []

    def reading(path: Path) -> bytes:
        read_paths.append(path)
        return path.read_bytes()

    top = tmp_path / "requirements.txt"
    top.write_text("-r sub/base.txt\n--requirement=sub/deeper.txt\nflask==3.0.0\n")
    lock = lockfiles.read(top, options=LockOptions(project=tmp_path), read_bytes=reading)
    assert [(pin.name, pin.place) for pin in lock.pins] == [
        ("idna", "sub/deeper.txt:1"),
        ("six", "sub/base.txt:2"),
        ("flask", "requirements.txt:3"),
    ]
    files = [top, tmp_path / "sub/base.txt", tmp_path / "sub/deeper.txt"]
    assert read_paths == files
    assert dict(lock.digests) == {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }
    assert lockfiles.digests(lock.digests) == lock.digests


def test_a_place_outside_the_project_is_named_in_full(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    path = tmp_path / "requirements.txt"
    path.write_text("six==1.16.0\n")
    lock = lockfiles.read(path, options=LockOptions(project=tmp_path / "project"))
    assert lock.pins[0].place == f"{path}:1"


def test_a_find_links_with_too_long_a_name_is_none_of_this_host_s(tmp_path: Path) -> None:
    lock = read(tmp_path, f"--find-links {'x' * 300}\nsix==1.16.0\n")
    assert lock.pins[0].index.find_links == ("x" * 300,)


def test_the_digest_does_not_depend_on_where_the_files_are(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "base.txt").write_text("six==1.16.0\n")
    one = read(tmp_path / "one", "-r base.txt\n")
    assert one.digest == read(tmp_path / "two", "-r base.txt\n").digest
    (tmp_path / "one/base.txt").write_text("six==1.17.0\n")
    assert one.digest != read(tmp_path / "one", "-r base.txt\n").digest


def test_constraints_pin_and_give_hashes(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text(f"six==1.16.0 --hash=sha256:{A}\nunused==1\n")
    lock = read(tmp_path, "-c c.txt\nsix>=1\n")
    assert lock.pins == (
        Pin(name="six", version="1.16.0", place="requirements.txt:2", hashes=(f"sha256:{A}",)),
    )
    assert list(lock.digests) == [str(tmp_path / "requirements.txt"), str(tmp_path / "c.txt")]


def test_hashes_must_be_allowed_by_requirement_and_constraint(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text(f"six==1.16.0 --hash=sha256:{A} --hash=sha256:{B}\n")
    lock = read(tmp_path, f"-c c.txt\nsix==1.16.0 --hash=sha256:{B} --hash=sha256:{C}\n")
    assert lock.pins[0].hashes == (f"sha256:{B}",)


def test_index_options_of_all_files_count_for_every_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_1", "s3cret")
    lock = read(
        tmp_path,
        "six==1.16.0\n-i https://u:${TOKEN_1}@index.test/simple\n"
        "--extra-index-url https://extra.test/simple\n-f https://links.test/\n"
        "--trusted-host index.test\n--pre\n--prefer-binary\n",
    )
    assert lock.pins[0].index == Index(
        url="https://u:s3cret@index.test/simple",
        extra=("https://extra.test/simple",),
        find_links=("https://links.test/",),
    )
    assert lock.insecure_hosts == ("index.test",)
    assert "s3cret" not in repr(lock)


def test_options_that_choose_among_versions_mean_nothing_to_pins(tmp_path: Path) -> None:
    options = "--pre\n--prefer-binary\n--all-releases :all:\n--only-final six,idna\n"
    path = tmp_path / "requirements.txt"
    path.write_text(f"{options}--require-hashes\n--no-require-hashes\nsix==1\n")
    lock = lockfiles.read(path, options=LockOptions(project=tmp_path))
    assert [(pin.name, pin.hashes) for pin in lock.pins] == [("six", ())]


def test_no_index_leaves_the_links_alone(tmp_path: Path) -> None:
    lock = read(tmp_path, "-i https://i.test/\n--no-index\n-f https://l.test/\nsix==1.16.0\n")
    assert lock.pins[0].index == Index(disabled=True, find_links=("https://l.test/",))


def test_find_links_of_a_local_directory_start_from_the_file_that_names_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "sub/wheels").mkdir(parents=True)
    (tmp_path / "sub/base.txt").write_text("--find-links wheels\nsix==1.16.0\n")
    lock = read(tmp_path, "-r sub/base.txt\n")
    assert lock.pins[0].index.find_links == (str(tmp_path / "sub/wheels"),)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("--no-binary :all:", (True, False)),
        ("--only-binary=:all:", (False, True)),
        ("--no-binary=six,idna", (True, False)),
        ("--no-binary :all:\n--only-binary six", (False, True)),
        ("--no-binary six\n--no-binary :none:", (False, False)),
        ("--only-binary :all:,:none:,idna", (False, False)),
    ],
)
def test_format_control_is_pips(tmp_path: Path, lines: str, expected: tuple[bool, bool]) -> None:
    (pin,) = read(tmp_path, f"{lines}\nsix==1.16.0\n").pins
    assert (pin.no_binary, pin.only_binary) == expected


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + "six==1.16.0 # é".encode(),
        codecs.BOM_UTF16_LE + "six==1.16.0 # é".encode("utf-16-le"),
        codecs.BOM_UTF32_BE + "six==1.16.0 # é".encode("utf-32-be"),
        "# -*- coding: latin-1 -*-\nsix==1.16.0 # é".encode("latin-1"),
        b"six==1.16.0\r\n",
        b"six==\\\r\n1.16.0\r\n",
        b"six==1.16.0 \\",
    ],
)
def test_encodings_and_line_ends(tmp_path: Path, content: bytes) -> None:
    assert [(pin.name, pin.version) for pin in read(tmp_path, content).pins] == [("six", "1.16.0")]


def test_direct_urls_become_archives_with_their_hash(tmp_path: Path) -> None:
    lock = read(
        tmp_path,
        f"six @ https://u:p@files.test/six-1.16.0-py3-none-any.whl#sha256={A}\n"
        f"https://files.test/idna-3.0.tar.gz --hash=sha256:{B}\n"
        f"shop @ https://files.test/archive/v2.tar.gz#sha256={C}&subdirectory=py ; os_name=='nt'\n",
    )
    found = [
        (p.name, str(p.version or ""), p.archive.url, dict(p.archive.hashes))
        for p in lock.pylock.packages
        if p.archive
    ]
    assert found == [
        ("six", "1.16.0", "https://u:p@files.test/six-1.16.0-py3-none-any.whl", {"sha256": A}),
        ("idna", "3.0", "https://files.test/idna-3.0.tar.gz", {"sha256": B}),
        ("shop", "", "https://files.test/archive/v2.tar.gz", {"sha256": C}),
    ]
    shop = lock.pylock.packages[2]
    assert str(shop.marker) == 'os_name == "nt"'
    assert shop.archive is not None
    assert shop.archive.subdirectory == "py"
    assert lock.pins == ()


def test_git_urls_become_commits(tmp_path: Path) -> None:
    lock = read(
        tmp_path,
        f"shop @ git+https://git.test/shop.git@{COMMIT}#subdirectory=py\n"
        f"git+ssh://git@git.test/x@{COMMIT}#egg=other\n",
    )
    found = [
        (p.name, p.vcs.url, p.vcs.commit_id, p.vcs.subdirectory)
        for p in lock.pylock.packages
        if p.vcs
    ]
    assert found == [
        ("shop", "https://git.test/shop.git", COMMIT, "py"),
        ("other", "ssh://git@git.test/x", COMMIT, None),
    ]


def test_local_wheels_of_the_project_are_taken_by_path(tmp_path: Path) -> None:
    lock = read(
        tmp_path,
        f"./wheels/six-1.16.0-py3-none-any.whl --hash=sha256:{A}\n"
        f"idna @ file://{tmp_path}/idna-3.0-py3-none-any.whl#sha256={B}\n",
    )
    assert [p.archive.path for p in lock.pylock.packages if p.archive] == [
        str(tmp_path / "wheels/six-1.16.0-py3-none-any.whl"),
        str(tmp_path / "idna-3.0-py3-none-any.whl"),
    ]


def test_build_options_are_ignored_with_a_warning(tmp_path: Path) -> None:
    lock = read(tmp_path, 'six==1.16.0 --config-settings="--x=y z"\n')
    assert lock.warnings == ("requirements.txt:1: Build options are ignored.",)


def test_quoted_options_are_split_as_by_a_shell(tmp_path: Path) -> None:
    (tmp_path / "with space.txt").write_text("six==1.16.0\n")
    assert read(tmp_path, "-r 'with space.txt'\n").pins[0].place == "with space.txt:1"


MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "unpinned": ("flask\n", "requirements.txt:1: 'flask' is not pinned to one version."),
    "range": ("six==1\nflask>=2\n", "requirements.txt:2: 'flask>=2' is not pinned to one version."),
    "wildcard": (
        "flask==2.*\n",
        "requirements.txt:1: 'flask==2.*' is not pinned to one version.",
    ),
    "one line without hash": (
        f"six==1 --hash=sha256:{A}\nflask==3\nidna==3\n",
        "requirements.txt:2: 'flask==3' has no hash (and 1 more), though other lines have.",
    ),
    "require-hashes": (
        "--require-hashes\nflask==3\n",
        "requirements.txt:2: 'flask==3' has no hash, though `--require-hashes` asks for one.",
    ),
    "weak hash": (
        "six==1 --hash=md5:d41d8cd98f00b204e9800998ecf8427e\n",
        (
            "requirements.txt:1: The hash 'md5:d41d8cd98f00b204e9800998ecf8427e' is not one of"
            " sha256, sha384, sha512."
        ),
    ),
    "short hash": (
        "six==1 --hash=sha256:abc\n",
        (
            "requirements.txt:1: The hash 'sha256:abc' is malformed: sha256 has 64 digits of"
            " lower-case hex."
        ),
    ),
    "upper-case hash": (
        f"six==1 --hash=sha256:{A.upper()}\n",
        (
            f"requirements.txt:1: The hash 'sha256:{A.upper()}' is malformed: sha256 has 64 digits"
            " of lower-case hex."
        ),
    ),
    "hash alone": (
        f"six==1\n--hash=sha256:{A}\n",
        "requirements.txt:2: A hash stands there without a requirement.",
    ),
    "unknown option": (
        "six==1\n--upgrade-all\n",
        "requirements.txt:2: No such option: --upgrade-all.",
    ),
    "option without value": (
        "six==1 --hash\n",
        "requirements.txt:1: --hash option requires 1 argument.",
    ),
    "open quote": (
        "-r 'base.txt\n",
        "requirements.txt:1: The options can't be split into words: No closing quotation.",
    ),
    "word among options": (
        "-i https://x.test/ flask\n",
        "requirements.txt:1: 'flask' stands among the options.",
    ),
    "editable": ("-e ./shop\n", "requirements.txt:1: './shop' is editable."),
    "directory": ("./shop\n", "requirements.txt:1: './shop' is a directory."),
    "dot": (".\n", "requirements.txt:1: '.' is a directory."),
    "directory by URL": (
        "shop @ file:///srv/shop\n",
        "requirements.txt:1: '/srv/shop' is a directory.",
    ),
    "not a requirement": (
        "flask=3\n",
        (
            "requirements.txt:1: 'flask=3' is not a requirement: Expected semicolon (after name"
            " with no version specifier) or end."
        ),
    ),
    "not a version": (
        "six===latest\n",
        "requirements.txt:1: 'latest' is not a version (PEP 440).",
    ),
    "bad marker": (
        "six==1 ; python_versio > '3'\n",
        (
            "requirements.txt:1: \"six==1 ; python_versio > '3'\" is not a requirement: Expected a"
            " marker variable or quoted string."
        ),
    ),
    "deep marker": (
        f"six==1 ; {'(' * 5000}os_name == 'nt'{')' * 5000}\n",
        "requirements.txt:1: The marker is nested too deep.",
    ),
    "missing include": (
        "-r nowhere.txt\n",
        "requirements.txt:1: The included file 'nowhere.txt' does not exist.",
    ),
    "include with too long a name": (
        f"-r {'x' * 300}\n",
        f"requirements.txt:1: The included file '{'x' * 300}' does not exist.",
    ),
    "include by URL": (
        "-r https://u:p@x.test/r.txt\n",
        "requirements.txt:1: 'https://x.test/r.txt' is a URL; only files can be included.",
    ),
    "includes itself": (
        "-r ./requirements.txt\n",
        "requirements.txt:1: './requirements.txt' includes itself again.",
    ),
    "unset variable": (
        "-i https://${VT_NO_SUCH}@x.test/\n",
        "requirements.txt:1: The environment variable VT_NO_SUCH is not set.",
    ),
    "URL without hash": (
        "six @ https://u:p@x.test/six-1-py3-none-any.whl\n",
        "requirements.txt:1: 'https://x.test/six-1-py3-none-any.whl' has no hash.",
    ),
    "URL with MD5": (
        f"six @ https://x.test/six-1-py3-none-any.whl#md5={'a' * 32}\n",
        f"requirements.txt:1: The hash 'md5:{'a' * 32}' is not one of sha256, sha384, sha512.",
    ),
    "URL with two hashes": (
        f"https://x.test/six-1-py3-none-any.whl --hash=sha256:{A} --hash=sha256:{B}\n",
        (
            "requirements.txt:1: 'https://x.test/six-1-py3-none-any.whl' has more than one"
            " sha256 hash."
        ),
    ),
    "URL without name": (
        f"https://x.test/v1.zip#sha256={A}\n",
        f"requirements.txt:1: 'https://x.test/v1.zip#sha256={A}' doesn't tell the package's name.",
    ),
    "URL of another wheel": (
        f"six @ https://x.test/idna-1-py3-none-any.whl#sha256={A}\n",
        "requirements.txt:1: 'idna-1-py3-none-any.whl' is not a wheel of 'six'.",
    ),
    "URL of no wheel name": (
        f"six @ https://x.test/six.whl#sha256={A}\n",
        "requirements.txt:1: 'six.whl' is not a wheel's file name.",
    ),
    "branch": (
        "shop @ git+https://u:p@x.test/shop@main\n",
        "requirements.txt:1: 'git+https://x.test/shop@main' is not pinned to a commit.",
    ),
    "not git": (
        "shop @ hg+https://x.test/shop@1\n",
        "requirements.txt:1: 'hg+https://x.test/shop@1' is in 'hg'; only git is supported.",
    ),
    "bad URL": (
        f"six @ https://[::1/six-1.tar.gz#sha256={A}\n",
        (
            f"requirements.txt:1: 'https://[::1/six-1.tar.gz#sha256={A}' is not a URL: its host or"
            " port is malformed."
        ),
    ),
    "file out of the project": (
        f"../six-1-py3-none-any.whl --hash=sha256:{A}\n",
        "requirements.txt:1: '../six-1-py3-none-any.whl' is not in the project's directory.",
    ),
    "contradicted": (
        "-c c.txt\nidna==2\n",
        "requirements.txt:2: 'idna==2' contradicts 'idna==3' of c.txt:1.",
    ),
    "not UTF-8": (
        b"six==1\nidna==3 # \xff\n",
        "requirements.txt:2: This is not UTF-8: byte 0xff at offset 17.",
    ),
    "unknown encoding": (
        b"# coding: klingon\nsix==1\n",
        "requirements.txt:1: The encoding 'klingon' is unknown.",
    ),
    "NUL": (b"six==1\nidna==\x003\n", "requirements.txt:2: There is a NUL character."),
    "endless line": (
        b"six==1 " + b"x" * (1 << 20),
        "requirements.txt:1: The line is longer than 1,048,576 characters.",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_locks_say_where(tmp_path: Path, case: str) -> None:
    content, message = MALFORMED[case]
    (tmp_path / "c.txt").write_text("idna==3\n")
    error = refused(tmp_path, content)
    assert error.message == message
    assert "\n" not in error.message
    assert error.hint


def test_hashes_that_both_files_refuse_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text(f"six==1 --hash=sha256:{A}\n")
    error = refused(tmp_path, f"-c c.txt\nsix==1 --hash=sha256:{B}\n")
    assert error.message == "requirements.txt:2: No hash of 'six==1' is allowed by c.txt:1 too."


def test_a_longer_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("-c requirements.txt\n")
    assert refused(tmp_path, "-r b.txt\n").message == (
        "b.txt:1: 'requirements.txt' includes itself again."
    )


@pytest.mark.parametrize("kind", ["extras", "groups"])
def test_extras_and_groups_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("six==1\n")
    options = {"extras": LockOptions(project=tmp_path, extras=("web", "x"))}
    options["groups"] = LockOptions(project=tmp_path, groups=("web", "x"))
    with pytest.raises(LockError) as caught:
        lockfiles.read(path, options=options[kind])
    assert caught.value.message == (
        f"requirements.txt is a requirements file and has no {kind}: web, x."
    )
