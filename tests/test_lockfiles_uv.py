"""`uv.lock`: what uv exports from it, and what it refuses, named in the lock's own words."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import uv

from index import LocalIndex
from interpreters import target
from venvctl import lockfiles
from venvctl.errors import LockError
from venvctl.lockfiles import Lock, LockOptions
from venvctl.selection import select
from wheelhouse import make_sdist, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
dependencies = ["core", "alpha==1.0 ; python_version < '3.13'"]
[project.optional-dependencies]
web = ["beta"]
empty = []
[dependency-groups]
dev = ["gamma"]
docs = ["alpha"]
[tool.uv]
default-groups = ["dev"]
[tool.uv.sources]
core = { workspace = true }
[tool.uv.workspace]
members = ["core"]
"""
CORE = """\
[project]
name = "core"
version = "1"
requires-python = ">=3.11"
dependencies = ["delta"]
[project.optional-dependencies]
fast = ["beta"]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace that uv has locked against a local index."""
    folder = tmp_path_factory.mktemp("uv")
    with LocalIndex() as index:
        for name in ("alpha", "beta", "gamma"):
            index.add(make_wheel(folder / "wheels", name).path)
        index.add(make_wheel(folder / "wheels", "alpha", "2.0").path)
        index.add(make_wheel(folder / "wheels", "delta", tag="cp311-cp311-win_amd64").path)
        index.add(make_sdist(folder / "wheels", "delta"))
        lock(folder / "shop", index)
        yield folder / "shop"


def lock(project: Path, index: LocalIndex, root: str = ROOT) -> None:
    (project / "core").mkdir(parents=True)
    (project / "pyproject.toml").write_text(root)
    (project / "core/pyproject.toml").write_text(CORE)
    subprocess.run(
        [uv.find_uv_bin(), "lock", "--default-index", index.url, "--quiet", "--no-cache"],
        cwd=project,
        check=True,
    )


def read(
    project: Path, *, extras: tuple[str, ...] = (), groups: tuple[str, ...] = (), package: str = ""
) -> Lock:
    options = LockOptions(project=project, extras=extras, groups=groups, package=package)
    return lockfiles.read(project / "uv.lock", options=options)


def names(found: Lock) -> list[str]:
    return [f"{package.name} {package.version}" for package in found.pylock.packages]


def test_development_groups_are_left_out(project: Path) -> None:
    found = read(project)
    assert names(found) == ["alpha 1.0", "delta 1.0"]
    assert str(found.pylock.packages[0].marker) == 'python_full_version < "3.13"'
    assert (found.format, found.extras, found.groups) == ("uv", (), ())
    assert list(found.digests) == [str(project / "uv.lock")]


def test_extras_and_groups_are_added(project: Path) -> None:
    assert names(read(project, extras=("web",))) == ["alpha 1.0", "beta 1.0", "delta 1.0"]
    assert names(read(project, groups=("dev",))) == ["alpha 1.0", "delta 1.0", "gamma 1.0"]
    assert names(read(project, extras=("empty",))) == ["alpha 1.0", "delta 1.0"]


def test_a_package_of_the_workspace_can_be_chosen(project: Path) -> None:
    assert names(read(project, package="core")) == ["delta 1.0"]
    assert names(read(project, package="core", extras=("fast",))) == ["beta 1.0", "delta 1.0"]


def test_the_lock_alone_is_enough(project: Path, tmp_path: Path) -> None:
    shutil.copy(project / "uv.lock", tmp_path)
    assert names(read(tmp_path, groups=("dev",))) == ["alpha 1.0", "delta 1.0", "gamma 1.0"]


def test_the_places_name_packages(project: Path) -> None:
    selection = select(read(project).pylock, target(), builds=True, insecure_hosts=("127.0.0.1",))
    assert [(file.file, file.kind, file.place) for file in selection.files] == [
        ("alpha-1.0-py3-none-any.whl", "wheel", "uv.lock: alpha"),
        ("delta-1.0.tar.gz", "sdist", "uv.lock: delta"),
    ]


@pytest.mark.parametrize(
    ("extras", "groups", "package", "message", "label"),
    [
        (
            ("nope", "web", "no"),
            (),
            "",
            "uv.lock: There is no extra 'nope', 'no'; there is empty, web.",
            "extras",
        ),
        ((), ("nope",), "", "uv.lock: There is no group 'nope'; there is dev, docs.", "groups"),
        ((), (), "nope", "uv.lock: There is no package 'nope'; there is core, shop.", "package"),
        (("web",), (), "core", "uv.lock: There is no extra 'web'; there is fast.", "extras"),
    ],
)
def test_what_the_lock_does_not_have_is_named(
    project: Path,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    package: str,
    message: str,
    label: str,
) -> None:
    with pytest.raises(LockError) as caught:
        read(project, extras=extras, groups=groups, package=package)
    assert caught.value.message == message
    assert caught.value.hint == f"Correct the label `venvctl.{label}`."


