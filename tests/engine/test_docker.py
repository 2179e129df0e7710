"""The conformance suite of the engine interface, run against the real Docker Engine."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from venvctl.engine import connect
from venvctl.engine.model import Engine, Event, Mount, Task
from venvctl.engine.recollection import Recollection
from venvctl.errors import EngineError, EngineUnreachableError
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine_fixtures import Docker, Unique
    from venvctl.engine.docker import DockerEngine

pytestmark = pytest.mark.engine

FOREVER = ("sleep", "infinity")


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        threading.Event().wait(0.02)


def shell(image: str, script: str) -> Task:
    return Task(purpose="test", image=image, command=["sh", "-c", script], timeout=30)


def volume_names(docker: Docker) -> set[str]:
    return set(docker("volume", "ls", "--quiet").split())


def test_it_is_an_engine(engine: DockerEngine) -> None:
    checked: Engine = engine
    assert checked.version()


def test_version_is_what_the_command_line_says(engine: DockerEngine, docker: Docker) -> None:
    assert engine.version() == docker("version", "--format", "{{.Server.Version}}")


class TestImage:
    def test_by_name_and_by_id(self, engine: DockerEngine, docker: Docker, image_311: str) -> None:
        found = engine.image(image_311)
        assert found is not None
        assert found.id == docker("image", "inspect", "--format", "{{.Id}}", image_311)
        assert found.os == "linux"
        assert found.architecture == docker(
            "image", "inspect", "--format", "{{.Architecture}}", image_311
        )
        assert engine.image(found.id) == found

    def test_its_environment_and_user(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique, tmp_path: Path
    ) -> None:
        name = build(docker, unique("image"), tmp_path, image_311, "ENV A=b=c\nUSER 1234:55")
        found = engine.image(name)
        assert found is not None
        assert found.environment["A"] == "b=c"
        assert found.user == "1234:55"

    def test_a_missing_one_is_none(self, engine: DockerEngine) -> None:
        assert engine.image("venvctl-test/none-such:1") is None

    def test_an_impossible_name_is_refused(self, engine: DockerEngine) -> None:
        with pytest.raises(EngineError) as caught:
            engine.image("UPPER CASE")
        assert caught.value.message == (
            "The Docker Engine refused to inspect the image UPPER CASE: "
            "no such image: UPPER CASE: invalid reference format:"
            " repository name must be lowercase."
        )

    def test_no_name_is_refused(self, engine: DockerEngine) -> None:
        with pytest.raises(EngineError) as caught:
            engine.image("")
        assert caught.value.message == (
            "The Docker Engine can't inspect the image : the name is empty."
        )


class TestPull:
    @pytest.fixture
    def registry(self, unique: Unique) -> Iterator[str]:
        """A registry on this host that has one image of one file; says the image's name."""
        repository = unique("pulled")
        blobs, manifest = one_file_image()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, _, last = self.path.removeprefix(f"/v2/{repository}/").partition("/")
                if self.path == "/v2/":
                    self.answer(b"{}", "application/json")
                elif kind == "manifests" and last in {"latest", digest(manifest)}:
                    self.answer(manifest, MANIFEST_TYPE)
                elif kind == "blobs" and last in blobs:
                    self.answer(blobs[last], "application/octet-stream")
                else:
                    body = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}'
                    self.answer(body, "application/json", status=404)

            do_HEAD = do_GET  # noqa: N815 - the name is http.server's

            def answer(self, body: bytes, kind: str, *, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Content-Digest", digest(body))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}/{repository}"
        server.shutdown()
        thread.join()
        server.server_close()

    def test_takes_the_latest_tag(
        self, engine: DockerEngine, docker: Docker, registry: str
    ) -> None:
        try:
            pulled = engine.pull(registry)
            assert engine.image(f"{registry}:latest") == pulled
        finally:
            docker("rmi", "--force", f"{registry}:latest")

    def test_a_missing_one_is_refused_with_the_engines_words(
        self, engine: DockerEngine, registry: str
    ) -> None:
        with pytest.raises(EngineError) as caught:
            engine.pull(f"{registry}:other")
        assert caught.value.message == (
            f"The Docker Engine refused to pull the image {registry}:other: "
            f"manifest for {registry}:other not found: manifest unknown: unknown."
        )


class TestRun:
    def test_gives_exit_code_and_both_streams_apart(
        self, engine: DockerEngine, image_311: str
    ) -> None:
        result = engine.run(shell(image_311, "echo out; echo err >&2; exit 3"))
        assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
        assert not result.timed_out
        assert not result.out_of_memory

    def test_has_no_rights(self, engine: DockerEngine, image_311: str) -> None:
        status = engine.run(shell(image_311, "cat /proc/self/status")).stdout
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert {facts[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {"0" * 16}
        assert facts["NoNewPrivs"] == "1"

    def test_has_no_network_unless_asked(self, engine: DockerEngine, image_311: str) -> None:
        alone = engine.run(shell(image_311, "ls /sys/class/net")).stdout.split()
        assert alone == ["lo"]
        task = Task(purpose="test", image=image_311, command=["ls", "/sys/class/net"], network=True)
        assert "eth0" in engine.run(task).stdout.split()

    def test_can_write_to_its_temporary_directory_alone(
        self, engine: DockerEngine, image_311: str
    ) -> None:
        result = engine.run(
            shell(
                image_311,
                "touch /no; cd $HOME; pwd; printf '#!/bin/sh\\necho ran' > x; chmod +x x; ./x",
            )
        )
        assert result.stdout.split() == ["/tmp", "ran"]  # noqa: S108 - in the container
        assert result.stderr == "touch: cannot touch '/no': Read-only file system\n"

    def test_its_temporary_directory_is_bounded(self, engine: DockerEngine, image_311: str) -> None:
        result = engine.run(shell(image_311, "df --output=size -B1 /tmp | tail -1"))
        assert int(result.stdout) == 1 << 30

    def test_is_limited_in_memory_and_processes(self, engine: DockerEngine, image_311: str) -> None:
        script = (
            "cat /sys/fs/cgroup/memory.max 2>/dev/null"
            " || cat /sys/fs/cgroup/memory/memory.limit_in_bytes;"
            "cat /sys/fs/cgroup/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids/pids.max"
        )
        task = Task(
            purpose="test",
            image=image_311,
            command=["sh", "-c", script],
            memory=64 << 20,
            pids=37,
        )
        assert engine.run(task).stdout.split() == [str(64 << 20), "37"]

    def test_says_that_it_ran_out_of_memory(self, engine: DockerEngine, image_311: str) -> None:
        task = Task(
            purpose="test",
            image=image_311,
            command=["python3", "-c", "x = b'x' * (256 << 20)"],
            memory=32 << 20,
        )
        result = engine.run(task)
        assert result.out_of_memory
        assert result.exit_code == 137

    def test_runs_as_the_user_asked_for(self, engine: DockerEngine, image_311: str) -> None:
        task = Task(purpose="test", image=image_311, command=["id", "-u", "-n"], user="65534:65534")
        assert engine.run(task).stdout == "nobody\n"

    def test_has_the_environment_and_directory_asked_for(
        self, engine: DockerEngine, image_311: str
    ) -> None:
        task = Task(
            purpose="test",
            image=image_311,
            command=["sh", "-c", "echo $A $HOME; pwd"],
            environment={"A": "b c", "HOME": "/elsewhere"},
            working_directory="/usr",
        )
        assert engine.run(task).stdout == "b c /elsewhere\n/usr\n"

    def test_never_sees_the_users_proxies(
        self,
        image_311: str,
        root_identity: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        proxy = {"httpProxy": "http://user:secret@127.0.0.1:1"}
        settings = {"proxies": {"default": proxy}}
        (tmp_path / "config.json").write_text(json.dumps(settings))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        engine = connect(root_identity)
        assert "secret" not in engine.run(shell(image_311, "env")).stdout
        engine.close()

    @pytest.mark.parametrize("command", ["no-such-program", "/no/such/program"])
    def test_a_missing_program_is_exit_code_127(
        self, engine: DockerEngine, image_311: str, command: str
    ) -> None:
        result = engine.run(Task(purpose="test", image=image_311, command=[command]))
        assert result.exit_code == 127
        assert f'exec: "{command}": ' in result.stderr
        assert result.stdout == ""

    def test_a_file_that_is_no_program_is_exit_code_126(
        self, engine: DockerEngine, image_311: str
    ) -> None:
        result = engine.run(Task(purpose="test", image=image_311, command=["/etc/passwd"]))
        assert result.exit_code == 126
        assert 'exec: "/etc/passwd": permission denied' in result.stderr

    def test_mounts_are_read_only_unless_asked(
        self, engine: DockerEngine, image_311: str, tmp_path: Path
    ) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "file").write_text("content")
        (tmp_path / "out").mkdir()
        task = Task(
            purpose="test",
            image=image_311,
            command=["sh", "-c", "cp /in/file /out/copy; touch /in/new"],
            mounts=[
                Mount(source=str(tmp_path / "in"), target="/in"),
                Mount(source=str(tmp_path / "out"), target="/out", read_only=False),
            ],
        )
        result = engine.run(task)
        assert result.stderr == "touch: cannot touch '/in/new': Read-only file system\n"
        assert (tmp_path / "out" / "copy").read_text() == "content"

    def test_a_missing_mount_is_refused(
        self, engine: DockerEngine, image_311: str, tmp_path: Path
    ) -> None:
        mount = Mount(source=str(tmp_path / "gone"), target="/in")
        task = Task(purpose="test", image=image_311, command=["true"], mounts=[mount])
        with pytest.raises(EngineError) as caught:
            engine.run(task)
        assert caught.value.message == (
            "The Docker Engine refused to create a container for test: invalid mount config for"
            f' type "bind": bind source path does not exist: {tmp_path / "gone"}.'
        )
        assert not (tmp_path / "gone").exists()

    def test_is_killed_at_its_timeout_with_what_it_printed(
        self, engine: DockerEngine, image_311: str
    ) -> None:
        task = Task(
            purpose="test",
            image=image_311,
            command=["sh", "-c", "trap '' TERM; echo begun; sleep 60"],
            timeout=1.0,
        )
        begun = time.monotonic()
        result = engine.run(task)
        assert time.monotonic() - begun < 45
        assert (result.timed_out, result.exit_code, result.stdout) == (True, 137, "begun\n")

    def test_its_input_comes_line_by_line_while_it_runs(
        self, engine: DockerEngine, image_311: str, tmp_path: Path
    ) -> None:
        out = Mount(source=str(tmp_path), target="/out", read_only=False)

        def lines() -> Iterator[str]:
            for name in ("one", "two"):
                yield name
                # Only when a line was taken is the next one asked for.
                wait_until((tmp_path / name).exists)

        task = Task(
            purpose="test",
            image=image_311,
            command=["sh", "-c", 'while read name; do touch "/out/$name"; done; echo ended'],
            mounts=[out],
            lines=lines(),
        )
        assert engine.run(task).stdout == "ended\n"

    def test_its_time_begins_when_its_input_has_ended(
        self, engine: DockerEngine, image_311: str
    ) -> None:
        task = Task(
            purpose="test",
            image=image_311,
            command=["sh", "-c", "cat; sleep 60"],
            lines=["heard"],
            timeout=1.0,
        )
        result = engine.run(task)
        assert (result.timed_out, result.stdout) == (True, "heard\n")

    def test_one_that_ends_before_its_input_says_how(
        self, engine: DockerEngine, image_311: str
    ) -> None:
        lines = ("x" * 1000 for _ in range(10_000))
        task = Task(purpose="test", image=image_311, command=["sh", "-c", "exit 3"], lines=lines)
        assert engine.run(task).exit_code == 3
        missing = dataclasses.replace(task, command=["no-such-program"], lines=["x"])
        assert engine.run(missing).exit_code == 127

    def test_an_input_that_fails_ends_it(
        self, engine: DockerEngine, docker: Docker, image_311: str, root_identity: str
    ) -> None:
        def lines() -> Iterator[str]:
            yield "one"
            raise KeyboardInterrupt

        task = Task(purpose="test", image=image_311, command=["cat"], lines=lines())
        with pytest.raises(KeyboardInterrupt):
            engine.run(task)
        assert docker("ps", "-aq", "--filter", f"label=venvctl.root={root_identity}") == ""

    def test_another_thread_can_end_it_by_its_name(
        self, engine: DockerEngine, image_311: str, unique: Unique
    ) -> None:
        name = unique("helper")
        engine.remove_helper(name)  # there is none yet
        task = dataclasses.replace(shell(image_311, "sleep 60"), name=name)
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(engine.run, task)
            wait_until(lambda: bool((found := engine.container(name)) and found.running))
            begun = time.monotonic()
            engine.remove_helper(name)
            with suppress(EngineError):
                assert future.result().exit_code == 137
            assert time.monotonic() - begun < 30
        assert engine.container(name) is None

    def test_output_is_cut(self, engine: DockerEngine, image_311: str) -> None:
        task = shell(image_311, "head -c 17825792 /dev/zero | tr '\\0' x; echo end >&2")
        result = engine.run(task)
        assert len(result.stdout) == 16 << 20
        assert result.stderr == "end\n"

    def test_the_images_own_habits_do_not_matter(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique, tmp_path: Path
    ) -> None:
        name = build(
            docker,
            unique("image"),
            tmp_path,
            image_311,
            "VOLUME /data /tmp\n"
            "STOPSIGNAL SIGUSR1\n"
            'HEALTHCHECK --interval=1s CMD ["false"]\n'
            'ENTRYPOINT ["false"]\n'
            'CMD ["surplus"]',
        )
        before = volume_names(docker)
        result = engine.run(shell(name, "df --output=fstype /tmp | tail -1"))
        assert (result.exit_code, result.stdout) == (0, "tmpfs\n")
        # Others' volumes, which tests beside this one make, have names.
        new = volume_names(docker) - before
        assert [name for name in new if re.fullmatch("[0-9a-f]{64}", name)] == []

    def test_nothing_is_left_of_it(
        self, engine: DockerEngine, docker: Docker, image_311: str, root_identity: str
    ) -> None:
        engine.run(shell(image_311, "true"))
        engine.run(Task(purpose="test", image=image_311, command=["no-such-program"]))
        unknown = Task(purpose="test", image=image_311, command=["true"], user="no-such-user")
        with pytest.raises(EngineError) as caught:
            engine.run(unknown)
        assert caught.value.message == (
            "The Docker Engine refused to start the container for test: unable to find user"
            " no-such-user: no matching entries in passwd file."
        )
        assert docker("ps", "-aq", "--filter", f"label=venvctl.root={root_identity}") == ""

    def test_many_threads_run_at_once(self, engine: DockerEngine, image_311: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            tasks = [shell(image_311, f"echo {number}") for number in range(4)]
            outputs = [result.stdout for result in pool.map(engine.run, tasks)]
        assert outputs == [f"{number}\n" for number in range(4)]


def test_remove_helpers_removes_those_of_this_root_alone(
    docker: Docker, image_311: str, unique: Unique
) -> None:
    mine, other = unique("mine"), unique("other")
    engine = connect(mine)
    for root, name in ((mine, "running"), (other, "foreign")):
        labels = ("--label", f"venvctl.root={root}", "--label", "venvctl.helper=build")
        docker("run", "--detach", "--name", unique(name), *labels, image_311, *FOREVER)
    # A holder may bear the root's label, as volumes do; it is no helper.
    docker(
        "create", "--name", unique("holder"), "--label", f"venvctl.root={mine}", image_311, "true"
    )
    docker(
        "create",
        "--name",
        unique("created"),
        *("--label", f"venvctl.root={mine}", "--label", "venvctl.helper=probe"),
        image_311,
        "true",
    )
    assert engine.remove_helpers() == 2
    assert engine.remove_helpers() == 0
    engine.close()
    left = docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"name={unique('')}")
    assert set(left.split()) == {unique("foreign"), unique("holder")}


def test_a_helper_that_somebody_looks_after_stays(
    docker: Docker, image_311: str, unique: Unique, tmp_path: Path
) -> None:
    mine, another = (connect(unique("root"), notes=tmp_path / "notes") for _ in range(2))
    with ThreadPoolExecutor(1) as pool:
        name = unique("mine")
        running = pool.submit(
            mine.run, dataclasses.replace(shell(image_311, "sleep 60"), name=name)
        )
        wait_for(lambda: name in docker("ps", "--format", "{{.Names}}"), name)

        assert another.remove_helpers() == 0
        assert not running.done()
        mine.remove_helper(name)
    assert running.exception() is not None
    assert list((tmp_path / "notes").iterdir()) == []
    mine.close()
    another.close()


class TestVolume:
    def test_create_gives_a_local_volume_with_options_and_labels(
        self, engine: DockerEngine, unique: Unique, tmp_path: Path
    ) -> None:
        options = {"type": "none", "o": "bind,ro", "device": str(tmp_path)}
        created = engine.create_volume(unique("volume"), options=options, labels={"a": "b"})
        assert (created.name, created.driver) == (unique("volume"), "local")
        assert (created.options, created.labels) == (options, {"a": "b"})
        assert engine.volume(unique("volume")) == created

    def test_listed_with_the_others_as_it_is_inspected(
        self, engine: DockerEngine, docker: Docker, unique: Unique, tmp_path: Path
    ) -> None:
        options = {"type": "none", "o": "bind,ro", "device": str(tmp_path)}
        created = engine.create_volume(unique("volume"), options=options, labels={"a": "b"})
        docker("volume", "create", unique("plain"))
        recollection = Recollection(lambda: engine)

        for found in (
            engine.volumes(),
            [recollection.volume(unique(word)) for word in ("volume", "plain")],
        ):
            mine = [each for each in found if each and each.name.startswith(unique(""))]
            assert sorted(mine, key=lambda each: each.name) == [
                engine.volume(unique("plain")),
                created,
            ]
        assert engine.containers(volume=unique("volume")) == recollection.containers(
            volume=unique("volume")
        )

    def test_create_over_an_existing_one_shows_what_it_kept(
        self, engine: DockerEngine, docker: Docker, unique: Unique, tmp_path: Path
    ) -> None:
        docker("volume", "create", "--label", "made=before", unique("volume"))
        options = {"type": "none", "o": "bind,ro", "device": str(tmp_path)}
        kept = engine.create_volume(unique("volume"), options=options, labels={"a": "b"})
        assert (kept.options, kept.labels) == ({}, {"made": "before"})

    def test_a_missing_one_is_none_and_its_removal_nothing(
        self, engine: DockerEngine, unique: Unique
    ) -> None:
        assert engine.volume(unique("volume")) is None
        engine.remove_volume(unique("volume"))

    def test_remove(self, engine: DockerEngine, docker: Docker, unique: Unique) -> None:
        docker("volume", "create", unique("volume"))
        engine.remove_volume(unique("volume"))
        assert unique("volume") not in volume_names(docker)

    def test_one_in_use_is_refused(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        volume = unique("volume")
        identifier = docker(
            *("create", "--name", unique("web"), "--volume", f"{volume}:/venv", image_311, "true")
        )
        with pytest.raises(EngineError) as caught:
            engine.remove_volume(volume)
        assert caught.value.message == (
            f"The Docker Engine refused to remove the volume {volume}: remove {volume}: "
            f"volume is in use - [{identifier}]."
        )


class TestContainers:
    def test_all_facts_of_one(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        volume = unique("volume")
        docker("volume", "create", volume)
        web = docker(
            *("run", "--detach", "--name", unique("web"), "--env", "A=b=c", "--label", "l=m"),
            *("--volume", f"{volume}:/venv:ro", "--volume", f"{volume}:/zz"),
            *("--label", "com.docker.compose.project=shop"),
            *("--label", "com.docker.compose.service=web"),
            *("--label", "com.docker.compose.oneoff=True"),
            *("--health-cmd", "true", "--health-interval", "1s", image_311, *FOREVER),
        )
        wait_until(
            lambda: (found := engine.container(web)) is not None and found.health == "healthy"
        )
        found = engine.container(unique("web"))
        assert found is not None
        image = engine.image(image_311)
        assert image is not None
        assert (found.id, found.name, found.image) == (web, unique("web"), image.id)
        assert found.running
        assert found.state == "running"
        assert found.started_at == docker("inspect", "--format", "{{.State.StartedAt}}", web)
        assert found.labels["l"] == "m"
        assert found.environment["A"] == "b=c"
        assert found.mounts == {volume: ("/venv", False)}
        assert (found.project, found.service, found.one_off) == ("shop", "web", True)
        assert (found.network_container, found.auto_remove, found.tty) == ("", False, False)
        assert (found.restart_count, found.exit_code) == (0, 0)

    def test_one_that_never_started(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        docker("create", "--rm", "--tty", "--name", unique("web"), image_311, "true")
        found = engine.container(unique("web"))
        assert found is not None
        assert (found.state, found.running, found.started_at) == ("created", False, "")
        assert (found.health, found.auto_remove, found.tty) == ("", True, True)
        assert (found.project, found.service, found.one_off) == ("", "", False)

    def test_one_that_failed(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        docker("run", "--detach", "--name", unique("web"), image_311, "sh", "-c", "exit 9")
        wait_until(
            lambda: (
                (found := engine.container(unique("web"))) is not None
                and (found.state, found.exit_code) == ("exited", 9)
            )
        )

    def test_one_in_anothers_network(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        web = docker("run", "--detach", "--name", unique("web"), image_311, *FOREVER)
        docker(
            *("create", "--name", unique("side"), "--network", f"container:{unique('web')}"),
            *(image_311, "true"),
        )
        side = engine.container(unique("side"))
        assert side is not None
        assert side.network_container == web

    def test_a_missing_one_is_none(self, engine: DockerEngine, unique: Unique) -> None:
        assert engine.container(unique("web")) is None

    def test_listed_by_volume_and_project(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        volume, project = unique("volume"), unique("project")
        label = ("--label", f"com.docker.compose.project={project}")
        for word, arguments in {
            "both": (*label, "--volume", f"{volume}:/venv"),
            "stranger": ("--volume", f"{volume}:/venv"),
            "without": label,
            # The engine takes a path for a volume's name.
            "path": (*label, "--volume", f"{unique('else')}:/{volume}"),
        }.items():
            docker("create", "--name", unique(word), *arguments, image_311, "true")

        def names(**filters: str) -> set[str]:
            return {found.name for found in engine.containers(**filters)}

        assert names(volume=volume, project=project) == {unique("both")}
        assert names(volume=volume) == {unique("both"), unique("stranger")}
        assert names(project=project) == {unique("both"), unique("without"), unique("path")}
        assert names(volume=f"/{volume}") == set()
        everything = {unique(word) for word in ("both", "stranger", "without", "path")}
        assert everything <= names()

    def test_those_that_vanish_meanwhile_are_left_out(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        project = unique("project")
        label = f"com.docker.compose.project={project}"
        stays = docker("create", "--label", label, "--name", unique("stays"), image_311, "true")
        listed = threading.Event()

        def churn() -> None:
            while not listed.is_set():
                docker("create", "--label", label, "--name", unique("goes"), image_311, "true")
                docker("rm", "--force", unique("goes"))

        with ThreadPoolExecutor(1) as pool:
            churning = pool.submit(churn)
            try:
                deadline = time.monotonic() + 1.5
                while time.monotonic() < deadline:
                    assert stays in {found.id for found in engine.containers(project=project)}
            finally:
                listed.set()
            churning.result()


# Writes what it was told to, and goes only when it is told so in its own way.
STUBBORN = """
import os, signal, sys
def hear(number, frame):
    print(signal.Signals(number).name, flush=True)
    if len(sys.argv) > 1:
        raise SystemExit(0)
for name in ("SIGTERM", "SIGUSR1", "SIGHUP"):
    signal.signal(getattr(signal, name), hear)
print("ready", flush=True)
while True:
    signal.pause()
"""


class TestRestart:
    def start_stubborn(
        self, engine: DockerEngine, docker: Docker, name: str, *arguments: str
    ) -> None:
        docker("run", "--detach", "--name", name, *arguments)
        wait_until(lambda: "ready" in engine.logs(name, lines=10))

    def test_uses_the_containers_own_signal_and_timeout(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        name = unique("web")
        self.start_stubborn(
            engine,
            docker,
            name,
            *("--stop-timeout", "1", "--stop-signal", "SIGUSR1"),
            *(image_311, "python3", "-c", STUBBORN),
        )
        before = engine.container(name)
        begun = time.monotonic()
        engine.restart(name)
        # Its own second, neither the engine's ten nor an immediate kill.
        assert 1.0 <= time.monotonic() - begun < 8.0
        after = engine.container(name)
        assert before is not None
        assert after is not None
        assert after.running
        assert after.id == before.id
        assert after.started_at > before.started_at
        wait_until(lambda: engine.logs(name, lines=10).count("ready") == 2)
        assert engine.logs(name, lines=10) == "ready\nSIGUSR1\nready\n"

    def test_waits_longer_than_the_sdk_would(
        self,
        engine: DockerEngine,
        docker: Docker,
        image_311: str,
        unique: Unique,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("venvctl.engine.docker.PATIENCE", 1.0)
        name = unique("web")
        self.start_stubborn(
            engine,
            docker,
            name,
            *("--stop-timeout", "2", image_311, "python3", "-c", STUBBORN),
        )
        engine.restart(name)
        wait_until(lambda: engine.logs(name, lines=10).count("ready") == 2)

    def test_starts_one_that_is_stopped(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        docker("create", "--name", unique("web"), image_311, *FOREVER)
        engine.restart(unique("web"))
        found = engine.container(unique("web"))
        assert found is not None
        assert found.running

    def test_a_vanished_one_is_refused(self, engine: DockerEngine, unique: Unique) -> None:
        name = unique("gone")
        calls: dict[str, Callable[[], object]] = {
            f"inspect the container {name}": lambda: engine.restart(name),
            f"start the container {name}": lambda: engine.start(name),
            f"run true in the container {name}": lambda: engine.execute(name, ["true"]),
            f"read the log of the container {name}": lambda: engine.logs(name, lines=1),
        }
        for what, call in calls.items():
            with pytest.raises(EngineError) as caught:
                call()
            assert caught.value.message == (
                f"The Docker Engine refused to {what}: No such container: {name}."
            )

    def test_stop_start_and_signal(
        self, engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
    ) -> None:
        name = unique("web")
        self.start_stubborn(
            engine,
            docker,
            name,
            *("--stop-signal", "SIGUSR1", image_311, "python3", "-c", STUBBORN, "leave"),
        )
        engine.stop(name)
        engine.stop(name)
        found = engine.container(name)
        assert found is not None
        assert (found.state, found.exit_code) == ("exited", 0)
        engine.start(name)
        engine.start(name)
        wait_until(lambda: engine.logs(name, lines=10).count("ready") == 2)
        engine.signal(name, "SIGHUP")
        wait_until(lambda: engine.logs(name, lines=1) == "SIGHUP\n")
        with pytest.raises(EngineError) as caught:
            engine.signal(name, "SIGNONSENSE")
        assert caught.value.message == (
            f"The Docker Engine refused to send SIGNONSENSE to the container {name}: "
            "Invalid signal: SIGNONSENSE."
        )


class TestExecute:
    @pytest.fixture
    def running(self, docker: Docker, image_311: str, unique: Unique) -> str:
        docker("run", "--detach", "--name", unique("web"), image_311, *FOREVER)
        return unique("web")

    def test_gives_exit_code_and_both_streams_apart(
        self, engine: DockerEngine, running: str
    ) -> None:
        result = engine.execute(running, ["sh", "-c", "echo out; echo err >&2; exit 5"])
        assert (result.exit_code, result.stdout, result.stderr) == (5, "out\n", "err\n")
        assert not result.timed_out

    def test_a_missing_program_is_no_success(self, engine: DockerEngine, running: str) -> None:
        result = engine.execute(running, ["no-such-program"])
        assert result.exit_code in {126, 127}
        assert "no-such-program" in result.stdout + result.stderr

    def test_gives_up_at_its_timeout(self, engine: DockerEngine, running: str) -> None:
        begun = time.monotonic()
        result = engine.execute(running, ["sh", "-c", "echo begun; sleep 60"], timeout=0.5)
        assert time.monotonic() - begun < 45
        assert (result.timed_out, result.exit_code, result.stdout) == (True, -1, "begun\n")

    def test_output_is_cut(self, engine: DockerEngine, running: str) -> None:
        script = "head -c 17825792 /dev/zero | tr '\\0' x; echo end >&2"
        result = engine.execute(running, ["sh", "-c", script])
        assert len(result.stdout) == 16 << 20
        assert result.stderr == "end\n"

    def test_a_stopped_container_is_refused(
        self, engine: DockerEngine, docker: Docker, running: str
    ) -> None:
        docker("kill", running)
        identifier = docker("inspect", "--format", "{{.Id}}", running)
        with pytest.raises(EngineError) as caught:
            engine.execute(running, ["true"])
        assert caught.value.message == (
            f"The Docker Engine refused to run true in the container {running}: "
            f"Container {identifier} is not running."
        )


def test_logs_are_the_last_lines_of_both_streams(
    engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
) -> None:
    script = "echo one; sleep 0.1; echo two >&2; sleep 0.1; printf 'thr\\377ee\\n'"
    docker("run", "--detach", "--name", unique("web"), image_311, "sh", "-c", script)
    wait_until(lambda: "ee" in engine.logs(unique("web"), lines=2))
    assert engine.logs(unique("web"), lines=2) == "two\nthr\N{REPLACEMENT CHARACTER}ee\n"


def test_events_tell_of_containers_and_volumes(
    engine: DockerEngine, docker: Docker, image_311: str, unique: Unique
) -> None:
    begun = time.time()
    docker("volume", "create", unique("volume"))
    docker("network", "create", unique("network"))
    web = docker("create", "--name", unique("web"), "--label", "l=m", image_311, "true")
    seen: list[Event] = []
    events = engine.events(since=begun)
    for event in events:
        if event.id in {unique("volume"), web} or event.attributes.get("name") == unique("network"):
            seen.append(event)
        if event.id == web:
            break
    events.close()
    assert [(event.type, event.action, event.id) for event in seen] == [
        ("volume", "create", unique("volume")),
        ("container", "create", web),
    ]
    assert seen[-1].attributes["name"] == unique("web")
    assert seen[-1].attributes["l"] == "m"
    assert begun - 1 <= seen[-1].time <= time.time() + 1


def test_an_engine_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    socket = f"unix://{tmp_path}/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", socket)
    engine = connect("test")
    with pytest.raises(EngineUnreachableError) as caught:
        engine.version()
    assert caught.value.message == (
        f"The Docker Engine at {socket} did not answer when asked to tell its version:"
        " No such file or directory."
    )
    assert caught.value.hint == (
        "Start it (`systemctl start docker`), or set DOCKER_HOST to its socket."
    )


def test_importing_the_package_does_not_import_the_sdk() -> None:
    script = "import sys, venvctl.engine; print('docker' in sys.modules, 'requests' in sys.modules)"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"


MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def one_file_image() -> tuple[dict[str, bytes], bytes]:
    """The blobs by digest, and the manifest, of an image that holds one empty file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    layer = gzip.compress(archive.getvalue(), mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(archive.getvalue())]},
        }
    ).encode()
    parts = {
        "config": (config, "application/vnd.docker.container.image.v1+json"),
        "layer": (layer, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    }
    described = {
        name: {"mediaType": kind, "size": len(data), "digest": digest(data)}
        for name, (data, kind) in parts.items()
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": described["config"],
        "layers": [described["layer"]],
    }
    return {digest(data): data for data, _ in parts.values()}, json.dumps(manifest).encode()


def build(docker: Docker, name: str, directory: Path, base: str, lines: str) -> str:
    (directory / "Dockerfile").write_text(f"FROM {base}\n{lines}\n")
    docker("build", "--quiet", "--tag", name, str(directory))
    return name
