"""The rows of the design's section 8, each with its peer on the same work."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from typing import TYPE_CHECKING, Self
from urllib.request import urlopen

from follow import followed
from measurement import Comparison, in_turns, run, seconds
from workplace import IMAGE, TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from workplace import Workplace

_CHEAP = 9  # turns of what takes well below a second
_TURNS = 5
_DEAR = 3
_GENERATIONS = 9  # further ones beside the first
_DEADLINE = 60.0  # seconds
_IMPORTS = "import flask, httpx, pydantic, redis, requests, sqlalchemy"
# The wheels are beside the Dockerfile, as if they came from an index next door; both compile.
_INSTALL = {
    "pip": "python3 $(echo /wheels/pip-*.whl)/pip --python /venv/bin/python install --quiet"
    " --no-index --find-links /wheels --requirement",
    "uv": "uv pip install --quiet --offline --no-index --find-links /wheels --compile-bytecode"
    " --python /venv/bin/python --requirement",
}
# Says which version it serves; ends at once when it is told to.
_SERVER = """
import http.server, importlib.metadata, os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(importlib.metadata.version("idna").encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8000), Page).serve_forever()
"""


def nothing_changed(place: Workplace) -> Iterator[Comparison]:
    """A sync that has nothing to do."""
    name = place.add("still", place.lock())
    python = place.peer("still", place.lock())
    place.venvctl("sync", name)
    ours, theirs = in_turns(
        lambda: seconds(lambda: place.venvctl("sync", name)),
        lambda: seconds(lambda: place.peer_sync(python, place.lock(), "--offline")),
        _CHEAP,
    )
    yield Comparison(
        what="`venvctl sync`, nothing changed",
        peer="`uv pip sync --offline`, nothing changed",
        ours=ours,
        theirs=theirs,
        goal=1.5,
    )


def nothing_up(place: Workplace) -> Iterator[Comparison]:
    """An up that has nothing to do."""
    directory = place.project("idle", {"web": _service()}, place.lock())
    place.venvctl("up", cwd=directory)
    place.venvctl("up", cwd=directory)
    ours, theirs = in_turns(
        lambda: seconds(lambda: place.venvctl("up", cwd=directory)),
        lambda: seconds(lambda: place.docker("compose", "up", "--detach", cwd=directory)),
        _CHEAP,
    )
    yield Comparison(
        what="`venvctl up`, nothing changed, stack up",
        peer="`docker compose up -d`",
        ours=ours,
        theirs=theirs,
        goal=2.5,
    )


def one_package(place: Workplace) -> Iterator[Comparison]:
    """One package changed: its wheel is here, its bytecode is not; and what ten of them take."""
    locks = [place.lock(change) for change in place.changes()[:_GENERATIONS]]
    lock = place.folder / "changing.txt"
    # The wheels are had before, as the peer's cache is warm; what is made of them has no bytecode.
    for number, one in enumerate(locks):
        place.add(f"seed{number}", one, "--bytecode", "off")
    shutil.copyfile(place.lock(), lock)
    name = place.add("changing", lock, "--keep", "20")
    volume = place.root / "environments" / name / "volume"
    alone = _allocated(volume)
    held = place.peer("held", place.lock(), "--compile-bytecode")
    warm = place.peer("warm", place.lock())
    for one in locks:
        place.peer_sync(warm, one)
    ours, fresh, in_place = [], [], []
    for one in locks:
        shutil.copyfile(one, lock)
        begin = time.perf_counter()
        place.venvctl("sync", name)
        ours.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        place.peer("fresh", one, "--compile-bytecode")
        fresh.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        place.peer_sync(held, one, "--compile-bytecode")
        in_place.append(time.perf_counter() - begin)
    what = "one package changed: new generation with bytecode, engine included"
    for peer, theirs, goal in (
        ("`uv pip sync --compile-bytecode` into a fresh venv, warm cache", fresh, 1 / 12),
        ("the same in place, not atomic", in_place, 1.5),
    ):
        yield Comparison(what=what, peer=peer, ours=tuple(ours), theirs=tuple(theirs), goal=goal)
    yield Comparison(
        what="disk: ten generations, one package apart",
        peer="one generation",
        ours=(_allocated(volume),),
        theirs=(alone,),
        goal=1.25,
        unit="bytes",
    )
    yield from _rollback(place, name)


def _rollback(place: Workplace, name: str) -> Iterator[Comparison]:
    ours, theirs = in_turns(
        lambda: seconds(lambda: place.venvctl("rollback", name)),
        lambda: seconds(lambda: place.venvctl("status", name)),
        _TURNS,
    )
    yield Comparison(
        what="`venvctl rollback`, nothing to restart",
        peer="`venvctl status`, which asks the engine too",
        ours=ours,
        theirs=theirs,
        goal=0.05,
        beyond=True,
    )


def cold(place: Workplace) -> Iterator[Comparison]:
    """Everything from the index, with bytecode."""

    def ours() -> float:
        shutil.rmtree(place.root, ignore_errors=True)
        place.clear()
        full = f"{place.prefix}cold"
        lock = str(place.lock())
        command = ("env", "add", full, "--lock", lock, "--image", IMAGE)  # syncs, too
        return seconds(lambda: place.venvctl(*command))

    def theirs() -> float:
        cache = place.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        options = ("--compile-bytecode", "--cache-dir", str(cache))
        return seconds(lambda: place.peer("cold", place.lock(), *options))

    measured = in_turns(ours, theirs, _DEAR)
    yield Comparison(
        what="first sync, empty store, with bytecode, image probed",
        peer="`uv pip sync --compile-bytecode`, empty cache",
        ours=measured[0],
        theirs=measured[1],
        goal=1.0,
    )


def served(place: Workplace) -> Iterator[Comparison]:
    """From a saved lock to a container that serves it, and how long that one is away."""
    port = _free_port()
    directory = place.project("ours", {"web": _service(port)}, place.lock())
    place.venvctl("up", cwd=directory)
    wheels = _wheels(place)
    peers = {}
    for tool in _INSTALL:
        other = _free_port()
        peers[tool] = (_image_project(place, tool, other, wheels), other)
        place.docker("compose", "up", "--detach", "--build", cwd=peers[tool][0])
    times: list[float] = []
    aways: list[float] = []
    builds: dict[str, list[float]] = {tool: [] for tool in peers}
    version = ""
    for change in place.changes()[:_TURNS]:
        version = change.partition("==")[2]
        shutil.copyfile(place.lock(change), directory / "requirements.lock")
        with _Watching(port, version) as watching:
            place.venvctl("up", cwd=directory)
            _wait_for(port, version)
        times.append(watching.seconds)
        aways.append(watching.away)
        for tool, (built, other) in peers.items():
            shutil.copyfile(place.lock(change), built / "requirements.lock")
            with _Watching(other, version) as watching:
                place.docker("compose", "up", "--detach", "--build", cwd=built)
                _wait_for(other, version)
            builds[tool].append(watching.seconds)
    restarts = []
    container = place.docker("compose", "ps", "--quiet", "web", cwd=directory)
    for _ in range(_TURNS):
        with _Watching(port) as watching:
            place.docker("restart", container)
            _wait_for(port, version)
        restarts.append(watching.away)
    for tool, took in builds.items():
        yield Comparison(
            what="lock saved → container serves it, one package changed (`venvctl up`)",
            peer=f"`docker compose up --build` with {tool}, wheels at hand",
            ours=tuple(times),
            theirs=tuple(took),
            goal=1 / 4,
        )
    yield Comparison(
        what="how long that container is away",
        peer="`docker restart` of it",
        ours=tuple(aways),
        theirs=tuple(restarts),
        goal=1.1,
    )


def hook(place: Workplace) -> Iterator[Comparison]:
    """A commit that changes no lock, with venvctl's hooks and without any."""
    place.add("hooked", place.lock())
    repository = place.folder / "repository"
    repository.mkdir()
    shutil.copyfile(place.lock(), repository / "requirements.lock")
    git = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost")

    def commit(*settings: str) -> float:
        command = [*git, *settings, "commit", "--quiet", "--allow-empty", "--message", "no lock"]
        return seconds(lambda: run(command, cwd=repository, environment=place.environment))

    run([*git, "init", "--quiet"], cwd=repository)
    run([*git, "add", "requirements.lock"], cwd=repository)
    commit()
    place.venvctl("hook", "install", "--lock", "requirements.lock", cwd=repository)
    commit()
    ours, theirs = in_turns(commit, lambda: commit("-c", "core.hooksPath=/dev/null"), _CHEAP)
    yield Comparison(
        what="`git commit` with venvctl's hook, no lock changed",
        peer="`git commit` without it",
        ours=ours,
        theirs=theirs,
        goal=0.015,
        beyond=True,
    )


