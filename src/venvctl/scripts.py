"""The small files that depend on where an environment is mounted: entry points and the pin."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from installer.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venvctl.trees import Tree


def generate(tree: Tree, *, mount: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of every script that one wheel puts into ``bin``.

    Args:
        tree: the unpacked wheel.
        mount: where the environment is mounted; its ``bin/python`` runs the scripts.
    """
    executable = f"{mount}/bin/python"
    for point in tree.manifest.entry_points:
        script = Script(point.name, point.module, point.attribute, point.kind)
        name, data = script.generate(executable, kind="posix")
        yield name, data
    for name in tree.manifest.scripts:
        data = (tree.path / "scripts" / name).read_bytes()
        # binary distribution format, "Recommended installer features": rewrite `#!python`
        _, newline, body = data.partition(b"\n")
        yield name, b"#!" + executable.encode() + newline + body


def pin(*, mount: str, generation: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files in ``site-packages`` that keep a process on its generation.

    Args:
        mount: where the environment is mounted.
        generation: the generation's own path in the container.
    """
    template = (resources.files("venvctl") / "container" / "pin.py").read_text("utf-8")
    # the placeholders stand in quotes; a mount path holds neither quote nor backslash (checked)
    module = template.replace("@mount@", mount).replace("@generation@", generation)
    yield "_venvctl_pin.py", module.encode()
    # `site` reads path configuration files in name order: these are the first and the last
    for name in ("!venvctl.pth", "~venvctl.pth"):
        yield name, b"import _venvctl_pin; _venvctl_pin.pin()\n"
