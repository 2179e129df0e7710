"""The `venvctl.` labels: which there are, where each belongs, and how its value reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from venvctl.engine.model import LABEL_HELPER, LABEL_ROOT
from venvctl.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "venvctl."
LOCK = "venvctl.lock"

VOLUME_LABELS = (
    "venvctl.build-image",
    "venvctl.build-network",
    "venvctl.builds",
    "venvctl.bytecode",
    "venvctl.conflicts",
    "venvctl.extras",
    "venvctl.format",
    "venvctl.groups",
    "venvctl.index",
    "venvctl.keep",
    "venvctl.keep-snapshots",
    LOCK,
    "venvctl.package",
    "venvctl.python",
    "venvctl.smoke",
)
SERVICE_LABELS = (
    "venvctl.grace",
    "venvctl.health-timeout",
    "venvctl.ignore",
    "venvctl.on-change",
    "venvctl.parallel",
)
# What venvctl itself writes on volumes and helper containers.
OWN_LABELS = (LABEL_HELPER, LABEL_ROOT)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_CENTURY = 36525 * 86400.0
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[smhdw]))+")
_DURATION_PART = re.compile(r"([0-9.]+)(ms|[smhdw])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The `venvctl.` labels of one volume, service or container, known to belong there.

    Attributes:
        values: by full name.
        place: what bears them, for messages, e.g. ``the service web in /srv/shop/compose.yaml``.
    """

    values: Mapping[str, str]
    place: str

    @classmethod
    def parse(
        cls, labels: Mapping[str, str], *, on: Literal["volume", "service"], place: str
    ) -> Labels:
        """Take venvctl's labels out of all others.

        Args:
            labels: all labels there are.
            on: what bears them; a running container bears its service's.
            place: the same for messages.

        Raises:
            ConfigurationError: one of them is unknown, belongs elsewhere, or is venvctl's own.
        """
        own = {name: value for name, value in labels.items() if name.startswith(PREFIX)}
        for name in own:
            _check_name(name, on, place)
        return cls(values=own, place=place)

    def text(self, name: str, default: str = "") -> str:
        """One line of text, without the space around it; one that is there must not be empty.

        Raises:
            ConfigurationError: it is empty, or has control characters.
        """
        if name not in self.values:
            return default
        value = self.values[name].strip()
        if not value:
            raise self.wrong(name, "it is empty")
        if not value.isprintable():
            raise self.wrong(name, "it has characters that can't be printed")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        """A list with commas between; an empty label is an empty list."""
        parts = (part.strip() for part in self.values.get(name, "").split(","))
        return tuple(part for part in parts if part)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of some words; the first is the default."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise self.wrong(name, f"it is none of {', '.join(choices)}")
        return value

    def flag(self, name: str) -> bool:
        """``true`` or ``false``, the default."""
        return self.choice(name, ("false", "true")) == "true"

    def count(self, name: str, default: int, *, minimum: int = 0) -> int:
        """A whole number."""
        value = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < minimum:
            raise self.wrong(name, f"it is not a whole number from {minimum} on")
        return int(value)

    def seconds(self, name: str, default: float) -> float:
        """A duration such as ``60s``, ``1m30s`` or ``500ms``."""
        if name not in self.values:
            return default
        value = parse_duration(self.text(name))
        if value is None:
            raise self.wrong(name, "it is not a duration such as 60s, 1m30s or 500ms")
        return value

    def wrong(self, name: str, reason: str, *, hint: str = "") -> ConfigurationError:
        """The error for a value, to be raised."""
        value = self.values.get(name, "")
        return ConfigurationError(
            f"The label {name}: {value!r} on {self.place} can't be used: {reason}.", hint=hint
        )


def parse_duration(text: str) -> float | None:
    """Seconds of a duration such as ``1m30s`` (ms, s, m, h, d, w); None if it is no duration.

    More than a century is a century: no clock counts on.
    """
    if not _DURATION.fullmatch(text):
        return None
    parts = _DURATION_PART.findall(text)
    return min(sum(float(number) * _UNITS[unit] for number, unit in parts), _CENTURY)


def _check_name(name: str, on: Literal["volume", "service"], place: str) -> None:
    here, elsewhere, other = (
        (VOLUME_LABELS, SERVICE_LABELS, "service")
        if on == "volume"
        else (SERVICE_LABELS, VOLUME_LABELS, "volume")
    )
    if name in here:
        return
    if name in elsewhere:
        raise ConfigurationError(
            f"The label {name} on {place} has no meaning there.", hint=f"Move it to the {other}."
        )
    if name in OWN_LABELS:
        raise ConfigurationError(
            f"The label {name} on {place} is one that venvctl itself writes.", hint="Remove it."
        )
    # Imported for the one who mistyped, not for everybody.
    import difflib  # noqa: PLC0415 - see above

    [nearest] = difflib.get_close_matches(name, here + elsewhere, n=1, cutoff=0.0)
    raise ConfigurationError(
        f"The label {name} on {place} is unknown.", hint=f"The nearest known one is {nearest}."
    )
