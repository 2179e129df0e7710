"""What `venvctl doctor` finds on a machine, without an engine."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from index import LocalIndex
from venvctl.checks import environments, machine, project, services
from venvctl.checks.finding import Finding, Status, ok, problem, warning
from venvctl.cli.application import run
from venvctl.doctor import Doctor, has_problems
from venvctl.engine.model import Image
from venvctl.errors import ConfigurationError, ExitCode
from venvctl.policy import ServicePolicy
from venvctl.project import ComposeProject, Service
from venvctl.registration import Registration
from venvctl.root import Root
from venvctl.settings import ConfiguredIndex, Settings
from venvctl.specification import EnvironmentSpecification
from venvctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

IMAGE = Image(
    id="sha256:1",
    environment={"PATH": "/usr/local/bin:/usr/bin"},
    user="",
    os="linux",
    architecture="amd64",
)
TARGET = Target(
    interpreter="/usr/local/bin/python3",
    version="3.11.2",
    cache_tag="cpython-311",
    library="python3.11",
    tags=(),
    markers={},
)


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine and no daemon of this machine has a part in these tests."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.setenv("VENVCTL_SOCKET", str(tmp_path / "control.sock"))


def named(findings: Iterable[Finding], name: str) -> list[Finding]:
    return [finding for finding in findings if finding.name == name]


def service(mount: str = "/venv", **environment: str) -> Service:
    return Service(
        name="web",
        image="python:3.11",
        mount=mount,
        policy=ServicePolicy(),
        environment=environment,
        depends_on={},
    )


def register(root: Root, name: str, lock: Path) -> Registration:
    registration = Registration(
        specification=EnvironmentSpecification(name=name, lock=lock),
        mount="/venv",
        images={"": "image"},
        labels={},
        project="",
        directory=lock.parent,
    )
    root.create()
    root.registry.claim(registration)
    return registration


def doctor(path: Path, cwd: Path) -> Doctor:
    return Doctor(path, cwd=cwd, load=lambda: None, offline=True)


def tree(path: Path) -> list[tuple[str, int]]:
    return sorted((str(each), each.lstat().st_mtime_ns) for each in path.rglob("*"))


def test_without_engine_and_root_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    findings = list(doctor(tmp_path / "root", tmp_path).examine())

    assert named(findings, "root") == [
        ok("root", f"The root will be {tmp_path}/root; nothing is there yet.")
    ]
    [engine] = named(findings, "engine")
    assert engine == problem(
        "engine",
        f"The Docker Engine at unix://{tmp_path}/no-engine.sock did not answer when asked to tell "
        "its version: No such file or directory.",
        "Start it (`systemctl start docker`), or set DOCKER_HOST to its socket.",
    )
    assert has_problems(findings)
    assert list(tmp_path.iterdir()) == []


def test_nothing_in_a_root_is_changed(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    register(root, "shop_web", tmp_path / "requirements.lock")
    before = tree(root.path)

    findings = list(doctor(root.path, tmp_path).examine())

    assert named(findings, "hard links") == [ok("hard links", "Hard links work in the root.")]
    after = tree(root.path)
    assert after == before


def test_a_root_that_others_may_write_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "root"
    path.mkdir()
    path.chmod(0o777)

    [finding, *_] = doctor(path, tmp_path).examine()

    assert finding == problem(
        "root",
        f"{path} can be written by its group or by others (mode 0777): whoever can write there "
        "decides what your containers run.",
        f"`chmod go-w {path}`",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_mount_inside_the_root_splits_it(tmp_path: Path) -> None:
    inner = tmp_path / "root" / "store"
    inner.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    # In a mount namespace of its own, which ends with the process.
    code = (
        "from pathlib import Path\nfrom venvctl.checks import machine\n"
        f"print(*(each.found for each in machine.root_directory(Path({str(tmp_path / 'root')!r}))"
        " if each.status == 'problem'), sep='\\n')"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$2" && exec "$3" -c "$4"', "sh",
         tmp_path / "elsewhere", inner, sys.executable, code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"Something is mounted inside the root: {inner}. Hard links stop there, even between two "
        "mounts of one file system.\n"
    )


def test_a_file_system_without_hard_links_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No file system of this machine is without: the call answers as one would.
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)

    assert list(machine.hard_links(tmp_path)) == [
        problem(
            "hard links",
            f"No hard link can be made in {tmp_path}: Operation not permitted: every generation "
            "would be a full copy.",
            "Set VENVCTL_ROOT to a directory on a local file system such as ext4, XFS or Btrfs.",
        )
    ]
    assert list(tmp_path.iterdir()) == []


def test_few_watches_are_a_warning(tmp_path: Path) -> None:
    (tmp_path / "max_user_watches").write_text("8192\n")

    assert list(machine.inotify(5000, settings=tmp_path)) == [
        warning(
            "inotify",
            "This user may watch 8,192 files and directories, 5,000 are needed for lockfiles, and "
            "editors share the same limit.",
            "`sysctl fs.inotify.max_user_watches=524288`, and the same line in /etc/sysctl.d/.",
        )
    ]
    [finding] = machine.inotify(4000, settings=tmp_path)
    assert finding.status is Status.OK


def test_a_history_from_the_future_means_a_clock_that_was_set_back(tmp_path: Path) -> None:
    history = tmp_path / "environments" / "shop_web" / "history.jsonl"
    history.parent.mkdir(parents=True)
    history.touch()
    later = time.time() + 3600.5
    os.utime(history, (later, later))

    [finding] = machine.clock(tmp_path)

    assert finding == problem(
        "clock",
        f"{history} was written 3,600 seconds from now: the clock was set back.",
        "`timedatectl set-ntp true`; until then the ages of snapshots are wrong.",
    )


def test_a_lock_that_is_gone_is_a_problem(tmp_path: Path) -> None:
    registration = register(Root(tmp_path / "root"), "shop_web", tmp_path / "uv.lock")

    assert list(environments.lock(registration)) == [
        problem(
            "lock",
            f"Environment shop_web has lost its lockfile {tmp_path}/uv.lock; it stays as it is.",
            "Bring the file back, or `venvctl env rm shop_web`.",
        )
    ]
    (tmp_path / "uv.lock").touch()
    [finding] = environments.lock(registration)
    assert finding.status is Status.OK


def test_a_daemon_that_is_not_there_matters_where_something_is_to_follow(tmp_path: Path) -> None:
    assert list(services.daemon(0)) == [
        ok("daemon", "No daemon runs, and nothing is there to follow.")
    ]
    assert list(services.daemon(2)) == [
        warning(
            "daemon",
            "No daemon runs: nobody follows the lockfiles of 2 environments.",
            "`venvctl systemd install`, or `venvctl up --watch` in a terminal.",
        )
    ]
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        [finding] = services.daemon(2)
        assert finding.status is Status.PROBLEM
        listener.listen()
        assert list(services.daemon(2)) == [ok("daemon", f"A daemon answers on {path}.")]


def test_a_service_that_does_not_find_the_environment_first_is_told_how() -> None:
    assert list(project.search_path(service(), IMAGE)) == [
        warning(
            "search path",
            "Service web does not have /venv/bin first in its PATH (/usr/local/bin:/usr/bin): "
            "`python` there is the image's own, without the environment's packages.",
            "In its `environment:` write `PATH: /venv/bin:/usr/local/bin:/usr/bin`, or start it "
            "with /venv/bin/python.",
        )
    ]
    late = service(PATH="/usr/bin:/venv/bin")
    [finding] = project.search_path(late, IMAGE)
    assert "`PATH: /venv/bin:/usr/bin`" in finding.advice
    [finding] = project.search_path(service(PATH="/venv/bin:/usr/bin"), IMAGE)
    assert finding == ok("search path", "Service web has /venv/bin first in its PATH.")


def test_a_service_that_is_started_with_a_program_of_the_environment_needs_no_path() -> None:
    started = dataclasses.replace(service(), programs=("tini", "/venv/bin/gunicorn"))

    assert list(project.search_path(started, IMAGE)) == [
        ok("search path", "Service web is started with /venv/bin/gunicorn.")
    ]
    # Of another venv of the image's own.
    other = dataclasses.replace(service(), programs=("/venv/binary", "/opt/venv/bin/gunicorn"))
    [finding] = project.search_path(other, IMAGE)
    assert finding.status is Status.WARNING


def test_a_virtual_env_that_names_another_place_is_told() -> None:
    other = service(PATH="/venv/bin:/usr/bin", VIRTUAL_ENV="/opt/venv")

    assert list(project.search_path(other, IMAGE)) == [
        warning(
            "search path",
            "Service web has VIRTUAL_ENV=/opt/venv, and the environment is at /venv.",
            "In its `environment:` write `VIRTUAL_ENV: /venv`.",
        )
    ]


def test_an_environment_over_the_system_or_its_own_interpreter_is_a_problem() -> None:
    advice = "Mount the volume at a path of its own, such as /venv."
    assert list(project.mount_point(service("/usr"), None)) == [
        problem(
            "mount point",
            "Service web mounts the environment over /usr, which belongs to the image's own "
            "system.",
            advice,
        )
    ]
    python = Target(
        interpreter="/opt/python/bin/python3", version="3.11.2", cache_tag="", library="",
        tags=(), markers={},
    )  # fmt: skip
    assert list(project.mount_point(service("/opt/python"), python)) == [
        problem(
            "mount point",
            "Service web mounts the environment at /opt/python, over the interpreter that it needs "
            "(/opt/python/bin/python3).",
            advice,
        )
    ]
    [finding] = project.mount_point(service(), TARGET)
    assert finding.status is Status.OK


def test_each_index_is_asked() -> None:
    with LocalIndex() as down:
        pass
    with LocalIndex() as up:
        network = Settings(
            indexes=(
                ConfiguredIndex(url=down.url_with("user", "secret"), use="default"),
                ConfiguredIndex(url=up.url, use="mirror"),
                ConfiguredIndex(url="http://plain.test/simple", use="mirror"),
            ),
            insecure_hosts=("127.0.0.1",),
        )
        found = list(services.index(network))

    assert [finding.status for finding in found] == [Status.WARNING, Status.OK, Status.WARNING]
    assert [finding.found for finding in found] == [
        f"The index {down.url} can't be asked: it gives no answer (Connection refused).",
        f"The index {up.url} answers.",
        (
            "The index http://plain.test/simple can't be asked: it is plain HTTP, and its host is"
            " not named insecure."
        ),
    ]
    assert found[0].advice == (
        "Check the network, the proxy (HTTPS_PROXY), the certificates (SSL_CERT_FILE), the login,"
        " and the configuration (docs/indexes.md). What is in the store can be synced and restored"
        " without it."
    )


def test_a_configuration_that_can_not_be_used_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("VENVCTL_CONFIG", str(path))
    doctor = partial(Doctor, tmp_path / "root", cwd=tmp_path, load=lambda: None, offline=True)
    path.write_text("[networks]")
    assert named(doctor().examine(), "configuration") == [
        problem(
            "configuration",
            f"The configuration file {path} can't be used: networks is unknown.",
            "The nearest known one is network.",
        )
    ]
    path.write_text("")
    assert named(doctor().examine(), "configuration") == [
        ok("configuration", f"{path} can be used.")
    ]


def test_a_project_that_can_not_be_read_is_a_finding(tmp_path: Path) -> None:
    def load() -> ComposeProject:
        raise ConfigurationError("The label is wrong.", hint="Mend it.")

    found = Doctor(tmp_path / "root", cwd=tmp_path, load=load, offline=True)

    # Without an engine the project is read all the same.
    assert named(found.examine(), "compose project") == [
        problem("compose project", "The label is wrong.", "Mend it.")
    ]


def test_a_registration_that_can_not_be_read_is_a_finding(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    register(root, "shop_web", tmp_path / "uv.lock")
    path = root.path / "environments/shop_web/environment.json"
    path.write_text("{")

    [finding] = named(doctor(root.path, tmp_path).examine(), "registration")

    assert finding.status is Status.PROBLEM
    assert finding.found.startswith(f"{path} can't be read: ")


def test_the_command_ends_in_one_where_something_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    code = run(["doctor", "--offline", "--json"])

    answer = json.loads(capsys.readouterr().out)
    assert code == ExitCode.FAILED
    assert (answer["schema"], answer["command"], answer["ok"]) == (1, "doctor", False)
    assert {"name", "status", "found", "advice"} == answer["data"][0].keys()
    assert answer["data"][0]["name"] == "root"
    assert run(["doctor", "--offline"]) == ExitCode.FAILED
    out = capsys.readouterr()
    assert "problem  engine: The Docker Engine at unix://" in out.out
    assert "     Start it (`systemctl start docker`)" in out.out
    assert "1 of " in out.err
    assert "findings is a problem." in out.err
