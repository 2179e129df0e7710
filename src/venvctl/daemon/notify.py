"""What systemd and the daemon tell each other: sd_notify, the watchdog, socket activation."""

from __future__ import annotations

import os
import socket
import time

_FIRST_PASSED = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START


class Notifier:
    """Tells systemd (sd_notify(3)); does nothing where nobody listens."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        limit = os.environ.pop("WATCHDOG_USEC", "")
        meant = os.environ.pop("WATCHDOG_PID", "") in {"", str(os.getpid())}
        # Half of the limit, as sd_watchdog_enabled(3) recommends.
        self.interval = int(limit) / 2e6 if meant and limit.isdigit() and int(limit) else None
        self._fed = 0.0
        self._status = ""

    def ready(self) -> None:
        """It works now."""
        self._send("READY=1")

    def reloading(self) -> None:
        """It reads its registrations again; `ready` ends that."""
        # Type=notify-reload wants to know when.
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """It ends."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """What it does now, in a line."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def feed(self) -> None:
        """The work loop goes round; told to the watchdog when it is time."""
        now = time.monotonic()
        if self.interval is not None and now - self._fed >= self.interval / 2:
            self._fed = now
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.connect(address)
                sender.sendall(text.encode())
        except OSError:
            return  # it is news, and nobody may want it


def passed_socket() -> socket.socket | None:
    """The listening socket that systemd made before us (sd_listen_fds(3)); None without one."""
    count, pid = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit() or int(count) < 1:
        return None
    passed = socket.socket(fileno=_FIRST_PASSED)
    passed.set_inheritable(False)
    return passed
