"""Looks at the small files of a root, and writes anew what something else still says.

Wheels, trees, generations and snapshots are looked at by `examination`. All other files are here,
but for locks and notes, which are empty, and answers, which nobody misses.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import buildsystem, disk, pinstore, stamp
from venvctl.checksums import MISSING, Finding
from venvctl.environments import HISTORY, STATE
from venvctl.errors import VenvctlError
from venvctl.registration import READER, REGISTRATION, read_project, read_uid
from venvctl.snapshots import Use
from venvctl.state import State, recorded_history
from venvctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from venvctl.environments import Environment
    from venvctl.progress import Progress
    from venvctl.root import Root

_FAULTS = (
    *(VenvctlError, OSError, ValueError, KeyError, TypeError),
    *(AttributeError, OverflowError, RecursionError),
)
_PINS, _TARGETS, _BUILDS = "pins", "targets", "builds"
_DAMAGED = "is damaged"
_SHORTER = "is shorter than it was"


def examine(environments: Sequence[Environment], root: Root) -> Iterator[tuple[str, Finding]]:
    """What is wrong with the records of some environments, and of the root itself.

    Args:
        environments: which.
        root: whose; nothing is written.

    Returns:
        The name of the environment, empty for the root's own, and what is wrong.
    """
    for environment in environments:
        for finding in _of(environment, root):
            yield environment.name, finding
    for path, read in _shared(root):
        found = _read(path, read)
        if found is not None:
            yield "", found


def mend(findings: Iterable[tuple[str, Finding]], root: Root, progress: Progress) -> None:
    """Write anew what can be told from elsewhere, and say what helps with the rest.

    Args:
        findings: as `examine` gives them.
        root: whose; the caller is alone in it.
        progress: warned of what can't be written anew.
    """
    for name, finding in findings:
        path = Path(finding.path)
        if name and path.name == STATE:
            environment = root.environment(name)
            environment.save_state(environment.state())
        elif name and path.name == HISTORY:
            _mend_history(root.environment(name), progress)
        elif name and path.name == REGISTRATION:
            _mend_registration(name, path, root, progress)
        elif path.parent.name == _TARGETS:
            disk.remove_file(path)  # the image is asked again
        elif path.parent == root.path / "store" / _BUILDS:
            disk.remove_file(path)
            _record_builds(root)
        else:
            progress.warn(f"{path} stays: nothing else says what was in it. {_advice(path)}")


def _of(environment: Environment, root: Root) -> Iterator[Finding]:
    """What is wrong with an environment's own records."""
    folder = environment.directory
    current = environment.current_or_none()
    registration = folder / REGISTRATION
    found = _read(registration, lambda _: root.registry.find(environment.name))
    if found is not None:
        yield found
    elif current is not None and not registration.exists():
        yield Finding(str(registration), MISSING)
    state = folder / STATE
    found = _read(state, lambda path: State.from_bytes(path.read_bytes()))
    if found is not None:
        yield found
    elif current is not None and not state.exists():
        yield Finding(str(state), MISSING)
    found = _read(folder / READER, read_uid)
    if found is not None:
        yield found
    yield from _history(environment)


def _history(environment: Environment) -> Iterator[Finding]:
    path = environment.directory / HISTORY
    damaged = [
        number
        for number, (_, event) in enumerate(environment.read_history(), start=1)
        if event is None
    ]
    if damaged:
        lines = ", ".join(map(str, damaged))
        yield Finding(str(path), f"{_DAMAGED} in line {lines}: what happened then is left out")
    size = environment.history_size()
    if size < (was := _recorded(environment)):
        yield Finding(
            str(path), f"{_SHORTER}: what happened last is lost", f"{was} bytes", f"{size} bytes"
        )


def _recorded(environment: Environment) -> int:
    """How many bytes the history had when the state was written."""
    try:
        return recorded_history((environment.directory / STATE).read_bytes())
    except (OSError, ValueError):
        return 0


