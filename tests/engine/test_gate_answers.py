"""The gate on the real engine: it answers what the command would answer, or leaves it to it."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from console import environment
from engine_fixtures import run_docker
from index import LocalIndex
from restamp import change
from shop import Shop, opened
from venvctl.root import Root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

_HEAVY = ("docker", "packaging", "platformdirs", "requests", "rich", "typer", "urllib3")
_OURS = ["venvctl", "venvctl.gate", "venvctl.rootpath"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a command ended, and which modules it took."""

    code: int
    stdout: str
    stderr: str
    modules: tuple[str, ...]

    @property
    def gated(self) -> bool:
        """Whether the gate answered, and the command line was never built."""
        return "venvctl.cli.application" not in self.modules


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, image_311: str) -> Iterator[Shop]:
    """One project for all tests here; each begins with `settle`, whatever the last one did."""
    folder = tmp_path_factory.mktemp("gate")
    directory = folder / f"vt-gate-{secrets.token_hex(4)}"
    directory.mkdir()
    # The docker command's own socket, under a name that a test can take away.
    (folder / "docker.sock").symlink_to("/var/run/docker.sock")
    with LocalIndex() as index:
        shop = Shop(
            directory=directory,
            index=index,
            root=Root(folder / "root"),
            image=image_311,
            docker=run_docker,
        )
        shop.image = shop.own_image(image_311)
        yield from opened(shop)
        run_docker("rmi", "--force", shop.image)