def test_another_package_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    with LocalIndex() as index:
        project = tmp_path / "shop"
        root = (
            '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.11"\n'
            'dependencies = ["lib"]\n[tool.uv.sources]\n'
            'lib = { path = "../lib", editable = true }\n'
        )
        lock(project, index, root)
    with pytest.raises(LockError) as caught:
        select(read(project).pylock, target())
    assert caught.value.message == "uv.lock: lib: lib is editable: '../lib'."
    assert caught.value.hint == (
        "The application itself belongs in the image (`COPY` it there) or in a bind mount with its"
        " directory on `sys.path`; leave it out of the lock."
    )


CONFLICTS = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
[project.optional-dependencies]
cpu = ["alpha==1.0"]
gpu = ["alpha==2.0"]
[tool.uv]
conflicts = [[{ extra = "cpu" }, { extra = "gpu" }]]
"""


@pytest.mark.parametrize("revision", ["revision = 3\n", "revision = 5\n"])
def test_extras_that_conflict_are_chosen_between(tmp_path: Path, revision: str) -> None:
    with LocalIndex() as index:
        for version in ("1.0", "2.0"):
            index.add(make_wheel(tmp_path, "alpha", version).path)
        lock(tmp_path / "shop", index, CONFLICTS)
    path = tmp_path / "shop/uv.lock"
    head, _, rest = path.read_text().partition("revision = ")
    path.write_text(head + revision + rest.partition("\n")[2])
    assert names(read(tmp_path / "shop")) == []
    assert names(read(tmp_path / "shop", extras=("cpu",))) == ["alpha 1.0"]
    assert names(read(tmp_path / "shop", extras=("gpu",))) == ["alpha 2.0"]
    with pytest.raises(LockError) as caught:
        read(tmp_path / "shop", extras=("cpu", "gpu"))
    assert caught.value.message == (
        "uv.lock: Extras `cpu` and `gpu` are incompatible with the declared conflicts:"
        " {`shop[cpu]`, `shop[gpu]`}."
    )
    assert caught.value.hint == (
        "Name only one of them in the labels `venvctl.extras` and `venvctl.groups`."
    )


def change(old: str, new: str) -> tuple[str, str]:
    return old, new


MALFORMED: dict[str, tuple[tuple[str, str] | str | bytes, str]] = {
    "empty": ("", "uv.lock: `version` is missing."),
    "cut short": (
        'version = 1\nrequires-python = ">=3',
        "uv.lock:2: Unterminated string.",
    ),
    "not TOML": ("version: 1\n", "uv.lock:1: Expected '=' after a key in a key/value pair."),
    "not UTF-8": (b"version = 1 # \xff\n", "uv.lock:1: This is not UTF-8: byte 0xff at offset 14."),
    "NUL": (b"version = 1\0", "uv.lock:1: There is a NUL character."),
    "byte order of UTF-16": (
        "version = 1\n".encode("utf-16"),
        "uv.lock:1: This is not UTF-8: byte 0xff at offset 0.",
    ),
    "newer version": (
        change("version = 1\n", "version = 9\n"),
        (
            "uv.lock: uv can't read it: unsupported lockfile schema version (v9, but only v1 is"
            " supported)."
        ),
    ),
    "version of another type": (
        change("version = 1\n", 'version = "1"\n'),
        'uv.lock:1: uv can\'t read it: invalid type: string "1", expected u32.',
    ),
    "no requires-python": (
        change('requires-python = ">=3.11"\n', ""),
        "uv.lock:1: uv can't read it: missing field `requires-python`.",
    ),
    "bad requires-python": (
        change('">=3.11"', '"three"'),
        (
            "uv.lock:3: uv can't read it: Failed to parse version: Unexpected end of version"
            " specifier, expected operator."
        ),
    ),
    "bad marker": (
        change("python_full_version < '3.13'", "python_full < '3.13'"),
        (
            "uv.lock:69: uv can't read it: Expected a quoted string or a valid marker name,"
            " found `python_full`."
        ),
    ),
    "package without name": (
        change('name = "delta"\nversion', "version"),
        "uv.lock:47: uv can't read it: missing field `name`.",
    ),
    "bad source": (
        change("source = { virtual", "source = { virtually"),
        "uv.lock:64: uv can't read it: data did not match any variant of untagged enum SourceWire.",
    ),
    "bad package version": (
        change('name = "gamma"\nversion = "1.0"', 'name = "gamma"\nversion = "one"'),
        (
            "uv.lock:56: uv can't read it: expected version to start with a number, but no"
            " leading ASCII digits were found."
        ),
    ),
    "size of another type": (
        change(", size = ", ', size = "x", siz = '),
        'uv.lock:16: uv can\'t read it: invalid type: string "x", expected u64.',
    ),
    "hash of another type": (
        change('hash = "sha256:', 'hash = 3 # "'),
        "uv.lock:17: uv can't read it: invalid inline table element, expected `,`.",
    ),
    "unknown dependency": (
        change('    { name = "delta" },\n', '    { name = "nobody" },\n'),
        (
            "uv.lock: uv can't read it: Dependency `nobody` has missing `source` field but has"
            " more than one matching package."
        ),
    ),
    "package of another type": (
        'version = 1\nrequires-python = ">=3.11"\npackage = 3\n',
        "uv.lock: `package` is not a list of tables.",
    ),
    "nested too deep": (
        "version = 1\na = " + "[" * 10000,
        "uv.lock:1: The file is nested too deep.",
    ),
    "key too deep": (
        "version = 1\n" + "a." * 10000 + "b = 1\n",
        "uv.lock:2: The file is nested too deep.",
    ),
    "bad URL": (
        change("files/gamma", "files/%zz gamma"),
        (
            "uv.lock:60: uv can't read it: failed to parse `%zz gamma-1.0-py3-none-any.whl` as"
            " wheel filename: The wheel filename `%zz gamma-1.0-py3-none-any.whl` has an invalid"
            " package name."
        ),
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_locks_say_where(project: Path, tmp_path: Path, case: str) -> None:
    content, message = MALFORMED[case]
    if isinstance(content, tuple):
        text = (project / "uv.lock").read_text()
        assert content[0] in text
        content = text.replace(*content)
    (tmp_path / "uv.lock").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LockError) as caught:
        read(tmp_path, groups=("dev",))
    assert caught.value.message == message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("revision", ["revision = 3\n", ""])
def test_an_older_lock_needs_no_pyproject_either(
    project: Path, tmp_path: Path, revision: str
) -> None:
    text = (project / "uv.lock").read_text()
    head, _, rest = text.partition("revision = ")
    (tmp_path / "uv.lock").write_text(head + revision + rest.partition("\n")[2])
    assert names(read(tmp_path)) == ["alpha 1.0", "delta 1.0"]
    assert names(read(tmp_path, extras=("web", "empty"), groups=("dev",))) == [
        "alpha 1.0",
        "beta 1.0",
        "delta 1.0",
        "gamma 1.0",
    ]
    assert names(read(tmp_path, package="core", extras=("fast",))) == ["beta 1.0", "delta 1.0"]
    with pytest.raises(LockError) as caught:
        read(tmp_path, groups=("nope",))
    assert caught.value.message == "uv.lock: There is no group 'nope'; there is dev, docs."


def test_a_member_outside_the_workspace_is_not_made(project: Path, tmp_path: Path) -> None:
    text = (project / "uv.lock").read_text().replace("revision = 5\n", "")
    assert 'editable = "core"' in text
    (tmp_path / "uv.lock").write_text(text.replace('editable = "core"', 'editable = "../../core"'))
    with pytest.raises(LockError) as caught:
        read(tmp_path)
    assert caught.value.message == (
        "uv.lock: package[0]: The member '../../core' is outside the workspace."
    )
    assert not (tmp_path.parent / "core").exists()


def test_files_keep_the_names_that_the_index_gives_them(tmp_path: Path) -> None:
    with LocalIndex() as index:
        wheel = make_wheel(tmp_path, "Big_Name")
        path = wheel.path.rename(tmp_path / "Big.Name-1.0-py3-none-any.whl")
        index.add(path, name="big-name")
        root = (
            '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.11"\n'
            'dependencies = ["big-name"]\n'
        )
        lock(tmp_path / "shop", index, root)
    selection = select(read(tmp_path / "shop").pylock, target(), insecure_hosts=("127.0.0.1",))
    assert [file.file for file in selection.files] == ["Big.Name-1.0-py3-none-any.whl"]
