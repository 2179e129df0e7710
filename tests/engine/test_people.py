"""How users and roots meet: a developer, a member who may not read the lock, and an outsider."""

from __future__ import annotations

import grp
import json
import os
from typing import TYPE_CHECKING

import pytest

from daemons import Daemon
from index import LocalIndex
from open_folder import open_folder
from people import People, people
from shop import Shop, opened
from venvctl.root import Root
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine_fixtures import Docker, Unique

pytestmark = pytest.mark.engine

SECRET = "hunter2-of-the-lock"  # noqa: S105 - a line of a lock that not everybody may read


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture
def users(folder: Path) -> Iterator[People]:
    with people(folder) as found:
        yield found


@pytest.fixture
def shop(
    folder: Path, users: People, image_311: str, unique: Unique, docker: Docker
) -> Iterator[Shop]:
    """A project that belongs to ann, in a directory that everybody may enter."""
    directory = folder / unique("shop")
    directory.mkdir()
    with LocalIndex() as index:
        root = Root(folder / "root")
        one = opened(
            Shop(directory=directory, index=index, root=root, image=image_311, docker=docker)
        )
        made = next(one)
        for path in (directory, made.lock, directory / "compose.yaml"):
            os.chown(path, users.ann.uid, -1)
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield made
        next(one, None)


@pytest.fixture
def daemon(folder: Path, shop: Shop, users: People) -> Iterator[Daemon]:
    with Daemon(root=shop.root.path, folder=folder, group=users.group) as running:
        yield running


def test_a_developer_of_the_group_does_all_of_it_without_a_root_of_their_own(
    users: People, shop: Shop, daemon: Daemon
) -> None:
    def ann(*arguments: str) -> str:
        done = users.ann.venvctl(*arguments, socket=daemon.socket, cwd=shop.directory)
        assert done.code == 0, done
        return done.stdout

    assert f"{shop.name}: generation 1 made and current" in ann("up")
    assert shop.environment.current() is not None
    shop.pin("alpha==2.0")
    wait_for(
        lambda: f"{shop.project}-web-1: running, on generation 2" in ann("status"),
        "the daemon's sync of what ann may read",
    )
    assert "alpha 1.0 → 2.0" in ann("diff", "venv")
    assert "generation 1 is current again, in place of 2, which is held" in ann("rollback", "venv")
    assert ann("sync").startswith(f"{shop.name}: nothing to do, generation 1 is current")
    assert [
        event["kind"] for event in json.loads(ann("history", "venv", "--json"))["data"]["events"]
    ][-1] in {"rollback", "rollout"}
    assert "rollback" in ann("logs", "venv")
    assert shop.name in ann("env", "list")
    assert f"{shop.project}: down" in ann("down")
    assert json.loads(ann("env", "rm", shop.name, "--json"))["data"]["environment"] == shop.name
    # Nothing came to be in a root of her own, and she could not have written to this one.
    assert not (users.ann.home / ".local").exists()
    assert users.ann.run("ls", str(shop.root.path)).code != 0


def test_nobody_is_told_what_they_can_not_read(users: People, shop: Shop, daemon: Daemon) -> None:
    ann, bob, socket = users.ann, users.bob, daemon.socket
    assert ann.venvctl("up", socket=socket, cwd=shop.directory).code == 0
    shop.lock.chmod(0o640)  # ann's group has nobody else in it that counts
    os.chown(shop.lock, users.ann.uid, 0)
    shop.lock.write_text(shop.lock.read_text() + f"{SECRET}\n")
    wait_for(lambda: SECRET in daemon.log.read_text(), "the failure of the sync")

    told = f"Who can read {shop.lock} is told more."
    hers = ann.venvctl("status", shop.name, socket=socket)
    assert SECRET in hers.stdout
    his = bob.venvctl("status", shop.name, socket=socket)
    assert (his.code, f"the last sync failed: {told}" in his.stdout) == (0, True), his
    assert f"lock-invalid; who can read {shop.lock} is told more" in (
        bob.venvctl("history", shop.name, socket=socket).stdout
    )
    paths = [
        "/v1/health",
        "/v1/metrics",
        "/v1/environments",
        f"/v1/environments/{shop.name}",
        f"/v1/environments/{shop.name}/history",
        "/v1/events?after=0",
        "/v1/snapshots",
    ]
    curl = ("curl", "--silent", "--max-time", "2", "--unix-socket", str(socket))
    everything = [bob.run(*curl, f"http://localhost{path}").stdout for path in paths]
    assert all(everything)
    assert SECRET not in "".join(everything)
    assert json.loads(everything[0])["data"]["problems"] == {shop.name: told}
    assert f"{shop.name}: lock-invalid; who can read {shop.lock} is told more" in everything[5]
    synced = bob.venvctl("sync", shop.name, socket=socket)
    assert (synced.code, synced.stderr.splitlines()[0]) == (
        4,
        f"Error: The lockfile {shop.lock} can't be read by {bob.name}.",
    )


