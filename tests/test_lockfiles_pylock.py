"""`pylock.toml`: PEP 751 as it is, and twenty ways to break it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl import lockfiles
from venvctl.errors import LockError
from venvctl.lockfiles import Lock, LockOptions

if TYPE_CHECKING:
    from pathlib import Path

A = "a" * 64
HEAD = 'lock-version = "1.0"\ncreated-by = "a-tool"\n'
WHEEL = f'{{ url = "https://x.test/six-1.0-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}'
PACKAGE = f'[[packages]]\nname = "six"\nversion = "1.0"\nwheels = [{WHEEL}]\n'


def read(folder: Path, content: str | bytes, *, name: str = "pylock.toml") -> Lock:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    options = LockOptions(project=folder, extras=("web",), groups=("dev",))
    return lockfiles.read(path, options=options)


def test_a_lock_is_taken_as_it_is(tmp_path: Path) -> None:
    lock = read(
        tmp_path,
        f'{HEAD}requires-python = ">=3.9"\nextras = ["web"]\ndependency-groups = ["dev"]\n'
        f'default-groups = ["main"]\nenvironments = ["os_name == \'posix\'"]\n{PACKAGE}',
        name="pylock.prod.toml",
    )
    assert (lock.format, lock.extras, lock.groups, lock.pins) == ("pylock", ("web",), ("dev",), ())
    assert str(lock.pylock.requires_python) == ">=3.9"
    assert lock.pylock.extras == ["web"]
    assert lock.pylock.dependency_groups == ["dev"]
    assert lock.pylock.default_groups == ["main"]
    assert [str(marker) for marker in lock.pylock.environments or ()] == ['os_name == "posix"']
    (package,) = lock.pylock.packages
    assert package.tool == {"venvctl": {"place": "pylock.prod.toml: packages[0]"}}
    assert lock.warnings == ()


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + (HEAD + PACKAGE).encode(),
        (HEAD + PACKAGE).replace("\n", "\r\n").encode(),
    ],
)
def test_a_mark_and_other_line_ends_are_fine(tmp_path: Path, content: bytes) -> None:
    assert [package.name for package in read(tmp_path, content).pylock.packages] == ["six"]


def test_a_newer_minor_version_is_a_warning(tmp_path: Path) -> None:
    lock = read(tmp_path, HEAD.replace("1.0", "1.3") + "packages = []\n")
    assert lock.warnings == (
        "pylock.toml: `lock-version` 1.3 is newer than 1.0, which venvctl knows.",
    )


def test_local_paths_start_from_the_lock(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    path = tmp_path / "locks/pylock.toml"
    wheel = f'{{ path = "../wheels/six-1.0-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}'
    path.write_text(f'{HEAD}[[packages]]\nname = "six"\nwheels = [{wheel}]\n')
    lock = lockfiles.read(path, options=LockOptions(project=tmp_path))
    (package,) = lock.pylock.packages
    assert package.wheels is not None
    assert package.wheels[0].path == str(tmp_path / "wheels/six-1.0-py3-none-any.whl")


def entry(text: str) -> str:
    return f'{HEAD}[[packages]]\nname = "six"\n{text}\n'


MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "pylock.toml: `lock-version` is missing or not a text."),
    "cut short": (HEAD + PACKAGE[:-20], "pylock.toml:6: Unterminated string."),
    "not TOML": (
        HEAD + "packages: []\n",
        "pylock.toml:3: Expected '=' after a key in a key/value pair.",
    ),
    "a key twice": (HEAD + HEAD, "pylock.toml:3: Cannot overwrite a value."),
    "not UTF-8": (
        HEAD.encode() + b"# \xff\n",
        "pylock.toml:3: This is not UTF-8: byte 0xff at offset 45.",
    ),
    "NUL": (HEAD + "packages = []\0", "pylock.toml:3: There is a NUL character."),
    "next major version": (
        HEAD.replace("1.0", "2.0") + 'packages = "new"\n',
        "pylock.toml: `lock-version` 2.0 is not known; venvctl knows 1.0.",
    ),
    "no version": (
        'lock-version = "x"\n',
        "pylock.toml: `lock-version` 'x' is not a version.",
    ),
    "version of another type": (
        "lock-version = 1.0\n",
        "pylock.toml: `lock-version` is missing or not a text.",
    ),
    "no creator": (
        'lock-version = "1.0"\npackages = []\n',
        "pylock.toml: created-by: Missing required value.",
    ),
    "no packages": (HEAD, "pylock.toml: packages: Missing required value."),
    "packages of another type": (
        HEAD + "packages = 1\n",
        "pylock.toml: packages: Unexpected type int (expected Sequence).",
    ),
    "no name": (
        HEAD + "[[packages]]\n",
        "pylock.toml: packages[0].name: Missing required value.",
    ),
    "name not normalized": (
        HEAD + '[[packages]]\nname = "Six"\n',
        "pylock.toml: packages[0].name: Name 'Six' is not normalized.",
    ),
    "no files": (
        entry(""),
        (
            "pylock.toml: packages[0]: Exactly one of vcs, directory, archive must be set if sdist"
            " and wheels are not set."
        ),
    ),
    "bad version": (
        entry('version = "one"'),
        "pylock.toml: packages[0].version: Invalid version: 'one'.",
    ),
    "bad marker": (
        entry('marker = "os_nam == 1"'),
        "pylock.toml: packages[0].marker: Expected a marker variable or quoted string.",
    ),
    "deep marker": (
        entry(f'marker = "{"(" * 5000}"'),
        "pylock.toml: packages[0].marker: It is nested too deep.",
    ),
    "no hashes": (
        entry('wheels = [{ url = "https://x.test/six-1.0-py3-none-any.whl" }]'),
        "pylock.toml: packages[0].wheels[0].hashes: Missing required value.",
    ),
    "empty hashes": (
        entry('wheels = [{ url = "https://x.test/six-1.0-py3-none-any.whl", hashes = {} }]'),
        "pylock.toml: packages[0].wheels[0].hashes: At least one hash must be provided.",
    ),
    "no place": (
        entry(f'wheels = [{{ name = "six-1.0-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}]'),
        "pylock.toml: packages[0].wheels[0]: path or url must be provided.",
    ),
    "file name that is a path": (
        entry(
            'wheels = [{ name = "../six-1.0-py3-none-any.whl", url = "https://x.test/six",'
            f' hashes = {{ sha256 = "{A}" }} }}]'
        ),
        "pylock.toml: packages[0].wheels[0]: Invalid wheel filename '../six-1.0-py3-none-any.whl'.",
    ),
    "path out of the project": (
        entry(
            f'wheels = [{{ path = "../six-1.0-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}]'
        ),
        (
            "pylock.toml: packages[0]: '../six-1.0-py3-none-any.whl' is not in the project's"
            " directory."
        ),
    ),
    "wheel of another package": (
        entry(f"wheels = [{WHEEL.replace('six', 'idna')}]"),
        (
            "pylock.toml: packages[0].wheels[0]: Name in 'idna-1.0-py3-none-any.whl' is not"
            " consistent with package name 'six'."
        ),
    ),
    "nested too deep": (
        HEAD + "tool = " + "[" * 10000 + "]" * 10000,
        "pylock.toml:1: The file is nested too deep.",
    ),
    "key too deep": (HEAD + "a." * 10000 + "b = 1", "pylock.toml:3: The file is nested too deep."),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_locks_say_where(tmp_path: Path, case: str) -> None:
    content, message = MALFORMED[case]
    with pytest.raises(LockError) as caught:
        read(tmp_path, content)
    assert caught.value.message == message
    assert "\n" not in caught.value.message
    assert caught.value.hint
