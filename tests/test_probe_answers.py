"""What an image says of its interpreter is not believed where it becomes part of a path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interpreters import target
from venvctl import probe
from venvctl.engine.model import TaskResult
from venvctl.errors import TargetError


def said(**facts: Any) -> TaskResult:
    document = target("3.11.2").to_dict() | facts
    return TaskResult(exit_code=0, stdout=f"venvctl-probe:{json.dumps(document)}\n", stderr="")


def test_what_an_image_says_is_read() -> None:
    assert probe._read(said(), name="shop", python="") == target("3.11.2")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"library": "../../../../etc"}, "the library '../../../../etc' can't be one"),
        ({"library": ".."}, "the library '..' can't be one"),
        ({"cache-tag": "x/../../y"}, "the cache tag 'x/../../y' can't be one"),
        ({"cache-tag": ""}, "the cache tag '' can't be one"),
        ({"interpreter": "python3"}, "the interpreter 'python3' can't be one"),
        (
            {"interpreter": "/usr/bin/python3\ninclude-system-site-packages = true"},
            "the interpreter '/usr/bin/python3\\ninclude-system-site-packages = true' can't be one",
        ),
        ({"markers": {"python_version": "../x"}}, "the marker python_version '../x' can't be one"),
        ({"markers": {}}, "'python_version'"),
        ({"markers": "x"}, "its markers are not an object"),
        (
            {"markers": {"python_version": "3.11", "os_name": "\x1b[2J"}},
            "the marker os_name '\\x1b[2J' can't be one",
        ),
        ({"tags": ["py3-none"]}, "the tag 'py3-none' can't be one"),
        ({"version": "3.11 "}, "the version '3.11 ' can't be one"),
    ],
)
def test_a_hostile_image_gets_no_path(facts: dict[str, Any], reason: str) -> None:
    with pytest.raises(TargetError) as caught:
        probe._read(said(**facts), name="shop", python="")
    assert caught.value.message == (
        "The interpreter python3 or python of image shop described itself in a way that can't be "
        f"read: {reason}."
    )
