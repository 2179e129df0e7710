"""Compiles the modules of unpacked wheels; runs inside a container of the service's image.

    python -I -S -B -W ignore -c SOURCE TREES OUTPUT

TREES holds one folder a wheel, with ``prefix/lib/*/site-packages`` in it, and is only read. What is
compiled appears below OUTPUT in the same folders. Standard output gets one JSON object a line:
``{"tree", "path", "reason"}`` for a source that can't be compiled, ``{"errno", "path"}`` for a
write that failed. Uses no module that Debian's minimal Python lacks, and no third-party one.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import py_compile
import sys

# Tests inside packages are hardly ever imported, and can be a third of an environment.
SKIPPED = frozenset({"__pycache__", "test", "tests"})
# So many pieces for each processor: few enough that forking costs nothing, and small enough that
# all processors end at about the same time.
PIECES = 12


class Source:
    """One module to compile."""

    def __init__(self, tree: str, path: str, dfile: str, size: int) -> None:
        self.tree = tree
        self.path = path  # relative to the prefix
        self.dfile = dfile  # relative to site-packages: the result does not depend on any place
        self.size = size

    def compiled(self, output: str) -> str:
        """Where its bytecode goes."""
        return os.path.join(output, self.tree, importlib.util.cache_from_source(self.path))


def find(trees: str) -> list[Source]:
    """Every module of every tree, in a fixed order."""
    found = []
    for tree in sorted(os.listdir(trees)):
        prefix = os.path.join(trees, tree, "prefix")
        library = os.path.join(prefix, "lib")
        for version in sorted(os.listdir(library)) if os.path.isdir(library) else ():
            site = os.path.join(library, version, "site-packages")
            for folder, directories, files in os.walk(site):
                directories[:] = sorted(set(directories) - SKIPPED)
                for name in sorted(files):
                    if name.endswith(".py"):
                        path = os.path.join(folder, name)
                        found.append(
                            Source(
                                tree,
                                os.path.relpath(path, prefix),
                                os.path.relpath(path, site),
                                os.path.getsize(path),
                            )
                        )
    return found


def split(sources: list[Source], pieces: int) -> list[list[Source]]:
    """Runs of neighbours with about the same number of bytes each, in order."""
    limit = max(1, sum(source.size for source in sources) // pieces)
    parts: list[list[Source]] = []
    size = limit
    for source in sources:
        if size >= limit:
            parts.append([])
            size = 0
        parts[-1].append(source)
        size += source.size
    return parts


def tell(**facts: object) -> None:
    """Print one line in one write, so that those of several processes don't mix."""
    os.write(1, (json.dumps(facts) + "\n").encode())


def compile_all(sources: list[Source], trees: str, output: str) -> int:
    """Compile one piece; the status of the process that did it."""
    for source in sources:
        try:
            py_compile.compile(
                os.path.join(trees, source.tree, "prefix", source.path),
                cfile=source.compiled(output),
                dfile=source.dfile,
                doraise=True,
                # The environment never changes under a process: no source is ever looked at.
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except OSError as error:
            tell(errno=error.errno, path=source.path)
            return 1
        except (py_compile.PyCompileError, RecursionError, MemoryError, ValueError) as error:
            reason = getattr(error, "exc_value", error)
            tell(
                tree=source.tree,
                path=source.path,
                reason=f"{type(reason).__name__}: {reason}"[:500],
            )
    return 0


def start(sources: list[Source], trees: str, output: str) -> int:
    """Fork a process for one piece."""
    process = os.fork()
    if process == 0:
        gc.disable()
        status = 1
        try:
            status = compile_all(sources, trees, output)
        finally:
            os._exit(status)
    return process


def main(trees: str, output: str) -> int:
    """Compile everything with all processors."""
    os.umask(0o022)
    processors = len(os.sched_getaffinity(0))
    waiting = split(find(trees), PIECES * processors)[::-1]
    running: dict[int, list[Source]] = {}
    failed = False
    while waiting or running:
        while waiting and len(running) < processors and not failed:
            piece = waiting.pop()
            running[start(piece, trees, output)] = piece
        if not running:
            break
        process, status = os.wait()
        piece = running.pop(process, [])
        if os.WIFSIGNALED(status):
            # A source that crashes the compiler costs its own bytecode, not its neighbours'.
            done = [os.path.exists(source.compiled(output)) for source in piece]
            crashed = done.index(False) if False in done else len(piece)
            if piece[crashed + 1 :]:
                waiting.append(piece[crashed + 1 :])
        elif os.WEXITSTATUS(status):
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
