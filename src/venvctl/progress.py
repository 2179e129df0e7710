"""How long work tells whoever started it how far it is; nothing here prints."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the steps of one piece of work, from any thread."""

    def stage(self, name: str, *, total: int = 0, unit: str = "") -> None:
        """A stage begins: a present participle, e.g. ``fetching``; total 0 means unknown.

        `unit` is ``bytes``, ``wheels``, ``containers`` or empty.
        """
        ...

    def advance(self, amount: int) -> None:
        """So much more of the stage's total is done."""
        ...

    def warn(self, message: str) -> None:
        """Something the person should know, though the work goes on."""
        ...


class Silent:
    """A progress that nobody watches; keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def stage(self, name: str, *, total: int = 0, unit: str = "") -> None:
        """Forget it."""

    def advance(self, amount: int) -> None:
        """Forget it."""

    def warn(self, message: str) -> None:
        """Keep it."""
        self.warnings.append(message)
