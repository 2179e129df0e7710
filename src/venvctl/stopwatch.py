"""Times the steps of a piece of work, and keeps its warnings for whoever gets the result."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.progress import Progress


class Stopwatch:
    """A progress that passes everything on, and notes seconds by step, and warnings.

    Args:
        progress: who is told.
        warns: whether warnings are passed on too, and not only kept for the answer.
    """

    def __init__(self, progress: Progress, *, warns: bool = True) -> None:
        self._progress = progress
        self._warns = warns
        self.seconds: dict[str, float] = {}
        self.warnings: list[str] = []

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time one step."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - started

    def stage(self, name: str, *, total: int = 0, unit: str = "") -> None:
        """Pass it on."""
        self._progress.stage(name, total=total, unit=unit)

    def advance(self, amount: int) -> None:
        """Pass it on."""
        self._progress.advance(amount)

    def warn(self, message: str) -> None:
        """Keep it, and pass it on where that is wanted."""
        self.warnings.append(message)
        if self._warns:
            self._progress.warn(message)
