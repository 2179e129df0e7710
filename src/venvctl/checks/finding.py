"""What a check found, and what to type about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a finding is meant.

    Attributes:
        OK: as it should be.
        WARNING: works now, and will bite.
        PROBLEM: something does not work.
    """

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: of the check, e.g. ``hard links``; stable, for programs.
        status: how it is meant.
        found: what was found, in a sentence with the value and the place in it.
        advice: what to type or change; empty where nothing is to be done.
    """

    name: str
    status: Status
    found: str
    advice: str = ""


def ok(name: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(name=name, status=Status.OK, found=found)


def warning(name: str, found: str, advice: str) -> Finding:
    """It works now, and will bite."""
    return Finding(name=name, status=Status.WARNING, found=found, advice=advice)


def problem(name: str, found: str, advice: str) -> Finding:
    """Something does not work."""
    return Finding(name=name, status=Status.PROBLEM, found=found, advice=advice)
