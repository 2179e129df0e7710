"""A volume is this environment's or somebody else's, and the message says what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from venvctl import volumes
from venvctl.engine.model import LABEL_ROOT, Volume
from venvctl.environments import Environment
from venvctl.errors import VolumeConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROJECT = {"com.docker.compose.project": "store"}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path, "shop")


def volume(
    environment: Environment,
    *,
    root: str = "",
    options: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    driver: str = "local",
) -> Volume:
    return Volume(
        name="shop",
        driver=driver,
        options=own(environment) if options is None else options,
        labels={**({LABEL_ROOT: root} if root else {}), **(labels or {})},
    )


def own(environment: Environment) -> dict[str, str]:
    return {"type": "none", "o": "bind,ro", "device": str(environment.volume)}


def test_none_is_no_conflict(environment: Environment) -> None:
    assert not volumes.check(environment, None)


def test_its_own_is_known_by_root_and_directory(environment: Environment) -> None:
    mine = volume(environment, root=str(environment.root), labels=PROJECT)
    assert volumes.check(environment, mine)


def test_that_of_another_root_names_it(environment: Environment) -> None:
    with pytest.raises(VolumeConflictError) as caught:
        volumes.check(environment, volume(environment, root="/srv/other"))

    assert caught.value.message == (
        f"Volume shop belongs to the venvctl root /srv/other, not to {environment.root}."
    )
    assert caught.value.hint == "Set VENVCTL_ROOT=/srv/other to work on it."


def test_one_that_compose_made_first_is_told_how_to_be_mended(environment: Environment) -> None:
    with pytest.raises(VolumeConflictError) as caught:
        volumes.check(environment, volume(environment, options={}, labels=PROJECT))

    assert caught.value.message == (
        "Volume shop was made by compose (project store) before venvctl: it is an ordinary "
        "volume, and containers hold it."
    )
    assert caught.value.hint == (
        "Nothing in it is needed: `docker compose -p store down` and `docker volume rm shop`, "
        "then `venvctl up`."
    )


@pytest.mark.parametrize(
    ("driver", "options", "words"),
    [
        ("local", {}, "driver local, options none"),
        ("nfs", {"share": "x"}, "driver nfs, options {'share': 'x'}"),
    ],
)
def test_somebody_else_s_is_told_as_it_is(
    environment: Environment, driver: str, options: dict[str, str], words: str
) -> None:
    with pytest.raises(VolumeConflictError) as caught:
        volumes.check(environment, volume(environment, options=options, driver=driver))

    assert caught.value.message == f"Volume shop exists and was not made by venvctl ({words})."
    assert caught.value.hint == (
        "Give the environment another name, or, if nothing in it is needed, "
        "`docker volume rm shop`."
    )


@pytest.mark.parametrize("change", [{"o": "bind"}, {"device": "/elsewhere"}])
def test_its_own_with_other_options_is_not_its_own(
    environment: Environment, change: dict[str, str]
) -> None:
    other = volume(environment, root=str(environment.root), options={**own(environment), **change})
    with pytest.raises(VolumeConflictError) as caught:
        volumes.check(environment, other)

    assert caught.value.message == (
        f"Volume shop exists and was not made by venvctl (driver local, options {other.options})."
    )