def start(place: Workplace) -> Iterator[Comparison]:
    """A container that imports a few packages, with their bytecode and without."""
    ahead = place.add("ahead", place.lock())
    off = place.add("off", place.lock(), "--bytecode", "off")

    def begin(name: str) -> float:
        command = ("run", "--rm", "--volume", f"{name}:/venv", IMAGE, "/venv/bin/python", "-c")
        return seconds(lambda: place.docker(*command, _IMPORTS))

    ours, theirs = in_turns(lambda: begin(ahead), lambda: begin(off), _TURNS)
    yield Comparison(
        what="`docker run` that imports six packages, bytecode made ahead",
        peer="the same, without bytecode",
        ours=ours,
        theirs=theirs,
        goal=1.0,
    )


ROWS: dict[str, Callable[[Workplace], Iterator[Comparison]]] = {
    "nothing-changed": nothing_changed,
    "nothing-up": nothing_up,
    "one-package": one_package,
    "cold": cold,
    "served": served,
    "hook": hook,
    "start": start,
    "followed": followed,
}


def _service(port: int = 0) -> dict[str, object]:
    service: dict[str, object] = {
        "image": IMAGE,
        "command": ["/venv/bin/python", "-c", _SERVER],
        "volumes": ["venv:/venv"],
        "labels": {"venvctl.grace": "300ms"},
    }
    return service | ({"ports": [f"127.0.0.1:{port}:8000"]} if port else {})


