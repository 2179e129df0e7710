"""Compiles the modules of unpacked wheels; runs inside a container of the service's image.

    python -I -S -B -W ignore -c SOURCE TREES OUTPUT

TREES holds one folder a wheel, with ``prefix/lib/*/site-packages`` in it, and is only read. Each
line of standard input names a folder that is complete now; it is compiled while others are still
unpacked. What is compiled appears below OUTPUT in the same folders. Standard output gets one JSON
object a line: ``{"tree", "path", "reason"}`` for a source that can't be compiled, ``{"errno",
"path"}`` for a write that failed. Uses no module that Debian's minimal Python lacks, and no
third-party one.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import marshal
import os
import sys

# Tests inside packages are hardly ever imported, and can be a third of an environment.
SKIPPED = frozenset({"__pycache__", "test", "tests"})
# Bytes of source that one process compiles: many enough that forking costs nothing, and few enough
# that no processor is left alone with a big package.
PIECE = 1 << 20
# Hash-based and never checked (PEP 552): the environment never changes under a process, so no
# source is ever looked at.
HEAD = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")


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


def find(trees: str, tree: str) -> list[Source]:
    """Every module of a tree, in a fixed order."""
    found = []
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
                            path[len(prefix) + 1 :],
                            path[len(site) + 1 :],
                            os.stat(path).st_size,
                        )
                    )
    return found


def split(sources: list[Source]) -> list[list[Source]]:
    """Runs of neighbours with about `PIECE` bytes each, in order."""
    parts: list[list[Source]] = []
    size = PIECE
    for source in sources:
        if size >= PIECE:
            parts.append([])
            size = 0
        parts[-1].append(source)
        size += source.size
    return parts


def tell(**facts: object) -> None:
    """Print one line in one write, so that those of several processes don't mix."""
    os.write(1, (json.dumps(facts) + "\n").encode())


def compile_one(source: Source, trees: str, output: str) -> None:
    """Write a module's bytecode (the format is that of PEP 552)."""
    with open(os.path.join(trees, source.tree, "prefix", source.path), "rb") as file:
        text = file.read()
    code = compile(text, source.dfile, "exec", dont_inherit=True)
    data = HEAD + importlib.util.source_hash(text) + marshal.dumps(code)
    path = source.compiled(output)
    try:
        write(path, data)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, data)


def write(path: str, data: bytes) -> None:
    """Write a file whole or not at all: a process that is killed leaves no half of one."""
    unnamed = path + ".new"
    with open(unnamed, "wb", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
    os.replace(unnamed, path)


def compile_all(sources: list[Source], trees: str, output: str) -> int:
    """Compile one piece; the status of the process that did it."""
    for source in sources:
        try:
            compile_one(source, trees, output)
        except OSError as error:
            tell(errno=error.errno, path=source.path)
            return 1
        except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
            tell(
                tree=source.tree,
                path=source.path,
                reason=f"{type(error).__name__}: {error}"[:500],
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
    """Compile everything that is named, with all processors."""
    os.umask(0o022)
    processors = len(os.sched_getaffinity(0))
    waiting: list[list[Source]] = []
    running: dict[int, list[Source]] = {}
    more = True
    while more or waiting or running:
        while waiting and len(running) < processors:
            piece = waiting.pop(0)
            running[start(piece, trees, output)] = piece
        if more and not waiting:
            tree = sys.stdin.readline().rstrip("\n")
            more = bool(tree)
            waiting += split(find(trees, tree)) if tree else []
            continue
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
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
