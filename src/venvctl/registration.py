"""What venvctl remembers of an environment's owner: enough to sync it without the compose file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import disk, mountpoint, stamp
from venvctl.document import Document
from venvctl.errors import ConfigurationError, TargetError, UsageError
from venvctl.project import ComposeProject
from venvctl.specification import EnvironmentSpecification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from venvctl.project import ProjectEnvironment

REGISTRATION = "environment.json"
READER = "reader.json"  # beside it: whose rights the lock is read with
_PROJECT_LABEL = "com.docker.compose.project"
_VOLUME_LABEL = "com.docker.compose.volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One environment as its owner asked for it.

    Attributes:
        specification: what it is to be.
        mount: its path in the containers.
        images: image by service; for `env add`, under an empty name.
        labels: what the volume is to carry, compose's own among them.
        project: the compose project; empty for `env add`.
        directory: where its owner's paths start.
    """

    specification: EnvironmentSpecification
    mount: str
    images: Mapping[str, str]
    labels: Mapping[str, str]
    project: str
    directory: Path

    @property
    def name(self) -> str:
        """The environment's name, which is the volume's."""
        return self.specification.name

    @classmethod
    def of_project(cls, project: ComposeProject, each: ProjectEnvironment) -> Registration:
        """An environment of a compose project."""
        return cls(
            specification=each.specification,
            mount=each.mount,
            images={service.name: service.image for service in each.probed_services},
            labels={
                **each.labels,
                _PROJECT_LABEL: project.name,
                _VOLUME_LABEL: each.volume_key,
            },
            project=project.name,
            directory=project.directory,
        )

    def check_mount(self, mount: str, snapshot: str) -> None:
        """Refuse a snapshot whose scripts are for another place than the environment's.

        Args:
            mount: the place.
            snapshot: its key.

        Raises:
            TargetError: with both places.
        """
        if mount != self.mount:
            raise TargetError(
                f"Snapshot {snapshot} is for an environment at {mount}, and {self.name} is mounted "
                f"at {self.mount}.",
                hint=f"Mount {self.name} at {mount}, or make another environment there.",
            )

    def to_dict(self) -> dict[str, object]:
        """The JSON form; `from_dict` reads it back."""
        return {
            "schema": 1,
            "specification": self.specification.to_dict(),
            "mount": self.mount,
            "images": dict(self.images),
            "labels": dict(self.labels),
            "project": self.project,
            "directory": str(self.directory),
        }

    def to_bytes(self) -> bytes:
        """What the registry's file has."""
        return stamp.stamped(self.to_dict(), indent=1)

    @classmethod
    def from_dict(cls, value: object, *, source: str) -> Registration:
        """Read the JSON form; `ConfigurationError` where a field of `source` is wrong."""
        document = Document.parse(value, source)
        return cls(
            specification=EnvironmentSpecification.from_dict(
                document.table("specification").fields, source=source
            ),
            mount=mountpoint.checked(document.text("mount")),
            images=document.mapping("images"),
            labels=document.mapping("labels"),
            project=document.text("project", ""),
            directory=Path(document.text("directory")),
        )


class Registry:
    """The registrations of one root: ``environments/<name>/environment.json``, ``projects/``.

    Args:
        root: the root directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        """The names of all registered environments, sorted."""
        return sorted(
            path.parent.name for path in self._root.glob(f"environments/*/{REGISTRATION}")
        )

    def find(self, name: str) -> Registration | None:
        """The registration of that name; None if there is none."""
        path = self._path(name)
        try:
            return Registration.from_dict(stamp.opened(path.read_bytes()), source=str(path))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ConfigurationError(
                f"{path} can't be read: {error}.",
                hint=f"`venvctl verify {name} --repair` writes it anew by its snapshot; else "
                "remove it, and run `venvctl up` or `venvctl env add` again.",
            ) from error

    def readable(self, name: str) -> Registration | None:
        """As `find`, and None where it can't be read either: for whoever mends what is damaged."""
        try:
            return self.find(name)
        except ConfigurationError:
            return None

    def load(self, name: str) -> Registration:
        """The registration of that name; raises `UsageError` naming those that are known."""
        if (found := self.find(name)) is None:
            raise UsageError(
                f"There is no environment {name!r} in {self._root}; "
                f"known: {', '.join(self.names()) or 'none'}.",
                hint="Run `venvctl up` in its compose project, or `venvctl env add`.",
            )
        return found

    def claim(self, registration: Registration) -> None:
        """Register an environment, or bring its registration up to date.

        Raises:
            ConfigurationError: another project, or `env add`, owns an environment of that name.
        """
        known = self.find(registration.name)
        if known == registration:
            return
        if known is not None and known.project != registration.project:
            owner = f"project {known.project}" if known.project else "`venvctl env add`"
            raise ConfigurationError(
                f"Environment {registration.name} already belongs to {owner} ({known.directory}).",
                hint="Share it as an external volume, or choose another volume name; "
                f"`venvctl env rm {registration.name}` ends the old claim.",
            )
        path = self._path(registration.name)
        disk.make_directory(path.parent)
        disk.write_file(path, registration.to_bytes())

    def follow(self, project: ComposeProject) -> None:
        """Remember a project, so that its lockfiles are followed."""
        path = self._root / "projects" / f"{project.name}.json"
        data = stamp.stamped(project.to_dict(), indent=1)
        if path.exists() and path.read_bytes() == data:
            return
        disk.make_directory(path.parent)
        disk.write_file(path, data)

    def unfollow(self, project: str) -> bool:
        """Stop following a project; says whether it was followed."""
        path = self._root / "projects" / f"{project}.json"
        followed = path.exists()
        disk.remove_file(path)
        disk.remove_file(path.with_suffix(".owner"))  # the daemon's note of who asked for it
        return followed

    def projects(self) -> list[ComposeProject]:
        """The projects that are followed, by name."""
        return [read_project(path) for path in sorted(self._root.glob("projects/*.json"))]

    def _path(self, name: str) -> Path:
        # the name comes from a command line: it must stay one component
        if "/" in name or name.startswith(".") or not name:
            raise UsageError(f"{name!r} is not an environment's name.")
        return self._root / "environments" / name / REGISTRATION


def read_project(path: Path) -> ComposeProject:
    """What is remembered of a project in a file; raises `ConfigurationError`."""
    try:
        return ComposeProject.from_dict(stamp.opened(path.read_bytes()), source=str(path))
    except ValueError as error:
        raise ConfigurationError(
            f"{path} can't be read: {error}.",
            hint="Have the project followed again with `venvctl up`, or remove that file.",
        ) from error


def read_uid(path: Path) -> int:
    """The user that a file names; raises `ConfigurationError` where it is damaged."""
    try:
        document = stamp.opened(path.read_bytes())
    except (ValueError, RecursionError):
        document = None
    uid = document.get("uid") if isinstance(document, dict) else None
    if not isinstance(uid, int) or uid < 0:
        raise ConfigurationError(
            f"{path} names no user.",
            hint=f"Write there whose it is: `echo '{{\"uid\": 1000}}' > {path}`, with that user's "
            "number.",
        )
    return uid
