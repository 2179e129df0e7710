"""Shows how far work is: bars on a terminal's stderr, nothing in a pipe, warnings in both."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from venvctl.cli import render
from venvctl.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Quiet(Silent):
    """Work that nobody watches, because a program reads the answer: warnings are part of that."""

    @contextmanager
    def aside(self) -> Iterator[bool]:
        """Nobody may speak to the terminal: it is the program's pipe."""
        yield False


class Plain(Quiet):
    """Work whose stderr is a pipe: only warnings are shown, and commands speak for themselves."""

    def warn(self, message: str) -> None:
        """Show it at once."""
        render.warn(message)

    @contextmanager
    def aside(self) -> Iterator[bool]:
        """A command may speak for itself."""
        yield True


class Animated:
    """Bars on a terminal, gone when the work is done."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def stage(self, name: str, *, total: int = 0, unit: str = "") -> None:
        """Show a bar for this stage in place of the one before."""
        bars = self._start()
        if self._task is not None:
            bars.remove_task(self._task)
        self._task = bars.add_task(render.harmless(name), total=total or None, unit=unit)

    def advance(self, amount: int) -> None:
        """Move the bar."""
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, amount)

    def warn(self, message: str) -> None:
        """Show it at once, above the bars."""
        self.stop()
        render.warn(message)

    @contextmanager
    def aside(self) -> Iterator[bool]:
        """A command speaks for itself: bars would be in its way."""
        self.stop()
        yield True

    def stop(self) -> None:
        """Take the bars away; the next stage brings them back."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._task = None

    def _start(self) -> Bars:
        if self._bars is None:
            from venvctl.cli import bars  # noqa: PLC0415 - a command in a pipe does without

            self._bars = bars.make()
            self._bars.start()
        return self._bars


@contextmanager
def display(*, as_json: bool) -> Iterator[Quiet | Animated]:
    """How far work is, shown to whoever is there to see it; everything is gone afterwards."""
    if as_json:
        yield Quiet()
        return
    if not sys.stderr.isatty():
        yield Plain()
        return
    animated = Animated()
    try:
        yield animated
    finally:
        animated.stop()
