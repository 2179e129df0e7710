"""Docker Compose itself, asked about real projects; no engine is needed for that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from venvctl.compose import active_services, find_compose, installed_version, load, run
from venvctl.errors import ComposeError, ConfigurationError
from venvctl.project import ComposeOptions, ComposeProject, images

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
name: shop
services:
  web:
    image: python:3
    entrypoint: [tini, --]
    command: /venv/bin/gunicorn 'shop.wsgi' --workers 2
    env_file: web.env
    volumes: [venv:/venv]
    labels: {venvctl.on-change: "signal:SIGHUP"}
    depends_on: {db: {condition: service_started, restart: true}}
  worker:
    build: .
    profiles: [jobs]
    network_mode: service:web
    volumes: ["venv:/venv:ro"]
  static:
    image: nginx
    profiles: [front]
    volumes: ["venv:/srv/static"]
    labels: [venvctl.ignore=true]
  db:
    image: postgres
    profiles: [jobs]
  web2:
    image: python:3
    volumes: [venv:/venv]
volumes:
  venv:
    labels:
      venvctl.lock: ${LOCK:-req.lock}
      venvctl.keep: 5
      venvctl.build-network: true
"""
NOTHING = ComposeOptions()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "compose.yaml").write_text(PROJECT)
    (directory / "web.env").write_text("VENVCTL_PIN=0\nPASSWORD=secret\n")
    return directory


def fake_compose(folder: Path, script: str) -> None:
    folder.mkdir(parents=True)
    plugin = folder / "docker-compose"
    plugin.write_text(f"#!/bin/sh\n{script}\n")
    plugin.chmod(0o755)


