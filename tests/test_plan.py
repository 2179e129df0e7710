"""What has to be done follows from what was and what is, and every reason is told."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from interpreters import target
from venvctl import plan
from venvctl.origin import Origin
from venvctl.plan import Action, Decision
from venvctl.selection import SelectedFile, Selection
from venvctl.specification import EnvironmentSpecification

if TYPE_CHECKING:
    from pathlib import Path


_KEEP = Decision(action=Action.KEEP, because="it selects the same files for this target")
_REUSE = Decision(action=Action.REUSE, because="a generation of the same files is there")


@pytest.fixture
def specification(tmp_path: Path) -> EnvironmentSpecification:
    return EnvironmentSpecification(name="env", lock=tmp_path / "requirements.lock")


def inputs(specification: EnvironmentSpecification, **changes: str) -> dict[str, str]:
    found = plan.inputs(
        specification,
        mount="/venv",
        locks={"/p/requirements.lock": "1", "/p/more.txt": "1"},
        images={"web": "sha256:1", "worker": "sha256:1"},
    )
    return {**found, **changes}


def test_what_was_never_synced_has_that_reason_first(
    specification: EnvironmentSpecification,
) -> None:
    assert plan.reasons({}, inputs(specification)) == ("it was never synced",)
    assert plan.reasons({}, inputs(specification), conditions=["--force asks for it"]) == (
        "it was never synced",
        "--force asks for it",
    )


def test_nothing_changed_is_no_reason(specification: EnvironmentSpecification) -> None:
    assert plan.reasons(inputs(specification), inputs(specification)) == ()


def test_every_reason_is_named_and_not_only_the_first(
    specification: EnvironmentSpecification,
) -> None:
    before = inputs(specification)
    after = {
        **before,
        "lock /p/requirements.lock": "2",
        "lock /p/new.txt": "1",
        "image of web": "sha256:2",
        "image of cron": "sha256:1",
        "mount path": "/opt/venv",
        "label venvctl.extras": "fast",
    }
    del after["lock /p/more.txt"], after["image of worker"]

    assert plan.reasons(before, after, conditions=["the volume env is missing"]) == (
        "the image of cron is new",
        "the image of web changed",
        "service worker no longer mounts it",
        "the label venvctl.extras changed from nothing to fast",
        "/p/more.txt is gone",
        "/p/new.txt is new",
        "/p/requirements.lock changed",
        "the mount path changed from /venv to /opt/venv",
        "the volume env is missing",
    )


def test_what_is_thrown_away_is_no_input(specification: EnvironmentSpecification) -> None:
    kept = dataclasses.replace(specification, keep=9)
    assert inputs(kept) == inputs(specification)


@pytest.mark.parametrize(
    "change", [{"extras": ("fast",)}, {"builds": "allow"}, {"bytecode": "off"}, {"smoke": "alpha"}]
)
def test_what_decides_about_content_is_an_input(
    specification: EnvironmentSpecification, change: dict[str, object]
) -> None:
    changed = dataclasses.replace(specification, **change)  # type: ignore[arg-type] # one field each
    assert len(plan.reasons(inputs(specification), inputs(changed))) == 1


def test_the_lock_s_files_and_the_images_are_read_back(
    specification: EnvironmentSpecification,
) -> None:
    before = inputs(specification)
    assert plan.lock_paths(before) == ["/p/requirements.lock", "/p/more.txt"]
    assert plan.image_ids(before) == {"sha256:1"}


def selection(**changes: str) -> Selection:
    file = SelectedFile(
        name="alpha",
        version="1.0",
        file="alpha-1.0-py3-none-any.whl",
        kind="wheel",
        sha256="a" * 64,
        urls=(),
    )
    return Selection(files=(dataclasses.replace(file, **changes),))  # type: ignore[arg-type] # texts


def test_equal_keys_mean_equal_content(specification: EnvironmentSpecification) -> None:
    def key(
        chosen: Selection, version: str = "3.11.2", mount: str = "/venv", **changes: str
    ) -> str:
        changed = dataclasses.replace(specification, **changes)  # type: ignore[arg-type] # texts
        return plan.key(chosen, target(version), mount=mount, specification=changed)

    same = key(selection())
    assert len(same) == plan.KEY_LENGTH
    # Where a file is had, how builds go and what is thrown away say nothing of the content.
    assert key(selection(place="packages[1]")) == same
    assert key(selection(), builds="allow", smoke="alpha") == same
    others = {
        key(selection(sha256="b" * 64)),
        key(selection(), version="3.11.3"),
        key(selection(), mount="/opt/venv"),
        key(selection(), bytecode="off"),
        key(selection(), conflicts="error"),
    }
    assert len(others | {same}) == 6


@pytest.mark.parametrize(
    ("wanted", "held", "force", "expected"),
    [
        ("a", {}, False, _KEEP),
        ("a", {"a": "it was bad"}, True, _KEEP),
        ("b", {"b": "it was bad"}, False, Decision(action=Action.HOLD, because="it was bad")),
        ("b", {"b": "it was bad"}, True, _REUSE),
        ("b", {"c": "it was bad"}, False, _REUSE),
        ("c", {}, False, Decision(action=Action.BUILD, because="no generation has these files")),
    ],
)
def test_the_decision_follows_from_the_key(
    wanted: str, held: dict[str, str], *, force: bool, expected: Decision
) -> None:
    found = plan.decide(wanted, current="a", present=["a", "b"], held=held, force=force)
    assert found == expected


def origin(name: str, version: str, sha256: str = "1", source: str = "", file: str = "") -> Origin:
    file = file or f"{name}-{version}-py3-none-any.whl"
    return Origin(name=name, version=version, file=file, sha256=sha256, source=source)


def test_differences_are_told_package_by_package() -> None:
    before = [
        origin("changed", "1.0"),
        origin("gone", "1.0"),
        origin("other", "1.0", "1"),
        origin("rebuilt", "1.0", "1", source="s"),
        origin("same", "1.0"),
    ]
    after = [
        origin("added", "2.0"),
        origin("changed", "2.0"),
        origin("other", "1.0", "2", file="other-1.0-cp311-cp311-linux_x86_64.whl"),
        origin("rebuilt", "1.0", "2", source="s"),
        origin("same", "1.0"),
    ]
    assert plan.differences(before, after) == (
        "+ added 2.0",
        "changed 1.0 → 2.0",
        "- gone 1.0",
        "other 1.0: other-1.0-py3-none-any.whl → other-1.0-cp311-cp311-linux_x86_64.whl",
    )
