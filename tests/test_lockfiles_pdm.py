"""`pdm.lock`: with inherited metadata or not, with URLs or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interpreters import target
from venvctl import lockfiles
from venvctl.errors import LockError
from venvctl.lockfiles import Index, Lock, LockOptions

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.target import Target

A = "a" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def head(strategy: str = '"inherit_metadata"', version: str = "4.5.0") -> str:
    return (
        f'[metadata]\ngroups = ["default", "dev", "web"]\nstrategy = [{strategy}]\n'
        f'lock_version = "{version}"\ncontent_hash = "sha256:x"\n'
        '[[metadata.targets]]\nrequires_python = ">=3.10"\n'
    )


def entry(name: str, rest: str = 'groups = ["default"]', version: str = "1.0") -> str:
    files = f'files = [{{file = "{name}-{version}.tar.gz", hash = "sha256:{A}"}}]\n'
    return (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n{rest}\n'
        f"{'' if 'files' in rest else files}"
    )


def read(folder: Path, text: str | bytes, **options: tuple[str, ...]) -> Lock:
    path = folder / "pdm.lock"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    extras, groups = options.get("extras", ()), options.get("groups", ())
    return lockfiles.read(path, options=LockOptions(project=folder, extras=extras, groups=groups))


def applying(lock: Lock, image: Target | None = None) -> list[str]:
    """The pins that apply to an image."""
    environment = (image or target()).marker_environment()
    needed = lock.graph.reached(environment) if lock.graph else None
    return [
        pin.name
        for pin in lock.pins
        if (needed is None or pin.place in needed)
        and (pin.marker is None or pin.marker.evaluate(dict(environment)))
    ]


INHERITED = (
    head()
    + entry("Six")
    + entry("tornado", 'groups = ["web"]')
    + entry("pytest", 'groups = ["dev"]')
    + entry("zipp", 'groups = ["default"]\nmarker = "python_version < \\"3.11\\""')
    + entry("requests", 'groups = ["default", "dev"]\nextras = ["socks"]\n')
    + entry("requests", 'groups = ["default"]')
)


def test_inherited_metadata_tells_groups_and_markers(tmp_path: Path) -> None:
    lock = read(tmp_path, INHERITED)
    assert (lock.format, lock.graph) == ("pdm", None)
    assert lock.pins[0].place == "pdm.lock: package[0]"
    assert lock.pins[0].hashes == (f"sha256:{A}",)
    assert applying(lock) == ["six", "requests", "requests"]
    assert applying(lock, target("3.10.4")) == ["six", "zipp", "requests", "requests"]
    assert list(lock.digests) == [str(tmp_path / "pdm.lock")]


def test_extras_and_groups_are_groups(tmp_path: Path) -> None:
    assert "tornado" in applying(read(tmp_path, INHERITED, extras=("Web",)))
    assert "pytest" in applying(read(tmp_path, INHERITED, groups=("dev",)))


def test_the_targets_are_environments(tmp_path: Path) -> None:
    lock = read(tmp_path, head())
    assert [str(marker) for marker in lock.pylock.environments or ()] == [
        'python_full_version >= "3.10"'
    ]


PROJECT = """\
[project]
dependencies = ["requests[socks]>=2", "zipp ; python_version < '3.11'"]
[project.optional-dependencies]
web = ["tornado"]
[dependency-groups]
dev = ["pytest"]
"""
PLAIN = (
    head("")
    + entry("requests", 'dependencies = ["certifi>=1"]', "2.0")
    + entry(
        "requests", 'extras = ["socks"]\ndependencies = ["pysocks!=0.5", "requests==2.0"]', "2.0"
    )
    + entry("certifi", "")
    + entry("pysocks", "")
    + entry("zipp", "")
    + entry("tornado", "")
    + entry("pytest", "")
)


def test_without_it_the_dependencies_of_the_project_are_followed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    lock = read(tmp_path, PLAIN)
    assert list(lock.digests) == [str(tmp_path / "pdm.lock"), str(tmp_path / "pyproject.toml")]
    assert applying(lock) == ["requests", "requests", "certifi", "pysocks"]
    assert "zipp" in applying(lock, target("3.10.4"))
    both = read(tmp_path, PLAIN, extras=("web",), groups=("dev",))
    assert applying(both) == ["requests", "requests", "certifi", "pysocks", "tornado", "pytest"]


def test_without_it_the_project_is_needed(tmp_path: Path) -> None:
    with pytest.raises(LockError) as caught:
        read(tmp_path, PLAIN)
    assert caught.value.message == (
        "pdm.lock: A lock without the strategy `inherit_metadata` needs the pyproject.toml beside"
        " it, and pyproject.toml does not exist."
    )


def test_groups_that_include_others_and_the_projects_own_extras(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "Shop"\ndependencies = []\n'
        '[project.optional-dependencies]\nall = ["shop[web]", "shop[all]"]\nweb = ["tornado"]\n'
        '[dependency-groups]\ndev = [{include-group = "test"}]\ntest = ["pytest"]\n'
    )
    lock = head("").replace('"dev", "web"', '"dev", "all"')
    lock += entry("tornado", "") + entry("pytest", "")
    assert applying(read(tmp_path, lock)) == []
    assert applying(read(tmp_path, lock, extras=("all",))) == ["tornado"]
    assert applying(read(tmp_path, lock, groups=("dev",))) == ["pytest"]


def test_a_group_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\n[dependency-groups]\ndev = [{include-group = "test"}]\n'
    )
    with pytest.raises(LockError) as caught:
        read(tmp_path, head("") + entry("six", ""), groups=("dev",))
    assert caught.value.message == (
        "pyproject.toml: dependency-groups: dev is not a dependency group:"
        " Dependency group 'test' not found."
    )


OLDEST = f"""\
[[package]]
name = "Six"
version = "1.0"

