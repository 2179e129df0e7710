"""How a service's containers take a change of their environment."""

from __future__ import annotations

import shlex
import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from venvctl.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from venvctl.engine.model import Container

ON_CHANGE = "venvctl.on-change"
PIN_VARIABLE = "VENVCTL_PIN"


class ChangeKind(StrEnum):
    """What a rollout does to a container."""

    RESTART = "restart"
    SIGNAL = "signal"
    EXEC = "exec"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnChange:
    """What a rollout does to a container, and with what.

    Attributes:
        kind: which of the four.
        argument: the signal's name, e.g. ``SIGHUP``, or the command as a shell would read it.
    """

    kind: ChangeKind = ChangeKind.RESTART
    argument: str = ""

    @property
    def command(self) -> tuple[str, ...]:
        """The argument vector of an ``exec``."""
        return tuple(shlex.split(self.argument))

    def __str__(self) -> str:
        """The label's value."""
        return f"{self.kind}:{self.argument}" if self.argument else str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePolicy:
    """The `venvctl.` labels of a service, or of a container made of it.

    Attributes:
        on_change: what a rollout does.
        health_timeout: seconds that it waits for health.
        grace: seconds that a container without a healthcheck must stay up to count as good.
        ignore: it mounts the volume for its files only; neither probed nor restarted.
        parallel: how many of its containers are restarted at once.
    """

    on_change: OnChange = OnChange()
    health_timeout: float = 60.0
    grace: float = 5.0
    ignore: bool = False
    parallel: int = 1

    @classmethod
    def from_labels(
        cls, labels: Mapping[str, str], environment: Mapping[str, str], *, place: str
    ) -> ServicePolicy:
        """Read a service's labels.

        Args:
            labels: all labels of the service.
            environment: its environment variables.
            place: the service, for messages.

        Raises:
            ConfigurationError: a label is unknown or has a value that can't be used, or a service
                is to be signalled whose processes are pinned.
        """
        own = Labels.parse(labels, on="service", place=place)
        health_timeout = own.seconds("venvctl.health-timeout", cls().health_timeout)
        if health_timeout == 0:
            raise own.wrong("venvctl.health-timeout", "no container is healthy at once")
        return cls(
            on_change=_on_change(own, environment),
            health_timeout=health_timeout,
            grace=own.seconds("venvctl.grace", cls().grace),
            ignore=own.flag("venvctl.ignore"),
            parallel=own.count("venvctl.parallel", 1, minimum=1),
        )

    @classmethod
    def of_container(cls, container: Container) -> ServicePolicy:
        """Read the labels that a container was created with, by compose or by `docker run`.

        Raises:
            ConfigurationError: as `from_labels`.
        """
        place = f"the container {container.name}"
        return cls.from_labels(container.labels, container.environment, place=place)

    def to_labels(self) -> dict[str, str]:
        """The labels that say the same; `from_labels` reads them back."""
        return {
            ON_CHANGE: str(self.on_change),
            "venvctl.health-timeout": f"{self.health_timeout:.3f}s",
            "venvctl.grace": f"{self.grace:.3f}s",
            "venvctl.ignore": "true" if self.ignore else "false",
            "venvctl.parallel": str(self.parallel),
        }


def _on_change(labels: Labels, environment: Mapping[str, str]) -> OnChange:
    text = labels.text(ON_CHANGE, ChangeKind.RESTART)
    word, separator, argument = text.partition(":")
    argument = argument.strip()
    if word not in set(ChangeKind):
        raise labels.wrong(ON_CHANGE, "it is none of restart, signal:SIGNAL, exec:COMMAND, none")
    kind = ChangeKind(word)
    if kind is ChangeKind.SIGNAL:
        argument = _signal_name(labels, argument)
        if environment.get(PIN_VARIABLE) != "0":
            raise labels.wrong(
                ON_CHANGE,
                "a pinned process would reload the old generation when it is signalled",
                hint=f'Add {PIN_VARIABLE}: "0" to its environment, or use restart.',
            )
    elif kind is ChangeKind.EXEC:
        _check_command(labels, argument)
    elif separator:
        raise labels.wrong(ON_CHANGE, f"{kind} takes nothing after it")
    return OnChange(kind=kind, argument=argument)


def _signal_name(labels: Labels, argument: str) -> str:
    name = argument.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in signal.Signals.__members__:
        raise labels.wrong(
            ON_CHANGE, f"there is no signal {argument!r}", hint="Write for example signal:SIGHUP."
        )
    return name


def _check_command(labels: Labels, argument: str) -> None:
    try:
        command = shlex.split(argument)
    except ValueError as error:
        raise labels.wrong(ON_CHANGE, f"the command is not quoted well ({error})") from error
    if not command:
        raise labels.wrong(
            ON_CHANGE, "it has no command", hint="Write for example exec:kill -HUP 1."
        )
