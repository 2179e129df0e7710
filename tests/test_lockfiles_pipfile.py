"""`Pipfile.lock`: categories, sources, and what else Pipenv writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from venvctl import lockfiles
from venvctl.errors import LockError
from venvctl.lockfiles import Index, Lock, LockOptions, Pin

if TYPE_CHECKING:
    from pathlib import Path

A = "a" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"
META: dict[str, Any] = {
    "hash": {"sha256": "x"},
    "pipfile-spec": 6,
    "requires": {"python_version": "3.11"},
    "sources": [
        {"name": "main", "url": "https://main.test/simple", "verify_ssl": True},
        {"name": "own", "url": "https://u:${VT_TOKEN}@own.test/simple", "verify_ssl": True},
    ],
}


def entry(**fields: Any) -> dict[str, Any]:
    return {"hashes": [f"sha256:{A}"], "version": "==1.0", **fields}


def text(default: Any = None, *, meta: Any = None, **categories: Any) -> str:
    return json.dumps(
        {"_meta": META if meta is None else meta, "default": default or {}, **categories}, indent=1
    )


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VT_TOKEN", "s3cret")


def read(folder: Path, content: str | bytes, **options: tuple[str, ...]) -> Lock:
    path = folder / "Pipfile.lock"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    extras, groups = options.get("extras", ()), options.get("groups", ())
    return lockfiles.read(path, options=LockOptions(project=folder, extras=extras, groups=groups))


LOCK = text(
    {
        "Six": entry(markers="python_version >= '3'", index="own"),
        "requests": entry(extras=["socks"], version="==2.32.3"),
    },
    develop={"pytest": entry(), "requests": entry(version="==1.0")},
    docs={"mkdocs": entry()},
)


def test_pins_markers_and_sources(tmp_path: Path) -> None:
    lock = read(tmp_path, LOCK)
    six, requests = lock.pins
    assert (lock.format, str(lock.pylock.requires_python)) == ("pipfile", "==3.11.*")
    assert str(six.marker) == 'python_version >= "3"'
    assert six.index == Index(url="https://u:s3cret@own.test/simple")
    assert six.name == "six"
    assert requests == Pin(
        name="requests",
        version="2.32.3",
        place="Pipfile.lock: default: requests",
        hashes=(f"sha256:{A}",),
        index=Index(url="https://main.test/simple"),
    )
    assert "s3cret" not in repr(lock)


def test_categories_are_groups_and_the_default_one_stands(tmp_path: Path) -> None:
    lock = read(tmp_path, LOCK, groups=("develop", "Docs"))
    assert [(pin.name, pin.version) for pin in lock.pins] == [
        ("six", "1.0"),
        ("requests", "2.32.3"),
        ("pytest", "1.0"),
        ("mkdocs", "1.0"),
    ]


def test_a_source_without_verified_https_is_an_insecure_host(tmp_path: Path) -> None:
    source = {"name": "own", "url": "http://u:p@own.test:8080/simple", "verify_ssl": False}
    lock = read(tmp_path, text({"six": entry()}, meta={"pipfile-spec": 6, "sources": [source]}))
    assert lock.insecure_hosts == ("own.test:8080",)


def test_a_full_python_version(tmp_path: Path) -> None:
    lock = read(tmp_path, text(meta={**META, "requires": {"python_full_version": "3.11.2"}}))
    assert str(lock.pylock.requires_python) == "==3.11.2"


def test_no_sources_and_no_python(tmp_path: Path) -> None:
    lock = read(tmp_path, text({"six": entry()}, meta={"pipfile-spec": 6}))
    assert (lock.pins[0].index, lock.pylock.requires_python) == (Index(), None)


def test_other_sources(tmp_path: Path) -> None:
    lock = read(
        tmp_path,
        text(
            {
                "tool": {"git": "https://git.test/tool", "ref": COMMIT, "subdirectory": "py"},
                "shop": {"path": ".", "editable": True},
                "idna": {"file": "https://x.test/idna-1.0.tar.gz", "hashes": [f"sha256:{A}"]},
                "six": {"path": "./six-1.0-py3-none-any.whl", "hashes": [f"sha256:{A}"]},
            }
        ),
    )
    tool, shop, idna, six = lock.pylock.packages
    assert tool.vcs is not None
    assert (tool.vcs.commit_id, tool.vcs.subdirectory) == (COMMIT, "py")
    assert shop.directory is not None
    assert shop.directory.editable
    assert idna.archive is not None
    assert idna.archive.url == "https://x.test/idna-1.0.tar.gz"
    assert six.archive is not None
    assert six.archive.path == str(tmp_path / "six-1.0-py3-none-any.whl")


def test_unknown_groups_and_extras(tmp_path: Path) -> None:
    with pytest.raises(LockError) as caught:
        read(tmp_path, LOCK, groups=("lint",))
    assert caught.value.message == (
        "Pipfile.lock: There is no group 'lint'; there is default, develop, docs."
    )
    with pytest.raises(LockError) as caught:
        read(tmp_path, LOCK, extras=("web",))
    assert caught.value.message == "Pipfile.lock: Pipfile.lock has no extras: web."


MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "Pipfile.lock:1: Expecting value."),
    "cut short": (
        LOCK[:200],
        "Pipfile.lock:14: Expecting property name enclosed in double quotes.",
    ),
    "not JSON": (LOCK.replace('"_meta":', '"_meta"'), "Pipfile.lock:2: Expecting ':' delimiter."),
    "a list": ("[]", "Pipfile.lock:1: The file is not a JSON object."),
    "not UTF-8": (b'{"a": "\xff"}', "Pipfile.lock:1: This is not UTF-8: byte 0xff at offset 7."),
    "NUL": ("{}\0", "Pipfile.lock:1: There is a NUL character."),
    "nested too deep": ("[" * 100000, "Pipfile.lock:1: The file is nested too deep."),
    "no specification": (
        text(meta={}),
        "Pipfile.lock: `_meta.pipfile-spec` None is not known; venvctl knows 6.",
    ),
    "newer specification": (
        text(meta={**META, "pipfile-spec": 7}),
        "Pipfile.lock: `_meta.pipfile-spec` 7 is not known; venvctl knows 6.",
    ),
    "meta of another type": (text(meta=1), "Pipfile.lock: `_meta` is not a table."),
    "sources of another type": (
        text(meta={**META, "sources": {}}),
        "Pipfile.lock: _meta: `sources` is not a list of tables.",
    ),
    "source without a URL": (
        text(meta={**META, "sources": [{"name": "x"}]}),
        "Pipfile.lock: _meta: sources[0]: `url` is missing.",
    ),
    "unset variable": (
        text(meta={**META, "sources": [{"url": "https://${VT_NO}@x.test/"}]}),
        "Pipfile.lock: _meta: sources[0]: The environment variable VT_NO is not set.",
    ),
    "bad python version": (
        text(meta={**META, "requires": {"python_version": "3.12a0"}}),
        "Pipfile.lock: _meta: requires: `python_version` is not the begin of a version, as 3.12.",
    ),
    "a development version": (
        text(meta={**META, "requires": {"python_version": "3.12.dev1"}}),
        "Pipfile.lock: _meta: requires: `python_version` is not the begin of a version, as 3.12.",
    ),
    "a word for a version": (
        text(meta={**META, "requires": {"python_version": "three"}}),
        "Pipfile.lock: _meta: requires: `python_version` 'three' is not a version (PEP 440).",
    ),
    "category of another type": (text(default=[1]), "Pipfile.lock: `default` is not a table."),
    "package of another type": (
        text({"six": "==1.0"}),
        "Pipfile.lock: default: `six` is not a table.",
    ),
    "no version": (
        text({"six": {"hashes": []}}),
        "Pipfile.lock: default: six: `version` is missing.",
    ),
    "not pinned": (
        text({"six": entry(version="*")}),
        "Pipfile.lock: default: six: 'six*' is not pinned to one version.",
    ),
    "wildcard": (
        text({"six": entry(version="==1.*")}),
        "Pipfile.lock: default: six: 'six==1.*' is not pinned to one version.",
    ),
    "bad package version": (
        text({"six": entry(version="==one")}),
        "Pipfile.lock: default: six: `version` 'one' is not a version (PEP 440).",
    ),
    "hashes of another type": (
        text({"six": entry(hashes="sha256:x")}),
        "Pipfile.lock: default: six: `hashes` is not a list of texts.",
    ),
    "weak hash": (
        text({"six": entry(hashes=["md5:0"])}),
        "Pipfile.lock: default: six: The hash 'md5:0' is not one of sha256, sha384, sha512.",
    ),
    "short hash": (
        text({"six": entry(hashes=["sha256:abc"])}),
        (
            "Pipfile.lock: default: six: The hash 'sha256:abc' is malformed: sha256 has 64"
            " digits of lower-case hex."
        ),
    ),
    "bad marker": (
        text({"six": entry(markers="x == 1")}),
        (
            "Pipfile.lock: default: six: 'x == 1' is not a marker: Expected a marker variable or"
            " quoted string."
        ),
    ),
    "unknown source": (
        text({"six": entry(index="other")}),
        "Pipfile.lock: default: six: There is no source 'other' in `_meta.sources`.",
    ),
    "branch": (
        text({"six": {"git": "https://u:p@x.test/six", "ref": "main"}}),
        "Pipfile.lock: default: six: 'https://x.test/six' is not pinned to a commit.",
    ),
    "URL without a hash": (
        text({"six": {"file": "https://x.test/six-1.0.zip"}}),
        "Pipfile.lock: default: six: 'https://x.test/six-1.0.zip' has no hash.",
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
