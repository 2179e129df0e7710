"""Checks of a compose project: where services mount an environment, and what they find first."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from venvctl.checks.finding import Finding, ok, problem, warning
from venvctl.engine.model import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.engine.model import Engine, Image
    from venvctl.project import Service
    from venvctl.target import Target

# What the system's own loader and interpreters live in: nothing may be mounted over them.
_SYSTEM = frozenset(
    {"/", "/bin", "/etc", "/lib", "/lib64", "/opt", "/sbin", "/usr", "/usr/bin", "/usr/lib"}
    | {"/usr/local", "/usr/local/bin", "/usr/local/lib", "/var"}
)
# What an image has of its own at a path; the volume hides it.
_LOOK = (
    "import os, sys\n"
    "path = sys.argv[1]\n"
    "print('venv' if os.path.exists(path + '/pyvenv.cfg') else 'files' if os.path.isdir(path) and "
    "os.listdir(path) else 'nothing')\n"
)
_SECONDS = 30.0


def search_path(service: Service, image: Image) -> Iterator[Finding]:
    """Whether a service finds the environment's programs before the image's own."""
    programs = posixpath.join(service.mount, "bin")
    path = service.environment.get("PATH") or image.environment.get("PATH", "")
    home = service.environment.get("VIRTUAL_ENV") or image.environment.get("VIRTUAL_ENV", "")
    started = next((word for word in service.programs if word.startswith(f"{programs}/")), "")
    if path.split(":")[0] != programs and not started:
        yield warning(
            "search path",
            f"Service {service.name} does not have {programs} first in its PATH ({path or 'none'}):"
            " `python` there is the image's own, without the environment's packages.",
            f"In its `environment:` write `PATH: {programs}:{_without(path, programs)}`, or start "
            f"it with {programs}/python.",
        )
    elif home and posixpath.normpath(home) != service.mount:
        yield warning(
            "search path",
            f"Service {service.name} has VIRTUAL_ENV={home}, and the environment is at "
            f"{service.mount}.",
            f"In its `environment:` write `VIRTUAL_ENV: {service.mount}`.",
        )
    elif path.split(":")[0] != programs:
        yield ok("search path", f"Service {service.name} is started with {started}.")
    else:
        yield ok("search path", f"Service {service.name} has {programs} first in its PATH.")


def mount_point(service: Service, target: Target | None) -> Iterator[Finding]:
    """Whether the environment is mounted where it hides nothing that it needs."""
    place = service.mount
    advice = "Mount the volume at a path of its own, such as /venv."
    if place in _SYSTEM:
        yield problem(
            "mount point",
            f"Service {service.name} mounts the environment over {place}, which belongs to the "
            "image's own system.",
            advice,
        )
    elif target is not None and target.interpreter.startswith(f"{place}/"):
        yield problem(
            "mount point",
            f"Service {service.name} mounts the environment at {place}, over the interpreter that "
            f"it needs ({target.interpreter}).",
            advice,
        )
    else:
        yield ok("mount point", f"Service {service.name} mounts the environment at {place}.")


def shadowed(service: Service, image: Image, engine: Engine, target: Target) -> Iterator[Finding]:
    """Whether the volume hides something that the image has at the same path."""
    done = engine.run(
        Task(
            purpose="doctor",
            image=image.id,
            command=[target.interpreter, "-I", "-S", "-c", _LOOK, service.mount],
            timeout=_SECONDS,
        )
    )
    what = {"venv": "a virtual environment", "files": "files"}.get(done.stdout.strip())
    if done.exit_code == 0 and what:
        yield warning(
            "hidden files",
            f"The image {service.image} of service {service.name} has {what} of its own at "
            f"{service.mount}, which the volume hides.",
            "Leave it out of the image, which gets smaller, or mount the volume elsewhere.",
        )
    elif done.exit_code == 0:
        yield ok("hidden files", f"The image of service {service.name} has nothing there.")


def _without(path: str, programs: str) -> str:
    return (
        ":".join(part for part in path.split(":") if part and part != programs) or "/usr/bin:/bin"
    )
