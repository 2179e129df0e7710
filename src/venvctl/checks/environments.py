"""Checks of one environment: its volume, its current generation, the interpreters on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from venvctl import interpreters, rollout, volumes
from venvctl.checks.finding import Finding, ok, problem, warning
from venvctl.errors import IntegrityError, TargetError, VolumeConflictError
from venvctl.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.environments import Environment
    from venvctl.registration import Registration
    from venvctl.root import Root
    from venvctl.target import Target


class Ask(Protocol):
    """Gives the target of an image."""

    def __call__(self, image: str, name: str) -> Target:
        """The target of an image ID; `name` is what messages call it."""
        ...


def lock(registration: Registration) -> Iterator[Finding]:
    """Whether its lockfile is there."""
    name, path = registration.name, registration.specification.lock
    if path.is_file():
        yield ok("lock", f"Environment {name} has its lockfile {path}.")
        return
    yield problem(
        "lock",
        f"Environment {name} has lost its lockfile {path}; it stays as it is.",
        f"Bring the file back, or `venvctl env rm {name}`.",
    )


def volume(environment: Environment, root: Root) -> Iterator[Finding]:
    """Whether its volume is venvctl's, and shows the directory that venvctl writes to."""
    name = environment.name
    found = root.engine.volume(name)
    try:
        made = volumes.check(environment, found)
    except VolumeConflictError as error:
        yield problem("volume", error.message, error.hint)
        return
    inode = environment.state().volume_inode
    if inode and (not environment.volume.exists() or environment.volume.stat().st_ino != inode):
        yield problem(
            "volume",
            f"The directory {environment.volume} was removed or replaced: running containers do "
            "not see what is in it now.",
            f"`venvctl restore {name}`.",
        )
        return
    try:
        current = environment.current()
    except IntegrityError as error:
        yield problem("volume", error.message, error.hint)
        return
    if current and not made:
        yield warning(
            "volume",
            f"Volume {name} is gone, and its environment is not.",
            f"`venvctl up`, or `venvctl sync {name}`, makes it again from what is there.",
        )
        return
    state = "is venvctl's" if made else "is not there yet"
    yield ok("volume", f"Volume {name} {state}.")


def interpreter(
    registration: Registration, environment: Environment, root: Root, ask: Ask
) -> Iterator[Finding]:
    """Whether images, running containers and the current generation have one interpreter.

    Args:
        registration: what its owner asked for.
        environment: what is on disk.
        root: its root.
        ask: what knows the target of an image.
    """
    name = registration.name
    images = {}
    for service, reference in registration.images.items():
        image = root.engine.image(reference)
        if image is None:
            yield warning(
                "interpreter",
                f"The image {reference} of environment {name} is not here.",
                "`venvctl up` builds or pulls it.",
            )
        else:
            images[f"service {service}" if service else f"image {reference}"] = image.id
    targets = {}
    for what, identifier in images.items():
        try:
            targets[what] = ask(identifier, what)
        except TargetError as error:
            yield problem("interpreter", error.message, error.hint)
    for container in root.engine.containers(volume=name):
        if container.running and not rollout.ignores(container):
            targets[f"container {container.name}"] = ask(container.image, container.name)
    current = environment.current()
    if current:
        targets[f"generation {current.number}"] = Seal.load(current.path).target
    first, *others = targets or [""]
    differing = [
        f"{first} and {other}: {interpreters.difference(targets[first], targets[other])}"
        for other in others
        if targets[first].fingerprint != targets[other].fingerprint
    ]
    if differing:
        yield problem(
            "interpreter",
            f"The interpreters on environment {name} differ ({'; '.join(differing)}).",
            "`venvctl up` makes a generation for the new image and has compose recreate the "
            "containers; two services need images with the same Python, or an environment each.",
        )
    elif targets:
        yield ok(
            "interpreter", f"All that use environment {name} have Python {targets[first].version}."
        )