def _shared(root: Root) -> Iterator[tuple[Path, Callable[[Path], object]]]:
    """Every record that is no environment's own, and what reads it."""
    for path in sorted(root.path.glob(f"{_PINS}/*/*/*.json")):
        yield path, pinstore.read
    for path in sorted(root.path.glob(f"{_PINS}/{_BUILDS}/*.pylock.toml")):
        yield path, buildsystem.read
    for path in sorted(root.path.glob("projects/*.json")):
        yield path, read_project
    for path in sorted(root.path.glob("projects/*.owner")):
        yield path, read_uid
    for path in sorted(root.path.glob(f"{_TARGETS}/*.json")):
        yield path, lambda path: Target.from_dict(stamp.opened(path.read_bytes()))
    for path in sorted(root.path.glob(f"store/{_BUILDS}/*.json")):
        yield path, lambda path: stamp.opened(path.read_bytes())["wheel"]


def _read(path: Path, read: Callable[[Path], object]) -> Finding | None:
    try:
        read(path)
    except FileNotFoundError:
        return None
    except _FAULTS as error:
        why = error.__cause__ if isinstance(error, VenvctlError) and error.__cause__ else error
        text = str(why).rstrip(".")
        return Finding(str(path), f"{_DAMAGED}: {text}; until it is mended, {_effect(path)}")
    return None


def _effect(path: Path) -> str:
    """What a damaged record does, in words that follow "until it is mended"."""
    if path.name == REGISTRATION:
        return "nothing is synced or collected there"
    if path.name == STATE:
        return "the next sync compares everything, and what is held is told by the history"
    if path.parent.name == _TARGETS:
        return "its image is asked again"
    if path.parent.parent.name == "store":
        return "its source is built again"
    if path.name == READER or path.parent.name == "projects":
        return "the daemon does not follow it"
    what = path.parent.name if path.suffix == ".json" else "a build"
    return f"syncs that need it for {what} stop"


def _mend_history(environment: Environment, progress: Progress) -> None:
    """Keep the lines that can be read, and take the length for what it is."""
    path = environment.directory / HISTORY
    lines = [line for line, event in environment.read_history() if event is not None]
    progress.warn(f"What {path} has lost stays lost: its other {len(lines)} lines are kept.")
    disk.write_file(path, b"".join(line + b"\n" for line in lines))
    environment.save_state(environment.state())


def _mend_registration(name: str, path: Path, root: Root, progress: Progress) -> None:
    """Register an environment as it was when its latest snapshot became current."""
    uses = [
        use
        for key in root.snapshots.keys()  # noqa: SIM118 - a store of snapshots is no dict
        if (use := root.snapshots.uses(key).get(name)) is not None
    ]
    if not uses:
        progress.warn(f"{path} stays: no snapshot says what was in it. {_advice(path)}")
        return
    latest = max(uses, key=Use.order)
    disk.write_file(path, latest.registration.to_bytes())
    progress.warn(
        f"{path} says again what it said at {latest.since}: if labels or the lock's place were "
        "changed since, run `venvctl up` (or `venvctl env add`) again."
    )


def _record_builds(root: Root) -> None:
    """Remember again which wheels were built of what, as snapshots have it."""
    for key in root.snapshots.keys():  # noqa: SIM118 - a store of snapshots is no dict
        try:
            snapshot = root.snapshots.load(key)
        except VenvctlError:
            continue
        for origin in snapshot.files:
            if len(origin.source) == len(origin.sha256):
                fingerprint = snapshot.target.fingerprint
                if root.store.built(origin.source, fingerprint) is None:
                    root.store.record_built(origin.source, fingerprint, origin.sha256)


def _advice(path: Path) -> str:
    if path.parent.name == "projects" and path.suffix == ".json":
        return "`venvctl up` in that project has it followed again."
    if path.name == REGISTRATION:
        return f"`rm {path}`, then `venvctl up` or `venvctl env add` again."
    if path.suffix == ".toml":
        return f"`rm {path}` has what the build needs resolved again."
    if path.suffix == ".json" and path.name != READER:
        return f"`rm {path}` has the index asked again, and what it serves then is trusted."
    return f"Say again which user's it is: `echo '{{\"uid\": 1000}}' > {path}`, with their number."
