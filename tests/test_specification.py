"""An environment's specification: what its labels say, and its JSON form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvctl.errors import ConfigurationError
from venvctl.specification import EnvironmentSpecification, SnapshotRetention

PLACE = "the volume venv in /srv/shop/compose.yaml"
DIRECTORY = Path("/srv/shop")


def specify(**labels: str) -> EnvironmentSpecification:
    named = {f"venvctl.{name.replace('_', '-')}": value for name, value in labels.items()}
    return EnvironmentSpecification.from_labels(
        "shop_venv", {"venvctl.lock": "req.lock", **named}, directory=DIRECTORY, place=PLACE
    )


def test_the_lock_alone_gives_the_defaults() -> None:
    assert specify() == EnvironmentSpecification(
        name="shop_venv",
        lock=Path("/srv/shop/req.lock"),
        python="",
        extras=(),
        groups=(),
        builds="deny",
        bytecode="ahead",
        conflicts="last",
        keep=3,
        keep_snapshots=SnapshotRetention(),
        format="",
        index=(),
        package="",
        build_image="",
        build_network=False,
        smoke="",
    )


def test_every_label() -> None:
    specification = specify(
        python="python3.12",
        extras="a,b",
        groups="dev",
        builds="allow",
        bytecode="off",
        conflicts="error",
        keep="0",
        keep_snapshots="30d",
        format="pdm",
        index="https://one.invalid/simple file:///srv/two",
        package="member",
        build_image="builder:1",
        build_network="true",
        smoke="shop, shop.wsgi",
    )
    assert specification == EnvironmentSpecification(
        name="shop_venv",
        lock=Path("/srv/shop/req.lock"),
        python="python3.12",
        extras=("a", "b"),
        groups=("dev",),
        builds="allow",
        bytecode="off",
        conflicts="error",
        keep=0,
        keep_snapshots=SnapshotRetention(age=30 * 86400.0),
        format="pdm",
        index=("https://one.invalid/simple", "file:///srv/two"),
        package="member",
        build_image="builder:1",
        build_network=True,
        smoke="shop, shop.wsgi",
    )
    assert round_trip(specification) == specification


def round_trip(specification: EnvironmentSpecification) -> EnvironmentSpecification:
    text = json.dumps(specification.to_dict())
    return EnvironmentSpecification.from_dict(json.loads(text), source="projects/shop.json")


def test_the_json_form_of_the_defaults_is_read_back() -> None:
    assert round_trip(specify()) == specify()


@pytest.mark.parametrize(
    ("lock", "path"),
    [
        ("locks/web.lock", "/srv/shop/locks/web.lock"),
        ("./req.lock", "/srv/shop/req.lock"),
        ("../shared/req.lock", "/srv/shared/req.lock"),
        ("/etc/locks/req.lock", "/etc/locks/req.lock"),
    ],
)
def test_the_lock_starts_from_the_project_directory(lock: str, path: str) -> None:
    assert specify(lock=lock).lock == Path(path)


@pytest.mark.parametrize(
    ("label", "value", "reason", "hint"),
    [
        ("lock", "", "it is empty", ""),
        ("lock", "a\x00b", "it has characters that can't be printed", ""),
        (
            "lock",
            "https://host.invalid/req.lock",
            "it is a URL",
            "Give the path of a file on this host.",
        ),
        ("builds", "maybe", "it is none of deny, allow", ""),
        ("bytecode", "on", "it is none of ahead, off", ""),
        ("conflicts", "first", "it is none of last, error", ""),
        ("keep", "-1", "it is not a whole number from 0 on", ""),
        (
            "keep-snapshots",
            "some",
            "it is neither all, nor a number, nor an age such as 30d",
            "",
        ),
        ("python", "python3 -E", "it has a space in it", ""),
        ("python", "bin/python", "it is neither a program's name nor an absolute path", ""),
        ("build-network", "1", "it is none of false, true", ""),
    ],
)
def test_a_value_that_cannot_be_used(label: str, value: str, reason: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        specify(**{label: value})
    assert caught.value.message == (
        f"The label venvctl.{label}: {value!r} on {PLACE} can't be used: {reason}."
    )
    assert caught.value.hint == hint


def test_an_index_that_is_no_url_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        specify(index="user:secret@host.invalid")
    assert caught.value.message == (
        f"The label venvctl.index on {PLACE} can't be used: an entry is no URL."
    )
    assert caught.value.hint == "Write full URLs with spaces between them."


def test_no_lock() -> None:
    with pytest.raises(ConfigurationError) as caught:
        EnvironmentSpecification.from_labels("venv", {}, directory=DIRECTORY, place=PLACE)
    assert caught.value.message == f"There is no label venvctl.lock on {PLACE}."
    assert caught.value.hint == "Say which lockfile it is made of."


@pytest.mark.parametrize("name", ["", "a", "../a", "a/b", ".hidden", "a b", "a\n"])
def test_a_name_that_is_no_volumes(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        EnvironmentSpecification(name=name, lock=Path("/req.lock"))
    assert caught.value.message == f"The environment's name {name!r} can't be a volume's name."
    assert caught.value.hint == (
        "Use two or more of letters, digits, dots, dashes and underscores."
    )


@pytest.mark.parametrize(
    ("text", "retention"),
    [
        ("all", SnapshotRetention()),
        ("7", SnapshotRetention(count=7)),
        ("0", SnapshotRetention(count=0)),
        ("12h", SnapshotRetention(age=43200.0)),
        ("nothing", None),
        ("²", None),
    ],
)
def test_retention(text: str, retention: SnapshotRetention | None) -> None:
    assert SnapshotRetention.parse(text) == retention


@given(
    st.one_of(
        st.just(SnapshotRetention()),
        st.integers(0, 10**6).map(lambda count: SnapshotRetention(count=count)),
        st.integers(0, 10**9).map(lambda age: SnapshotRetention(age=age / 1000)),
    )
)
def test_retention_reads_back_its_text(retention: SnapshotRetention) -> None:
    read = SnapshotRetention.parse(str(retention))
    assert read is not None
    assert read.count == retention.count
    assert read.age == (None if retention.age is None else pytest.approx(retention.age))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "projects/shop.json is not a JSON object."),
        (
            {"labels": {"venvctl.lock": "/l"}},
            "name is missing in projects/shop.json.",
        ),
        (
            {"name": "shop", "labels": {"venvctl.lock": 1}},
            "labels in projects/shop.json is not an object of texts.",
        ),
    ],
)
def test_json_that_is_wrong(value: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        EnvironmentSpecification.from_dict(value, source="projects/shop.json")
    assert caught.value.message == message


@pytest.mark.parametrize(
    "url", ["https://ann:s3cret@x.test/simple", "https://t0ken@x.test/simple", "http://:p@x.test"]
)
def test_an_index_with_a_login_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        EnvironmentSpecification.from_labels(
            "shop_venv",
            {"venvctl.lock": "x.lock", "venvctl.index": f"https://fine.test {url}"},
            directory=Path("/srv"),
            place="the volume venv",
        )
    assert caught.value.message == (
        "The label venvctl.index on the volume venv can't be used: an entry has a login in it, and"
        " whoever may ask the engine can read a volume's labels."
    )
    assert caught.value.hint == (
        "Put the login into netrc, a variable, a keyring or the configuration file"
        " (docs/indexes.md)."
    )
