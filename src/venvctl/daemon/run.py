"""The daemon from its start to its end: lock, socket, signals, service."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from venvctl.daemon.api import Api
from venvctl.daemon.endpoint import listening, sole
from venvctl.daemon.notify import Notifier, passed_socket
from venvctl.daemon.server import Server
from venvctl.daemon.service import Service

if TYPE_CHECKING:
    from types import FrameType

    from venvctl.daemon.feed import Feed
    from venvctl.root import Root

_log = logging.getLogger("venvctl.daemon")
_LEVELS = {
    "failed": logging.ERROR,
    "missing": logging.WARNING,
    "warning": logging.WARNING,
    "watcher": logging.WARNING,
    "stage": logging.DEBUG,
}


def run(root: Root) -> None:
    """Follow every registered environment of a root until a signal ends it.

    Raises:
        BusyError: another daemon has the root, or the control socket.
        RootError: the root or the socket can't be used.
    """
    root.create()
    notifier = Notifier()
    passed = passed_socket()
    with sole(root.path), listening(passed) as listener:
        service = Service(root, notifier)
        _handle_signals(service)
        group = os.stat(listener.getsockname()).st_gid  # noqa: PTH116 - a socket's own name
        server = Server(listener, Api(service, group=group).answer)
        threading.Thread(target=_log_all, args=(service.feed,), name="log", daemon=True).start()
        server.start()
        try:
            ended = service.run()
        finally:
            server.close()
    if not ended:
        # Threads are in the middle of something that does not end in time. Whatever it is, it is
        # as safe as after a crash; waiting for them, as the interpreter would, is not an option.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _handle_signals(service: Service) -> None:
    """SIGTERM and SIGINT end it, SIGHUP reads the registrations again."""

    def end(_number: int, _frame: FrameType | None) -> None:
        service.stop()

    def again(_number: int, _frame: FrameType | None) -> None:
        service.reload()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, again)


def _log_all(feed: Feed) -> None:
    """Write what happens to the log."""
    with feed.listening(after=0) as listener:
        while (happening := listener.next(timeout=None)) is not None:
            level = _LEVELS.get(happening.kind, logging.INFO)
            _log.log(level, "%s", happening.message, extra={"happening": happening})
