"""What the daemon's log looks like, for a person, for a program and for journald."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from console import COMMAND, environment
from venvctl.cli import logformat
from venvctl.cli.logformat import LogFormat
from venvctl.daemon.feed import Happening

if TYPE_CHECKING:
    from pathlib import Path

HAPPENING = Happening(
    number=1,
    time="2026-01-01T00:00:00.000000Z",
    kind="failed",
    environment="shop_venv",
    message="shop_venv: no\nand more \x1b[31m",
    detail={"code": "lock-invalid"},
)


def record(**more: object) -> logging.LogRecord:
    fields = {"msg": HAPPENING.message, "levelno": logging.ERROR, "levelname": "ERROR", **more}
    return logging.makeLogRecord(fields)


def test_a_message_can_forge_no_line_and_no_colour() -> None:
    formatter = logformat._Text()
    formatter.shows_level = True

    assert formatter.format(record()) == "ERROR shop_venv: no\n  and more \\x1b[31m"


def test_an_object_has_the_fields_of_what_happened() -> None:
    assert json.loads(logformat._Json().format(record(happening=HAPPENING))) == {
        "time": "2026-01-01T00:00:00.000000Z",
        "level": "error",
        "message": HAPPENING.message,
        "kind": "failed",
        "environment": "shop_venv",
        "detail": {"code": "lock-invalid"},
    }


def test_a_defect_has_its_traceback_in_the_object() -> None:
    error = RuntimeError("broken")
    broken = record(exc_info=(type(error), error, None))

    document = json.loads(logformat._Json().format(broken))

    assert document["traceback"].endswith("RuntimeError: broken")
    assert document["time"].endswith("Z")


def test_every_line_for_journald_has_its_level() -> None:
    formatter = logformat._Journal(logformat._Text())

    assert formatter.format(record()) == "<3>shop_venv: no\n<3>  and more \\x1b[31m"


@pytest.mark.parametrize("chosen", list(LogFormat))
@pytest.mark.parametrize("is_journal", [False, True])
def test_a_daemon_logs_as_it_is_told(
    tmp_path: Path, chosen: LogFormat, *, is_journal: bool
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stream:
        status = os.fstat(stream.fileno())
        inode = status.st_ino if is_journal else 0
        process = subprocess.Popen(
            [*COMMAND, "daemon", "--log-format", str(chosen)],
            env=environment(
                VENVCTL_ROOT=str(tmp_path / "root"),
                VENVCTL_SOCKET=str(tmp_path / "control.sock"),
                DOCKER_HOST=f"unix://{tmp_path}/no-engine.sock",
                JOURNAL_STREAM=f"{status.st_dev}:{inode}",
            ),
            stderr=stream,
        )
    try:
        deadline = time.monotonic() + 60
        while b"Following 0 environments" not in log.read_bytes():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()

    line = next(line for line in log.read_text().splitlines() if "Following" in line)
    if is_journal:
        assert line.startswith("<6>")
        line = line.removeprefix("<6>")
    if chosen is LogFormat.JSON:
        document = json.loads(line)
        assert (document["kind"], document["level"]) == ("daemon", "info")
        line = document["message"]
    elif not is_journal:
        line = line.removeprefix("INFO ")
    assert line == "Following 0 environments."
