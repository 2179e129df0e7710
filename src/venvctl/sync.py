"""The road of a lockfile: lock, selection, snapshot, generation, switch, rollout.

Everything before the switch can fail without a container noticing. Nothing in a later step reaches
back to an earlier one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from venvctl import changeover, interpreters, lockfiles, plan, survey, timestamps, volumes
from venvctl.environments import Event
from venvctl.errors import (
    LockChangedError,
    RolloutFailedError,
    RolloutStuckError,
    RolloutWaitsError,
    VenvctlError,
)
from venvctl.lockfiles import Recording
from venvctl.origin import Origin
from venvctl.plan import Action
from venvctl.progress import Silent
from venvctl.stopwatch import Stopwatch
from venvctl.survey import Look, SyncOptions, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from venvctl.environments import Environment, Generation
    from venvctl.lockfiles import Lock
    from venvctl.progress import Progress
    from venvctl.registration import Registration
    from venvctl.rollout import StepResult
    from venvctl.root import Root
    from venvctl.selection import SelectedFile

__all__ = ["SyncOptions", "SyncResult", "outstanding", "sync", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What a sync did, or with `dry_run` would do.

    Attributes:
        environment: its name.
        action: what was decided. because: why it was this.
        reasons: why anything was looked at; every one.
        key: what the lock means; empty when nothing was looked at.
        generation: number of the current one afterwards, 0 if there is none. previous: before.
        changes: packages that differ between the two.
        fetched: how many files were fetched. built: how many packages came from source.
        missing: files that would have to be fetched (dry run only).
        volume_created: whether the engine was given the volume now.
        warnings: sentences for a person.
        steps: what happened to each container.
        seconds: how long each step of the road took, by its name.
    """

    environment: str
    action: Action
    because: str
    reasons: tuple[str, ...] = ()
    key: str = ""
    generation: int = 0
    previous: int = 0
    changes: tuple[str, ...] = ()
    fetched: int = 0
    built: int = 0
    missing: tuple[str, ...] = ()
    volume_created: bool = False
    warnings: tuple[str, ...] = ()
    steps: tuple[StepResult, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def outcome(self) -> str:
        """What it came to, in words for a person; not of a dry run."""
        match self.action:
            case Action.NOTHING:
                return f"nothing to do, generation {self.generation} is current"
            case Action.KEEP:
                return f"generation {self.generation} stays current, {self.because}"
            case Action.HOLD:
                return (
                    f"generation {self.generation} stays current, what the lock selects is held: "
                    f"{self.because}"
                )
        verb = "made" if self.action is Action.BUILD else "taken again"
        was = f", in place of {self.previous}" if self.previous else ""
        return f"generation {self.generation} {verb} and current{was}"


def sync(
    registration: Registration, root: Root, options: SyncOptions, progress: Progress
) -> SyncResult:
    """Bring one environment to what its lock says, and its containers with it.

    Args:
        registration: what its owner asks for.
        root: where it is kept.
        options: how to go about it.
        progress: told of each step.

    Raises:
        VenvctlError: any of them. One raised before the switch has changed nothing that a
            container sees; `RolloutStuckError` comes after it.
    """
    work = Work(
        registration=registration,
        root=root,
        environment=root.environment(registration.name),
        options=options,
        watch=Stopwatch(progress, warns=not options.dry_run),
        read=Recording(options.read_bytes),
    )
    look = survey.look(work)
    if not look.reasons and (options.dry_run or not look.state.error_files):
        root.recover()
        return _nothing(work, look)
    if options.dry_run:
        return _preview(work, look)
    with root.working():
        root.registry.claim(registration)
        with work.environment.writing(wait=options.wait):
            look = survey.look(work)  # another writer may have done it while this one waited
            if not look.reasons:
                _forget_failure(work, look)
                return _nothing(work, look)
            try:
                return _walk(work, look)
            except (RolloutFailedError, RolloutStuckError, LockChangedError):
                raise  # the rollout has told its story already; a save is none
            except VenvctlError as error:
                _note_failure(work, look, error)
                raise


def outstanding(
    registration: Registration,
    root: Root,
    read_bytes: Callable[[Path], bytes] = lockfiles.read_file,
) -> tuple[str, ...]:
    """Every reason why a sync would look at anything now; none means that nothing is to do.

    Raises:
        VenvctlError: what a sync would fail with at once.
    """
    return _glance(registration, root, read_bytes)[1].reasons


def unchanged(registration: Registration, root: Root) -> SyncResult | None:
    """What a sync would give that has nothing to do; None if it has.

    Raises:
        VenvctlError: as `outstanding`.
    """
    work, look = _glance(registration, root)
    return None if look.reasons or look.state.error_files else _nothing(work, look)


def _glance(
    registration: Registration,
    root: Root,
    read_bytes: Callable[[Path], bytes] = lockfiles.read_file,
) -> tuple[Work, Look]:
    work = Work(
        registration=registration,
        root=root,
        environment=root.environment(registration.name),
        options=SyncOptions(),
        watch=Stopwatch(Silent()),
        read=Recording(read_bytes),
    )
    return work, survey.look(work)


def _walk(work: Work, look: Look) -> SyncResult:
    """The road itself."""
    from venvctl.preparation import Preparation  # noqa: PLC0415 - not where nothing is to do

    watch = work.watch
    changeover.note_switch(work.environment)
    with watch("lock"):
        lock = survey.read_lock(work)
    with watch("target"):
        target, said = survey.identify(work, look, lock)
    with watch("selection"):
        selection = survey.select(work, lock, target, said)
    wanted = survey.key(work, selection, target)
    decision = survey.decide(work, look, wanted)
    generation = _present(work, look, decision.action, wanted)
    changes: tuple[str, ...] = ()
    fetched = built = 0
    if generation is None or generation != look.current:
        with Preparation(work, look, target) as preparation:
            if generation is None:
                with watch("snapshot"):
                    snapshot = preparation.snapshot(lock, selection, wanted)
                with watch("generation"):
                    generation = preparation.generation(snapshot)
            with watch("smoke"):
                preparation.attempt(generation)
            changes = plan.differences(preparation.before, preparation.after(generation))
            fetched, built = preparation.fetched, preparation.built

    waits = look.state.pending or look.state.switching
    if generation != look.current or not look.has_volume or waits:
        interpreters.check_holders(
            work.registration, work.root, target, recreated=work.options.recreated
        )
    if generation != look.current:
        with watch("switch"):
            changeover.switch(
                work.registration, generation, work.root, restart=work.options.restart
            )
    else:
        changeover.note_current(work.registration, generation, work.root)
    created = volumes.ensure(work.root.engine, work.environment, work.registration.labels)
    _remember(work, look, lock, hold=decision.action is Action.HOLD)
    result = SyncResult(
        environment=work.environment.name,
        action=decision.action,
        because=decision.because,
        reasons=look.reasons,
        key=wanted,
        generation=generation.number,
        previous=look.number,
        changes=changes,
        fetched=fetched,
        built=built,
        volume_created=created,
        warnings=tuple(watch.warnings),
    )
    # While a rollout waits, each attempt to go on is no news.
    if look.reasons != (survey.INTERRUPTED,) or not _waited(work.environment):
        _record(work, result)
    steps: tuple[StepResult, ...] = ()
    if work.options.restart and not work.options.defer_rollout:
        with watch("rollout"):
            steps = changeover.finish(work.environment, work.root, watch)
    return dataclasses.replace(result, steps=steps, seconds=dict(watch.seconds))


def _present(work: Work, look: Look, action: Action, wanted: str) -> Generation | None:
    """The generation to end on, where it is there already; None where it has to be made."""
    if action in {Action.HOLD, Action.KEEP}:
        return look.current
    return work.environment.with_key(wanted) if action is Action.REUSE else None


def _remember(work: Work, look: Look, lock: Lock, *, hold: bool) -> None:
    """Write down what was seen: the next sync compares with it."""
    state = work.environment.state()
    work.environment.save_state(
        dataclasses.replace(
            state,
            inputs=survey.inputs(work, lock.digests, look.images),
            held=state.held if hold else {},
            error="",
            error_files=(),
        )
    )


def _record(work: Work, result: SyncResult) -> None:
    """One line of history for each sync that looked at anything."""
    work.environment.record(
        Event(
            time=timestamps.now(),
            kind="sync",
            generation=result.generation,
            key=result.key,
            previous=result.previous,
            reasons=result.reasons,
            changes=result.changes,
            notes=(f"{result.action}: {result.because}", *result.warnings),
            files=tuple(work.read.paths),
        )
    )


def _forget_failure(work: Work, look: Look) -> None:
    """What a sync failed with was taken back, e.g. a lock that is again what it was."""
    # A rollout's failure has no files, and stays told until a sync makes something else of it.
    if look.state.error_files:
        work.environment.save_state(dataclasses.replace(look.state, error="", error_files=()))


def _note_failure(work: Work, look: Look, error: VenvctlError) -> None:
    """Keep why it failed for `status` and `history`; the disk may be what failed."""
    environment, files = work.environment, tuple(work.read.paths)
    try:
        changeover.note_switch(environment)
        environment.save_state(
            dataclasses.replace(environment.state(), error=error.message, error_files=files)
        )
        if isinstance(error, RolloutWaitsError) and _waited(environment):
            return
        environment.record(
            Event(
                time=timestamps.now(),
                kind="failure",
                generation=environment.number,
                reasons=look.reasons,
                notes=(f"{error.code}: {error.message}",),
                files=files,
            )
        )
    except VenvctlError:
        return  # the first error is the one to tell


def _waited(environment: Environment) -> bool:
    """Whether the last thing that happened is that a rollout had to wait."""
    last = environment.history()[-1:]
    return any(note.startswith(RolloutWaitsError.code) for each in last for note in each.notes)


def _nothing(work: Work, look: Look) -> SyncResult:
    return SyncResult(
        environment=work.environment.name,
        action=Action.NOTHING,
        because="nothing changed since the last sync",
        generation=look.number,
        previous=look.number,
    )


def _preview(work: Work, look: Look) -> SyncResult:
    """What a sync would do, as far as it can be told without doing it."""
    lock = survey.read_lock(work)
    target, said = survey.identify(work, look, lock)
    selection = survey.select(work, lock, target, said)
    wanted = survey.key(work, selection, target)
    decision = survey.decide(work, look, wanted)
    changes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    if decision.action in {Action.BUILD, Action.REUSE}:
        changes = plan.differences(
            survey.files(work, look.current), [_as_origin(file) for file in selection.files]
        )
        fetchable = [file for file in selection.files if file.kind != "vcs"]
        missing = tuple(file.file for file in work.root.store.missing(fetchable))
    return SyncResult(
        environment=work.environment.name,
        action=decision.action,
        because=decision.because,
        reasons=look.reasons,
        key=wanted,
        generation=look.number,
        previous=look.number,
        changes=changes,
        missing=missing,
        warnings=tuple(work.watch.warnings),
        dry_run=True,
    )


def _as_origin(file: SelectedFile) -> Origin:
    return Origin(name=file.name, version=file.version, file=file.file, sha256=file.sha256)
