"""The systemd units of the daemon and its timers: filled in, written, enabled."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from venvctl import disk
from venvctl.errors import UsageError, VenvctlError

if TYPE_CHECKING:
    from collections.abc import Sequence

# What the units have in place of this venvctl.
_PROGRAM = "/usr/bin/venvctl"
_SERVICES = ("venvctl.service", "venvctl-verify.service", "venvctl-gc.service")
ENABLED = ("venvctl.socket", "venvctl.service", "venvctl-verify.timer", "venvctl-gc.timer")
_LINGER = Path("/var/lib/systemd/linger")
_SYSUSERS = Path("/etc/sysusers.d/venvctl.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One file of systemd's.

    Attributes:
        path: where it belongs.
        text: what is in it.
    """

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What `install` did.

    Attributes:
        written: the files, also those that were there already with the same text.
        enabled: the units that start by themselves from now on.
        started: whether they were started now.
        notes: sentences for a person.
    """

    written: tuple[Path, ...]
    enabled: tuple[str, ...]
    started: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What `uninstall` did.

    Attributes:
        removed: the files that were there.
        stopped: whether the units were stopped now.
    """

    removed: tuple[Path, ...]
    stopped: bool


def render(command: Sequence[str], *, user: bool, root: Path | None = None) -> list[Unit]:
    """The units for one venvctl.

    Args:
        command: the words that start it, the first an absolute path.
        user: for a user's own systemd, not the system's.
        root: the root, where it is not the usual one.
    """
    data = resources.files("venvctl") / "data" / "systemd"
    directory = _directory(user=user)
    started = " ".join(quote(word.replace("$", "$$")) for word in command)
    units = [
        Unit(
            path=directory / file.name,
            text=file.read_text("utf-8").replace(f"ExecStart={_PROGRAM}", f"ExecStart={started}"),
        )
        for file in sorted(
            (data / ("user" if user else "system")).iterdir(), key=lambda file: file.name
        )
    ]
    if not user:
        text = (data / "sysusers.conf").read_text("utf-8")
        units.append(Unit(path=_SYSUSERS, text=text))
    if root is not None:
        lines = ["[Service]", f"Environment={quote(f'VENVCTL_ROOT={root}')}"]
        # A mount of its own for it, as StateDirectory= would make.
        lines += [] if user else [f"ReadWritePaths={quote(str(root))}"]
        text = "\n".join([*lines, ""])
        units += [Unit(path=directory / f"{name}.d" / "root.conf", text=text) for name in _SERVICES]
    return units


def install(units: Sequence[Unit], *, user: bool) -> Installation:
    """Write units, enable them, and start them where systemd runs.

    Args:
        units: as `render` gave them.
        user: for this user's own systemd, not the system's.

    Raises:
        UsageError: the system's units, and this is not root.
        RootError, DiskFullError: as `disk.translate`.
        VenvctlError: systemd refuses.
    """
    running = _reach("install", user=user)
    for unit in units:
        disk.make_directory(unit.path.parent)
        if not unit.path.exists() or unit.path.read_text("utf-8") != unit.text:
            disk.write_file(unit.path, unit.text.encode())
    notes = []
    if not user:
        _run("systemd-sysusers", str(_SYSUSERS))
        notes.append(
            "Members of the group venvctl may speak to the daemon: `usermod -aG venvctl NAME`."
        )
    manager = ("systemctl", "--user") if user else ("systemctl",)
    if running:
        _run(*manager, "daemon-reload")
        _run(*manager, "enable", *ENABLED)
        # A daemon of an older version goes on with what it did.
        _run(*manager, "restart", *ENABLED)
    else:
        _run(*manager, *([] if user else ["--root=/"]), "enable", *ENABLED)
        notes.append("systemd does not run here: the units start with the machine.")
    if user and not (_LINGER / _user()).exists():
        notes.append(
            "It runs while you are logged in; `loginctl enable-linger` lets it run always."
        )
    return Installation(
        written=tuple(unit.path for unit in units),
        enabled=ENABLED,
        started=running,
        notes=tuple(notes),
    )


def uninstall(units: Sequence[Unit], *, user: bool) -> Removal:
    """Stop and disable units, and remove them; the root and the group of the socket stay.

    Args:
        units: as `render` gave them, with a root.
        user: for this user's own systemd, not the system's.

    Raises:
        UsageError, VenvctlError: as `install`.
        RootError: as `disk.translate`.
    """
    running = _reach("uninstall", user=user)
    there = [unit.path for unit in units if unit.path.exists()]
    manager = ("systemctl", "--user") if user else ("systemctl",)
    enabled = [path.name for path in there if path.name in ENABLED]
    if enabled:
        how = ("--now",) if running else () if user else ("--root=/",)
        _run(*manager, "disable", *how, *enabled)
    for path in there:
        disk.remove_file(path)
        if path.parent.suffix == ".d" and not any(path.parent.iterdir()):
            disk.remove_tree(path.parent)
    if running and there:
        _run(*manager, "daemon-reload")
    return Removal(removed=tuple(there), stopped=bool(running and enabled))


def quote(word: str) -> str:
    """A word as systemd.syntax(7) reads it back: specifiers and quotes stay text."""
    word = word.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    plain = word and not any(character.isspace() or character in "\"'\\;" for character in word)
    return word if plain else f'"{word}"'


def _directory(*, user: bool) -> Path:
    if not user:
        return Path("/etc/systemd/system")
    chosen = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(chosen) if chosen else Path.home() / ".config") / "systemd" / "user"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _reach(verb: str, *, user: bool) -> bool:
    """Whether that systemd runs; raises what stands in the way of changing its units."""
    if not user and os.geteuid() != 0:
        raise UsageError(
            f"Only root can {verb} the system's units.",
            hint=f"Run it as root, or `venvctl systemd {verb} --user` for a daemon of your own.",
        )
    if shutil.which("systemctl") is None:
        raise VenvctlError(
            "This machine has no systemctl.",
            hint="Have what starts your services run `venvctl daemon`; "
            "`venvctl systemd install --print` shows the units.",
        )
    running = _runs(user=user)
    if user and not running and _runs(user=False):
        raise VenvctlError(
            "This user's own systemd can't be reached; nothing was changed.",
            hint=f"`loginctl enable-linger {_user()}` as root, then log in as {_user()} or set "
            f"XDG_RUNTIME_DIR=/run/user/{os.geteuid()}, and try again.",
        )
    return running


def _runs(*, user: bool) -> bool:
    """Whether that systemd runs (sd_booted(3)); a user's has its own socket."""
    if not user:
        return Path("/run/systemd/system").is_dir()
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return bool(runtime) and (Path(runtime) / "systemd" / "private").exists()


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise VenvctlError(
            f"`{' '.join(command)}` ended with exit code {done.returncode}: {words[-1]}",
            hint="`systemctl status venvctl` and `journalctl -u venvctl` tell more.",
        )
