"""A project brought up and taken down: what is synced, what compose starts, what is restarted."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from index import LocalIndex
from shop import Shop, opened
from venvctl.backend import Here
from venvctl.cli.display import Quiet
from venvctl.errors import (
    ComposeError,
    ConfigurationError,
    LockError,
    TargetError,
    VolumeConflictError,
)
from venvctl.plan import Action
from venvctl.project import ComposeOptions
from venvctl.root import Root
from venvctl.up import down
from venvctl.workplace import Workplace
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine_fixtures import Docker, Unique

pytestmark = pytest.mark.engine

NOTHING = ComposeOptions()


@pytest.fixture
def shop(tmp_path: Path, image_311: str, unique: Unique, docker: Docker) -> Iterator[Shop]:
    directory = tmp_path / unique("shop")
    directory.mkdir()
    with LocalIndex() as index:
        root = Root(tmp_path / "root")
        yield from opened(
            Shop(directory=directory, index=index, root=root, image=image_311, docker=docker)
        )


def starts(shop: Shop) -> dict[str, tuple[str, str]]:
    """Which container each service has, and since when it runs."""
    return {name: (one.id, one.started_at) for name, one in shop.containers().items()}


def test_the_first_up_makes_the_environment_and_starts_the_containers(shop: Shop) -> None:
    result = shop.up()

    [synced] = result.environments
    assert (result.project, synced.environment) == (shop.project, shop.name)
    assert (synced.action, synced.generation, synced.steps) == (Action.BUILD, 1, ())
    wait_for(lambda: shop.said("web") == ["start 1.0 1"], "the first start")
    assert [project.name for project in shop.root.registry.projects()] == [shop.project]
    volume = shop.root.engine.volume(shop.name)
    assert volume is not None
    assert volume.labels["com.docker.compose.volume"] == "venv"


def test_a_second_up_changes_nothing(shop: Shop) -> None:
    shop.up()
    before, asked = starts(shop), len(shop.index.requests)

    [synced] = shop.up().environments

    assert synced.action is Action.NOTHING
    assert starts(shop) == before
    assert len(shop.index.requests) == asked


def test_an_update_restarts_each_running_holder_once(shop: Shop) -> None:
    shop.write({"web": {}, "worker": {}, "idle": {"labels": {"venvctl.on-change": "none"}}})
    shop.up()
    for service in ("web", "worker", "idle"):
        wait_for(lambda: shop.said(service) == ["start 1.0 1"], f"the start of {service}")  # noqa: B023 - called at once
    before = starts(shop)
    shop.pin("alpha==2.0")

    [synced] = shop.up().environments

    assert synced.changes == ("alpha 1.0 → 2.0",)
    outcomes = {step.name.removeprefix(f"{shop.project}-"): step.outcome for step in synced.steps}
    assert outcomes == {"web-1": "done", "worker-1": "done", "idle-1": "left alone"}
    for service in ("web", "worker"):
        wait_for(lambda: len(shop.said(service)) == 2, f"the restart of {service}")  # noqa: B023 - called at once
        assert shop.said(service) == ["start 1.0 1", "start 2.0 2"]
    assert starts(shop)["idle"] == before["idle"]


def test_a_container_that_compose_recreates_is_not_restarted_as_well(shop: Shop) -> None:
    shop.up()
    before = starts(shop)["web"]
    shop.pin("alpha==2.0")
    shop.write({"web": {"environment": {"NEW": "1"}}})

    [synced] = shop.up().environments

    assert synced.steps == ()
    wait_for(lambda: shop.said("web") == ["start 2.0 2"], "the new container's start")
    assert starts(shop)["web"][0] != before[0]


def test_only_what_starts_is_synced(shop: Shop, unique: Unique) -> None:
    missing = unique("missing")
    job = {
        "profiles": ["jobs"],
        "image": missing,
        "volumes": ["jobs:/venv"],
    }
    late = {"profiles": ["jobs"], "image": missing}
    volumes = {
        "venv": {"labels": {"venvctl.lock": "requirements.lock"}},
        "jobs": {"labels": {"venvctl.lock": "jobs.lock"}},
    }
    shop.write({"web": {}, "job": job, "late": late}, volumes)

    result = shop.up()

    assert [synced.environment for synced in result.environments] == [shop.name]
    assert list(shop.containers()) == ["web"]


def test_a_profile_that_is_turned_on_has_its_say(shop: Shop, image_313: str) -> None:
    shop.write({"web": {}, "late": {"profiles": ["late"], "image": image_313}})

    with pytest.raises(TargetError, match=r"Services late and web share the environment .*_venv,"):
        shop.up(options=ComposeOptions(profiles=("late",)))

    assert shop.containers() == {}
    assert shop.environment.current() is None


def test_named_services_start_with_what_they_need(shop: Shop) -> None:
    other = {"volumes": ["more:/venv"], "entrypoint": ["sleep", "infinity"]}
    volumes = {
        "venv": {"labels": {"venvctl.lock": "requirements.lock"}},
        "more": {"labels": {"venvctl.lock": "requirements.lock"}},
    }
    shop.write({"web": {}, "other": other}, volumes)

    result = shop.up("web")

    assert [synced.environment for synced in result.environments] == [shop.name]
    assert list(shop.containers()) == ["web"]
    assert shop.root.engine.volume(f"{shop.project}_more") is not None  # compose would make it
    assert len(shop.up().environments) == 2
    assert sorted(shop.containers()) == ["other", "web"]


def test_a_service_that_is_ignored_gets_its_files_all_the_same(shop: Shop) -> None:
    static = {
        "labels": {"venvctl.ignore": "true"},
        "entrypoint": ["sh", "-c", "cat /venv/lib/python3.11/site-packages/alpha/__init__.py"],
    }
    shop.write({"web": {}, "static": static})

    [synced] = shop.up("static").environments

    assert synced.generation == 1
    wait_for(lambda: shop.said("static") == ["VERSION = '1.0'"], "the file")
    assert list(shop.containers()) == ["static"]


def test_a_service_that_is_built_is_built_before_it_is_asked_for_its_python(shop: Shop) -> None:
    shop.dockerfile(shop.image, "one")
    shop.write(
        {"web": {"image": f"{shop.project}-own", "build": {"context": ".", "network": "none"}}}
    )

    [synced] = shop.up().environments

    assert synced.generation == 1
    wait_for(lambda: shop.said("web") == ["start 1.0 1"], "the start")
    before = starts(shop)["web"]
    shop.dockerfile(shop.image, "two")
    assert [one.action for one in shop.up().environments] == [Action.NOTHING]
    assert starts(shop)["web"] == before

    [rebuilt] = shop.up(flags=["--build"]).environments

    assert (rebuilt.action, rebuilt.reasons) == (Action.KEEP, ("the image of web changed",))
    assert starts(shop)["web"][0] != before[0]


def test_another_python_waits_for_up_which_switches_as_compose_recreates(
    shop: Shop, image_313: str
) -> None:
    own = shop.own_image(shop.image)
    shop.write({"web": {"image": own}})
    shop.up()
    wait_for(lambda: shop.said("web") == ["start 1.0 1"], "the first start")
    before = starts(shop)
    shop.own_image(image_313)

    refused = shop.run("sync", "--json")

    assert refused.code == 4
    assert refused.envelope["error"]["code"] == "target-invalid"
    assert (
        "was not switched: the generation is for another interpreter"
        in (refused.envelope["error"]["message"])
    )
    assert refused.envelope["error"]["hint"].startswith("`venvctl up` switches, and has compose")
    assert starts(shop) == before

    [synced] = shop.up().environments

    assert (synced.generation, synced.steps) == (2, ())
    wait_for(lambda: shop.said("web") == ["start 1.0 2"], "the start with the new Python")


def test_a_container_that_is_not_to_be_recreated_is_not_switched_to_another_python(
    shop: Shop, image_313: str
) -> None:
    own = shop.own_image(shop.image)
    shop.write({"web": {"image": own}})
    shop.up()
    before = starts(shop)
    shop.own_image(image_313)

    with pytest.raises(TargetError, match="was not switched"):
        shop.up(flags=["--no-recreate"])

    assert starts(shop) == before
    current = shop.environment.current()
    assert current is not None
    assert current.number == 1


def test_an_image_that_can_not_be_had_is_composes_own_error(shop: Shop, unique: Unique) -> None:
    missing = unique("missing")
    shop.write({"web": {"image": missing}})

    with pytest.raises(ComposeError, match="`docker compose pull` ended with exit code"):
        shop.up()
    for flags, offline in ((["--pull", "never"], False), (["--pull=never"], False), ([], True)):
        with pytest.raises(TargetError) as caught:
            shop.up(flags=flags, offline=offline)
        assert caught.value.message == f"The image {missing} of service web is not here."
    assert shop.containers() == {}


def test_what_is_not_to_be_built_is_not(shop: Shop) -> None:
    shop.write({"web": {"image": f"{shop.project}-own", "build": "."}})

    with pytest.raises(TargetError, match=r"The image .*-own of service web is not here\."):
        shop.up(flags=["--no-build"])


def test_a_project_without_an_environment_says_how_to_make_one(shop: Shop) -> None:
    document = {"services": {"web": {"image": shop.image}}}
    (shop.directory / "compose.yaml").write_text(json.dumps(document))

    with pytest.raises(ConfigurationError) as caught:
        shop.up()

    assert caught.value.message == (
        f"No volume in {shop.directory}/compose.yaml has the label venvctl.lock, "
        "so there is no environment."
    )
    assert caught.value.hint.startswith("Add a volume with `labels: {venvctl.lock: ")


def test_a_lock_that_can_not_be_used_starts_nothing(shop: Shop) -> None:
    shop.lock.write_text("flask >= 2\n")

    with pytest.raises(LockError, match=r"requirements\.lock:1: 'flask >= 2' is not pinned"):
        shop.up()

    assert shop.containers() == {}
    assert shop.root.engine.volume(shop.name) is None


def test_a_volume_that_compose_made_first_is_told_how_to_be_mended(shop: Shop) -> None:
    shop.docker("compose", "--project-directory", str(shop.directory), "create")

    with pytest.raises(VolumeConflictError) as caught:
        shop.up()

    assert caught.value.message.startswith(f"Volume {shop.name} was made by compose")
    shop.docker("compose", "-p", shop.project, "down")
    shop.docker("volume", "rm", shop.name)
    assert shop.up().environments[0].generation == 1


def test_what_an_interrupted_rollout_left_is_taken_up(shop: Shop) -> None:
    shop.up()
    wait_for(lambda: shop.said("web") == ["start 1.0 1"], "the first start")
    shop.pin("alpha==2.0")
    # As after a crash between compose's end and the rollout.
    (shop.directory / "compose.yaml").rename(shop.directory / "hidden")
    shop.write({"web": {}, "broken": {"image": shop.image, "ports": ["127.0.0.1:99999:1"]}})
    with pytest.raises((ComposeError, ConfigurationError)):
        shop.up()
    (shop.directory / "hidden").rename(shop.directory / "compose.yaml")

    shop.up()

    wait_for(lambda: shop.said("web") == ["start 1.0 1", "start 2.0 2"], "the restart")


def test_a_label_that_changes_nothing_now_is_remembered_all_the_same(shop: Shop) -> None:
    shop.up()
    labels = {"venvctl.lock": "requirements.lock", "venvctl.keep": "7"}
    shop.write(volumes={"venv": {"labels": labels}})

    [synced] = shop.up().environments

    assert synced.action is Action.NOTHING
    assert shop.root.registry.load(shop.name).specification.keep == 7


def test_down_takes_away_what_up_made_and_up_fetches_nothing_again(shop: Shop) -> None:
    shop.up()
    asked = len(shop.index.requests)

    result = down(
        NOTHING,
        shop.directory,
        ["--volumes", "--timeout", "0"],
        Workplace(Here(shop.root)),
        Quiet(),
    )

    assert dataclasses.asdict(result) == {"project": shop.project, "followed": True}
    assert shop.containers() == {}
    assert shop.root.engine.volume(shop.name) is None
    assert shop.root.registry.projects() == []

    [synced] = shop.up().environments

    assert (synced.action, synced.volume_created, synced.fetched) == (Action.KEEP, True, 0)
    assert len(shop.index.requests) == asked
    wait_for(lambda: shop.said("web") == ["start 1.0 1"], "the start")


def test_a_wrong_label_keeps_nothing_up(shop: Shop) -> None:
    shop.up()
    shop.write(volumes={"venv": {"labels": {"venvctl.lcok": "requirements.lock"}}})

    result = down(NOTHING, shop.directory, ["--timeout", "0"], Workplace(Here(shop.root)), Quiet())

    assert result.followed
    assert shop.containers() == {}


def test_another_user_in_the_container_can_use_it(shop: Shop) -> None:
    shop.write({"web": {"user": "1234:1234"}})

    shop.up()

    wait_for(lambda: shop.said("web") == ["start 1.0 1"], "the start")
