"""Asks an image what its interpreter is, once for each image."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import nullcontext
from importlib import resources
from typing import TYPE_CHECKING

from venvctl import disk, stamp
from venvctl.engine.model import Mount, Task
from venvctl.errors import TargetError
from venvctl.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from venvctl.engine.model import Engine, TaskResult

_MARK = "venvctl-probe:"
_DEFAULT_INTERPRETERS = ("python3", "python")
_SECONDS = 60.0
_MEGABYTES = 512


class Probe:
    """The targets of images, remembered in `root/targets` by image ID.

    Args:
        root: the root directory.
        engine: where the images are.
        visiting: what to hold while something is in the root's ``tmp``.
    """

    def __init__(
        self,
        root: Path,
        engine: Engine,
        *,
        visiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._root = root
        self._engine = engine
        self._visiting = visiting

    def remembered(self, image: str, python: str) -> Target | None:
        """What an earlier `ask` found, without touching the engine; None if it never was asked."""
        try:
            return Target.from_dict(stamp.opened(record(self._root, image, python).read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            # a record that can't be read is one that can be had again
            return None

    def ask(self, image: str, python: str, *, name: str) -> Target:
        """The target of an image.

        Args:
            image: image ID.
            python: the interpreter's name or path in the image; empty for `python3`, else `python`.
            name: how people call the image, for messages.

        Raises:
            TargetError: the image has no such interpreter, or it can't run.
            EngineError, EngineUnreachableError: the engine would not run it.
        """
        if (known := self.remembered(image, python)) is not None:
            return known
        with self._visiting(), disk.temporary_directory(self._root) as directory:
            _lay_out(directory)
            result = self._run(image, python, directory)
        target = _read(result, name=name, python=python)
        path = record(self._root, image, python)
        disk.make_directory(path.parent)
        disk.write_file(path, stamp.stamped(target.to_dict()))
        return target

    def _run(self, image: str, python: str, directory: Path) -> TaskResult:
        for interpreter in (python,) if python else _DEFAULT_INTERPRETERS:
            result = self._engine.run(
                Task(
                    purpose="probe",
                    image=image,
                    command=[interpreter, "-I", "/venvctl/probe.py"],
                    mounts=[Mount(source=str(directory), target="/venvctl")],
                    memory=_MEGABYTES << 20,
                    timeout=_SECONDS,
                )
            )
            if result.exit_code != 127:  # noqa: PLR2004 - POSIX: command not found
                break
        return result


def record(root: Path, image: str, python: str) -> Path:
    """Where the target of an image is remembered; the arguments are those of `Probe.remembered`."""
    # the image ID and the label are foreign text: neither is ever a path
    digest = hashlib.sha256(f"{image}\n{python}".encode()).hexdigest()
    return root / "targets" / f"{digest}.json"


def _lay_out(directory: Path) -> None:
    """Put the script and a copy of `packaging` where a container's user can read them."""
    with resources.as_file(resources.files("packaging")) as source:
        shutil.copytree(
            source, directory / "packaging", ignore=shutil.ignore_patterns("__pycache__")
        )
    script = resources.files("venvctl") / "container" / "probe.py"
    (directory / "probe.py").write_bytes(script.read_bytes())
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _read(result: TaskResult, *, name: str, python: str) -> Target:
    wanted = python or "python3 or python"
    if result.timed_out:
        raise TargetError(
            f"The interpreter {wanted} of image {name} did not answer within {_SECONDS:g} seconds.",
            hint="Run the image by hand and see why its Python does not start.",
        )
    if result.exit_code == 127:  # noqa: PLR2004 - POSIX: command not found
        raise TargetError(
            f"Image {name} has no interpreter {wanted}.",
            hint="Use an image with Python, or name its interpreter with the volume's label "
            "`venvctl.python`, or add the label `venvctl.ignore: true` to a service "
            "that needs the volume's files only.",
        )
    for line in reversed(result.stdout.splitlines()):
        if line.startswith(_MARK):
            try:
                return Target.from_dict(json.loads(line.removeprefix(_MARK)))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise TargetError(
                    f"The interpreter {wanted} of image {name} described itself in a way "
                    f"that can't be read: {error}."
                ) from error
    said = (result.stderr.strip() or result.stdout.strip()).splitlines()
    raise TargetError(
        f"The interpreter {wanted} of image {name} can't be used: it ended with exit code "
        f"{result.exit_code}{' and said: ' + said[-1] if said else ''}.",
        hint="venvctl needs Python 3.9 or later in the image.",
    )
