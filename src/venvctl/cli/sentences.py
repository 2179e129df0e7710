"""What happened to an environment, in sentences; shared by the verbs that change one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl.cli.answer import Line, Tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from venvctl.rollout import StepResult
    from venvctl.sync import SyncResult

# More changes than these are counted, not listed.
_LISTED = 20
_MINUTE = 60.0


def describe_sync(result: SyncResult) -> tuple[Line, ...]:
    """What a sync did, or would do."""
    lines = [_headline(result)]
    lines += [Line(f"because {reason}", Tone.QUIET, 1) for reason in result.reasons]
    if result.dry_run:
        lines += [Line(change, indent=1) for change in result.changes]
    elif result.previous:
        lines += describe_changes(result.changes)
    elif result.changes:
        # All of them are new.
        lines.append(Line(count(len(result.changes), "package"), indent=1))
    if result.missing:
        lines.append(Line(f"{count(len(result.missing), 'file')} to fetch:", indent=1))
        lines += [Line(file, indent=2) for file in result.missing]
    if work := _work(result):
        lines.append(Line(work, Tone.QUIET, 1))
    lines += describe_steps(result.steps)
    if result.dry_run:
        # Part of the answer: not shown while it looked.
        lines += [Line(f"warning: {warning}", indent=1) for warning in result.warnings]
    return tuple(lines)


def describe_changes(changes: Sequence[str]) -> list[Line]:
    """The packages that differ; only counted where there are many."""
    if len(changes) > _LISTED:
        return [Line(f"{count(len(changes), 'package')} differ", indent=1)]
    return [Line(change, indent=1) for change in changes]


def describe_steps(steps: Iterable[StepResult]) -> list[Line]:
    """What happened to each container."""
    lines = []
    for step in steps:
        took = f" in {duration(step.seconds)}" if step.outcome == "done" else ""
        what = f"{step.name}: {step.action}, {step.outcome}{took} ({step.because})"
        lines.append(Line(what, Tone.BAD if step.outcome == "failed" else Tone.PLAIN, 1))
    return lines


def count(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def to_the_second(time: str) -> str:
    """A time (RFC 3339, UTC) without its fraction; empty if it is."""
    return time.partition(".")[0].removesuffix("Z") + "Z" if time else ""


def duration(seconds: float) -> str:
    """``0.42 s``, ``1 m 5 s``."""
    if seconds < _MINUTE:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} m {rest} s"


def _headline(result: SyncResult) -> Line:
    name, number = result.environment, result.generation
    if result.dry_run:
        current = f"generation {number} is current" if number else "it has no generation yet"
        words = {
            "nothing": f"would do nothing: {result.because}",
            "keep": f"would keep generation {number}: {result.because}",
            "hold": f"would stay on generation {number}: {result.because}",
            "reuse": f"would switch to a generation that is there ({current})",
            "build": f"would make a generation ({current})",
        }[result.action]
        return Line(f"{name}: {words}", Tone.TITLE)
    tone = {"nothing": Tone.PLAIN, "hold": Tone.TITLE}.get(result.action, Tone.GOOD)
    return Line(f"{name}: {result.outcome}", tone)


def _work(result: SyncResult) -> str:
    """What it took: files, builds, and the time of each step."""
    parts = []
    if result.fetched:
        parts.append(f"{count(result.fetched, 'file')} fetched")
    if result.built:
        parts.append(f"{count(result.built, 'package')} built")
    if result.volume_created:
        parts.append("volume made")
    total = sum(result.seconds.values())
    if total:
        slow = {step: took for step, took in result.seconds.items() if took >= 0.05}  # noqa: PLR2004 - seconds that a person notices
        each = ", ".join(f"{step} {duration(took)}" for step, took in slow.items())
        parts.append(f"{duration(total)}" + (f" ({each})" if each else ""))
    return ", ".join(parts)