def _wheels(place: Workplace) -> Path:
    """A folder with every wheel that the images are built from, and pip's own."""
    folder = place.folder / "wheels"
    place.uv(
        "run", "--quiet", "--no-project", "--with", "pip", "python", "-m", "pip", "download",
        "--quiet", "--no-deps", "--dest", str(folder), "--requirement", str(place.lock()),
    )  # fmt: skip
    for needed in ("pip", *place.changes()[:_TURNS]):
        place.uv(
            "run", "--quiet", "--no-project", "--with", "pip", "python", "-m", "pip", "download",
            "--quiet", "--no-deps", "--dest", str(folder), needed,
        )  # fmt: skip
    return folder


def _image_project(place: Workplace, tool: str, port: int, wheels: Path) -> Path:
    """The peer: the same service with its packages in the image, installed while it is built.

    It needs no index: the wheels lie beside the Dockerfile, and only the changed layer is built.
    """
    directory = place.folder / f"{place.prefix}{tool}"
    shutil.copytree(wheels, directory / "wheels")
    shutil.copyfile(TOOLS / "uv", directory / "uv")
    (directory / "uv").chmod(0o755)
    (directory / "server.py").write_text(_SERVER)
    shutil.copyfile(place.lock(), directory / "requirements.lock")
    (directory / "Dockerfile").write_text(
        f"FROM {IMAGE}\n"
        "COPY uv /usr/local/bin/uv\n"
        "COPY wheels /wheels\n"
        "COPY requirements.lock /requirements.lock\n"
        f"RUN python3 -m venv --without-pip /venv && {_INSTALL[tool]} /requirements.lock\n"
        "COPY server.py /server.py\n"
        'CMD ["/venv/bin/python", "/server.py"]\n'
    )
    (directory / "compose.yaml").write_text(
        f'services: {{web: {{build: ., ports: ["127.0.0.1:{port}:8000"]}}}}\n'
    )
    return directory


class _Watching:
    """Asks a port many times a second for the version that it serves.

    Attributes:
        away: the longest time without an answer, in seconds.
        seconds: how long it took until the awaited version was served.
    """

    def __init__(self, port: int, awaited: str = "") -> None:
        self.away = 0.0
        self.seconds = 0.0
        self._awaited = awaited
        self._port = port
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        begin = last = time.perf_counter()
        while not self._done.wait(0.004):
            if version := _version(self._port):
                now = time.perf_counter()
                if version == self._awaited and not self.seconds:
                    self.seconds = now - begin
                self.away = max(self.away, now - last)
                last = now


def _version(port: int) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=1.0) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def _wait_for(port: int, version: str) -> None:
    """Return when the port serves a version."""
    deadline = time.monotonic() + _DEADLINE
    while _version(port) != version:
        if time.monotonic() > deadline:
            raise TimeoutError(f"version {version} is not served")
        time.sleep(0.005)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _allocated(directory: Path) -> float:
    """Bytes that a tree takes on disk, each file once however often it is linked."""
    seen: dict[int, int] = {}
    for folder, _, files in os.walk(directory):
        for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118 - many thousand times
            status = os.lstat(path)
            seen[status.st_ino] = status.st_blocks * 512
    return float(sum(seen.values()))
