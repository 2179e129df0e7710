"""Puts venvctl's lines into the hooks that a repository has, and takes them out byte for byte.

A shell script gets the lines after its first one, so that no ``exit`` or ``exec`` of its own comes
before them; they read no input, and end in success. Everything else that may stand there (another
interpreter's script, a program, a link, a file that git does not run) is moved aside as it is, and
a script of ours calls it last, with its arguments, its input and its exit code.
"""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from pathlib import Path

from venvctl import disk

BEGIN = "# >>> venvctl: `venvctl hook uninstall` takes these lines out >>>"
END = "# <<< venvctl <<<"
# Where hooks are moved to: their names stay, as some are told by it what to do.
KEPT = "venvctl-kept"
_SHEBANG = "#!/bin/sh\n"
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"})


class Placement(StrEnum):
    """How venvctl's lines came into a hook.

    Attributes:
        ADDED: there was no such hook.
        INSERTED: they stand in the shell script that was there.
        WRAPPED: what was there was moved aside, and is called.
        PRESENT: they were there already.
    """

    ADDED = "added"
    INSERTED = "inserted"
    WRAPPED = "wrapped"
    PRESENT = "present"


def lines(hook: str) -> str:
    """What a hook needs to have; it costs nothing where `venvctl hook install` was not run.

    `$GIT_DIR` is unset in a main work tree, where git runs hooks at the top, and set elsewhere.
    """
    return (
        f"{BEGIN}\n"
        '(d=${GIT_DIR:-.git}; [ -d "$d" ] || d=$(git rev-parse --git-dir) || exit 0\n'
        f'[ ! -f "$d/venvctl/hook" ] || sh "$d/venvctl/hook" {hook}) </dev/null || :\n'
        f"{END}\n"
    )


def put(directory: Path, hook: str) -> Placement:
    """Put the lines into a hook.

    Args:
        directory: where git looks for hooks; it exists.
        hook: the hook's name, e.g. ``post-commit``.

    Raises:
        RootError, DiskFullError: as `disk.translate`.
    """
    path = directory / hook
    if has(path):
        return Placement.PRESENT
    if not os.path.lexists(path):
        disk.write_file(path, (_SHEBANG + lines(hook)).encode(), mode=0o755)
        return Placement.ADDED
    content = _shell_script(path)
    if content is not None:
        first, rest = _after_shebang(content)
        _rewrite(path, first + lines(hook).encode() + rest)
        return Placement.INSERTED
    kept = directory / KEPT
    disk.make_directory(kept)
    _put_aside(path, kept / hook)
    disk.write_file(path, _wrapper(hook), mode=0o755)
    return Placement.WRAPPED


def take(directory: Path, hook: str) -> bool:
    """Take the lines out of a hook; what it was before is there again, byte for byte.

    Returns:
        Whether they were in it.
    """
    path = directory / hook
    if not has(path):
        return False
    content = path.read_bytes()
    kept = directory / KEPT
    if content == _wrapper(hook) and os.path.lexists(kept / hook):
        _bring_back(kept / hook, path)
        if not any(kept.iterdir()):
            kept.rmdir()
    elif content == (_SHEBANG + lines(hook)).encode():
        disk.remove_file(path)
    else:
        _rewrite(path, _without_lines(content))
    return True


def has(path: Path) -> bool:
    """Whether a hook has venvctl's lines, of this version or another."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return not path.is_symlink() and BEGIN.encode() in content and END.encode() in content


def _without_lines(content: bytes) -> bytes:
    before, _, rest = content.partition(BEGIN.encode())
    _, _, after = rest.partition(END.encode() + b"\n")
    return before + after


def _wrapper(hook: str) -> bytes:
    call = f'hook=${{0%/*}}/{KEPT}/{hook}\n[ ! -x "$hook" ] || exec "$hook" "$@"\n'
    return (_SHEBANG + lines(hook) + call).encode()


def _after_shebang(content: bytes) -> tuple[bytes, bytes]:
    end = content.find(b"\n") + 1 if content.startswith(b"#!") else 0
    return content[:end], content[end:]


def _shell_script(path: Path) -> bytes | None:
    """The content of a shell script that git runs from this very file; None for all else."""
    if path.is_symlink() or not path.is_file():
        return None
    if (path.parent / "_" / "h").exists():
        return path.read_bytes()  # Husky 9 runs each with `sh -e`, whatever it is called or may be
    if not os.access(path, os.X_OK):
        return None
    content = path.read_bytes()
    first, newline, _ = content.partition(b"\n")
    words = first[2:].decode(errors="replace").split()
    if not first.startswith(b"#!") or not newline or first.endswith(b"\r") or not words:
        return None
    if Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return content if words and Path(words[0]).name in _SHELLS else None


def _rewrite(path: Path, content: bytes) -> None:
    disk.write_file(path, content, mode=stat.S_IMODE(path.stat().st_mode))


def _put_aside(path: Path, kept: Path) -> None:
    """Have a hook in `KEPT` too: git runs it until the wrapper takes its place, crash or no crash.

    A relative link still leads where it led.
    """
    if path.is_symlink():
        text = os.readlink(path)  # noqa: PTH115 - its text is what counts
        disk.replace_symlink(kept, text if text.startswith("/") else f"../{text}")
    elif path.is_file():
        if disk.replace_link(kept, path):
            disk.sync_directory(kept.parent)
        else:
            disk.write_file(kept, path.read_bytes(), mode=stat.S_IMODE(path.stat().st_mode))
    else:
        disk.publish(path, kept)


def _bring_back(kept: Path, path: Path) -> None:
    """Let what was put aside take its wrapper's place."""
    if kept.is_symlink():
        text = os.readlink(kept)  # noqa: PTH115 - its text is what counts
        disk.replace_symlink(path, text if text.startswith("/") else text.removeprefix("../"))
        disk.remove_file(kept)
        return
    if kept.is_dir():
        disk.remove_file(path)  # a rename replaces no file by a directory
    disk.publish(kept, path)
