"""A Python process in a container that does what a test tells it, one piece of code at a time."""

from __future__ import annotations

import json
import select
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_DEADLINE = 60.0
# Whoever answers must not import more than this before it is told to.
_PROGRAM = """
import json, sys
print(json.dumps({"value": "ready"}), flush=True)
for line in sys.stdin:
    scope = {}
    try:
        exec(json.loads(line), scope)
        answer = {"value": scope.get("value")}
    except BaseException as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
"""


@dataclass(slots=True)
class Agent:
    """A context manager; the process is started, and is ready, when it is entered.

    Attributes:
        container: it runs in this one, which runs already.
        arguments: for ``docker exec``. python: the interpreter with its options.
        paused: whether it says a line of its own before it is ready, and waits for one.
    """

    container: str
    arguments: tuple[str, ...] = ()
    python: tuple[str, ...] = ("/venv/bin/python",)
    paused: bool = False
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [
                *("docker", "exec", "--interactive", *self.arguments, self.container),
                *(*self.python, "-c", _PROGRAM),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._read() == ("paused" if self.paused else "ready")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._running
        self._input.close()  # at the end of its input it ends
        assert process.wait(_DEADLINE) == 0
        if process.stdout:
            process.stdout.close()

    def go_on(self) -> None:
        """Let it out of its pause."""
        self._input.write("\n")
        assert self._read() == "ready"

    def do(self, code: str) -> object:
        """What the code leaves in ``value``."""
        self._input.write(json.dumps(code) + "\n")
        return self._read()

    def ask(self, expression: str) -> object:
        """What an expression is."""
        return self.do(f"import sys; value = {expression}")

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    @property
    def _input(self) -> IO[str]:
        stream = self._running.stdin
        assert stream is not None
        return stream

    def _read(self) -> object:
        stream = self._running.stdout
        assert stream is not None
        # Each answer is one line and is asked for one by one, so nothing stays in the buffer.
        ready, _, _ = select.select([stream], [], [], _DEADLINE)
        assert ready, f"no answer within {_DEADLINE:g} s"
        line = stream.readline()
        assert line, "the process ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]
