"""A compose project as venvctl sees it: its environments, and the services that mount them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl.document import Document
from venvctl.policy import ServicePolicy
from venvctl.specification import EnvironmentSpecification

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeOptions:
    """The options of `docker compose` itself, as its user gave them.

    Attributes:
        files: ``-f``, in order; relative ones start from where the user is.
        project_name: ``-p``.
        profiles: ``--profile``.
        env_files: ``--env-file``.
        project_directory: ``--project-directory``.
    """

    files: tuple[str, ...] = ()
    project_name: str = ""
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    project_directory: str = ""

    def arguments(self) -> list[str]:
        """The options as `docker compose` takes them."""
        pairs = [
            *(("--file", file) for file in self.files),
            *(("--profile", profile) for profile in self.profiles),
            *(("--env-file", file) for file in self.env_files),
        ]
        if self.project_name:
            pairs.append(("--project-name", self.project_name))
        if self.project_directory:
            pairs.append(("--project-directory", self.project_directory))
        return [part for pair in pairs for part in pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that mounts an environment.

    Attributes:
        name: in the compose file.
        image: name of the image that it runs, also where compose builds it.
        build: whether compose builds that image.
        mount: path of the environment in its containers.
        policy: how its containers take a change.
        environment: its variables that concern Python or venvctl; no others are kept.
        depends_on: the services it depends on, and whether it restarts with each.
        profiles: it starts with one of them; empty means always.
        network_mode: compose's word, e.g. ``service:web``; empty means its own network.
        user: whom its processes run as; empty means as the image says.
        pull_policy: compose's word for when the image is pulled; empty means when it is missing.
        programs: the first words of its entrypoint and of its command, as far as it has them.
    """

    name: str
    image: str
    build: bool = False
    mount: str
    policy: ServicePolicy
    environment: Mapping[str, str]
    depends_on: Mapping[str, bool]
    profiles: tuple[str, ...] = ()
    network_mode: str = ""
    user: str = ""
    pull_policy: str = ""
    programs: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """The JSON form; `from_dict` reads it back."""
        return {
            "name": self.name,
            "image": self.image,
            "build": self.build,
            "mount": self.mount,
            "labels": self.policy.to_labels(),
            "environment": dict(self.environment),
            "depends-on": [name for name, restart in self.depends_on.items() if not restart],
            "restarts-with": [name for name, restart in self.depends_on.items() if restart],
            "profiles": list(self.profiles),
            "network-mode": self.network_mode,
            "user": self.user,
            "pull-policy": self.pull_policy,
            "programs": list(self.programs),
        }

    @classmethod
    def from_dict(cls, value: object, *, source: str) -> Service:
        """Read the JSON form; `ConfigurationError` where a field of `source` is wrong."""
        document = Document.parse(value, source)
        name = document.text("name")
        environment = document.mapping("environment")
        return cls(
            name=name,
            image=document.text("image"),
            build=document.flag("build", default=False),
            mount=document.text("mount"),
            policy=ServicePolicy.from_labels(
                document.mapping("labels"), environment, place=f"the service {name} in {source}"
            ),
            environment=environment,
            depends_on={
                **dict.fromkeys(document.texts("depends-on"), False),
                **dict.fromkeys(document.texts("restarts-with"), True),
            },
            profiles=document.texts("profiles"),
            network_mode=document.text("network-mode", ""),
            user=document.text("user", ""),
            pull_policy=document.text("pull-policy", ""),
            programs=document.texts("programs"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectEnvironment:
    """An environment of a project, with the services that mount it, in the order of their names.

    Attributes:
        specification: what the volume's labels ask for.
        volume_key: the volume's name in the compose file.
        services: all that mount it, the ignored ones too; one at least is not ignored.
        labels: all labels of the volume, as compose would set them.
    """

    specification: EnvironmentSpecification
    volume_key: str
    services: tuple[Service, ...]
    labels: Mapping[str, str]

    @property
    def probed_services(self) -> tuple[Service, ...]:
        """Those whose interpreter and mount path count."""
        return tuple(service for service in self.services if not service.policy.ignore)

    @property
    def mount(self) -> str:
        """The path in the containers, on which all probed services agree."""
        return self.probed_services[0].mount

    def to_dict(self) -> dict[str, object]:
        """The JSON form; `from_dict` reads it back."""
        return {
            "specification": self.specification.to_dict(),
            "volume-key": self.volume_key,
            "services": [service.to_dict() for service in self.services],
            "labels": dict(self.labels),
        }

    @classmethod
    def from_dict(cls, value: object, *, source: str) -> ProjectEnvironment:
        """Read the JSON form; `ConfigurationError` where a field of `source` is wrong."""
        document = Document.parse(value, source)
        specification = document.table("specification").fields
        return cls(
            specification=EnvironmentSpecification.from_dict(specification, source=source),
            volume_key=document.text("volume-key"),
            services=tuple(
                Service.from_dict(service.fields, source=source)
                for service in document.tables("services")
            ),
            labels=document.mapping("labels"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeProject:
    """A compose project that has environments.

    Attributes:
        name: the project's.
        directory: the project directory, where relative paths start.
        files: the compose files, in order; those that they include are not among them.
        profiles, env_files: as the user gave them, the files with their absolute paths.
        environments: in the order of their volumes' keys.
    """

    name: str
    directory: Path
    files: tuple[Path, ...]
    profiles: tuple[str, ...] = ()
    env_files: tuple[Path, ...] = ()
    environments: tuple[ProjectEnvironment, ...]

    @property
    def options(self) -> ComposeOptions:
        """The options that mean this project, wherever they are used."""
        return ComposeOptions(
            files=tuple(map(str, self.files)),
            project_name=self.name,
            profiles=self.profiles,
            env_files=tuple(map(str, self.env_files)),
            project_directory=str(self.directory),
        )

    def to_dict(self) -> dict[str, object]:
        """The JSON form; `from_dict` reads it back."""
        return {
            "name": self.name,
            "directory": str(self.directory),
            "files": [str(file) for file in self.files],
            "profiles": list(self.profiles),
            "env-files": [str(file) for file in self.env_files],
            "environments": [environment.to_dict() for environment in self.environments],
        }

    @classmethod
    def from_dict(cls, value: object, *, source: str) -> ComposeProject:
        """Read the JSON form; `ConfigurationError` where a field of `source` is wrong."""
        document = Document.parse(value, source)
        return cls(
            name=document.text("name"),
            directory=Path(document.text("directory")),
            files=tuple(map(Path, document.texts("files"))),
            profiles=document.texts("profiles"),
            env_files=tuple(map(Path, document.texts("env-files"))),
            environments=tuple(
                ProjectEnvironment.from_dict(environment.fields, source=source)
                for environment in document.tables("environments")
            ),
        )


def images(project: ComposeProject, services: Sequence[str] = ()) -> dict[str, str]:
    """The image of each service that mounts an environment.

    Args:
        project: whose services.
        services: names of those that are asked about; empty means all.
    """
    return {
        service.name: service.image
        for environment in project.environments
        for service in environment.services
        if not services or service.name in services
    }
