"""What `docker compose config` says, parsed into environments and their services (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl import mountpoint
from venvctl.errors import ConfigurationError, TargetError
from venvctl.labels import LOCK, PREFIX, Labels
from venvctl.policy import ServicePolicy
from venvctl.project import ProjectEnvironment, Service
from venvctl.specification import EnvironmentSpecification

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from venvctl.document import Document

# Variables that say something about the interpreter. The others may be secrets, and a project is
# written to disk.
_KEPT_VARIABLES = ("PATH", "VIRTUAL_ENV")
_KEPT_PREFIXES = ("PYTHON", "VENVCTL_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A whole project as compose resolved it, all profiles on.

    Attributes:
        document: the JSON of ``config --format json``.
        directory: the project directory.
        files: the compose files, for messages.
        image_separator: what stands between project and service in the name of a built image.
    """

    document: Document
    directory: Path
    files: tuple[Path, ...]
    image_separator: str = "-"

    def environments(self) -> tuple[ProjectEnvironment, ...]:
        """The environments, in the order of their volumes' keys.

        Raises:
            ConfigurationError: labels or mounts that can't be used.
            TargetError: services that mount one environment at different paths.
        """
        policies = {
            name: ServicePolicy.from_labels(
                service.mapping("labels"),
                service.mapping("environment"),
                place=self._place("service", name),
            )
            for name, service in self._tables("services")
        }
        found = tuple(
            self._environment(key, volume, policies)
            for key, volume in self._tables("volumes")
            if self._is_environment(key, volume)
        )
        self._check_distinct(found)
        return found

    def check_mounted(
        self, everything: Document, environments: Iterable[ProjectEnvironment]
    ) -> None:
        """Find a volume with a lock that no service mounts.

        Args:
            everything: the configuration with all volumes; compose leaves such ones out otherwise.
            environments: those that were found.

        Raises:
            ConfigurationError: there is one.
        """
        found = {environment.volume_key for environment in environments}
        volumes = everything.table("volumes")
        for key in sorted(volumes.fields.keys() - found):
            if LOCK in volumes.table(key).mapping("labels"):
                raise self._no_interpreter(key, "no service mounts it")

    def _tables(self, key: str) -> Iterable[tuple[str, Document]]:
        tables = self.document.table(key)
        return ((name, tables.table(name)) for name in sorted(tables.fields))

    def _place(self, kind: str, name: str) -> str:
        return f"the {kind} {name} in {self._source}"

    @property
    def _source(self) -> str:
        return " + ".join(map(str, self.files))

    def _is_environment(self, key: str, volume: Document) -> bool:
        labels = volume.mapping("labels")
        own = Labels.parse(labels, on="volume", place=self._place("volume", key))
        if own.values and LOCK not in own.values:
            raise ConfigurationError(
                f"The label {min(own.values)} on {own.place} says nothing without {LOCK}.",
                hint=f"Add {LOCK} with the lockfile's path, or remove the other {PREFIX} labels.",
            )
        return bool(own.values)

    def _environment(
        self, key: str, volume: Document, policies: Mapping[str, ServicePolicy]
    ) -> ProjectEnvironment:
        place = self._place("volume", key)
        self._check_driver(volume, place)
        labels = volume.mapping("labels")
        specification = EnvironmentSpecification.from_labels(
            volume.text("name"), labels, directory=self.directory, place=place
        )
        services = tuple(
            self._service(name, service, mount, policies[name])
            for name, service in self._tables("services")
            if (mount := self._mount(name, key))
        )
        environment = ProjectEnvironment(
            specification=specification, volume_key=key, services=services, labels=labels
        )
        if not environment.probed_services:
            ignored = ", ".join(service.name for service in services)
            raise self._no_interpreter(
                key, f"only services with venvctl.ignore mount it ({ignored})"
            )
        _check_mounts(environment)
        return environment

    def _no_interpreter(self, key: str, reason: str) -> ConfigurationError:
        hint = f"Add `{key}:/venv` to the volumes of the service that runs Python."
        if len(key) == 1:
            hint = f"Docker Compose takes `{key}:/venv` for a Windows path: use a longer key."
        return ConfigurationError(
            f"There is no interpreter for {self._place('volume', key)}: {reason}.", hint=hint
        )

    def _check_driver(self, volume: Document, place: str) -> None:
        driver = volume.text("driver", "local")
        options = volume.table("driver_opts").fields
        if driver != "local" or options:
            said = "driver_opts" if options else f"driver {driver}"
            raise ConfigurationError(
                f"{_sentence(place)} has {said} beside {LOCK}, but venvctl makes the"
                " volume itself.",
                hint=f"Remove {'driver_opts' if options else 'driver'} from the volume.",
            )

    def _mount(self, name: str, key: str) -> str:
        """Where a service mounts the volume, itself or as it is told by `volumes_from`; or ""."""
        targets = sorted(self._targets(name, key, frozenset()))
        if len(targets) > 1:
            raise ConfigurationError(
                f"{_sentence(self._place('service', name))} mounts the volume {key} more than"
                f" once: at {', '.join(targets)}.",
                hint="Keep one of them: an environment has one path in its container.",
            )
        return targets[0] if targets else ""

    def _targets(self, name: str, key: str, seen: frozenset[str]) -> set[str]:
        service = self.document.table("services").table(name)
        targets: set[str] = set()
        for mount in service.tables("volumes"):
            if mount.text("type", "") != "volume" or mount.text("source", "") != key:
                continue
            subpath = mount.table("volume").text("subpath", "")
            if subpath:
                raise ConfigurationError(
                    f"{_sentence(self._place('service', name))} mounts the volume {key} with the"
                    f" subpath {subpath!r}, but an environment is mounted as a whole.",
                    hint="Remove `subpath` from the mount.",
                )
            targets.add(mountpoint.checked(mount.text("target")))
        for reference in service.texts("volumes_from"):
            other = reference.partition(":")[0]
            # `container:NAME` names no service.
            if other in self.document.table("services").fields and other not in seen:
                targets |= self._targets(other, key, seen | {name})
        return targets

    def _service(self, name: str, service: Document, mount: str, policy: ServicePolicy) -> Service:
        project = self.document.text("name")
        dependencies = service.table("depends_on")
        build = "build" in service.fields
        return Service(
            name=name,
            image=service.text("image", f"{project}{self.image_separator}{name}"),
            build=build,
            mount=mount,
            policy=policy,
            environment={
                variable: value
                for variable, value in service.mapping("environment").items()
                if variable in _KEPT_VARIABLES or variable.startswith(_KEPT_PREFIXES)
            },
            depends_on={
                other: dependencies.table(other).flag("restart", default=False)
                for other in sorted(dependencies.fields)
            },
            profiles=service.texts("profiles"),
            network_mode=service.text("network_mode", ""),
            user=service.text("user", ""),
            pull_policy=service.text("pull_policy", ""),
            programs=tuple(
                words[0] for key in ("entrypoint", "command") if (words := service.texts(key))
            ),
        )

    def _check_distinct(self, environments: Iterable[ProjectEnvironment]) -> None:
        keys: dict[str, str] = {}
        for environment in environments:
            name = environment.specification.name
            other = keys.setdefault(name, environment.volume_key)
            if other != environment.volume_key:
                raise ConfigurationError(
                    f"The volumes {other} and {environment.volume_key} in {self._source} have the"
                    f" same name {name}.",
                    hint="Let services share one volume, or give the two other names.",
                )


def _sentence(text: str) -> str:
    # Unlike str.capitalize, this leaves names as they are.
    return text[:1].upper() + text[1:]


def _check_mounts(environment: ProjectEnvironment) -> None:
    mounts = {service.name: service.mount for service in environment.probed_services}
    if len(set(mounts.values())) > 1:
        places = ", ".join(f"{name} at {mount}" for name, mount in mounts.items())
        raise TargetError(
            f"The services of the environment {environment.specification.name} mount it at"
            f" different paths: {places}.",
            hint="Mount it at one path everywhere; a service that only needs its files can have"
            ' the label venvctl.ignore: "true".',
        )
