"""Something that somebody ordered over the control API, and waits for."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvctl.errors import StoppedError, VenvctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from venvctl.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage began; fields as `Progress.stage` has them."""

    name: str
    total: int
    unit: str


@dataclass(frozen=True, slots=True)
class Advance:
    """So much more of the stage is done."""

    amount: int


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know."""

    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end: what came out, or what it failed with."""

    outcome: object | VenvctlError


Step = Stage | Advance | Warned | Finished


class Interrupted(BaseException):
    """The work gives way to the daemon's end; no error, so that it passes `except Exception`."""


class Order:
    """One piece of work and the line to whoever waits for it; a `Progress` for who does it.

    Args:
        command: its name in the envelope.
        work: does it, and gives the result.
    """

    def __init__(self, command: str, work: Callable[[Progress], object]) -> None:
        self.command = command
        self._work = work
        self._steps: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self._held_back = 0
        self.abandoned = False

    def abandon(self) -> None:
        """Nobody waits for it any more: it is not begun; where it has begun, it is finished."""
        self.abandoned = True

    def run(self, progress: Progress) -> VenvctlError | None:
        """Do it; whoever waits is told the outcome, whatever it is.

        Args:
            progress: the worker's own, told beside whoever waits.

        Returns:
            What it failed with.
        """
        try:
            outcome = self._work(_Both(self, progress))
        except VenvctlError as error:
            self._end(error)
            return error
        except Interrupted:
            self._end(StoppedError("The daemon was stopped; what had begun is taken up again."))
            raise
        except BaseException as error:
            self._end(VenvctlError(f"venvctl itself failed: {type(error).__name__}: {error}"))
            raise
        self._end(outcome)
        return None

    def refuse(self, error: VenvctlError) -> None:
        """It will not be done."""
        self._end(error)

    def steps(self, timeout: float) -> Iterator[Step | None]:
        """What happens, `Finished` last; None each time nothing happened for `timeout` seconds."""
        while True:
            try:
                step = self._steps.get(timeout=timeout)
            except queue.Empty:
                yield None
                continue
            yield step
            if isinstance(step, Finished):
                return

    def put(self, step: Step) -> None:
        """Tell whoever waits; advances are put together while nobody reads them."""
        if isinstance(step, Advance):
            self._held_back += step.amount
            if not self._steps.empty():
                return
            step = Advance(self._held_back)
            self._held_back = 0
        elif self._held_back:
            self._steps.put(Advance(self._held_back))
            self._held_back = 0
        self._steps.put(step)

    def _end(self, outcome: object | VenvctlError) -> None:
        self.put(Finished(outcome))


class _Both:
    """Tells the worker and whoever waits."""

    def __init__(self, order: Order, worker: Progress) -> None:
        self._order = order
        self._worker = worker

    def stage(self, name: str, *, total: int = 0, unit: str = "") -> None:
        """As `Progress`."""
        self._worker.stage(name, total=total, unit=unit)
        self._order.put(Stage(name=name, total=total, unit=unit))

    def advance(self, amount: int) -> None:
        """As `Progress`."""
        self._worker.advance(amount)
        self._order.put(Advance(amount))

    def warn(self, message: str) -> None:
        """As `Progress`."""
        self._worker.warn(message)
        self._order.put(Warned(message))
