"""Takes one step to one container, and tells whose fault it is where the engine refuses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from venvctl.engine import refusals
from venvctl.errors import EngineError
from venvctl.policy import ChangeKind
from venvctl.rollout import Outcome, StepResult

if TYPE_CHECKING:
    from venvctl.engine.model import Container, Engine
    from venvctl.rollout import Step


def take(step: Step, engine: Engine, volume: str) -> StepResult:
    """Do what a step says.

    Args:
        step: of which container, and what.
        engine: where it is.
        volume: the environment's name.

    Raises:
        EngineUnreachableError: nobody knows whether it was done.
    """
    started = time.monotonic()
    outcome, because = Outcome.DONE, step.because
    try:
        match step.action.kind:
            case ChangeKind.NONE:
                outcome = Outcome.LEFT
            case ChangeKind.RESTART:
                engine.restart(step.identifier)
            case ChangeKind.SIGNAL:
                engine.signal(step.identifier, step.action.argument)
            case ChangeKind.EXEC:
                result = engine.execute(step.identifier, step.action.command)
                if result.exit_code != 0:
                    words = (result.stderr or result.stdout).strip().splitlines()
                    outcome = Outcome.FAILED
                    because = f"its command ended with exit code {result.exit_code}" + (
                        f": {words[-1]}" if words else ""
                    )
    except EngineError as error:
        outcome, because = _refused(step, error, engine, volume)
    return StepResult(
        name=step.name,
        action=str(step.action),
        outcome=outcome,
        because=because,
        seconds=time.monotonic() - started,
    )


def start(container: Container, engine: Engine, volume: str) -> StepResult:
    """Start a container that a rollout or a restore stopped."""
    outcome, because = Outcome.DONE, "it had been stopped to be started again"
    try:
        engine.start(container.id)
    except EngineError as error:
        outcome, because = _judged(container, error, volume)
    return StepResult(name=container.name, action="start", outcome=outcome, because=because)


def _refused(step: Step, error: EngineError, engine: Engine, volume: str) -> tuple[Outcome, str]:
    container = engine.container(step.identifier)
    if container is None:
        return Outcome.LEFT, "it was removed meanwhile"
    if step.action.kind is not ChangeKind.RESTART and not container.running:
        return Outcome.LEFT, f"it is {container.state}"
    return _judged(container, error, volume)


def _judged(container: Container, error: EngineError, volume: str) -> tuple[Outcome, str]:
    mount, _ = container.mounts.get(volume, ("", False))
    words = error.message.replace(container.id, container.name)
    if mount and refusals.is_about(words, mount):
        return Outcome.FAILED, words
    return Outcome.REFUSED, words
