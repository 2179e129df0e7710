"""The command line on the real engine: each verb in a process of its own, as a person runs it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from console import COMMAND, Done, environment, venvctl_command
from index import LocalIndex
from shop import Shop, opened
from venvctl.root import Root
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine_fixtures import Docker, Unique

pytestmark = pytest.mark.engine


@pytest.fixture
def shop(tmp_path: Path, image_311: str, unique: Unique, docker: Docker) -> Iterator[Shop]:
    directory = tmp_path / unique("shop")
    directory.mkdir()
    with LocalIndex() as index:
        root = Root(tmp_path / "root")
        yield from opened(
            Shop(directory=directory, index=index, root=root, image=image_311, docker=docker)
        )


class Following:
    """`venvctl up --watch --json` in a process of its own, read line by line."""

    def __init__(self, shop: Shop) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--watch", "--json"],
            cwd=shop.directory,
            env=environment(VENVCTL_ROOT=str(shop.root.path), PWD=str(shop.directory)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[Any] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(json.loads(line))

    def next(self) -> Any:
        wait_for(lambda: self.lines, "a line of up --watch")
        return self.lines.pop(0)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def following(shop: Shop) -> Iterator[Following]:
    following = Following(shop)
    yield following
    following.process.kill()
    following.process.wait()
    for stream in (following.process.stdout, following.process.stderr):
        if stream:
            stream.close()


def lines(done: Done) -> list[str]:
    assert done.code == 0, done.stderr
    return done.stdout.splitlines()


def test_a_day_in_the_life_of_a_project(shop: Shop) -> None:
    first = lines(shop.run("up"))
    assert first[:3] == [
        f"{shop.name}: generation 1 made and current",
        "  because it was never synced",
        "  1 package",
    ]

    idle = [f"{shop.name}: nothing to do, generation 1 is current"]
    assert lines(shop.run("up")) == lines(shop.run("sync", "venv", shop.name)) == idle

    shop.pin("alpha==1.0", comment="# nothing that matters")
    assert lines(shop.run("sync"))[:2] == [
        f"{shop.name}: generation 1 stays current, it selects the same files for this target",
        f"  because {shop.lock} changed",
    ]
    told = shop.run("status", "--json").data["environments"][0]
    assert told["last"]["notes"] == ["keep: it selects the same files for this target"]
    [holder] = told["holders"]
    assert (holder["service"], holder["generation"], holder["current"]) == ("web", 1, True)

    shop.pin("alpha==2.0")
    preview = shop.run("sync", "venv", "--accept", "nothing", "--dry-run")
    assert preview.stderr == ""
    assert lines(preview) == [
        f"{shop.name}: would make a generation (generation 1 is current)",
        f"  because {shop.lock} changed",
        "  because --accept asks for it",
        "  alpha 1.0 → 2.0",
        "  1 file to fetch:",
        "    alpha-2.0-py3-none-any.whl",
        "  warning: --accept nothing: the lock has no pin of that name.",
    ]

    [synced] = shop.run("sync", "--no-restart", "--json").data["environments"]
    assert (synced["action"], synced["generation"], synced["steps"]) == ("build", 2, [])
    told = shop.run("status", "venv", "--json").data["environments"][0]
    assert (told["generation"], told["reasons"]) == (2, [])
    assert (told["holders"][0]["generation"], told["holders"][0]["current"]) == (1, False)

    back = lines(shop.run("rollback", "venv"))
    assert back[:2] == [
        f"{shop.name}: generation 1 is current again, in place of 2, which is held",
        "  alpha 2.0 → 1.0",
    ]
    shop.pin("alpha==2.0", comment="# a comment brings nothing back")
    held = shop.run("sync", "--json").data["environments"][0]
    assert (held["action"], held["generation"]) == ("hold", 1)

    [forced] = shop.run("sync", "--force", "--json").data["environments"]
    assert (forced["action"], forced["generation"]) == ("reuse", 2)
    wait_for(lambda: shop.said("web")[-1] == "start 2.0 2", "the restart onto generation 2")

    events = shop.run("history", shop.name, "--json", "--limit", "0").data["events"]
    assert [event["kind"] for event in events if event["kind"] != "rollout"] == [
        "sync", "sync", "sync", "rollback", "sync", "sync",
    ]  # fmt: skip
    assert lines(shop.run("diff", "venv")) == [
        f"{shop.name}: generation 1 → 2",
        "  alpha 1.0 → 2.0",
    ]
    checked = shop.run("verify", "--json").data
    assert (checked["environments"], checked["generations"]) == ([shop.name], 2)
    assert shop.run("gc", "--dry-run", "--json").data["generations"] == []

    assert lines(shop.run("down", "--", "--volumes", "--timeout", "0")) == [f"{shop.project}: down"]
    assert shop.containers() == {}


def test_composes_own_options_mean_the_same_from_anywhere(shop: Shop, tmp_path: Path) -> None:
    project = f"{shop.project}-2"
    variables = tmp_path / "variables"
    variables.write_text(f"LOCK={shop.lock}\n")
    shop.write(volumes={"venv": {"labels": {"venvctl.lock": "${LOCK}"}}})
    options = (
        "--file", str(shop.directory / "compose.yaml"), "--project-name", project,
        "--env-file", str(variables), "--project-directory", str(tmp_path),
    )  # fmt: skip
    root = str(shop.root.path)

    done = venvctl_command("up", *options, "--json", cwd=tmp_path, VENVCTL_ROOT=root)

    try:
        assert done.data["project"] == project
        [synced] = done.data["environments"]
        assert (synced["environment"], synced["generation"]) == (f"{project}_venv", 1)
        [container] = shop.root.engine.containers(project=project)
        assert container.running
    finally:
        down = ("down", *options, "--", "--volumes", "--timeout", "0")
        assert venvctl_command(*down, cwd=tmp_path, VENVCTL_ROOT=root).code == 0
    assert shop.root.engine.containers(project=project) == []
    assert shop.root.engine.volume(f"{project}_venv") is None


def test_an_environment_that_was_lost_comes_back_without_an_index(shop: Shop) -> None:
    assert shop.run("up").code == 0
    wait_for(lambda: shop.said("web") == ["start 1.0 1"], "the start")
    shutil.rmtree(shop.environment.directory)
    asked = len(shop.index.requests)

    done = shop.run("restore", shop.name, "--json")

    assert done.data["environment"] == shop.name
    assert done.data["replaced"]
    wait_for(lambda: shop.said("web")[-1] == "start 1.0 2", "the start on what was restored")
    assert len(shop.index.requests) == asked


def test_a_key_of_the_project_and_the_start_of_a_snapshots_will_do(shop: Shop) -> None:
    assert shop.run("up").code == 0
    key = shop.environment.current().key  # type: ignore[union-attr] # synced

    exported = shop.run("snapshot", "export", "venv", "--output", "venv.tar", "--json")
    restored = shop.run("restore", "venv", "--snapshot", key[:8], "--json")

    assert shop.run("sbom", "venv", "--output", "gone/venv.json").stderr == (
        f"Error: There is no directory {shop.directory}/gone.\n"
        "Hint: Make it, or name another file.\n"
    )
    assert exported.data["key"] == restored.data["key"] == key
    assert shop.run("down").code == 0
    assert lines(shop.run("env", "rm", "venv")) == [
        (
            f"{shop.name}: removed; `venvctl restore {shop.name}` brings it back, "
            "`venvctl snapshot rm KEY` forgets it"
        )
    ]
    assert not shop.environment.exists


def test_a_damaged_file_is_found_and_mended(shop: Shop) -> None:
    assert shop.run("up").code == 0
    current = shop.environment.current()
    assert current is not None
    damaged = current.path / "lib/python3.11/site-packages/alpha/__init__.py"
    damaged.write_text("VERSION = 'evil'\n")

    found = shop.run("verify", "venv")

    assert found.code == 6
    assert str(damaged) in found.stdout
    assert "Hint: `venvctl verify --repair` has them made anew." in found.stderr
    mended = shop.run("verify", "--repair", "--json")
    assert mended.code == 0, mended.stdout
    assert mended.data["problems"] == []
    assert shop.run("verify").code == 0


def test_following_serves_what_is_saved_and_survives_what_is_not_a_lock(
    shop: Shop, following: Following
) -> None:
    first = following.next()
    assert (first["command"], first["ok"]) == ("up", True)
    assert first["data"]["environments"][0]["generation"] == 1
    wait_for(lambda: shop.said("web") == ["start 1.0 1"], "the first start")

    shop.pin("alpha==2.0")
    served = following.next()["data"]
    assert served["result"]["changes"] == ["alpha 1.0 → 2.0"]
    assert 0 < served["seconds"] < 60
    wait_for(lambda: shop.said("web")[-1] == "start 2.0 2", "the restart")

    shop.lock.write_text("alpha >= 1\n")
    refused = following.next()
    assert (refused["ok"], refused["error"]["code"]) == (False, "lock-invalid")
    assert refused["data"]["failure"]["message"] == refused["error"]["message"]
    shop.pin("alpha==2.0")
    assert following.next()["data"]["result"]["action"] == "nothing"

    shop.lock.unlink()
    gone = following.next()["data"]
    assert (gone["missing"], gone["result"]) == ([str(shop.lock)], None)
    assert shop.said("web")[-1] == "start 2.0 2"

    shop.pin("alpha==1.0")
    assert following.next()["data"]["result"]["generation"] == 1

    assert following.end() == 0


def test_following_notices_what_was_saved_while_nobody_listened(shop: Shop) -> None:
    assert shop.run("up").code == 0
    following = Following(shop)
    try:
        following.next()
        more = shop.directory / "more.lock"
        shop.pin("beta==1.0", lock=more)
        shop.pin("alpha==1.0", comment="-r more.lock")
        assert following.next()["data"]["result"]["changes"] == ["+ beta 1.0"]

        shop.pin("beta==2.0", lock=more)  # an included file counts as well

        assert following.next()["data"]["result"]["changes"] == ["beta 1.0 → 2.0"]
        assert following.end(signal.SIGTERM) == 0
    finally:
        following.process.kill()
        following.process.wait()
        for stream in (following.process.stdout, following.process.stderr):
            assert stream is not None
            stream.close()


def test_one_failure_of_several_is_told_and_the_others_go_on(shop: Shop) -> None:
    volumes = {
        "venv": {"labels": {"venvctl.lock": "requirements.lock"}},
        "bad": {"labels": {"venvctl.lock": "missing.lock"}},
    }
    shop.write({"web": {}, "other": {"volumes": ["bad:/venv"]}}, volumes)

    done = shop.run("sync", "--json")

    assert done.code == 4
    envelope = done.envelope
    assert envelope["error"]["code"] == "lock-invalid"
    assert [each["environment"] for each in envelope["data"]["environments"]] == [shop.name]
    [failure] = envelope["data"]["failures"]
    assert failure["environment"] == f"{shop.project}_bad"
    assert failure["message"] == f"The lockfile {shop.directory}/missing.lock does not exist."
    text = shop.run("sync")
    assert (text.code, text.stdout.splitlines()[-1]) == (4, f"{shop.project}_bad: failed")
    assert text.stderr.startswith(f"Error: The lockfile {shop.directory}/missing.lock does not")


def test_sync_leaves_alone_what_only_another_profile_needs(shop: Shop, unique: Unique) -> None:
    volumes = {
        "venv": {"labels": {"venvctl.lock": "requirements.lock"}},
        "jobs": {"labels": {"venvctl.lock": "jobs.lock"}},
    }
    missing = unique("missing")
    job = {"profiles": ["jobs"], "image": missing, "volumes": ["jobs:/venv"]}
    shop.write({"web": {}, "job": job}, volumes)

    [synced] = shop.run("sync", "--json").data["environments"]

    assert synced["environment"] == shop.name
    asked = shop.run("sync", "jobs", "--json")
    assert asked.code == 4
    assert asked.envelope["error"]["message"] == (
        f"The image {missing} of service job is not here."
    )


def test_a_label_that_was_edited_counts_at_once(shop: Shop) -> None:
    assert shop.run("up").code == 0
    labels = {"venvctl.lock": "requirements.lock", "venvctl.bytecode": "off"}
    shop.write(volumes={"venv": {"labels": labels}})

    [synced] = shop.run("sync", shop.name, "--json").data["environments"]

    assert synced["reasons"] == ["the label venvctl.bytecode changed from ahead to off"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["up"], 3), (["sync"], 3), (["env", "rm", "{name}"], 3), (["history", "{name}"], 0)],
)
def test_an_engine_that_is_away(arguments: list[str], code: int, shop: Shop) -> None:
    assert shop.run("sync").code == 0
    filled = [argument.format(name=shop.name) for argument in arguments]

    done = shop.run(*filled, "--json", DOCKER_HOST=f"unix://{shop.directory}/nothing")

    assert done.code == code
    if code:
        assert done.envelope["error"]["code"] == "engine-unreachable"
    assert shop.environment.current() is not None


def test_an_environment_without_compose(
    tmp_path: Path, image_311: str, unique: Unique, docker: Docker
) -> None:
    name = unique("tools")
    with LocalIndex() as index:
        shop = Shop(
            directory=tmp_path, index=index, root=Root(tmp_path / "root"), image=image_311,
            docker=docker,
        )  # fmt: skip
        shop.pin("alpha==1.0", lock=tmp_path / "tools.lock")
        add = ("env", "add", name, "--lock", "tools.lock", "--image", image_311, "--at", "/opt/v")

        wrong = shop.run("env", "add", name, "--lock", "tool.lock", "--image", image_311)
        assert wrong.code == 4
        assert wrong.stderr == (
            f"Error: The lockfile {shop.directory}/tool.lock does not exist.\n"
            "Hint: Correct --lock; nothing was changed.\n"
        )
        assert shop.run("env", "list", "--json").data["environments"] == []

        added = lines(shop.run(*add))

        assert added[0] == f"{name}: generation 1 made and current"
        assert (
            added[-1] == f"  use it with: docker run -v {name}:/opt/v {image_311} /opt/v/bin/python"
        )
        code = "import alpha; print(alpha.VERSION)"
        run = ("run", "--volume", f"{name}:/opt/v", "--name", name, image_311)
        assert docker(*run, "/opt/v/bin/python", "-c", code) == "1.0"

        listed = shop.run("env", "list", "--json").data["environments"]
        assert [(one["environment"], one["mount"], one["generation"]) for one in listed] == [
            (name, "/opt/v", 1)
        ]
        again = shop.run(*add, "--bytecode", "off", "--json").data
        assert again["sync"]["reasons"] == ["the label venvctl.bytecode changed from ahead to off"]

        refused = shop.run("env", "rm", name)
        assert refused.code == 2
        assert refused.stderr == (
            f"Error: Environment {name} is mounted by {name}.\n"
            f"Hint: Remove them first: `docker rm --force {name}`.\n"
        )
        docker("rm", name)

        assert shop.run("env", "rm", name).code == 0

        assert shop.root.engine.volume(name) is None
        assert not shop.root.environment(name).exists
        assert len(shop.root.snapshots.keys()) == 2


def test_another_owners_environment_is_not_taken(
    shop: Shop, tmp_path: Path, image_311: str
) -> None:
    assert shop.run("up").code == 0

    done = venvctl_command(
        "env", "add", shop.name, "--lock", str(shop.lock), "--image", image_311, "--json",
        cwd=tmp_path, VENVCTL_ROOT=str(shop.root.path),
    )  # fmt: skip

    assert done.code == 4
    assert done.envelope["error"]["message"] == (
        f"Environment {shop.name} already belongs to project {shop.project} ({shop.directory})."
    )


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--builds", "maybe", "The label venvctl.builds: 'maybe' on the command line can't be"),
        ("--at", "venv", "An environment can't be mounted at 'venv'."),
        ("--at", "/", "An environment can't be mounted at '/'."),
    ],
)
def test_options_that_mean_nothing(option: str, value: str, message: str, tmp_path: Path) -> None:
    done = venvctl_command(
        "env", "add", "tools", "--lock", "x", "--image", "y", option, value, cwd=tmp_path
    )

    assert done.code == 4
    assert done.stderr.startswith(f"Error: {message}")
