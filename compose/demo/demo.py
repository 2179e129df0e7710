"""Runs venvctl's main job on the project beside this file, and checks what each step promises."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from project import (
    HERE,
    LOCK,
    PAGE_DEADLINE,
    DemoError,
    Page,
    Project,
    interrupt,
    require,
    save,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

UNAVAILABLE = 5
"""Venvctl's exit code for a file that can't be had."""
NEVER_FETCHED = """
six==1.17.0 \\
    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274
"""
"""A real pin that the demo's locks don't have, so the store can't have its file."""
TOO_OLD = """
werkzeug==1.0.1 \\
    --hash=sha256:2de2a5db0baeae7b2d2664949077c2ac63fbd16d98da0ff71837f7d1dea3fd43 \\
    --hash=sha256:6c80b1e5ad3665290ea39320b91e1be1e0d5f60652b964a3070216de83d2e47c
"""
"""A real pin that flask can't be imported with, though every hash is right."""
ROLLED_BACK = 7
"""Venvctl's exit code for a generation that was bad, and is gone back from."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, and say how long it took."""
    say(f"\n{title}", "")
    began = time.monotonic()
    yield
    say(f"done in {time.monotonic() - began:.2f} s")


def first_line(process: subprocess.Popen[str]) -> str:
    """Wait for the first line that the process prints, and read the others away."""
    printed = threading.Event()
    lines: list[str] = []

    def read() -> None:
        for line in process.stdout or ():
            lines.append(line)
            printed.set()
        printed.set()

    threading.Thread(target=read, daemon=True).start()
    require(
        printed.wait(PAGE_DEADLINE) and bool(lines),
        f"{process.args!r} said nothing in {PAGE_DEADLINE:.0f} s (exit code {process.poll()}).",
    )
    return lines[0]


def first_up(project: Project) -> Page:
    """Step 1: everything is made from the lock."""
    with step("1. venvctl up: make the environment from its lock, then start the containers"):
        project.venvctl("up")
        return project.await_page(project.change.old)


def second_up(project: Project, page: Page) -> None:
    """Step 2: nothing happens."""
    with step("2. venvctl up again: nothing to do"):
        before = project.container_start()
        project.venvctl("up")
        require(project.container_start() == before, "the container was restarted or replaced.")
        require(
            project.await_page(project.change.old) == page,
            "the container runs on another generation.",
        )
        say("the same container, on the same generation, since the same moment")


def follow(project: Project, old: Page) -> Page:
    """Step 3: a saved lock is served a moment later."""
    change = project.change
    with step(f"3. venvctl up --watch: the lock gets {change.package} {change.new}"):
        say("$ venvctl up --watch --json &")
        watching = project.start(project.command, "up", "--watch", "--json")
        try:
            say(first_line(watching), "   | ")
            update = (HERE / "requirements.update.lock").read_text(encoding="utf-8")
            with project.next_start() as started:
                save(update, project.directory / LOCK)
                saved = time.monotonic()
                # Who asks a container that is away is put off by the kernel for up to a second.
                first_line(started)
            new = project.await_page(change.new)
            say(f"from lock saved to page served: {time.monotonic() - saved:.2f} s")
            require(new.key != old.key, f"the generation is still {old.prefix}.")
        finally:
            code = interrupt(watching)
        require(code == 0, f"venvctl up --watch ended with {code} on Ctrl-C, not 0.")
        return new


def roll_back(project: Project, old: Page) -> None:
    """Step 4: the generation before is still there."""
    with step("4. venvctl rollback: the generation before is served again"):
        project.venvctl("rollback", project.environment)
        require(
            project.await_page(project.change.old).key == old.key,
            "it is not the generation of step 1.",
        )


def survive_a_bad_update(project: Project, old: Page) -> None:
    """Step 5: an update that takes the application down is gone back from by itself."""
    with step("5. a bad update: the lock gets a werkzeug that flask can't be imported with"):
        lock = project.directory / LOCK
        text = lock.read_text(encoding="utf-8")
        save(
            re.sub(
                r"^werkzeug==.*?(?=^\S|\Z)", TOO_OLD.lstrip(), text, flags=re.MULTILINE | re.DOTALL
            ),
            lock,
        )
        project.venvctl("sync", project.environment, expected=ROLLED_BACK)
        require(
            project.await_page(project.change.old).key == old.key,
            "it is not the generation of step 1.",
        )
        save(text, lock)


def lose_and_restore(project: Project, old: Page) -> None:
    """Step 6: the store is enough."""
    with step("6. venvctl restore: the index is unreachable, the environment's directory is lost"):
        project.isolate()
        lock = project.directory / LOCK
        text = lock.read_text(encoding="utf-8")
        say("a package that was never fetched can't be had now:")
        save(text + NEVER_FETCHED, lock)
        project.venvctl("sync", project.environment, expected=UNAVAILABLE)
        save(text, lock)

        directory = project.root / "environments" / project.environment
        say(f"$ rm -rf {directory}")
        shutil.rmtree(directory)
        require(
            not project.imports(), f"{directory} is gone and a container still imports from it."
        )
        say("/venv is empty in the container")

        before = project.container_start()
        project.venvctl("restore", project.environment)
        require(
            project.await_page(project.change.old).key == old.key,
            "it is not the generation of step 1.",
        )
        require(project.container_start() != before, "the container was not started anew.")
        require(project.imports(), "a new process in the container can't import.")


def take_down(project: Project) -> None:
    """Step 7: nothing stays."""
    with step("7. venvctl down: containers, network and volume go"):
        project.venvctl("down", "--", "--volumes")
        left = project.leftovers()
        require(not left, f"the engine still has {left}.")


def sweep(project: Project) -> None:
    """Remove whatever an interrupted or failed run left in the engine."""
    for kind, names in project.leftovers().items():
        project.docker(kind, "rm", *(() if kind == "network" else ("--force",)), *names)


def begin_to_end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a signal handler)
    """End the demo; from here on it cleans up, however often Ctrl-C is pressed."""
    ignore_signals()
    raise KeyboardInterrupt


def ignore_signals() -> None:
    """Let nothing but SIGKILL interrupt what follows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def run(directory: Path) -> None:
    """Take the seven steps in order, and leave the engine as it was."""
    project = Project(directory)
    say(f"project {project.name}, root {project.root}", "")
    try:
        old = first_up(project)
        second_up(project, old)
        follow(project, old)
        roll_back(project, old)
        survive_a_bad_update(project, old)
        lose_and_restore(project, old)
        take_down(project)
    finally:
        ignore_signals()
        sweep(project)


def main() -> int:
    """Run the demo in a directory of its own on disk; 0 if every step did what it says."""
    # A killed demo cleans up like one that ends with Ctrl-C. Where it was started with SIGINT
    # ignored (a shell's background job) this also keeps `up --watch` from inheriting that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, begin_to_end)
    began = time.monotonic()
    # /tmp may be memory, and is where users look; /var/tmp is on disk.
    directory = Path(tempfile.mkdtemp(prefix="venvctl-demo-", dir="/var/tmp"))
    try:
        run(directory)
    except (DemoError, OSError, subprocess.SubprocessError) as error:
        say(f"\nthe demo failed: {error}", "")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted; everything is cleaned up", "")
        return 130
    finally:
        # Directories of the root may be read-only for their owner.
        for path, _, _ in os.walk(directory):
            Path(path).chmod(0o700)
        shutil.rmtree(directory)
    say(f"\nevery step did what it says, in {time.monotonic() - began:.1f} s", "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