class TestFindCompose:
    def test_the_users_own_plugin_comes_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake_compose(tmp_path / "cli-plugins", "exit 0")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        assert find_compose() == (f"{tmp_path}/cli-plugins/docker-compose",)

    def test_but_for_the_folders_that_the_settings_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake_compose(tmp_path / "cli-plugins", "exit 0")
        fake_compose(tmp_path / "extra", "exit 0")
        (tmp_path / "config.json").write_text(
            json.dumps({"cliPluginsExtraDirs": [str(tmp_path / "extra")]})
        )
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        assert find_compose() == (f"{tmp_path}/extra/docker-compose",)

    def test_the_docker_command_comes_last(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("venvctl.compose._SYSTEM_PLUGINS", ())
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        (tmp_path / "docker").write_text("#!/bin/sh\n")
        (tmp_path / "docker").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_compose() == (f"{tmp_path}/docker", "compose")

    def test_without_any(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("venvctl.compose._SYSTEM_PLUGINS", ())
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ComposeError) as caught:
            find_compose()
        assert caught.value.message == "Docker Compose is not installed."
        assert caught.value.hint == (
            "Install Docker Compose 2.20 or newer as a plugin of Docker: the package"
            " docker-compose-plugin of Docker's own repository, or docker-compose of Debian 13."
        )


class TestLoad:
    def test_reads_the_project_whatever_profiles_are_on(self, shop: Path) -> None:
        project = load(NOTHING, shop)
        assert (project.name, project.directory) == ("shop", shop)
        assert project.files == (shop / "compose.yaml",)
        [environment] = project.environments
        assert environment.volume_key == "venv"
        assert environment.specification.name == "shop_venv"
        assert environment.specification.lock == shop / "req.lock"
        assert environment.specification.keep == 5
        assert environment.specification.build_network
        assert environment.labels == {
            "venvctl.lock": "req.lock",
            "venvctl.keep": "5",
            "venvctl.build-network": "true",
        }
        services = {service.name: service for service in environment.services}
        assert sorted(services) == ["static", "web", "web2", "worker"]
        assert services["web"].depends_on == {"db": True}
        assert services["web"].environment == {"VENVCTL_PIN": "0"}
        assert services["worker"].network_mode == "service:web"
        assert services["worker"].profiles == ("jobs",)
        assert services["static"].policy.ignore
        assert services["web"].programs == ("tini", "/venv/bin/gunicorn")
        assert services["worker"].programs == ()
        assert images(project) == {
            "static": "nginx",
            "web": "python:3",
            "web2": "python:3",
            "worker": "shop-worker",
        }
        assert images(project, ["worker"]) == {"worker": "shop-worker"}

    def test_its_json_form_is_read_back_and_holds_no_secrets(self, shop: Path) -> None:
        (shop / "some.env").touch()
        options = ComposeOptions(profiles=("jobs",), env_files=("some.env",))
        project = load(options, shop)
        text = json.dumps(project.to_dict())
        assert ComposeProject.from_dict(json.loads(text), source="x") == project
        assert "secret" not in text

    def test_its_own_options_mean_the_same_from_anywhere(self, shop: Path) -> None:
        (shop / "compose.override.yaml").write_text("services: {web: {image: 'other:1'}}")
        (shop / "lock.env").write_text("LOCK=other.lock\n")
        (shop / "sub").mkdir()
        options = ComposeOptions(env_files=("../lock.env",), project_name="renamed")
        project = load(options, shop / "sub")
        assert project.name == "renamed"
        assert images(project)["web"] == "other:1"
        [environment] = project.environments
        assert environment.specification.lock == shop / "other.lock"
        assert load(project.options, shop.parent) == project

    def test_the_project_directory_is_where_the_lock_starts(self, shop: Path) -> None:
        (shop.parent / "web.env").write_text("VENVCTL_PIN=0\n")
        options = ComposeOptions(files=("shop/compose.yaml",), project_directory=".")
        [environment] = load(options, shop.parent).environments
        assert environment.specification.lock == shop.parent / "req.lock"

    def test_composes_own_complaint_is_passed_on_without_its_warnings(self, shop: Path) -> None:
        text = PROJECT.replace("image: nginx", 'image: "${UNSET}"\n    bogus: 1')
        (shop / "compose.yaml").write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            load(NOTHING, shop)
        assert caught.value.message == (
            f"Docker Compose refuses the project: validating {shop}/compose.yaml:"
            " services.static Additional property bogus is not allowed."
        )

    def test_an_external_volume_has_no_labels(self, shop: Path) -> None:
        text = PROJECT.replace("  venv:\n    labels:", "  venv:\n    external: true\n    labels:")
        (shop / "compose.yaml").write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            load(NOTHING, shop)
        assert caught.value.message == (
            "Docker Compose refuses the project: volumes.venv: conflicting parameters"
            ' "external" and "labels" specified.'
        )

    def test_a_volume_that_no_service_mounts(self, shop: Path) -> None:
        text = PROJECT + "  spare: {labels: {venvctl.lock: '${UNSET:-x}'}}\n  other: {}\n"
        (shop / "compose.yaml").write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            load(NOTHING, shop)
        assert caught.value.message == (
            f"There is no interpreter for the volume spare in {shop}/compose.yaml:"
            " no service mounts it."
        )
        assert caught.value.hint == (
            "Add `spare:/venv` to the volumes of the service that runs Python."
        )

    def test_a_volume_whose_key_compose_takes_for_a_drive(self, shop: Path) -> None:
        (shop / "compose.yaml").write_text(PROJECT + "  v: {labels: {venvctl.lock: x}}\n")
        with pytest.raises(ConfigurationError) as caught:
            load(NOTHING, shop)
        assert caught.value.hint == (
            "Docker Compose takes `v:/venv` for a Windows path: use a longer key."
        )

    def test_a_lock_that_only_a_comment_mentions(self, shop: Path) -> None:
        (shop / "compose.yaml").write_text(PROJECT + "# venvctl.lock\n")
        assert len(load(NOTHING, shop).environments) == 1

    def test_compatibility_names_built_images_otherwise(
        self, shop: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COMPOSE_COMPATIBILITY", "true")
        assert images(load(NOTHING, shop))["worker"] == "shop_worker"

    @pytest.mark.parametrize("version", ["2.19.1", "v2.0.0", "1.29.2"])
    def test_an_old_compose_is_refused(
        self, shop: Path, monkeypatch: pytest.MonkeyPatch, version: str
    ) -> None:
        fake_compose(
            shop / "docker" / "cli-plugins",
            f'[ "$1" = version ] && echo {version} || echo "{{}}"',
        )
        monkeypatch.setenv("DOCKER_CONFIG", str(shop / "docker"))
        with pytest.raises(ComposeError) as caught:
            load(NOTHING, shop)
        assert caught.value.message == f"Docker Compose {version} is too old."

    def test_a_docker_without_compose(self, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("venvctl.compose._SYSTEM_PLUGINS", ())
        monkeypatch.setenv("DOCKER_CONFIG", str(shop))
        docker = shop / "docker"
        docker.write_text(
            "#!/bin/sh\necho \"docker: 'compose' is not a docker command.\" >&2\nexit 1\n"
        )
        docker.chmod(0o755)
        monkeypatch.setenv("PATH", f"{shop}:{os.environ['PATH']}")
        for ask in (lambda: load(NOTHING, shop), installed_version):
            with pytest.raises(ComposeError) as caught:
                ask()
            assert caught.value.message == "Docker Compose is not installed."

    def test_a_plugin_that_is_no_program(self, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plugin = shop / "cli-plugins" / "docker-compose"
        plugin.parent.mkdir()
        plugin.write_bytes(b"\x7fELF")
        plugin.chmod(0o755)
        monkeypatch.setenv("DOCKER_CONFIG", str(shop))
        with pytest.raises(ComposeError) as caught:
            load(NOTHING, shop)
        assert caught.value.message == (
            f"Docker Compose can't be run as {plugin}: Exec format error."
        )


class TestActiveServices:
    @pytest.mark.parametrize(
        ("profiles", "services", "active"),
        [
            ((), (), {"web2"}),
            (("jobs",), (), {"web", "web2", "worker"}),
            (("front", "jobs"), (), {"web", "web2", "worker", "static"}),
            ((), ("static",), {"static"}),
            ((), ("web2",), {"web2"}),
        ],
    )
    def test_those_that_up_would_start(
        self, shop: Path, profiles: tuple[str, ...], services: tuple[str, ...], active: set[str]
    ) -> None:
        text = PROJECT.replace("  web:\n", "  web:\n    profiles: [jobs]\n")
        (shop / "compose.yaml").write_text(text)
        options = ComposeOptions(profiles=profiles)
        assert active_services(load(options, shop), options, shop, services) == active

    def test_dependencies_start_with_a_named_service(self, shop: Path) -> None:
        project = load(NOTHING, shop)
        options = ComposeOptions(profiles=("jobs",))
        assert active_services(project, options, shop, ["worker"]) == {"worker", "web"}

    def test_profiles_from_the_environment(
        self, shop: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = PROJECT.replace(
            "    depends_on: {db: {condition: service_started, restart: true}}\n", ""
        )
        (shop / "compose.yaml").write_text(text)
        project = load(NOTHING, shop)
        assert active_services(project, NOTHING, shop) == {"web", "web2"}
        monkeypatch.setenv("COMPOSE_PROFILES", "front")
        assert active_services(project, NOTHING, shop) == {"web", "web2", "static"}

    def test_an_unknown_service(self, shop: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            active_services(load(NOTHING, shop), ComposeOptions(profiles=("jobs",)), shop, ["nope"])
        assert caught.value.message == (
            "Docker Compose refuses the project: no such service: nope."
        )


class TestRun:
    def test_speaks_to_the_terminal(self, shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
        result = run(ComposeOptions(profiles=("jobs",)), ["config", "--services"], shop)
        assert (result.stdout, result.stderr) == ("", "")
        assert sorted(capfd.readouterr().out.split()) == ["db", "web", "web2", "worker"]

    def test_is_captured_when_asked(self, shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
        options = ComposeOptions(
            files=("shop/compose.yaml",), project_name="other", profiles=("jobs", "front")
        )
        result = run(options, ["config", "--profiles"], shop.parent, capture=True)
        assert sorted(result.stdout.split()) == ["front", "jobs"]
        assert capfd.readouterr() == ("", "")

    def test_failing(self, shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ComposeError) as caught:
            run(ComposeOptions(files=("gone.yaml",)), ["config"], shop, capture=True)
        assert caught.value.message == (
            f"`docker compose config` ended with exit code 14: open {shop}/gone.yaml: no such file"
            " or directory."
        )
        with pytest.raises(ComposeError) as caught:
            run(ComposeOptions(files=("gone.yaml",)), ["config"], shop)
        assert caught.value.message == "`docker compose config` ended with exit code 14."
        assert "gone.yaml" in capfd.readouterr().err

    def test_an_interrupt_gives_compose_time_to_end(self, shop: Path) -> None:
        fake_compose(
            shop / "docker" / "cli-plugins",
            "trap 'sleep 0.6; echo ended > ended; exit 130' INT; echo begun > begun;"
            " while true; do sleep 0.05; done",
        )
        script = (
            "import pathlib, venvctl.compose as compose;"
            "compose.run(compose.ComposeOptions(), ['up'], pathlib.Path.cwd())"
        )
        environment = {
            **os.environ,
            "DOCKER_CONFIG": str(shop / "docker"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        with subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=shop,
            env=environment,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            deadline = time.monotonic() + 60
            while not (shop / "begun").exists():
                assert time.monotonic() < deadline
                threading.Event().wait(0.02)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=60) == -signal.SIGINT
        assert (shop / "ended").read_text() == "ended\n"
