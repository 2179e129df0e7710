"""A thousand environments followed by one daemon: what it costs at rest, and how soon it begins."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from measurement import Comparison
from venvctl.registration import Registration
from venvctl.root import Root
from venvctl.specification import EnvironmentSpecification
from workplace import IMAGE, TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workplace import Workplace

_ENVIRONMENTS = int(os.environ.get("BENCH_ENVIRONMENTS", "1000"))
_SAVES = 200
_IDLE = 120.0  # seconds at rest that are measured
_REST = 20.0  # seconds between the last work and that
_DEADLINE = 1800.0
_PATIENCE = 30.0
# The design's goals.
_CORE = 0.002
_MEMORY = 120e6
_STARTED = 1.0
_PERCENTILE = 0.99


def followed(place: Workplace) -> Iterator[Comparison]:
    """One daemon beside all of them: at rest, and while one after the other is saved."""
    locks = _register(place)
    with _daemon(place) as process:
        _wait_until_synced(place, process)
        time.sleep(_REST)
        before, began = _cpu_seconds(process), time.monotonic()
        time.sleep(_IDLE)
        share = (_cpu_seconds(process) - before) / (time.monotonic() - began)
        resting = _memory(process)
        waits = sorted(_waits(place, locks))
    what = f"{len(locks):,} environments followed by one daemon"
    peer = "the design's goal"
    yield Comparison(
        what=f"{what}: CPU time in 1,000 s at rest",
        peer=peer,
        ours=(share * 1000,),
        theirs=(_CORE * 1000,),
        goal=1.0,
    )
    yield Comparison(
        what=f"{what}: memory at rest",
        peer=peer,
        ours=(float(resting),),
        theirs=(_MEMORY,),
        goal=1.0,
        unit="bytes",
    )
    yield Comparison(
        what=f"{what}: from a save to the start of its sync, 99th percentile of {len(waits)}",
        peer=peer,
        ours=(waits[int(len(waits) * _PERCENTILE) - 1],),
        theirs=(_STARTED,),
        goal=1.0,
    )


def _register(place: Workplace) -> dict[str, Path]:
    """Register them, each with a lock in a directory of its own; the lock by the name."""
    root = Root(place.root)
    root.create()
    locks = {}
    for number in range(_ENVIRONMENTS):
        name = f"{place.prefix}{number}"
        directory = place.folder / "projects" / str(number)
        directory.mkdir(parents=True)
        locks[name] = directory / "requirements.lock"
        shutil.copyfile(_lock(place), locks[name])
        root.registry.claim(
            Registration(
                specification=EnvironmentSpecification.from_labels(
                    name, {"venvctl.lock": str(locks[name])}, directory=directory, place="the bench"
                ),
                mount="/venv",
                images={"": IMAGE},
                labels={},
                project="",
                directory=directory,
            )
        )
    return locks


def _lock(place: Workplace) -> Path:
    """Of one small package: a thousand environments are to be made."""
    path = place.folder / "one.lock"
    if not path.exists():
        source = path.with_suffix(".in")
        source.write_text(f"{place.changes[-1]}\n")
        place.uv(
            "pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header",
            "--no-emit-index-url", "--python-version", "3.11", str(source),
            "--output-file", str(path),
        )  # fmt: skip
    return path


@contextmanager
def _daemon(place: Workplace) -> Iterator[int]:
    """A daemon as systemd would run it; its process."""
    with (place.folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [str(TOOLS / "venvctl"), "daemon"],
            env={**place.environment, "VENVCTL_SOCKET": str(_socket(place))},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield daemon.pid
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=_PATIENCE)


def _wait_until_synced(place: Workplace, process: int) -> None:
    """Return when every environment was made and nothing is worked on."""
    deadline = time.monotonic() + _DEADLINE
    while True:
        with suppress(OSError):
            found = _ask(place, "/v1/environments")["data"]["environments"]
            if len(found) == _ENVIRONMENTS and all(
                each["generation"] and not each["working"] for each in found
            ):
                return
        if not Path(f"/proc/{process}").exists() or time.monotonic() > deadline:
            sys.exit(f"the daemon did not get there: {(place.folder / 'daemon.log').read_text()}")
        time.sleep(1)


def _waits(place: Workplace, locks: dict[str, Path]) -> Iterator[float]:
    """Save one lock after the other; seconds until the daemon said that its sync started."""
    connection = _connect(place)
    connection.request("GET", "/v1/events")
    response = connection.getresponse()
    chance = random.Random(1)  # noqa: S311 - any order will do
    for number, name in enumerate(chance.sample(sorted(locks), min(_SAVES, len(locks)))):
        saved = time.time()
        with locks[name].open("a") as stream:
            stream.write(f"# {number}\n")
        while True:
            event = json.loads(response.readline())
            if event["kind"] == "started" and event["environment"] == name:
                yield datetime.fromisoformat(event["time"]).timestamp() - saved
                break
    connection.close()


def _ask(place: Workplace, path: str) -> dict[str, dict[str, list[dict[str, object]]]]:
    connection = _connect(place)
    try:
        connection.request("GET", path)
        answer: dict[str, dict[str, list[dict[str, object]]]] = json.loads(
            connection.getresponse().read()
        )
    finally:
        connection.close()
    return answer


def _connect(place: Workplace) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(_PATIENCE)
    connection.sock.connect(str(_socket(place)))
    return connection


def _socket(place: Workplace) -> Path:
    return place.folder / "control.sock"


def _cpu_seconds(process: int) -> float:
    """What a process has used of the processor, by itself and in the kernel."""
    # After the name, which may hold anything: proc(5), fields 14 and 15.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(process: int) -> int:
    """Its resident bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
