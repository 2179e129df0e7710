"""Rows that a visitor sees: from a saved lock to the container that serves it, and its start."""

from __future__ import annotations

import ensurepip
import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from measurement import Comparison, in_turns, run, seconds
from watching import DEADLINE, SERVER, SHARED, Watching, version
from workplace import IMAGE, LABEL, TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workplace import Workplace

_TURNS = 5
_IMPORTED = ("flask", "httpx", "pydantic", "redis", "requests", "sqlalchemy")
# The wheels are beside, as if they came from an index next door; both compile.
_INSTALL = {
    "pip": "python3 $(echo /wheels/pip-*.whl)/pip --python /venv/bin/python install --quiet"
    " --no-index --find-links /wheels --no-deps --requirement /requirements.lock",
    "uv": "/uv pip install --quiet --offline --no-index --find-links /wheels --compile-bytecode"
    " --no-deps --python /venv/bin/python --requirement /requirements.lock",
}
_MAKE = "python3 -m venv --without-pip /venv"


def service(port: int = 0) -> dict[str, object]:
    """A service that serves the version of a package in its environment."""
    document: dict[str, object] = {
        "image": IMAGE,
        "command": ["/venv/bin/python", "-c", SERVER],
        "volumes": ["venv:/venv", SHARED],
        "labels": {"venvctl.grace": "300ms"},
    }
    return document | ({"ports": [f"127.0.0.1:{port}:8000"]} if port else {})


def served(place: Workplace) -> Iterator[Comparison]:
    """From a saved lock to a container that serves it, and how long that one is away."""
    turns = place.turns(_TURNS)
    # The wheels are had before, as the peers have them; what is made of them has no bytecode.
    for number, change in enumerate(place.changes[: 2 * turns]):
        place.add(f"seed{number}", place.lock(change), "--bytecode", "off")
    directory = place.project("ours", {"web": service(_free_port())}, place.lock())
    place.venvctl("up", cwd=directory)
    peers = _peers(place)
    took: dict[str, list[float]] = {}
    aways: list[float] = []
    for change in place.changes[:turns]:
        with Watching(directory, change) as watching:
            shutil.copyfile(place.lock(change), directory / "requirements.lock")
            place.venvctl("up", cwd=directory)
            watching.wait()
        took.setdefault("venvctl up", []).append(watching.seconds)
        aways.append(watching.away)
        for peer in peers:
            with Watching(peer.directory, change) as watching:
                shutil.copyfile(place.lock(change), peer.directory / "requirements.lock")
                place.docker("compose", *peer.command, cwd=peer.directory)
                watching.wait()
            took.setdefault(peer.what, []).append(watching.seconds)
    container = place.docker("compose", "ps", "--quiet", "web", cwd=directory)
    restarts = [_restart(place, container, directory) for _ in range(turns)]
    # Further versions: a generation that is there already would only be switched to.
    with _following(place, directory):
        for change in place.changes[turns : 2 * turns]:
            time.sleep(1.0)  # the container is still watched after the change before
            with Watching(directory, change) as watching:
                shutil.copyfile(place.lock(change), directory / "requirements.lock")
                watching.wait()
            took.setdefault("venvctl up --watch", []).append(watching.seconds)
    for way in ("venvctl up --watch", "venvctl up"):
        for peer in peers:
            yield Comparison(
                what=f"lock saved → container serves it, one package changed (`{way}`)",
                peer=peer.what,
                ours=tuple(took[way]),
                theirs=tuple(took[peer.what]),
                goal=peer.goal,
            )
    yield Comparison(
        what="how long that container is away",
        peer="`docker restart` of it",
        ours=tuple(aways),
        theirs=tuple(restarts),
        goal=1.1,
    )


