"""`poetry.lock`: of Poetry 2, which tells all, and of Poetry 1, which needs its pyproject.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interpreters import target
from venvctl import lockfiles
from venvctl.errors import LockError, SelectionError
from venvctl.lockfiles import Index, Lock, LockOptions

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.target import Target

A, B = "a" * 64, "b" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"
END = """
[extras]
web = ["tornado"]

[metadata]
lock-version = "2.1"
python-versions = ">=3.9,<4.0"
content-hash = "x"
"""


def entry(name: str, version: str = "1.0", rest: str = 'groups = ["main"]', digest: str = A) -> str:
    return (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\n'
        f'python-versions = "*"\n{rest}\n'
        if "files" in rest
        else f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\n'
        f'python-versions = "*"\nfiles = [{{file = "{name}-{version}.tar.gz",'
        f' hash = "sha256:{digest}"}}]\n{rest}\n'
    )


def read(folder: Path, text: str | bytes, **options: tuple[str, ...]) -> Lock:
    path = folder / "poetry.lock"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    extras, groups = options.get("extras", ()), options.get("groups", ())
    return lockfiles.read(path, options=LockOptions(project=folder, extras=extras, groups=groups))


def applying(lock: Lock, image: Target | None = None) -> list[str]:
    """The pins that apply to an image, each with its version."""
    environment = (image or target()).marker_environment()
    needed = lock.graph.reached(environment) if lock.graph else None
    return [
        f"{pin.name} {pin.version}"
        for pin in lock.pins
        if (needed is None or pin.place in needed)
        and (pin.marker is None or pin.marker.evaluate(dict(environment)))
    ]


NEW = (
    entry("Six")
    + entry("tornado", rest='groups = ["main"]\nmarkers = "extra == \\"web\\""')
    + entry("numpy", "1.26.4", 'groups = ["main"]\nmarkers = "python_version < \\"3.12\\""')
    + entry("numpy", "2.1.0", 'groups = ["main"]\nmarkers = "python_version >= \\"3.12\\""')
    + entry("pytest", rest='groups = ["dev"]')
    + entry(
        "colorama",
        rest='groups = ["main", "dev"]\n'
        'markers = {main = "sys_platform == \\"win32\\"", dev = "os_name == \\"posix\\""}',
    )
    + entry(
        "idna",
        rest='groups = ["docs", "main"]\nmarkers = {main = "extra == \\"gui\\""}',
    )
    + END
)


def test_poetry_2_tells_groups_and_markers(tmp_path: Path) -> None:
    lock = read(tmp_path, NEW)
    assert (lock.format, lock.graph, lock.extras, lock.groups) == ("poetry", None, (), ())
    assert lock.pins[0].place == "poetry.lock: package[0]"
    assert lock.pins[0].hashes == (f"sha256:{A}",)
    assert str(lock.pylock.requires_python) == "<4.0,>=3.9"
    assert list(lock.digests) == [str(tmp_path / "poetry.lock")]
    assert applying(lock) == ["six 1.0", "numpy 1.26.4"]
    assert applying(lock, target("3.12.1")) == ["six 1.0", "numpy 2.1.0"]


def test_poetry_2_extras_and_groups(tmp_path: Path) -> None:
    assert applying(read(tmp_path, NEW, extras=("Web",))) == [
        "six 1.0",
        "tornado 1.0",
        "numpy 1.26.4",
    ]
    assert applying(read(tmp_path, NEW, groups=("dev",))) == [
        "six 1.0",
        "numpy 1.26.4",
        "pytest 1.0",
        "colorama 1.0",
    ]
    # A package that a group needs without a condition is needed, whatever the main group says.
    assert "idna 1.0" in applying(read(tmp_path, NEW, groups=("docs",)))


def test_sources(tmp_path: Path) -> None:
    lock = read(
        tmp_path,
        entry(
            "six",
            rest='groups = ["main"]\n[package.source]\ntype = "legacy"\n'
            'url = "https://own.test/simple"\nreference = "own"',
        )
        + entry(
            "tool",
            rest='groups = ["main"]\nfiles = []\n[package.source]\ntype = "git"\n'
            f'url = "https://git.test/tool"\nreference = "main"\nresolved_reference = "{COMMIT}"\n'
            'subdirectory = "py"',
        )
        + entry(
            "idna",
            rest='groups = ["main"]\n[package.source]\ntype = "url"\n'
            'url = "https://x.test/idna-1.0.tar.gz"',
        )
        + entry(
            "wheel",
            rest='groups = ["main"]\n[package.source]\ntype = "file"\n'
            'url = "wheels/wheel-1.0-py3-none-any.whl"',
        )
        + entry(
            "shop",
            rest='groups = ["main"]\nfiles = []\ndevelop = true\n[package.source]\n'
            'type = "directory"\nurl = "../shop"',
        )
        + END,
    )
    assert [pin.index for pin in lock.pins] == [Index(url="https://own.test/simple")]
    tool, idna, wheel, shop = lock.pylock.packages
    assert tool.vcs is not None
    assert (tool.vcs.commit_id, tool.vcs.subdirectory) == (COMMIT, "py")
    assert idna.archive is not None
    assert (idna.archive.url, dict(idna.archive.hashes)) == (
        "https://x.test/idna-1.0.tar.gz",
        {"sha256": A},
    )
    assert wheel.archive is not None
    assert wheel.archive.path == str(tmp_path / "wheels/wheel-1.0-py3-none-any.whl")
    assert shop.directory is not None
    assert (shop.directory.path, shop.directory.editable) == ("../shop", True)


def test_alternatives_of_pythons_are_environments(tmp_path: Path) -> None:
    lock = read(tmp_path, END.replace(">=3.9,<4.0", "~2.7 || ^3.11"))
    assert lock.pylock.requires_python is None
    environment = target().marker_environment()
    assert [marker.evaluate(dict(environment)) for marker in lock.pylock.environments or ()] == [
        False,
        True,
    ]


PROJECT = """\
[tool.poetry.dependencies]
python = "^3.9"
requests = {version = "^2.32", extras = ["socks"]}
numpy = [{version = "1.26.4", python = "<3.12"}, {version = "2.1.0", python = ">=3.12"}]
pandas = "*"
tornado = {version = "*", optional = true}
colorama = {version = "*", markers = "sys_platform == 'win32'"}
[tool.poetry.extras]
web = ["tornado"]
[tool.poetry.dev-dependencies]
pytest = "~8.3"
[tool.poetry.group.docs.dependencies]
idna = "*"
"""
DEPENDS = "[package.dependencies]\n"
OLD = (
    entry(
        "requests",
        "2.32.3",
        f'{DEPENDS}certifi = ">=0.5"\n'
        'PySocks = {version = ">=1.5.6,<1.5.7 || >1.5.7", optional = true,'
        ' markers = "extra == \\"socks\\""}\n'
        'chardet = {version = "*", optional = true, markers = "extra == \\"chardet\\""}',
    )
    + entry("certifi", rest=f'{DEPENDS}requests = "*"')
    + entry("pysocks", "1.7.1", "")
    + entry("chardet", "1.0", "")
    + entry("numpy", "1.26.4", "")
    + entry("numpy", "2.1.0", "")
    + entry("pandas", "1.0", f'{DEPENDS}numpy = ">=1.20"')
    + entry("tornado", "1.0", "")
    + entry("colorama", "1.0", "")
    + entry(
        "pytest", "8.3.3", f'{DEPENDS}colorama = {{version = "*", markers = "os_name != \'nt\'"}}'
    )
    + entry("idna", "1.0", "")
    + END.replace("2.1", "2.0")
)


def old(folder: Path, **options: tuple[str, ...]) -> Lock:
    (folder / "pyproject.toml").write_text(PROJECT)
    return read(folder, OLD, **options)


def test_poetry_1_follows_the_dependencies_of_the_project(tmp_path: Path) -> None:
    lock = old(tmp_path)
    assert list(lock.digests) == [str(tmp_path / "poetry.lock"), str(tmp_path / "pyproject.toml")]
    main = ["requests 2.32.3", "certifi 1.0", "pysocks 1.7.1"]
    assert applying(lock) == [*main, "numpy 1.26.4", "pandas 1.0"]
    assert applying(lock, target("3.12.1")) == [*main, "numpy 2.1.0", "pandas 1.0"]


def test_poetry_1_extras_and_groups(tmp_path: Path) -> None:
    assert "tornado 1.0" in applying(old(tmp_path, extras=("web",)))
    with_dev = applying(old(tmp_path, groups=("dev",)))
    assert "colorama 1.0" in with_dev
    assert "pytest 8.3.3" in with_dev
    assert "idna 1.0" not in with_dev
    assert "idna 1.0" in applying(old(tmp_path, groups=("docs",)))


def test_poetry_1_hashes_of_the_oldest_locks(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.poetry.dependencies]\nsix = "*"\n')
    text = (
        '[[package]]\nname = "six"\nversion = "1.0"\ncategory = "main"\n'
        '[metadata]\nlock-version = "1.1"\npython-versions = "*"\ncontent-hash = "x"\n'
        f'[metadata.files]\nsix = [{{file = "six-1.0.tar.gz", hash = "sha256:{A}"}}]\n'
    )
    assert [pin.hashes for pin in read(tmp_path, text).pins] == [(f"sha256:{A}",)]


def test_poetry_1_needs_its_project(tmp_path: Path) -> None:
    with pytest.raises(LockError) as caught:
        read(tmp_path, OLD)
    assert caught.value.message == (
        "poetry.lock: A lock of Poetry 1 needs the pyproject.toml beside it, and pyproject.toml"
        " does not exist."
    )


def test_poetry_1_whose_project_went_on_without_it(tmp_path: Path) -> None:
    lock = old(tmp_path)
    (tmp_path / "pyproject.toml").write_text(PROJECT + '\nflask = "*"\n')
    lock = read(tmp_path, OLD, groups=("docs",))
    with pytest.raises(SelectionError) as caught:
        applying(lock)
    assert caught.value.message == "poetry.lock: There is no flask that all its dependencies allow."


@pytest.mark.parametrize("lock", [NEW, OLD])
def test_unknown_extras_and_groups(tmp_path: Path, lock: str) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    with pytest.raises(LockError) as caught:
        read(tmp_path, lock, extras=("gui",))
    assert caught.value.message == "poetry.lock: There is no extra 'gui'; there is web."
    with pytest.raises(LockError) as caught:
        read(tmp_path, lock, groups=("lint",))
    name = "poetry.lock" if lock == NEW else "pyproject.toml"
    groups = "dev, docs, main" if lock == NEW else "dev, docs"
    assert caught.value.message == f"{name}: There is no group 'lint'; there is {groups}."


MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "poetry.lock: `metadata.content-hash` is missing."),
    "cut short": (NEW[:300], "poetry.lock: `metadata.content-hash` is missing."),
    "not TOML": ("package: []\n", "poetry.lock:1: Expected '=' after a key in a key/value pair."),
    "not UTF-8": (b"# \xff\n", "poetry.lock:1: This is not UTF-8: byte 0xff at offset 2."),
    "NUL": (NEW + "\0", "poetry.lock:63: There is a NUL character."),
    "nested too deep": ("a = " + "[" * 10000, "poetry.lock:1: The file is nested too deep."),
    "next major version": (
        NEW.replace('"2.1"', '"3.0"'),
        "poetry.lock: `lock-version` 3.0 is not known; venvctl knows 2.1.",
    ),
    "next minor version": (
        NEW.replace('"2.1"', '"2.2"'),
        "poetry.lock: `lock-version` 2.2 is not known; venvctl knows 2.1.",
    ),
    "bad version of the format": (
        NEW.replace('"2.1"', '"two"'),
        "poetry.lock: metadata: `lock-version` 'two' is not a version (PEP 440).",
    ),
    "no content hash": (
        NEW.replace("content-hash", "content"),
        "poetry.lock: `metadata.content-hash` is missing.",
    ),
    "packages of another type": (
        "package = 1\n" + END,
        "poetry.lock: `package` is not a list of tables.",
    ),
    "metadata of another type": ("metadata = 1\n", "poetry.lock: `metadata` is not a table."),
    "no name": (NEW.replace('name = "Six"', ""), "poetry.lock: package[0]: `name` is missing."),
    "name of another type": (
        NEW.replace('name = "Six"', "name = 6"),
        "poetry.lock: package[0]: `name` is not a text.",
    ),
    "no version": (
        entry("six").replace('version = "1.0"', "") + END,
        "poetry.lock: package[0]: `version` is missing.",
    ),
    "bad package version": (
        entry("six", "one") + END,
        "poetry.lock: package[0]: `version` 'one' is not a version (PEP 440).",
    ),
    "groups of another type": (
        entry("six", rest="groups = 1") + END,
        "poetry.lock: package[0]: `groups` is not a list of texts.",
    ),
    "files of another type": (
        entry("six", rest='groups = ["main"]\nfiles = 1') + END,
        "poetry.lock: package[0]: `files` is not a list of tables.",
    ),
    "file without a hash": (
        entry("six", rest='groups = ["main"]\nfiles = [{file = "six-1.0.tar.gz"}]') + END,
        "poetry.lock: package[0]: files[0]: `hash` is missing.",
    ),
    "weak hash": (
        entry("six", digest="x").replace("sha256:x", "md5:0") + END,
        "poetry.lock: package[0]: files[0]: The hash 'md5:0' is not one of sha256, sha384, sha512.",
    ),
    "short hash": (
        entry("six", digest="abc") + END,
        (
            "poetry.lock: package[0]: files[0]: The hash 'sha256:abc' is malformed: sha256 has"
            " 64 digits of lower-case hex."
        ),
    ),
    "bad marker": (
        entry("six", rest='groups = ["main"]\nmarkers = "x == 1"') + END,
        (
            "poetry.lock: package[0]: 'x == 1' is not a marker: Expected a marker variable or"
            " quoted string."
        ),
    ),
    "deep marker": (
        entry("six", rest=f'groups = ["main"]\nmarkers = "{"(" * 5000}"') + END,
        (
            "poetry.lock: package[0]:"
            " '(((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((('"
            " is not a marker: It is nested too deep."
        ),
    ),
    "bad python-versions": (
        NEW.replace(">=3.9,<4.0", "three"),
        "poetry.lock: metadata: 'three' is not a version constraint.",
    ),
    "unknown source": (
        entry("six", rest='groups = ["main"]\n[package.source]\ntype = "hg"') + END,
        "poetry.lock: package[0]: The source type 'hg' is unknown.",
    ),
    "branch": (
        entry(
            "six",
            rest='groups = ["main"]\n[package.source]\ntype = "git"\nurl = "https://u:p@x.test/"\n'
            'resolved_reference = "main"',
        )
        + END,
        "poetry.lock: package[0]: 'https://x.test/' is not pinned to a commit.",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_locks_say_where(tmp_path: Path, case: str) -> None:
    content, message = MALFORMED[case]
    with pytest.raises(LockError) as caught:
        read(tmp_path, content)
    assert caught.value.message == message
    assert "\n" not in caught.value.message
    assert caught.value.hint
