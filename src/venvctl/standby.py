"""A helper container that is on its way before it is known what for.

A container takes longer to start than most of them take to work (measured: 0.2 to 0.4 s). So it
starts ahead, and waits on its standard input.
"""

from __future__ import annotations

import dataclasses
import queue
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from venvctl.errors import VenvctlError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from venvctl.engine.model import Engine, Task, TaskResult


class _AbandonedError(Exception):
    """Nobody waits for the container any more."""


class Standby:
    """One container; gone when the context is left, whether it has ended or not.

    Args:
        engine: runs it.
        task: what it runs, which reads its work from standard input; `name`, `lines` and `ended`
            are not looked at.
    """

    def __init__(self, engine: Engine, task: Task) -> None:
        self._engine = engine
        self._name = f"venvctl-{task.purpose}-{secrets.token_hex(8)}"
        self._result: Future[TaskResult] = Future()
        self._task = dataclasses.replace(
            task, name=self._name, lines=self._lines(), ended=self._result.set_result
        )
        self._words: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._abandoned = False
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        """Have it start, without waiting for that."""
        self._pool.submit(self._run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove it, if it has not ended; returns when it is gone."""
        self._abandoned = True
        self._words.put(None)
        if not self._result.done():
            with suppress(VenvctlError):
                self._engine.remove_helper(self._name)
        self._pool.shutdown()

    def say(self, line: str) -> None:
        """Hand over one line of input."""
        self._words.put(line)

    def end(self) -> TaskResult:
        """End its input, and wait until it has ended; it is removed meanwhile.

        Raises:
            EngineError, EngineUnreachableError: the engine did not run it.
        """
        self._words.put(None)
        return self._result.result()

    def _run(self) -> None:
        try:
            self._engine.run(self._task)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the end is told
            if not self._result.done():
                self._result.set_exception(error)

    def _lines(self) -> Iterator[str]:
        while True:
            line = self._words.get()
            if self._abandoned:
                raise _AbandonedError
            if line is None:
                return
            yield line
