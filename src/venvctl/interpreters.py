"""The interpreters of an environment's services and holders, and whether they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvctl import rollout
from venvctl.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from venvctl.registration import Registration
    from venvctl.root import Root
    from venvctl.target import Target


def images(registration: Registration, root: Root) -> dict[str, str]:
    """The ID of each service's image.

    Raises:
        TargetError: an image is not on this host.
    """
    found = {}
    for service, reference in registration.images.items():
        image = root.engine.image(reference)
        if image is None:
            of = f" of service {service}" if service else ""
            raise TargetError(
                f"The image {reference}{of} is not here.",
                hint="`venvctl up` builds or pulls it; so do `docker compose build` "
                "and `docker compose pull`.",
            )
        found[service] = image.id
    return found


def agreed(registration: Registration, root: Root, images: Mapping[str, str]) -> Target:
    """The interpreter that all services have; each image is probed once.

    Args:
        registration: the environment.
        root: where probed targets are remembered.
        images: image ID by service.

    Raises:
        TargetError: an image has no usable interpreter, or two differ; the message says in what.
    """
    python = registration.specification.python
    targets = {
        service: root.probe.ask(image, python, name=registration.images[service])
        for service, image in images.items()
    }
    first, *others = targets
    for service in others:
        if targets[service].fingerprint != targets[first].fingerprint:
            raise TargetError(
                f"Services {first} and {service} share the environment {registration.name}, "
                f"and their interpreters differ: {difference(targets[first], targets[service])}.",
                hint="Give them images with the same Python, or an environment each; a service "
                "that needs the files only takes the label `venvctl.ignore: true`.",
            )
    return targets[first]


def difference(one: Target, other: Target) -> str:
    """The first thing in which two targets differ, in the order in which a person would look."""
    for name in ("version", "interpreter", "library", "cache_tag"):
        left, right = getattr(one, name), getattr(other, name)
        if left != right:
            return f"{name.replace('_', ' ')} {left} and {right}"
    for name in sorted(one.markers.keys() | other.markers.keys()):
        if one.markers.get(name) != other.markers.get(name):
            return f"{name} {one.markers.get(name)!r} and {other.markers.get(name)!r}"
    tags = sorted(set(one.tags) ^ set(other.tags))
    return f"wheel tags such as {tags[0]} suit only one of them" if tags else "order of wheel tags"


def having(target: Target, candidates: Iterable[str], root: Root, *, python: str) -> str | None:
    """The ID of the first of some images that has an interpreter like the target; None if none has.

    Args:
        target: the interpreter.
        candidates: names or IDs of images; those that are not here are passed over.
        root: where probed targets are remembered.
        python: the interpreter's name or path in the images; empty for the usual ones.
    """
    for reference in dict.fromkeys(candidates):
        image = root.engine.image(reference)
        if image is None:
            continue
        has = root.probe.ask(image.id, python, name=reference)
        if has.fingerprint == target.fingerprint:
            return image.id
    return None


def check_holders(
    registration: Registration, root: Root, target: Target, *, recreated: Collection[str] = ()
) -> None:
    """Refuse a switch under a running holder that has another interpreter.

    Args:
        registration: the environment.
        root: its root.
        target: what the next generation is for.
        recreated: services that compose is about to recreate from their new images.

    Raises:
        TargetError: some do; the message names each, and what to type.
    """
    python = registration.specification.python
    wrong = []
    for container in root.engine.containers(volume=registration.name):
        if not container.running or rollout.ignores(container):
            continue
        ours = container.project == registration.project and not container.one_off
        if ours and container.service in recreated:
            continue
        has = root.probe.ask(container.image, python, name=f"of container {container.name}")
        if has.fingerprint != target.fingerprint:
            wrong.append(f"{container.name} ({difference(has, target)})")
    if wrong:
        raise TargetError(
            f"Environment {registration.name} was not switched: the generation is for another "
            f"interpreter than what runs in {', '.join(wrong)}.",
            hint="`venvctl up` switches, and has compose recreate the containers whose image "
            "changed."
            if registration.project
            else "Recreate the containers from the image with that interpreter, then try again.",
        )
