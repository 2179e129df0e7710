"""Where an environment is mounted stands in scripts, and must mean itself there."""

from __future__ import annotations

import pytest

from venvctl import mountpoint
from venvctl.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "path"),
    [("/venv", "/venv"), ("/opt/shop-1.0/venv/", "/opt/shop-1.0/venv"), ("/a/../venv", "/venv")],
)
def test_a_plain_path_is_taken(text: str, path: str) -> None:
    assert mountpoint.checked(text) == path


@pytest.mark.parametrize("text", ["", "/", "//", ".", "venv", "/venv/.."])
def test_what_is_no_place_of_its_own_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mountpoint.checked(text)
    assert caught.value.message == f"An environment can't be mounted at {text!r}."


@pytest.mark.parametrize(
    "text",
    [
        '/venv"; import os; os.abort() #',
        "/ve nv",
        "/$HOME/venv",
        "/venv`id`",
        "/venv\\x",
        "/venv\n[x]",
        "/ven\u0435",
        "/'venv'",
        "/" + "a" * 1001,
    ],
)
def test_what_a_script_would_take_for_more_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mountpoint.checked(text)
    assert caught.value.message == (
        f"An environment can't be mounted at {text!r}: its scripts have that path in them."
    )
    assert caught.value.hint == (
        "Mount it at a path of letters, digits and `. _ - + @ % = ,`, such as /venv."
    )
