"""Checks of what venvctl speaks to: the engine, Compose, its daemon, the package index."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

from venvctl import client, compose, indexes, listing
from venvctl.checks.finding import Finding, ok, problem, warning
from venvctl.engine.model import Mount, Task
from venvctl.errors import (
    ComposeError,
    DaemonUnreachableError,
    EngineError,
    EngineUnreachableError,
)
from venvctl.lockfiles.locations import redact
from venvctl.lockfiles.model import Index
from venvctl.transport import AbsentFault, FinalFault, PassingFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from venvctl.engine.model import Engine
    from venvctl.settings import Settings

MINIMUM_ENGINE = (20, 10)
_INDEX_SECONDS = 10.0
_SECONDS = 30.0
_SEEN = "/venvctl-root"
_INODE = f"import os; print(os.stat({_SEEN!r}).st_ino)"


def engine(engine: Engine) -> Iterator[Finding]:
    """Which engine answers, and whether it is of a kind that can mount the root."""
    text = engine.version()
    match = re.match(r"(\d+)\.(\d+)", text)
    if match and (int(match[1]), int(match[2])) < MINIMUM_ENGINE:
        yield problem("engine", f"Docker Engine {text} is too old.", "Install 20.10 or later.")
    else:
        yield ok("engine", f"Docker Engine {text} answers.")
    host = engine.host()
    advice = "Use a Docker Engine that runs as root on this host: `docker context use default`."
    if "docker desktop" in host.operating_system.lower():
        yield problem(
            "engine host",
            "The engine is Docker Desktop's: it runs in a machine of its own, where the root does "
            "not exist; that is not supported yet.",
            advice,
        )
    elif host.rootless:
        yield problem(
            "engine host",
            "The engine is rootless: it has users and mounts of its own, and may not see the root; "
            "that is not supported yet.",
            advice,
        )
    elif host.remapped:
        yield warning(
            "engine host",
            "The engine remaps users (userns-remap): root in a container is an ordinary user on "
            "this host, who must be let into every directory above the root.",
            "`chmod o+x` each of them, or set VENVCTL_ROOT below /srv.",
        )
    else:
        yield ok("engine host", f"The engine runs on this host ({host.operating_system}).")


def root_seen(engine: Engine, image: str, python: str, root: Path) -> Iterator[Finding]:
    """Whether the engine has the root at the same path as this host: asked by mounting it.

    An engine in a machine or a mount namespace of its own has not, whatever it says of itself.

    Args:
        engine: which engine.
        image: ID of any image with a Python.
        python: that one's name.
        root: the root directory; it exists.
    """
    advice = (
        "Use the engine that runs on this host itself (`docker context ls`), or give the engine's "
        f"machine {root} at the same path."
    )
    task = Task(
        purpose="doctor",
        image=image,
        command=[python, "-I", "-S", "-c", _INODE],
        mounts=[Mount(source=str(root), target=_SEEN)],
        timeout=_SECONDS,
    )
    try:
        done = engine.run(task)
    except EngineUnreachableError:
        raise
    except EngineError as error:
        yield problem(
            "engine host", f"The engine can't mount the root {root}: {error.message}", advice
        )
        return
    if done.exit_code:
        return  # no Python of that name: it is told with the interpreters
    if int(done.stdout) == root.stat().st_ino:
        yield ok("engine host", f"The engine sees the root {root}.")
    else:
        yield problem(
            "engine host",
            f"The engine sees another directory at {root} than this host has there.",
            advice,
        )


def compose_plugin() -> Iterator[Finding]:
    """Which Docker Compose is there."""
    minimum = ".".join(map(str, compose.MINIMUM_VERSION))
    try:
        command = compose.find_compose()
        text = compose.installed_version()
    except ComposeError as error:
        # `venvctl env add` does without.
        yield warning("compose", error.message, error.hint)
        return
    match = re.match(r"v?(\d+)\.(\d+)", text)
    if match is None or (int(match[1]), int(match[2])) < compose.MINIMUM_VERSION:
        yield problem(
            "compose",
            f"Docker Compose {text} ({' '.join(command)}) is too old.",
            f"Install {minimum} or later.",
        )
        return
    yield ok("compose", f"Docker Compose {text} is {' '.join(command)}.")


def daemon(followed: int) -> Iterator[Finding]:
    """Whether a daemon runs, and whether this user may speak to it.

    Args:
        followed: how many environments there are to follow.
    """
    faults = []
    for path in client.candidates():
        if not client.is_there(path):
            continue
        try:
            client.connect(path).close()
        except DaemonUnreachableError as error:
            faults.append(problem("daemon", error.message, error.hint))
            continue
        yield ok("daemon", f"A daemon answers on {path}.")
        return
    if faults:
        yield faults[0]
    elif followed:
        yield warning(
            "daemon",
            f"No daemon runs: nobody follows the lockfiles of {followed} environments.",
            "`venvctl systemd install`, or `venvctl up --watch` in a terminal.",
        )
    else:
        yield ok("daemon", "No daemon runs, and nothing is there to follow.")


def index(network: Settings) -> Iterator[Finding]:
    """Whether each index that would be asked for a pin answers, with this user's settings.

    Args:
        network: the configuration.
    """
    asked = indexes.effective(Index(), network.options())
    urls = (*asked.extra, asked.url or indexes.default_url(), *network.mirrors)
    with closing(network.transport(stall=_INDEX_SECONDS)) as transport:
        for url in dict.fromkeys(urls):
            shown = redact(url)
            try:
                # What every public index has; a private one says that it has not, and answers too.
                listing.ask(transport, url, "packaging", keep=lambda _: False)
            except AbsentFault:
                pass
            except (FinalFault, PassingFault) as fault:
                yield warning(
                    "index",
                    f"The index {shown} can't be asked: it {fault}.",
                    "Check the network, the proxy (HTTPS_PROXY), the certificates (SSL_CERT_FILE),"
                    " the login, and the configuration (docs/indexes.md). What is in the store can"
                    " be synced and restored without it.",
                )
                continue
            yield ok("index", f"The index {shown} answers.")
