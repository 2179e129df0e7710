"""What a request that is over is answered with: a result, or an error and its HTTP status."""

from __future__ import annotations

import dataclasses

from venvctl import envelope
from venvctl.daemon.server import Response
from venvctl.errors import ExitCode, ForbiddenError, StoppedError, UsageError, VenvctlError

_STATUS = {
    ExitCode.USAGE: 400,
    ExitCode.UNREACHABLE: 503,
    ExitCode.INVALID: 422,
    ExitCode.UNAVAILABLE: 502,
    ExitCode.BUSY: 409,
}


class UnknownError(UsageError):
    """There is no such resource."""


class MismatchError(UsageError):
    """The body is of another resource than the path."""


class MethodError(UsageError):
    """The resource does not know this method.

    Args:
        allowed: the methods that it knows.
    """

    def __init__(self, message: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


def success(command: str, data: object) -> Response:
    """What a command gave."""
    return Response.of(envelope.success(command, data))


def failure(command: str, error: VenvctlError) -> Response:
    """What a command failed with."""
    response = Response.of(envelope.failure(command, error), status=_status(error))
    if isinstance(error, MethodError):
        # RFC 9110, 15.5.6: the server MUST say which there are.
        return dataclasses.replace(response, headers={"allow": ", ".join(error.allowed)})
    return response


def _status(error: VenvctlError) -> int:
    match error:
        case ForbiddenError():
            return 403
        case UnknownError():
            return 404
        case MethodError():
            return 405
        case MismatchError():
            return 409
        case StoppedError():
            return 503
        case _:
            return _STATUS.get(error.exit_code, 500)
