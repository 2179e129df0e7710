"""The API of a real daemon held against its own OpenAPI document by schemathesis.

`make test` sends a few requests for each operation, another few each time; API_EXAMPLES more.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from docker.transport import UnixHTTPAdapter
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from stage import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis.schemas import APIOperation

    from world import World

pytestmark = pytest.mark.engine

_EXAMPLES = int(os.environ.get("API_EXAMPLES", "12"))
_URL = "http://localhost"
_SECONDS = 60.0
_CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
)


@pytest.fixture
def session(world: World) -> Iterator[requests.Session]:
    """Speaks to a daemon that follows one environment."""
    world.write_lock(world.wheel("alpha", "1.0"))
    world.sync()
    # A Unix socket's path has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="vt-api-") as name, requests.Session() as session:
        folder = Path(name)
        socket = folder / "control.sock"
        variables = {"VENVCTL_ROOT": str(world.root.path), "VENVCTL_SOCKET": str(socket)}
        daemon = Daemon(folder=folder, variables=variables)
        daemon.start()
        # The Docker SDK's way to send requests over a Unix socket.
        session.mount(_URL, UnixHTTPAdapter(f"http+unix://{socket}", timeout=_SECONDS))
        yield session
        daemon.stop()


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_one_that_the_document_describes(
    session: requests.Session, world: World, mode: GenerationMode
) -> None:
    document = session.get(f"{_URL}/v1/openapi.json").json()
    # Else next to no request would be about something that exists.
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter.get("name") == "name":
                    parameter["examples"] = {"known": {"value": world.name}}
    schema = schemathesis.openapi.from_dict(document)
    tried = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if operation.path == "/v1/events":
            continue  # it never ends by itself; `test_daemon_api.py` reads it
        try:
            _try(operation, session, mode)
        except Unsatisfiable:
            continue  # it takes nothing that could be wrong
        tried += 1
    assert tried > (10 if mode is GenerationMode.POSITIVE else 5)


def _try(
    operation: APIOperation[Any, Any, Any, Any], session: requests.Session, mode: GenerationMode
) -> None:
    checks = list(_CHECKS)
    if mode is GenerationMode.NEGATIVE:
        # What the document does not allow is refused, not taken for something else.
        checks.append(negative_data_rejection)

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case[Any]) -> None:
        response = case.call(base_url=_URL, session=session, timeout=_SECONDS)
        case.validate_response(response, checks=checks)

    send()
