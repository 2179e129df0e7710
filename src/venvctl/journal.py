"""The histories of all environments as one log, in the order in which things happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venvctl.backend import Backend
    from venvctl.environments import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that happened to an environment."""

    environment: str
    event: Event


class Journal:
    """Reads the histories of environments, each entry once.

    Args:
        backend: who has the environments.
        names: those that are wanted; empty means all, also those that come later.
    """

    def __init__(self, backend: Backend, names: Sequence[str] = ()) -> None:
        self._backend = backend
        self._names = tuple(names)
        self._told: dict[str, int] = {}
        self._marks: dict[str, int] = {}

    def read(self) -> list[Entry]:
        """What happened since the last call, oldest first; the first call gives everything."""
        fresh: list[Entry] = []
        for name in self._names or self._backend.names():
            mark = self._backend.history_mark(name)
            # Marks first: what is appended while the file is read is found the next time.
            if mark is not None:
                if self._marks.get(name) == mark:
                    continue
                self._marks[name] = mark
            history = self._backend.history(name)
            told = self._told.get(name, 0)
            # A shorter one was begun anew.
            start = told if len(history) >= told else 0
            fresh += [Entry(environment=name, event=event) for event in history[start:]]
            self._told[name] = len(history)
        # All times are UTC and equally long; what one environment did stays in its order.
        return sorted(fresh, key=lambda entry: entry.event.time)
