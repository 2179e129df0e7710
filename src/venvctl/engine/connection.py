"""The Docker SDK's clients, each for one request at a time, and their errors in our words."""

from __future__ import annotations

import json
import socket
import weakref
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import requests.exceptions
import urllib3.exceptions
from docker.api.client import APIClient
from docker.errors import APIError, DockerException, NullResource

from venvctl.errors import EngineError, EngineUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds until an answer that does not wait for a container must have begun.
PATIENCE = 60.0


class Connection:
    """Talks to one engine from any number of threads.

    Args:
        endpoint: URL of the engine's Unix socket.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        # A client is a session and its settings, which no two threads may use at once.
        self._idle: deque[Any] = deque()
        self._api_version = "auto"
        # Sockets are closed with the connection, or at the latest when nobody holds it any more.
        self.close = weakref.finalize(self, _close, self._idle)

    @contextmanager
    def asking(self, what: str, *, patience: float | None = PATIENCE) -> Iterator[Any]:
        """Lend an SDK client, and rename whatever it raises.

        Args:
            what: the request, to follow "refused to".
            patience: seconds until the engine must have begun to answer; None waits for ever.

        Raises:
            EngineUnreachableError: no answer, or it broke off.
            EngineError: the engine refused, with its own words.
        """
        client = None
        responses: list[Any] = []
        try:
            # The SDK leaks a socket for each connection that is refused, so that is found out here.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.endpoint.removeprefix("unix://"))
            client = self._take()
            client.timeout = patience
            client.hooks["response"] = [lambda response, **_: responses.append(response)]
            yield client
        except APIError as error:
            words = str(error.explanation or error).strip().rstrip(".")
            raise EngineError(f"The Docker Engine refused to {what}: {words}.") from error
        except NullResource as error:
            raise EngineError(f"The Docker Engine can't {what}: the name is empty.") from error
        except (
            DockerException,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            json.JSONDecodeError,
            OSError,
        ) as error:
            raise self._unreachable(what, error) from error
        finally:
            # The SDK leaves open what it would have streamed, and what was not read to its end.
            for response in responses:
                with suppress(OSError):
                    response.close()
            if client is not None:
                # The SDK keeps a pool of connections for each path that was asked for, 25 of them
                # whatever `num_pools` says; a client goes on to work after it is closed.
                client.close()
                self._idle.append(client)

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            client = APIClient(base_url=self.endpoint, version=self._api_version, timeout=PATIENCE)
            # Later ones need not negotiate again.
            self._api_version = client.api_version
            return client

    def _unreachable(self, what: str, error: BaseException) -> EngineUnreachableError:
        cause = _operating_system_error(error)
        late = isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error)
        if isinstance(cause, PermissionError):
            hint = "Run as root, or add this user to the group that owns the socket (`docker`)."
        else:
            hint = "Start it (`systemctl start docker`), or set DOCKER_HOST to its socket."
        if late:
            reason = "it took too long"
        else:
            reason = (cause.strerror or str(cause)) if cause else str(error).strip().rstrip(".")
        return EngineUnreachableError(
            f"The Docker Engine at {self.endpoint} did not answer when asked to {what}: {reason}.",
            hint=hint,
        )


def _close(idle: deque[Any]) -> None:
    while idle:
        with suppress(OSError):
            idle.pop().close()


def _operating_system_error(error: BaseException) -> OSError | None:
    """The operating system's own error below the layers of SDK, requests and urllib3."""
    seen: set[int] = set()
    pending: list[BaseException] = [error]
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        # requests' own exceptions are OSErrors too, without a number.
        if isinstance(current, OSError) and current.errno is not None:
            return current
        pending += [argument for argument in current.args if isinstance(argument, BaseException)]
        pending += [below for below in (current.__cause__, current.__context__) if below]
    return None
