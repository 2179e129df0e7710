"""What a user asks of one environment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from venvctl.document import Document
from venvctl.errors import ConfigurationError
from venvctl.labels import LOCK, Labels, parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

# What Docker takes for a volume's name (its RestrictedNamePattern); safe as a directory's name.
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_INDEX_SCHEMES = ("https://", "http://", "file:///")

Builds = Literal["deny", "allow"]
Bytecode = Literal["ahead", "off"]
Conflicts = Literal["last", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRetention:
    """Which snapshots `gc` keeps that nothing else needs; with neither number all of them.

    Attributes:
        count: so many of the latest of each environment.
        age: those younger than so many seconds.
    """

    count: int | None = None
    age: float | None = None

    @classmethod
    def parse(cls, text: str) -> SnapshotRetention | None:
        """Read ``all``, a number, or an age such as ``30d``; None if it is none of them."""
        if text == "all":
            return cls()
        if re.fullmatch(r"[0-9]{1,9}", text):
            return cls(count=int(text))
        age = parse_duration(text)
        return None if age is None else cls(age=age)

    def __str__(self) -> str:
        """The text that `parse` reads back."""
        if self.count is not None:
            return str(self.count)
        return "all" if self.age is None else f"{self.age:.3f}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpecification:
    """What one environment is to be, whoever said so: a volume's labels or `env add`.

    Attributes:
        name: the volume's name in the engine.
        lock: absolute path of the lockfile.
        python: the interpreter in the image, a name or an absolute path; empty for ``python3``,
            else ``python``.
        extras, groups: of the lock, where it has them.
        builds: whether an sdist may be built.
        bytecode: compiled ahead, or not at all.
        conflicts: what happens when two wheels own one path with different content.
        keep: how many old generations stay.
        keep_snapshots: what `gc` may forget.
        format: the lock's format, where its name and shape don't say it.
        index: URLs of indexes to ask where the lock's own can't be reached.
        package: the workspace member whose dependencies are meant (uv's ``--package``).
        build_image: image to build sdists in; empty for the service's own.
        build_network: whether a build may use the network.
        smoke: modules, or a command, that must work before a switch.

    Raises:
        ConfigurationError: the name can't be a volume's.
    """

    name: str
    lock: Path
    python: str = ""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    builds: Builds = "deny"
    bytecode: Bytecode = "ahead"
    conflicts: Conflicts = "last"
    keep: int = 3
    keep_snapshots: SnapshotRetention = SnapshotRetention()
    format: str = ""
    index: tuple[str, ...] = ()
    package: str = ""
    build_image: str = ""
    build_network: bool = False
    smoke: str = ""

    def __post_init__(self) -> None:
        # The name becomes a directory below the root.
        if not _VOLUME_NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"The environment's name {self.name!r} can't be a volume's name.",
                hint="Use two or more of letters, digits, dots, dashes and underscores.",
            )

    @classmethod
    def from_labels(
        cls, name: str, labels: Mapping[str, str], *, directory: Path, place: str
    ) -> EnvironmentSpecification:
        """Read a volume's labels.

        Args:
            name: the volume's name in the engine.
            labels: all of its labels, with `venvctl.lock` among them.
            directory: the project directory (absolute), which the lock's path starts from; an
                absolute one and one that leads out of it are fine, as a lock may be shared.
            place: the volume, for messages.

        Raises:
            ConfigurationError: a label is unknown, or has a value that can't be used.
        """
        own = Labels.parse(labels, on="volume", place=place)
        retention = SnapshotRetention.parse(own.text("venvctl.keep-snapshots", "all"))
        if retention is None:
            raise own.wrong(
                "venvctl.keep-snapshots", "it is neither all, nor a number, nor an age such as 30d"
            )
        return cls(
            name=name,
            lock=_lock_path(own, directory),
            python=_interpreter(own),
            extras=own.names("venvctl.extras"),
            groups=own.names("venvctl.groups"),
            builds=cast("Builds", own.choice("venvctl.builds", ("deny", "allow"))),
            bytecode=cast("Bytecode", own.choice("venvctl.bytecode", ("ahead", "off"))),
            conflicts=cast("Conflicts", own.choice("venvctl.conflicts", ("last", "error"))),
            keep=own.count("venvctl.keep", 3),
            keep_snapshots=retention,
            format=own.text("venvctl.format"),
            index=_indexes(own),
            package=own.text("venvctl.package"),
            build_image=own.text("venvctl.build-image"),
            build_network=own.flag("venvctl.build-network"),
            smoke=own.text("venvctl.smoke"),
        )

    def to_labels(self) -> dict[str, str]:
        """The labels that say the same, defaults included; `from_labels` reads them back."""
        labels = {
            LOCK: str(self.lock),
            "venvctl.python": self.python,
            "venvctl.extras": ",".join(self.extras),
            "venvctl.groups": ",".join(self.groups),
            "venvctl.builds": self.builds,
            "venvctl.bytecode": self.bytecode,
            "venvctl.conflicts": self.conflicts,
            "venvctl.keep": str(self.keep),
            "venvctl.keep-snapshots": str(self.keep_snapshots),
            "venvctl.format": self.format,
            "venvctl.index": " ".join(self.index),
            "venvctl.package": self.package,
            "venvctl.build-image": self.build_image,
            "venvctl.build-network": "true" if self.build_network else "false",
            "venvctl.smoke": self.smoke,
        }
        return {name: value for name, value in labels.items() if value}

    def to_dict(self) -> dict[str, object]:
        """The JSON form: name and labels; `from_dict` reads it back."""
        return {"name": self.name, "labels": self.to_labels()}

    @classmethod
    def from_dict(cls, value: object, *, source: str) -> EnvironmentSpecification:
        """Read the JSON form.

        Args:
            value: what `json.loads` gave.
            source: where it was read, for messages.

        Raises:
            ConfigurationError: a field is missing or wrong.
        """
        document = Document.parse(value, source)
        labels = document.mapping("labels")
        return cls.from_labels(
            document.text("name"), labels, directory=Path("/"), place=f"an environment in {source}"
        )


def _lock_path(labels: Labels, directory: Path) -> Path:
    text = labels.text(LOCK)
    if not text:
        raise ConfigurationError(
            f"There is no label {LOCK} on {labels.place}.", hint="Say which lockfile it is made of."
        )
    if "://" in text:
        raise labels.wrong(LOCK, "it is a URL", hint="Give the path of a file on this host.")
    # Without following links: a lock that is one may point elsewhere tomorrow.
    return Path(os.path.abspath(directory / text))  # noqa: PTH100 - Path.resolve follows links


def _interpreter(labels: Labels) -> str:
    name = "venvctl.python"
    text = labels.text(name)
    if any(character.isspace() for character in text):
        raise labels.wrong(name, "it has a space in it")
    if "/" in text and not text.startswith("/"):
        raise labels.wrong(name, "it is neither a program's name nor an absolute path")
    return text


def _indexes(labels: Labels) -> tuple[str, ...]:
    name = "venvctl.index"
    # Between spaces, as in pip's own PIP_EXTRA_INDEX_URL: a URL may hold commas.
    urls = tuple(labels.text(name).split())
    for url in urls:
        if not url.startswith(_INDEX_SCHEMES):
            # The value may hold a password, so it is not shown.
            raise ConfigurationError(
                f"The label {name} on {labels.place} can't be used: an entry is no URL.",
                hint="Write full URLs with spaces between them.",
            )
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise ConfigurationError(
                f"The label {name} on {labels.place} can't be used: an entry has a login in it, and"
                " whoever may ask the engine can read a volume's labels.",
                hint="Put the login into netrc, a variable, a keyring or the configuration file"
                " (docs/indexes.md).",
            )
    return urls
