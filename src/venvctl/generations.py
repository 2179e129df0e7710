"""Makes one generation: trees hard-linked into a directory, with scripts, the pin and a seal.

What goes where is decided first, by `arrange`, without touching the disk. An `Assembly` then does
it in a temporary directory, flushes it with one `syncfs`, and gives it its name. A directory with a
generation's name is therefore always whole.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Self

import venvctl
from venvctl import activators, disk, linking, stamp
from venvctl.arrangement import arrange
from venvctl.errors import FileConflictError
from venvctl.linking import LinkedDirectory
from venvctl.manifest import uncollected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from venvctl.arrangement import Arrangement
    from venvctl.origin import Origin
    from venvctl.progress import Progress
    from venvctl.target import Target
    from venvctl.trees import Tree

# Part of every key: raised when a generation is laid out differently, so that all are made anew.
LAYOUT_VERSION = 1
SEAL = "seal.json"
CREATED_BY = f"venvctl {venvctl.__version__}"
CONFIGURATION = "pyvenv.cfg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """Everything that a generation is made of, besides the trees.

    Attributes:
        number, key: its name is ``<number>-<key>``.
        mount: where the volume is mounted in the containers.
        target: the interpreter it is for.
        image: ID of the image whose interpreter that is.
        lock_digests: what the lock's files were.
        files: for each tree, the name of its wheel and where it came from.
    """

    number: int
    key: str
    mount: str
    target: Target
    image: str
    lock_digests: Mapping[str, str]
    files: Sequence[Origin]
    conflicts: str = "last"
    created: str = ""

    @property
    def name(self) -> str:
        """The directory's name."""
        return f"{self.number}-{self.key}"

    @property
    def place(self) -> str:
        """The directory's path as containers see it."""
        return place(self.mount, self.name)


def place(mount: str, name: str) -> str:
    """A generation's path as containers see it; `name` is its directory's."""
    return f"{mount}/.venvctl/generations/{name}"


