"""Claims of docs/security.md that no other test makes true."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from index import LocalIndex
from venvctl.engine import tasks
from venvctl.errors import RootError, VenvctlError
from venvctl.progress import Silent
from venvctl.root import Root
from venvctl.verification import seen, verify
from wheelhouse import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from engine_fixtures import Docker, Unique
    from venvctl.engine.connection import Connection
    from world import World

pytestmark = pytest.mark.engine

_SECRET = "correct-horse-battery"  # noqa: S105 - of an index that lives for one test
_NOBODY = 65534


def test_a_password_is_in_no_file_of_the_root_and_in_no_message(world: World) -> None:
    with LocalIndex(user="ann", password=_SECRET) as index:
        made = make_wheel(world.folder, "alpha", "1.0", files={"alpha/__init__.py": ""})
        index.add(made.path)
        world.lock.write_text(
            f"--index-url {index.url_with('ann', _SECRET)}\n--trusted-host {index.host}\n"
            f"alpha==1.0 --hash=sha256:{made.sha256}\n"
        )

        assert world.sync().generation == 1

        index.remove(made.file)
        world.lock.write_text(world.lock.read_text().replace("alpha==1.0", "alpha==1.1"))
        with pytest.raises(VenvctlError) as caught:
            world.sync()

    assert _SECRET not in caught.value.message + caught.value.hint
    files = [path for path in world.root.path.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if _SECRET.encode() in path.read_bytes()] == []


def test_another_user_gets_nowhere_in_a_root(world: World) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    # So that only the root itself is in the way.
    for path in (world.root.path, *world.root.path.parents)[1:-2]:  # not the system's own
        path.chmod(0o755)

    done = subprocess.run(
        ["/bin/ls", world.root.path], user=_NOBODY, group=_NOBODY, extra_groups=[],
        capture_output=True, text=True, check=False, env={"LC_ALL": "C"},
    )  # fmt: skip

    assert done.stderr == f"/bin/ls: cannot open directory '{world.root.path}': Permission denied\n"
    assert not [
        path
        for path in world.root.path.rglob("*")
        if not path.is_symlink() and path.stat().st_mode & 0o022
    ]


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_root_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(mode)

    with pytest.raises(RootError) as caught:
        Root(path)

    assert caught.value.message == (
        f"{path} can be written by its group or by others (mode 0{mode:o}): whoever can write "
        "there decides what your containers run."
    )
    assert caught.value.hint == f"`chmod go-w {path}`"


def test_a_root_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    path = tmp_path / "theirs"
    path.mkdir()
    os.chown(path, _NOBODY, _NOBODY)

    with pytest.raises(RootError) as caught:
        Root(path)

    assert caught.value.message == f"{path} belongs to user {_NOBODY}, and this is user 0."


def test_a_container_can_change_nothing_not_even_as_root(world: World, unique: Unique) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    web = world.start(unique("web"), "--user", "0:0")
    world.wait_for_line(web, "start 1.0 1")

    for command in (
        "touch /venv/x",
        "rm /venv/lib",
        "ln -sfn /tmp /venv/.venvctl/current",
        "sh -c 'echo evil > /venv/lib/python3.11/site-packages/alpha/__init__.py'",
        "chmod 777 /venv/pyvenv.cfg",
    ):
        with pytest.raises(AssertionError, match="Read-only file system"):
            world.docker("exec", web, "sh", "-c", command)


def test_every_helper_of_a_sync_is_shut_in(
    world: World, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX_PASSWORD", _SECRET)
    helpers = {}
    remove = tasks.remove

    def look_and_remove(connection: Connection, identifier: str) -> bool:
        found = json.loads(docker("inspect", identifier))[0]
        helpers[found["Config"]["Labels"]["venvctl.helper"]] = found
        return remove(connection, identifier)

    monkeypatch.setattr(tasks, "remove", look_and_remove)
    world.labels = {"venvctl.smoke": "alpha"}
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()

    assert helpers.keys() == {"probe", "compile", "smoke"}
    for purpose, found in helpers.items():
        host = found["HostConfig"]
        assert (host["NetworkMode"], host["CapDrop"], host["CapAdd"]) == ("none", ["ALL"], None)
        assert (host["Privileged"], host["ReadonlyRootfs"]) == (False, True)
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert 0 < host["Memory"] == host["MemorySwap"]
        assert host["PidsLimit"] > 0
        writable = [mount["Destination"] for mount in found["Mounts"] if mount["RW"]]
        assert writable == (["/bytecode"] if purpose == "compile" else [])
        assert _SECRET not in json.dumps(found)


def test_verify_tells_a_volume_that_leads_elsewhere(world: World, docker: Docker) -> None:
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    name = world.environment.name
    result = verify([name], world.root, repair=False, progress=Silent())
    assert seen(result, world.root, Silent()).ok
    docker("volume", "rm", name)
    docker("volume", "create", "--label", f"venvctl.root={world.root.path}", name)

    (problem,) = seen(result, world.root, Silent()).problems

    assert (problem.path, problem.place, problem.reason) == (
        world.environment.volume,
        name,
        (
            f"is not what containers are shown: Volume {name} exists and was not made by venvctl "
            "(driver local, options none)"
        ),
    )