[[package]]
name = "tornado"
version = "2.0"

[metadata]
lock_version = "4.0"
content_hash = "sha256:x"

[metadata.files]
"six 1.0" = [
    {{url = "https://x.test/six-1.0-py3-none-any.whl", hash = "sha256:{A}"}},
    {{url = "https://x.test/six-1.0.tar.gz", hash = "sha256:{A}"}},
]
"tornado 2.0" = [{{file = "tornado-2.0.tar.gz", hash = "sha256:{A}"}}]
"""


def test_locks_from_before_files_stood_with_their_packages(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["six", "tornado"]\n[tool.pdm.dev-dependencies]\ntest = []\n'
    )
    lock = read(tmp_path, OLDEST)
    (six,) = lock.pylock.packages
    assert six.wheels is not None
    assert [wheel.url for wheel in six.wheels] == ["https://x.test/six-1.0-py3-none-any.whl"]
    assert [(pin.name, pin.hashes) for pin in lock.pins] == [("tornado", (f"sha256:{A}",))]
    with pytest.raises(LockError) as caught:
        read(tmp_path, OLDEST, groups=("lint",))
    assert caught.value.message == "pyproject.toml: There is no group 'lint'; there is test."


def test_the_projects_own_indexes_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VT_TOKEN", "s3cret")
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.pdm.source]]\nname = "own"\nurl = "https://u:${VT_TOKEN}@own.test/simple"\n'
        '[[tool.pdm.source]]\nname = "pypi"\nurl = "http://mirror.test:8080/simple"\n'
        "verify_ssl = false\n"
        '[[tool.pdm.source]]\nname = "pages"\nurl = "https://pages.test"\ntype = "find_links"\n'
    )
    lock = read(tmp_path, head() + entry("six"))
    assert [pin.index for pin in lock.pins] == [
        Index(
            url="http://mirror.test:8080/simple",
            extra=("https://u:s3cret@own.test/simple",),
            find_links=("https://pages.test",),
        )
    ]
    assert lock.insecure_hosts == ("mirror.test:8080",)
    assert "s3cret" not in repr(lock)
    # PDM's content hash covers the indexes, so another index means another lock.
    assert list(lock.digests) == [str(tmp_path / "pdm.lock")]


def test_other_sources(tmp_path: Path) -> None:
    default = 'groups = ["default"]\n'
    url = "https://x.test/six-1.0-py3-none-any.whl"
    lock = read(
        tmp_path,
        head('"inherit_metadata", "static_urls"')
        + entry(
            "six",
            f'{default}files = [{{url = "{url}", hash = "sha256:{A}"}},'
            f' {{url = "https://x.test/six-1.0.tar.gz", hash = "sha256:{A}"}}]',
        )
        + entry(
            "tool",
            f'{default}files = []\ngit = "https://git.test/tool"\nrevision = "{COMMIT}"\n',
        )
        + entry("idna", f'{default}url = "https://x.test/idna-1.0.tar.gz"')
        + entry("shop", f'{default}files = []\npath = "./shop"\neditable = true')
        + entry("wheel", f'{default}path = "./wheel-1.0-py3-none-any.whl"'),
    )
    six, tool, idna, shop, wheel = lock.pylock.packages
    assert lock.pins == ()
    assert six.wheels is not None
    assert [file.url for file in six.wheels] == [url]
    assert six.sdist is not None
    assert six.sdist.filename == "six-1.0.tar.gz"
    assert tool.vcs is not None
    assert tool.vcs.commit_id == COMMIT
    assert idna.archive is not None
    assert idna.archive.url == "https://x.test/idna-1.0.tar.gz"
    assert shop.directory is not None
    assert shop.directory.editable
    assert wheel.archive is not None
    assert wheel.archive.path == str(tmp_path / "wheel-1.0-py3-none-any.whl")


def test_unknown_extras_and_groups(tmp_path: Path) -> None:
    for kind in ("extra", "group"):
        with pytest.raises(LockError) as caught:
            read(tmp_path, INHERITED, **{f"{kind}s": ("gui",)})
        assert caught.value.message == f"pdm.lock: There is no {kind} 'gui'; there is dev, web."


MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "pdm.lock: metadata: `lock_version` is missing."),
    "cut short": (INHERITED[:350], "pdm.lock:12: Unterminated string."),
    "not TOML": ("metadata: 1\n", "pdm.lock:1: Expected '=' after a key in a key/value pair."),
    "not UTF-8": (b"# \xff\n", "pdm.lock:1: This is not UTF-8: byte 0xff at offset 2."),
    "NUL": (INHERITED + "\0", "pdm.lock:41: There is a NUL character."),
    "nested too deep": ("a = " + "[" * 10000, "pdm.lock:1: The file is nested too deep."),
    "next major version": (
        head(version="5.0"),
        "pdm.lock: `lock_version` 5.0 is not known; venvctl knows 4.5.1.",
    ),
    "next minor version": (
        head(version="4.6"),
        "pdm.lock: `lock_version` 4.6 is not known; venvctl knows 4.5.1.",
    ),
    "too old a version": (
        head(version="3.1"),
        "pdm.lock: `lock_version` 3.1 is too old; venvctl knows 4.0 to 4.5.1.",
    ),
    "bad version of the format": (
        head(version="four"),
        "pdm.lock: metadata: `lock_version` 'four' is not a version (PEP 440).",
    ),
    "version of another type": (
        head().replace('"4.5.0"', "4.5"),
        "pdm.lock: metadata: `lock_version` is not a text.",
    ),
    "metadata of another type": ("metadata = 1\n", "pdm.lock: `metadata` is not a table."),
    "groups of another type": (
        head().replace('["default", "dev", "web"]', "1"),
        "pdm.lock: metadata: `groups` is not a list of texts.",
    ),
    "strategy of another type": (
        head("1"),
        "pdm.lock: metadata: `strategy` is not a list of texts.",
    ),
    "packages of another type": (
        "package = 1\n" + head(),
        "pdm.lock: `package` is not a list of tables.",
    ),
    "no name": (
        head() + entry("six").replace('name = "six"', ""),
        "pdm.lock: package[0]: `name` is missing.",
    ),
    "no version": (
        head() + entry("six").replace('version = "1.0"', ""),
        "pdm.lock: package[0]: `version` is missing.",
    ),
    "bad package version": (
        head() + entry("six", version="one"),
        "pdm.lock: package[0]: `version` 'one' is not a version (PEP 440).",
    ),
    "file without a hash": (
        head() + entry("six", 'groups = ["default"]\nfiles = [{file = "six-1.0.tar.gz"}]'),
        "pdm.lock: package[0]: files[0]: `hash` is missing.",
    ),
    "weak hash": (
        head() + entry("six").replace(f"sha256:{A}", "md5:0"),
        "pdm.lock: package[0]: files[0]: The hash 'md5:0' is not one of sha256, sha384, sha512.",
    ),
    "short hash": (
        head() + entry("six").replace(A, "abc"),
        (
            "pdm.lock: package[0]: files[0]: The hash 'sha256:abc' is malformed: sha256 has 64"
            " digits of lower-case hex."
        ),
    ),
    "bad marker": (
        head() + entry("six", 'groups = ["default"]\nmarker = "x == 1"'),
        (
            "pdm.lock: package[0]: 'x == 1' is not a marker: Expected a marker variable or"
            " quoted string."
        ),
    ),
    "bad requires-python": (
        head().replace(">=3.10", "three"),
        "pdm.lock: metadata: targets[0]: `requires_python` 'three' is not a version specifier.",
    ),
    "branch": (
        head() + entry("six", 'groups = ["default"]\ngit = "https://u:p@x.test/"'),
        "pdm.lock: package[0]: 'https://x.test/' is not pinned to a commit.",
    ),
    "URL without a hash": (
        head() + entry("six", 'groups = ["default"]\nfiles = []\nurl = "https://x.test/six-1.zip"'),
        "pdm.lock: package[0]: 'https://x.test/six-1.zip' has no hash.",
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
