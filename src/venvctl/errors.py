"""Every error that venvctl raises on purpose: its stable code, exit code, message and hint."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a venvctl process ends with (docs/reference.md, "Exit codes")."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INVALID = 4
    UNAVAILABLE = 5
    INTEGRITY = 6
    ROLLED_BACK = 7
    NOT_ROLLED_BACK = 8
    BUSY = 75


_LONGEST = 8_000  # characters of a message


class VenvctlError(Exception):
    """Base of all errors that a person is meant to read.

    Args:
        message: what happened, with the value and the place in it; one or more whole sentences.
        hint: what to type or change next; empty when the message already says it.
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        if len(message) > _LONGEST:  # it may quote what somebody made too long to be read
            message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 2 :]}"
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(VenvctlError):
    """The command line can't mean anything: an unknown environment, a missing argument."""

    code = "usage"
    exit_code = ExitCode.USAGE


class EngineUnreachableError(VenvctlError):
    """No Docker Engine answers, or it went away in the middle of a call."""

    code = "engine-unreachable"
    exit_code = ExitCode.UNREACHABLE


class DaemonUnreachableError(VenvctlError):
    """No daemon answers on the control socket, or it went away in the middle of a call."""

    code = "daemon-unreachable"
    exit_code = ExitCode.UNREACHABLE


class StoppedError(DaemonUnreachableError):
    """The daemon is being stopped, and the work with it; nothing is lost by it."""

    code = "daemon-stopping"


class ForbiddenError(VenvctlError):
    """The daemon does not take this from the user at the other end of its socket."""

    code = "forbidden"


class EngineError(VenvctlError):
    """The Docker Engine answered, and refused."""

    code = "engine-refused"


class RolloutWaitsError(EngineError):
    """The engine did not do to a container what a rollout asked; the rollout is not over."""

    code = "rollout-waits"


class ComposeError(VenvctlError):
    """`docker compose` is missing or ended with an error of its own."""

    code = "compose-failed"


class ConfigurationError(VenvctlError):
    """A label, a compose file or an environment's specification can't be used."""

    code = "configuration-invalid"
    exit_code = ExitCode.INVALID


class NoProjectError(ConfigurationError):
    """No compose file is in the directory, or above it."""

    code = "project-missing"


class LockError(VenvctlError):
    """A lockfile can't be used: missing, malformed, unpinned, for another Python."""

    code = "lock-invalid"
    exit_code = ExitCode.INVALID


class LockChangedError(LockError):
    """A lockfile has no longer what was found to be at rest in it: somebody is saving it."""

    code = "lock-changed"


class TargetError(VenvctlError):
    """An image has no usable interpreter, or the services of one environment disagree."""

    code = "target-invalid"
    exit_code = ExitCode.INVALID


class VolumeConflictError(VenvctlError):
    """A volume of the environment's name exists and is not this root's."""

    code = "volume-conflict"
    exit_code = ExitCode.INVALID


class SelectionError(VenvctlError):
    """The lock has no file for this target, or more than one answer."""

    code = "selection-failed"
    exit_code = ExitCode.INVALID


class BuildsDeniedError(VenvctlError):
    """Packages that only come as source, where building is not allowed."""

    code = "builds-denied"
    exit_code = ExitCode.INVALID


class BuildError(VenvctlError):
    """An allowed build of a source distribution failed."""

    code = "build-failed"
    exit_code = ExitCode.UNAVAILABLE


class UnavailableError(VenvctlError):
    """Files that neither the store nor an index can give."""

    code = "file-unavailable"
    exit_code = ExitCode.UNAVAILABLE


class IntegrityError(VenvctlError):
    """Content is not what its hash, RECORD or seal says."""

    code = "integrity-violated"
    exit_code = ExitCode.INTEGRITY


class ChangedFileError(IntegrityError):
    """The index serves another file than the one recorded at the first sync."""

    code = "index-file-changed"


class CorruptFileError(IntegrityError):
    """Files of the store are no longer what they are kept under; they have been set aside."""

    code = "store-corrupt"


class HostileWheelError(IntegrityError):
    """A wheel that must not be unpacked: its names, sizes or reserved files."""

    code = "wheel-refused"


class HostileArchiveError(IntegrityError):
    """A snapshot's archive that must not be imported: its members, texts, or their hashes."""

    code = "archive-refused"


class FileConflictError(VenvctlError):
    """Two wheels own one path with different content, and the label asks for an error."""

    code = "file-conflict"
    exit_code = ExitCode.INVALID


class RootError(VenvctlError):
    """The root directory can't be used: permissions, file system, foreign owner."""

    code = "root-unusable"


class DiskFullError(VenvctlError):
    """A write failed because the file system or quota is full."""

    code = "disk-full"


class BusyError(VenvctlError):
    """Somebody else holds the environment's or the root's lock."""

    code = "busy"
    exit_code = ExitCode.BUSY


class SmokeError(VenvctlError):
    """What the label `venvctl.smoke` asks for did not pass, so there was no switch."""

    code = "smoke-failed"


class AuditError(VenvctlError):
    """`audit --strict` found something that a person should look at."""

    code = "audit-findings"


class RolloutFailedError(VenvctlError):
    """The containers could not be brought onto a generation, and are back on the old one."""

    code = "rollout-rolled-back"
    exit_code = ExitCode.ROLLED_BACK


class RolloutStuckError(VenvctlError):
    """The containers could be brought neither onto the new generation nor back."""

    code = "rollout-failed"
    exit_code = ExitCode.NOT_ROLLED_BACK