def start(place: Workplace) -> Iterator[Comparison]:
    """A container that imports a few packages: with their bytecode, without, and installing."""
    ahead = place.add("ahead", place.lock())
    off = place.add("off", place.lock(), "--bytecode", "off")
    wheels = _wheels(place)
    known = {pin.partition("==")[0] for pin in place.packages}
    program = f"import {', '.join(name for name in _IMPORTED if name in known)}"
    files = (f"{wheels}:/wheels:ro", f"{place.lock()}:/requirements.lock:ro", f"{TOOLS}/uv:/uv:ro")

    def begin(*options: str) -> float:
        return seconds(lambda: place.docker("run", "--rm", *options))

    def mounted(name: str) -> float:
        return begin("--volume", f"{name}:/venv", IMAGE, "/venv/bin/python", "-c", program)

    def installing(tool: str) -> float:
        script = f'{_MAKE} && {_INSTALL[tool]} && exec /venv/bin/python -c "$0"'
        volumes = [word for file in files for word in ("--volume", file)]
        return begin(*volumes, IMAGE, "sh", "-c", script, program)

    took = in_turns(
        {
            "ours": lambda: mounted(ahead),
            "the same, without bytecode": lambda: mounted(off),
            "an entrypoint that installs with pip, wheels at hand": lambda: installing("pip"),
            "an entrypoint that installs with uv, wheels at hand": lambda: installing("uv"),
        },
        place.turns(_TURNS),
    )
    ours = took.pop("ours")
    for peer, theirs in took.items():
        yield Comparison(
            what="`docker run` that imports six packages, bytecode made ahead",
            peer=peer,
            ours=ours,
            theirs=theirs,
            goal=1.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peer:
    """Another way of giving a container its packages.

    Attributes:
        what: for the table. goal: what venvctl may take of its time.
        directory: its compose project.
        command: of compose, after which it serves the lock that is there then.
    """

    what: str
    goal: float
    directory: Path
    command: tuple[str, ...]


def _peers(place: Workplace) -> list[_Peer]:
    """The same service with its packages in its image, or installed when it starts; all started.

    They need no index: the wheels lie beside, and of an image only the changed layer is built.
    """
    wheels = _wheels(place)
    found = []
    for tool in _INSTALL:
        for way, command, goal in (
            ("image", ("up", "--detach", "--build"), 1 / 4),
            ("entrypoint", ("restart", "web"), 1.0),
        ):
            directory = place.folder / f"{place.prefix}{way}-{tool}"
            directory.mkdir()
            shutil.copyfile(place.lock(), directory / "requirements.lock")
            port = _free_port()
            if way == "image":
                what = f"`docker compose up --build` with {tool}, wheels at hand"
                _write_image(directory, tool, port, wheels, place.prefix)
            else:
                what = f"`docker compose restart`: installs with {tool} at start, wheels at hand"
                _write_entrypoint(directory, tool, port, wheels)
            place.docker("compose", "up", "--detach", "--build", cwd=directory)
            with Watching(directory, place.version) as watching:
                watching.wait()
            found.append(_Peer(what=what, goal=goal, directory=directory, command=command))
    return found


def _write_image(directory: Path, tool: str, port: int, wheels: Path, label: str) -> None:
    shutil.copytree(wheels, directory / "wheels")
    shutil.copyfile(TOOLS / "uv", directory / "uv")
    (directory / "uv").chmod(0o755)
    (directory / "server.py").write_text(SERVER)
    (directory / "Dockerfile").write_text(
        f"FROM {IMAGE}\n"
        f"LABEL {LABEL}={label}\n"
        # What another run built of the same lock is nothing that this one could have.
        f"ENV BENCH={label}\n"
        "COPY uv /uv\n"
        "COPY wheels /wheels\n"
        "COPY requirements.lock /requirements.lock\n"
        f"RUN {_MAKE} && {_INSTALL[tool]}\n"
        "COPY server.py /server.py\n"
        'CMD ["/venv/bin/python", "/server.py"]\n'
    )
    web = {"build": ".", "ports": [f"127.0.0.1:{port}:8000"], "volumes": [SHARED]}
    (directory / "compose.yaml").write_text(json.dumps({"services": {"web": web}}))


def _write_entrypoint(directory: Path, tool: str, port: int, wheels: Path) -> None:
    (directory / "server.py").write_text(SERVER)
    script = f"[ -d /venv ] || {_MAKE}; {_INSTALL[tool]} && exec /venv/bin/python /server.py"
    web = {
        "image": IMAGE,
        "command": ["sh", "-c", script.replace("$", "$$")],
        "ports": [f"127.0.0.1:{port}:8000"],
        "volumes": [
            f"{wheels}:/wheels:ro",
            f"{TOOLS}/uv:/uv:ro",
            "./requirements.lock:/requirements.lock:ro",
            "./server.py:/server.py:ro",
            SHARED,
        ],
    }
    (directory / "compose.yaml").write_text(json.dumps({"services": {"web": web}}))


def _wheels(place: Workplace) -> Path:
    """A folder with every wheel that the peers install, and pip's own; made once."""
    folder = place.folder / "wheels"
    if folder.is_dir():
        return folder
    download = [
        str(TOOLS / "python"), "-m", "pip", "download", "--quiet", "--no-deps",
        "--disable-pip-version-check", "--dest", str(folder),
    ]  # fmt: skip
    for lock in map(place.lock, ("", *place.changes[: 2 * place.turns(_TURNS)])):
        run(
            [*download, "--require-hashes", "--requirement", str(lock)],
            cwd=place.folder,
            environment=place.environment,
        )
    for bundled in (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"):
        shutil.copy(bundled, folder)
    return folder


@contextmanager
def _following(place: Workplace, directory: Path) -> Iterator[None]:
    """`venvctl up --watch` beside."""
    with (place.folder / "watch.log").open("wb") as log:
        process = subprocess.Popen(
            [*place.command, "up", "--watch"],
            cwd=directory,
            env={**place.environment, "PWD": str(directory)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + DEADLINE
        while b"following" not in (place.folder / "watch.log").read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError((place.folder / "watch.log").read_text())
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE)


def _restart(place: Workplace, container: str, directory: Path) -> float:
    """How long a container is away that is restarted, and nothing else."""
    known = version(directory)
    with Watching(directory) as watching:
        place.docker("restart", container)
        deadline = time.monotonic() + DEADLINE
        while version(directory) != known and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.1)  # in which it is seen, too
    return watching.away


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
