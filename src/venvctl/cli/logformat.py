"""How the daemon's log looks: lines for a person, for journald, or JSON for a program."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

from venvctl.cli.render import harmless
from venvctl.daemon.feed import Happening

# As sd-daemon(3) has them: err, warning, info, debug.
_PRIORITIES = {logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
_MOST_URGENT = 2  # crit


class LogFormat(StrEnum):
    """What a line of the log is.

    Attributes:
        TEXT: level and message. JSON: an object with the event's fields.
    """

    TEXT = "text"
    JSON = "json"


def start(chosen: LogFormat, *, verbose: bool) -> None:
    """Log to stderr from now on.

    Args:
        chosen: what a line is. Where stderr is journald's, its level stands before it.
        verbose: every stage of the work, too.
    """
    handler = logging.StreamHandler(sys.stderr)
    formatter = _Json() if chosen is LogFormat.JSON else _Text()
    journal = _is_journal(sys.stderr, os.environ.get("JOURNAL_STREAM", ""))
    handler.setFormatter(_Journal(formatter) if journal else formatter)
    if chosen is LogFormat.TEXT and not journal:
        formatter.shows_level = True
    logging.getLogger().addHandler(handler)
    # Other libraries' own debugging is not what was asked for.
    logging.getLogger("venvctl").setLevel(logging.DEBUG if verbose else logging.INFO)


def _is_journal(stream: TextIO, said: str) -> bool:
    """Whether a stream is the one that systemd connected to the journal.

    systemd.exec(5), $JOURNAL_STREAM: device and inode number, with a colon between them.
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return said == f"{status.st_dev}:{status.st_ino}"


class _Text(logging.Formatter):
    """A message, set in after its first line; what comes from others can't forge a line."""

    shows_level = False

    def format(self, record: logging.LogRecord) -> str:
        text = harmless(super().format(record)).replace("\n", "\n  ")
        return f"{record.levelname} {text}" if self.shows_level else text


class _Json(_Text):
    """An object on a line: time, level, message, and the fields of what happened."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        document: dict[str, object] = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        happening = getattr(record, "happening", None)
        if isinstance(happening, Happening):
            document |= {
                "time": happening.time,
                "kind": happening.kind,
                "environment": happening.environment,
                "detail": dict(happening.detail),
            }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document)


class _Journal(logging.Formatter):
    """What another formatter makes, with its level before each line: sd-daemon(3)."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, _MOST_URGENT)}>"
        return "\n".join(prefix + line for line in self._inner.format(record).split("\n"))