def ask(shop: Shop, *arguments: str, **variables: str) -> Asked:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "venvctl", *arguments],
        cwd=shop.directory,
        env=environment(
            **{
                "VENVCTL_ROOT": str(shop.root.path),
                "PWD": str(shop.directory),
                "DOCKER_HOST": f"unix://{shop.directory.parent}/docker.sock",
                **variables,
            }
        ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    mark = "import time:"
    lines = done.stderr.splitlines()
    return Asked(
        code=done.returncode,
        stdout=done.stdout,
        stderr="\n".join(line for line in lines if not line.startswith(mark)),
        modules=tuple(line.rpartition("|")[2].strip() for line in lines if line.startswith(mark)),
    )


def settle(shop: Shop, *arguments: str) -> str:
    """Come to where there is nothing to do and the gate says so; what it prints."""
    socket = shop.directory.parent / "docker.sock"
    if not socket.is_symlink():
        socket.symlink_to("/var/run/docker.sock")
    for left in ("tmp", "helpers"):
        shutil.rmtree(shop.root.path / left, ignore_errors=True)
    if shop.root.path.exists():
        shop.root.path.chmod(0o700)
    for extra in (".env", "compose.override.yaml"):
        (shop.directory / extra).unlink(missing_ok=True)
    shop.write()
    shop.pin("alpha==1.0")
    up = ask(shop, "up")
    assert up.code == 0, up.stderr
    first = ask(shop, *arguments)
    assert first.code == 0, first.stderr
    again = ask(shop, *arguments)
    assert (again.gated, again.code) == (True, 0)
    return again.stdout


def change_lock(shop: Shop) -> None:
    shop.pin("alpha==2.0")


def change_comment(shop: Shop) -> None:
    shop.pin("alpha==1.0", comment="# nothing that matters")


def remove_lock(shop: Shop) -> None:
    shop.lock.unlink()


def rebuild_image(shop: Shop) -> None:
    shop.dockerfile("venvctl-test/python:3.11", secrets.token_hex(4))
    shop.docker(
        "build", "--quiet", "--network", "none", "--tag", shop.image, str(shop.directory)
    )  # fmt: skip


def remove_volume(shop: Shop) -> None:
    shop.docker("compose", "--project-directory", str(shop.directory), "down", "--timeout", "0")
    shop.docker("volume", "rm", shop.name)


def current(shop: Shop) -> Path:
    generation = shop.environment.current()
    assert generation is not None
    return generation.path


def remove_seal(shop: Shop) -> None:
    (current(shop) / "seal.json").unlink()


def remove_generation(shop: Shop) -> None:
    shutil.rmtree(current(shop))


def leave_a_rollout_pending(shop: Shop) -> None:
    path = shop.environment.directory / "state.json"
    change(path, "pending", {shop.containers()["web"].id: "2020-01-01T00:00:00Z"})


def change_registration(shop: Shop) -> None:
    path = shop.environment.directory / "environment.json"
    specification = json.loads(path.read_bytes())["specification"]
    specification["labels"]["venvctl.bytecode"] = "off"
    change(path, "specification", specification)


def change_label(shop: Shop) -> None:
    labels = {"venvctl.lock": "requirements.lock", "venvctl.conflicts": "error"}
    shop.write(volumes={"venv": {"labels": labels}})


def add_override(shop: Shop) -> None:
    (shop.directory / "compose.override.yaml").write_text("services: {}\n")


def add_variables(shop: Shop) -> None:
    (shop.directory / ".env").write_text("COMPOSE_PROFILES=more\n")


def leave_what_a_crash_leaves(shop: Shop) -> None:
    (shop.root.path / "tmp" / "left").mkdir(parents=True)


def leave_what_may_still_come(shop: Shop) -> None:
    (shop.root.path / "helpers").mkdir(exist_ok=True)
    (shop.root.path / "helpers" / "left").touch()


def open_root_to_its_group(shop: Shop) -> None:
    shop.root.path.chmod(0o770)


def stop_engine(shop: Shop) -> None:
    (shop.directory.parent / "docker.sock").unlink()


CHANGES: dict[Callable[[Shop], None], int] = {
    change_lock: 0,
    change_comment: 0,
    remove_lock: 4,
    rebuild_image: 0,
    remove_volume: 0,
    remove_seal: 0,
    remove_generation: 0,
    leave_a_rollout_pending: 0,
    change_registration: 0,
    change_label: 0,
    add_override: 0,
    add_variables: 0,
    leave_what_a_crash_leaves: 0,
    leave_what_may_still_come: 0,
    open_root_to_its_group: 1,
    stop_engine: 3,
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changed_is_left_to_the_command(
    shop: Shop, change: Callable[[Shop], None]
) -> None:
    settle(shop, "sync")
    change(shop)

    asked = ask(shop, "sync")

    assert (asked.gated, asked.code) == (False, CHANGES[change]), asked.stderr


@pytest.mark.parametrize(
    "arguments",
    [("sync",), ("sync", "--json"), ("sync", "venv"), ("sync", "--offline"), ("up",)],
    ids=" ".join,
)
def test_the_gate_prints_what_the_command_prints(shop: Shop, arguments: tuple[str, ...]) -> None:
    gated = settle(shop, *arguments)

    shutil.rmtree(shop.root.path / "answers")
    full = ask(shop, *arguments)

    assert not full.gated
    assert gated == full.stdout
    assert "nothing to do" in gated or '"action": "nothing"' in gated


def test_a_gated_command_imports_nothing_heavy(shop: Shop) -> None:
    settle(shop, "sync")

    asked = ask(shop, "sync")

    tops = {module.partition(".")[0] for module in asked.modules}
    assert tops.isdisjoint(_HEAVY)
    assert sorted(module for module in asked.modules if module.startswith("venvctl")) == _OURS


def test_what_is_asked_for_by_force_is_never_answered_by_the_gate(shop: Shop) -> None:
    settle(shop, "sync")

    for option in ("--force", "--dry-run"):
        asked = [ask(shop, "sync", option) for _ in range(2)]
        assert [(one.gated, one.code) for one in asked] == [(False, 0), (False, 0)]


def test_an_unknown_environment_stays_unknown(shop: Shop) -> None:
    settle(shop, "sync")

    asked = [ask(shop, "sync", "nobody") for _ in range(2)]

    assert [(one.gated, one.code) for one in asked] == [(False, 2), (False, 2)]


def test_a_variable_that_compose_listens_to_is_left_to_the_command(shop: Shop) -> None:
    settle(shop, "sync")

    asked = ask(shop, "sync", COMPOSE_PROFILES="more")

    assert (asked.gated, asked.code) == (False, 0), asked.stderr


def test_the_first_time_after_a_sync_is_answered_by_the_gate(shop: Shop) -> None:
    settle(shop, "sync")
    shop.pin("alpha==2.0")
    made = ask(shop, "sync")
    assert not made.gated

    again = ask(shop, "sync")

    number = shop.environment.current()
    assert number is not None
    assert (again.gated, again.stdout) == (
        True,
        f"{shop.name}: nothing to do, generation {number.number} is current\n",
    )


def test_up_starts_what_was_stopped_meanwhile(shop: Shop) -> None:
    settle(shop, "up")
    shop.docker("stop", "--time", "0", shop.containers()["web"].id)

    asked = ask(shop, "up")

    assert (asked.gated, asked.code) == (True, 0)
    assert shop.containers()["web"].running


def test_what_compose_fails_with_is_told_as_by_the_command(shop: Shop) -> None:
    settle(shop, "up", "--", "--scale", "web=1")
    # The name of the container is taken, so compose can't make it anew.
    shop.docker("compose", "--project-directory", str(shop.directory), "rm", "--stop", "--force")
    taken = f"{shop.project}-web-1"
    shop.docker("create", "--name", taken, shop.image, "/bin/true")
    try:
        gated = ask(shop, "up", "--", "--scale", "web=1")
        shutil.rmtree(shop.root.path / "answers")
        full = ask(shop, "up", "--", "--scale", "web=1")
    finally:
        shop.docker("rm", "--force", taken)

    error = "Error: `docker compose up` ended with exit code 1."
    assert (gated.code, gated.stdout, gated.stderr.splitlines()[-1]) == (1, "", error)
    assert (full.code, full.stdout, full.stderr.splitlines()[-1]) == (1, "", error)


def test_records_of_old_questions_make_room(shop: Shop) -> None:
    settle(shop, "sync")
    answers = shop.root.path / "answers"
    for number in range(300):
        (answers / f"{number}.json").write_text("{}")

    asked = ask(shop, "sync", shop.name)

    assert (asked.gated, asked.code) == (False, 0)
    assert len(list(answers.iterdir())) == 1