def test_what_is_somebody_elses_stays_theirs(users: People, shop: Shop, daemon: Daemon) -> None:
    ann, bob, eve, socket = users.ann, users.bob, users.eve, daemon.socket
    assert ann.venvctl("up", socket=socket, cwd=shop.directory).code == 0
    registration = shop.root.registry.load(shop.name)
    shop.lock.chmod(0o600)
    environment, project = f"/v1/environments/{shop.name}", f"/v1/projects/{shop.project}"

    # A text that bob made up does not become what ann's environment has.
    forged = {"registration": registration.to_dict(), "files": {str(shop.lock): "# nothing\n"}}
    answer = bob.ask(f"{environment}/sync", socket=socket, method="POST", body=forged)
    assert answer["error"]["message"] == (f"The lockfile {shop.lock} can't be read by {bob.name}.")
    other = {"registration": {**registration.to_dict(), "mount": "/elsewhere"}}
    refused = {
        "code": "forbidden",
        "message": f"{bob.name} may not change what environment {shop.name} is: it is followed for "
        "somebody else.",
        "hint": "Sync it as it is registered, or ask its owner.",
    }
    assert bob.ask(environment, socket=socket, method="PUT", body=other)["error"] == refused
    assert bob.ask(environment, socket=socket, method="DELETE")["error"] == refused
    document = json.loads((shop.root.path / "projects" / f"{shop.project}.json").read_bytes())
    for method, body in (("DELETE", None), ("PUT", {**document, "environments": []})):
        answer = bob.ask(project, socket=socket, method=method, body=body)
        assert answer["error"]["message"] == (
            f"{bob.name} may not say whether project {shop.project} is followed: it is somebody "
            f"else's, and {shop.lock} can't be read by {bob.name}."
        )
    assert bob.ask("/v1/reload", socket=socket, method="POST")["error"]["code"] == "forbidden"
    assert [each.name for each in shop.root.registry.projects()] == [shop.project]

    # Outside of the group there is nothing, and the message says what to do about it.
    outside = eve.venvctl("status", socket=socket, cwd=shop.directory)
    group = grp.getgrgid(socket.stat().st_gid).gr_name
    assert outside.code == 4
    assert outside.stderr == (
        f"Error: Volume {shop.name} belongs to the venvctl root {shop.root.path}, not to "
        f"{eve.home}/.local/share/venvctl. No daemon answers on {socket}: Permission denied.\n"
        f"Hint: Ask for membership in the socket's group (`usermod -aG {group} USER`).\n"
    )


def test_a_lock_that_is_swapped_is_read_with_its_users_rights(
    users: People, shop: Shop, daemon: Daemon
) -> None:
    secret = shop.root.path.parent / "secret.txt"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    ann, socket = users.ann, daemon.socket
    assert ann.venvctl("up", socket=socket, cwd=shop.directory).code == 0

    told = f"The lockfile {shop.lock} can't be read by {ann.name}; the environment stays as it is."
    for target in (secret, "/proc/self/environ", "/dev/zero", "/dev/stdin", shop.directory):
        shop.lock.unlink()
        shop.lock.symlink_to(target)
        before = daemon.log.read_text().count(told)
        failed = daemon.log.read_text().count("ERROR")
        wait_for(
            lambda before=before, failed=failed: (  # type: ignore[misc] # its defaults
                daemon.log.read_text().count(told) > before
                or daemon.log.read_text().count("ERROR") > failed
            ),
            f"what is told of a link to {target}",
        )
        shop.lock.unlink()
        shop.pin("alpha==1.0")
        os.chown(shop.lock, ann.uid, -1)
        wait_for(
            lambda: json.dumps(ann.ask("/v1/health", socket=socket)["data"]["problems"]) == "{}",
            "the end of the trouble",
        )
    shop.lock.unlink()
    os.mkfifo(shop.lock)
    wait_for(lambda: ann.ask("/v1/health", socket=socket)["ok"], "an answer")

    assert SECRET not in daemon.log.read_text()
    assert "VENVCTL_ROOT" not in daemon.log.read_text()
    current = shop.environment.current()
    assert current is not None
    assert current.number == 1
