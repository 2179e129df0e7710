"""Answers that take their time: an order's progress and outcome, and the daemon's events."""

from __future__ import annotations

import json
import queue
from typing import TYPE_CHECKING

from venvctl import envelope
from venvctl.daemon.orders import Advance, Finished, Order, Stage, Warned
from venvctl.daemon.responses import failure, success
from venvctl.daemon.server import LINES, Request, Response
from venvctl.errors import VenvctlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.daemon.service import Service
    from venvctl.daemon.views import View

_SILENCE = 5.0  # seconds after which a stream looks whether anybody still reads it


def ordered(service: Service, request: Request, name: str, order: Order) -> Response:
    """Have an order done; its progress as lines where they are asked for, its outcome last."""
    service.order(name, order)
    if LINES in request.accept:
        return Response(content_type=LINES, body=_progress_lines(order))
    for step in order.steps(_SILENCE):
        if isinstance(step, Finished):
            if isinstance(step.outcome, VenvctlError):
                return failure(order.command, step.outcome)
            return success(order.command, step.outcome)
    raise AssertionError("an order ends with its outcome")


def events(service: Service, view: View, after: int) -> Response:
    """What happened after an event of that number, and what happens, as lines; never ends."""
    return Response(content_type=LINES, body=_event_lines(service, view, after))


def _progress_lines(order: Order) -> Iterator[bytes]:
    try:
        for step in order.steps(_SILENCE):
            match step:
                case None:
                    yield _line({"advance": 0})  # so that who waits knows that we are there
                case Stage():
                    yield _line({"stage": envelope.plain(step)})
                case Advance():
                    yield _line({"advance": step.amount})
                case Warned():
                    yield _line({"warning": step.message})
                case Finished(VenvctlError() as error):
                    yield _line(envelope.failure(order.command, error))
                case Finished(outcome):
                    yield _line(envelope.success(order.command, outcome))
    finally:
        order.abandon()


def _event_lines(service: Service, view: View, after: int) -> Iterator[bytes]:
    with service.feed.listening(after=after) as listener:
        while True:
            try:
                happening = listener.next(_SILENCE)
            except queue.Empty:
                yield b""
                continue
            if happening is None:
                return
            yield _line(view.happening(happening))


def _line(document: object) -> bytes:
    return json.dumps(document).encode() + b"\n"