class Assembly:
    """One generation's directory in the making; leaving the context removes what has no name.

    Args:
        into: the directory of generations.
        root: the root directory, on the same file system.
        progress: told of conflicts and of copies.
    """

    def __init__(self, *, into: Path, root: Path, progress: Progress) -> None:
        self._into = into
        self._root = root
        self._progress = progress
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what has no name."""
        self._open.__exit__(kind, error, traceback)

    def begin(self, trees: Sequence[Tree]) -> None:
        """Link some of the trees already, while the others are made.

        Args:
            trees: in name order.

        Raises:
            FileConflictError, DiskFullError, RootError: as `finish`.
        """
        with disk.translate(self._into), uncollected():
            self._links.place(trees, arrange(trees))

    def finish(self, trees: Sequence[Tree], blueprint: Blueprint) -> Path:
        """Complete the generation and seal it.

        Args:
            trees: one for each package, in name order; `blueprint.files` in the same order. Those
                that were begun with are among them.
            blueprint: what else it is made of.

        Returns:
            Its directory, complete and on disk.

        Raises:
            FileConflictError: wheels disagree about a path, and `blueprint.conflicts` is "error".
            DiskFullError, RootError: it could not be written; nothing is left of it.
        """
        progress = self._progress
        with uncollected():
            arrangement = arrange(trees)
        for conflict in arrangement.conflicts:
            if blueprint.conflicts == "error":
                raise FileConflictError(
                    f"{conflict.winner} and {conflict.loser} both own {conflict.path}, "
                    "with different content.",
                    hint="Remove one of them from the lock, or set the volume's label "
                    "`venvctl.conflicts: last` to let the last one in name order win.",
                )
            progress.warn(
                f"{conflict.winner} and {conflict.loser} both own {conflict.path}, with different "
                f"content: the file of {conflict.winner} is used."
            )
        with disk.translate(self._into):
            links = self._links
            directory = links.path
            with uncollected():
                links.place(trees, arrangement)
            links.make(own_directories(blueprint.target))
            generated = _generate(trees, blueprint, arrangement, directory)
            if directory.stat().st_dev != self._into.stat().st_dev:
                progress.warn(
                    f"Every file was copied, because {self._into} is on another file system than "
                    f"{self._root}: the store and the environments should lie on one."
                )
            if links.copied:
                progress.warn(
                    f"{links.copied:,} files were copied because they could not be hard-linked: the"
                    " store and the environments should lie on one file system, and belong to one"
                    " user."
                )
            seal = _seal(trees, blueprint, arrangement, generated)
            linking.write(directory / SEAL, seal, executable=False)
            disk.sync_filesystem(directory)
            final = self._into / blueprint.name
            disk.publish(directory, final)
        return final

    @cached_property
    def _links(self) -> LinkedDirectory:
        """Where it is made, under no name yet."""
        disk.make_directory(self._into)
        return LinkedDirectory(self._open.enter_context(disk.temporary_directory(self._root)))


def seal(trees: Sequence[Tree], blueprint: Blueprint) -> bytes:
    """What the seal of a generation says that was made of these; nothing is written."""
    arrangement = arrange(trees)
    contents = generated(
        trees,
        mount=blueprint.mount,
        place=blueprint.place,
        target=blueprint.target,
        arrangement=arrangement,
    )
    return _seal(trees, blueprint, arrangement, _digests(contents))


def assemble(
    trees: Sequence[Tree], blueprint: Blueprint, *, into: Path, root: Path, progress: Progress
) -> Path:
    """Make a generation of trees that are all there; arguments and errors as `Assembly`."""
    with Assembly(into=into, root=root, progress=progress) as assembly:
        return assembly.finish(trees, blueprint)


def generated(
    trees: Sequence[Tree],
    *,
    mount: str,
    place: str,
    target: Target,
    arrangement: Arrangement | None = None,
) -> dict[str, tuple[bytes, bool]]:
    """What depends on where the environment is mounted: path → (content, executable).

    Args:
        trees: in the order in which they are linked.
        mount: where the volume is mounted in the containers.
        place: the generation's own path there.
        target: the interpreter.
        arrangement: of these trees, where it is known already.
    """
    from venvctl import scripts  # noqa: PLC0415 - who only looks at generations does without

    site_packages = f"lib/{target.library}/site-packages"
    contents: dict[str, tuple[bytes, bool]] = {}
    owners = arrange(trees).scripts if arrangement is None else arrangement.scripts
    for index, tree in enumerate(trees):
        for name, data in scripts.generate(tree, mount=mount):
            if owners.get(f"bin/{name}") == index:
                contents[f"bin/{name}"] = (data, True)
    for name, data in activators.generate(mount):
        contents[f"bin/{name}"] = (data, False)
    for name, data in scripts.pin(mount=mount, generation=place):
        contents[f"{site_packages}/{name}"] = (data, False)
    contents[CONFIGURATION] = (_configuration(target), False)
    return contents


def symbolic_links(target: Target) -> dict[str, str]:
    """The links that every generation has: path → where it leads."""
    return {
        "bin/python": target.interpreter,
        "bin/python3": "python",
        f"bin/python{target.python_version}": "python",
        "lib64": "lib",
    }


def _generate(
    trees: Sequence[Tree], blueprint: Blueprint, arrangement: Arrangement, directory: Path
) -> dict[str, str]:
    """Write what no tree has; path → SHA-256."""
    target = blueprint.target
    contents = generated(
        trees,
        mount=blueprint.mount,
        place=blueprint.place,
        target=target,
        arrangement=arrangement,
    )
    for path, (data, executable) in contents.items():
        linking.write(directory / path, data, executable=executable)
    for path, leads_to in symbolic_links(target).items():
        (directory / path).symlink_to(leads_to)
    return _digests(contents)


def _digests(contents: Mapping[str, tuple[bytes, bool]]) -> dict[str, str]:
    return {path: sha256(data).hexdigest() for path, (data, _) in contents.items()}


def _configuration(target: Target) -> bytes:
    """`pyvenv.cfg` (PEP 405), as `python -m venv` writes it."""
    home = target.interpreter.rpartition("/")[0]
    return (
        f"home = {home}\n"
        "include-system-site-packages = false\n"
        f"version = {target.version}\n"
        f"executable = {target.interpreter}\n"
    ).encode()


def own_directories(target: Target) -> tuple[str, ...]:
    """The directories that every generation has, whatever its wheels bring; parents first."""
    library = f"lib/{target.library}"
    return ("bin", "lib", library, f"{library}/site-packages")


def _seal(
    trees: Sequence[Tree],
    blueprint: Blueprint,
    arrangement: Arrangement,
    generated: Mapping[str, str],
) -> bytes:
    target = blueprint.target
    document = {
        "schema": 1,
        "number": blueprint.number,
        "key": blueprint.key,
        "created": blueprint.created,
        "created-by": CREATED_BY,
        "mount": blueprint.mount,
        "image": blueprint.image,
        "target": target.to_dict(),
        "locks": dict(blueprint.lock_digests),
        "packages": [
            {
                "name": origin.name,
                "version": origin.version,
                "file": origin.file,
                "sha256": origin.sha256,
                "source": origin.source,
                "url": origin.url,
                "tree": tree.path.name,
            }
            for origin, tree in zip(blueprint.files, trees, strict=True)
        ],
        "conflicts": [
            {"path": conflict.path, "winner": conflict.winner, "loser": conflict.loser}
            for conflict in arrangement.conflicts
        ],
        "generated": dict(generated),
    }
    return stamp.stamped(document, indent=1)
