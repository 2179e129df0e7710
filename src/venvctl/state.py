"""What the last sync of an environment saw, and what a rollout still has to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from venvctl import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the last sync saw, so that the next one can tell whether anything changed.

    Attributes:
        inputs: fingerprint by name of everything that was looked at (see `plan.Inputs`).
        held: keys that are not switched to until the lock selects another → why.
        last_number: the highest generation number ever used.
        volume_inode: inode of the `volume` directory that the engine was given; 0 before that.
        pending: containers that a rollout still has to reach: ID → when it had started.
        toward: number of the generation that they are to be brought onto by a switch; 0 if that is
            the current one, whichever it is.
        before: all that it had to reach when it began, in the same way; empty between rollouts.
        switching: whether containers may have started beside the switch, and nobody has looked yet.
        reached: IDs of those that it signalled or executed a command in.
        good: number of the last generation that was rolled out well, 0 if there is none.
        back_to: number of the generation that a rollout is going back to, 0 if it does not.
        back_because: why it is.
        restarts: container ID → when rollouts restarted it lately (seconds since the epoch).
        stopped: IDs of containers that were stopped to be started again, and may not have been.
        error: what the last sync failed with; empty after one that did not.
        error_files: of the lock, which it may quote.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    last_number: int = 0
    volume_inode: int = 0
    pending: Mapping[str, str] = field(default_factory=dict)
    toward: int = 0
    before: Mapping[str, str] = field(default_factory=dict)
    switching: bool = False
    reached: tuple[str, ...] = ()
    good: int = 0
    back_to: int = 0
    back_because: str = ""
    restarts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    error: str = ""
    error_files: tuple[str, ...] = ()

    def to_bytes(self, *, history: int) -> bytes:
        """The stored form; `history` is how many bytes of history there are by now."""
        document = {
            "schema": 1,
            "inputs": dict(self.inputs),
            "held": dict(self.held),
            "last-number": self.last_number,
            "volume-inode": self.volume_inode,
            "pending": dict(self.pending),
            "toward": self.toward,
            "before": dict(self.before),
            "switching": self.switching,
            "reached": list(self.reached),
            "good": self.good,
            "back-to": self.back_to,
            "back-because": self.back_because,
            "restarts": {name: list(moments) for name, moments in self.restarts.items()},
            "stopped": list(self.stopped),
            "error": self.error,
            "error-files": list(self.error_files),
            "history": history,
        }
        return stamp.stamped(document, indent=1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the stored form; a field that an earlier version did not write is as it is at first.

        Raises:
            ValueError: it is damaged.
        """
        try:
            return cls._of(stamp.opened(data))
        except (TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"it is no state: {error}") from error

    @classmethod
    def _of(cls, document: dict[str, Any]) -> Self:
        return cls(
            inputs={str(name): str(value) for name, value in document.get("inputs", {}).items()},
            held={str(key): str(why) for key, why in document.get("held", {}).items()},
            last_number=int(document.get("last-number", 0)),
            volume_inode=int(document.get("volume-inode", 0)),
            pending={str(name): str(when) for name, when in document.get("pending", {}).items()},
            toward=int(document.get("toward", 0)),
            before={str(name): str(when) for name, when in document.get("before", {}).items()},
            switching=bool(document.get("switching", False)),
            reached=tuple(str(name) for name in document.get("reached", ())),
            good=int(document.get("good", 0)),
            back_to=int(document.get("back-to", 0)),
            back_because=str(document.get("back-because", "")),
            restarts={
                str(name): tuple(float(moment) for moment in moments)
                for name, moments in document.get("restarts", {}).items()
            },
            stopped=tuple(str(name) for name in document.get("stopped", ())),
            error=str(document.get("error", "")),
            error_files=tuple(str(path) for path in document.get("error-files", ())),
        )


def recorded_history(data: bytes) -> int:
    """How many bytes of history there were when a state was written; 0 where it does not say.

    Raises:
        ValueError: it is damaged.
    """
    document = stamp.opened(data)
    size = document.get("history", 0) if isinstance(document, dict) else 0
    return size if isinstance(size, int) else 0
