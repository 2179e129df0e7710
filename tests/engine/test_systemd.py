"""The units under a real systemd, process 1 of a container, beside an engine of their own.

The engine sees the machine's /var/lib/venvctl under the same path, so the units are as they are
installed: their StateDirectory, their sandbox, their user.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from index import LocalIndex
from machine import STATE, Machine
from second_engine import SecondEngine
from venvctl.registration import Registration
from venvctl.specification import EnvironmentSpecification
from wheelhouse import make_wheel
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse import BuiltWheel

pytestmark = pytest.mark.engine

PYTHON = "venvctl-test/python:3.11"
LOCK = "/srv/shop/requirements.lock"
MODULE = f"{STATE}/environments/shop/volume/lib/python3*/site-packages/alpha/__init__.py"
STOP_SECONDS = 10.0
PATIENCE = 60.0  # a machine within a machine
# The machine has no curl.
ASK = """
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/venvctl/control.sock")
connection.request(sys.argv[1], sys.argv[2], sys.argv[3])
print(connection.getresponse().read().decode())
"""


@dataclass(slots=True)
class Site:
    """The machine, with an environment `shop` whose lock is in /srv/shop.

    Attributes:
        wheels: of alpha, by version.
    """

    machine: Machine
    engine: SecondEngine
    index: LocalIndex
    wheels: dict[str, BuiltWheel]

    def pin(self, version: str, comment: str = "") -> None:
        """Save the lock."""
        wheel = self.wheels[version]
        self.machine.write(
            LOCK,
            f"--index-url {self.index.url}\n--trusted-host {self.index.host}\n# {comment}\n"
            f"alpha=={version} --hash=sha256:{wheel.sha256}\n",
        )

    def serves(self, version: str) -> bool:
        """Whether the environment has that version."""
        found = self.machine.run("sh", "-c", f"cat {MODULE}")
        return found.output == f"VERSION={version!r}\n"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    # A Unix socket's path has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="vt-unit-") as name, LocalIndex() as index:
        folder = Path(name)
        (folder / "state").mkdir()
        engine = SecondEngine(folder / "engine", sees={STATE: folder / "state"})
        machine = Machine(
            f"vt-{folder.name}",
            folder,
            {STATE: folder / "state", "/run/engine": folder / "engine"},
        )
        wheels = {}
        for version in ("1.0", "2.0", "3.0", "4.0"):
            wheel = make_wheel(
                folder, "alpha", version, files={"alpha/__init__.py": f"VERSION={version!r}\n"}
            )
            index.add(wheel.path)
            wheels[version] = wheel
        try:
            engine.start()
            engine.copy_image(PYTHON)
            machine.boot()
            site = Site(machine, engine, index, wheels)
            _prepare(site)
            yield site
        finally:
            machine.remove()
            engine.close()


def _prepare(site: Site) -> None:
    """Install the units as a person would, with an engine that is not in the usual place."""
    machine = site.machine
    machine.write(
        "/etc/systemd/system/service.d/engine.conf",
        "[Service]\nEnvironment=DOCKER_HOST=unix:///run/engine/docker.sock\n",
    )
    installed = machine.tell("venvctl", "systemd", "install")
    assert "Enabled and started: venvctl.socket, venvctl.service" in installed
    site.pin("1.0")
    machine.tell(
        "venvctl", "env", "add", "shop", "--lock", LOCK, "--image", PYTHON,
        DOCKER_HOST="unix:///run/engine/docker.sock",
    )  # fmt: skip


def test_it_is_active_when_it_follows_and_says_so(site: Site) -> None:
    machine = site.machine

    assert machine.shown("venvctl.service", "ActiveState") == "active"
    wait_for(
        lambda: (
            machine.shown("venvctl.service", "StatusText")
            == "following 1 environments, working on 0"
        ),
        "the status",
        PATIENCE,
    )
    for unit in ("venvctl.socket", "venvctl.service", "venvctl-verify.timer", "venvctl-gc.timer"):
        assert machine.tell("systemctl", "is-enabled", unit).strip() == "enabled"
    timers = machine.tell("systemctl", "list-timers", "--no-pager")
    assert "venvctl-verify.timer" in timers
    assert "venvctl-gc.timer" in timers
    assert machine.tell("stat", "-c", "%a %G", "/run/venvctl/control.sock").strip() == "660 venvctl"


def test_a_save_is_synced_and_its_files_are_hard_links_all_the_same(site: Site) -> None:
    site.pin("2.0")

    wait_for(lambda: site.serves("2.0"), "the sync", PATIENCE)

    links = site.machine.tell("sh", "-c", f"stat -Lc %h {MODULE}")
    assert int(links) > 1


def test_a_reload_reads_the_registrations_again_in_the_same_process(site: Site) -> None:
    machine = site.machine
    before = machine.shown("venvctl.service", "MainPID")

    machine.tell("systemctl", "reload", "venvctl.service")

    machine.wait_for_state("venvctl.service", "active")
    assert machine.shown("venvctl.service", "MainPID") == before
    assert "Reloaded venvctl.service" in machine.run("journalctl", "--no-pager").output


def test_a_work_loop_that_is_stuck_is_ended_by_the_watchdog_and_begun_again(site: Site) -> None:
    machine = site.machine
    drop_in = "/run/systemd/system/venvctl.service.d/watchdog.conf"
    machine.write(drop_in, "[Service]\nWatchdogSec=8s\nTimeoutAbortSec=2s\n")
    machine.tell("systemctl", "daemon-reload")
    machine.tell("systemctl", "restart", "venvctl.service")
    before = machine.shown("venvctl.service", "MainPID")
    restarts = int(machine.shown("venvctl.service", "NRestarts"))
    # A registration that never ends: whoever reads it waits for ever.
    stuck = f"{STATE}/environments/stuck/environment.json"
    machine.tell("sh", "-c", f"mkdir -p $(dirname {stuck}) && mkfifo {stuck}")

    wait_for(
        lambda: int(machine.shown("venvctl.service", "NRestarts")) > restarts,
        "the watchdog",
        PATIENCE,
    )

    machine.run("timeout", "20", "sh", "-c", f": >{stuck}")  # whoever reads it now goes on
    machine.tell("rm", "-r", str(Path(stuck).parent))
    machine.wait_for_state("venvctl.service", "active")
    assert machine.shown("venvctl.service", "MainPID") != before
    assert "Watchdog timeout" in machine.run("journalctl", "--no-pager").output
    site.pin("3.0")
    wait_for(lambda: site.serves("3.0"), "the sync", PATIENCE)
    machine.tell("rm", drop_in)
    machine.tell("systemctl", "daemon-reload")


def test_it_stops_soon_in_the_middle_of_work_and_goes_on_when_it_starts(site: Site) -> None:
    machine = site.machine
    site.engine.docker(
        "run", "--detach", "--name", "web", "--network", "none", "--volume", "shop:/venv",
        "--label", "venvctl.grace=60s", PYTHON, "/venv/bin/python", "-c",
        "import signal, os; signal.signal(15, lambda *_: os._exit(0)); signal.pause()",
    )  # fmt: skip
    site.pin("4.0")
    wait_for(lambda: site.serves("4.0"), "the switch", PATIENCE)

    began = time.monotonic()
    machine.tell("systemctl", "stop", "venvctl.service")
    took = time.monotonic() - began

    assert took < STOP_SECONDS
    assert machine.shown("venvctl.service", "Result") == "success"
    site.engine.docker("rm", "--force", "web")
    machine.tell("systemctl", "start", "venvctl.service")
    assert machine.shown("venvctl.service", "ActiveState") == "active"


def test_a_request_starts_it_by_its_socket(site: Site) -> None:
    machine = site.machine
    machine.tell("systemctl", "stop", "venvctl.service")
    assert machine.shown("venvctl.socket", "ActiveState") == "active"
    answer = json.loads(machine.tell("python3", "-c", ASK, "GET", "/v1/health", ""))

    assert answer["data"]["root"] == STATE
    machine.wait_for_state("venvctl.service", "active")


def test_a_lock_that_is_followed_for_somebody_is_read_as_them_in_the_sandbox(site: Site) -> None:
    machine = site.machine
    machine.tell("useradd", "--create-home", "--uid", "1600", "--groups", "venvctl", "member")
    lock = "/home/member/requirements.lock"
    wheel = site.wheels["1.0"]
    text = f"--index-url {site.index.url}\n--trusted-host {site.index.host}\n"
    text += f"alpha==1.0 --hash=sha256:{wheel.sha256}\n"
    machine.write(lock, text)
    machine.tell("chown", "member:", lock)
    machine.tell("chmod", "600", lock)
    home = Path("/home/member")
    registration = Registration(
        specification=EnvironmentSpecification.from_labels(
            "theirs", {"venvctl.lock": lock}, directory=home, place="the test"
        ),
        mount="/venv",
        images={"": PYTHON},
        labels={},
        project="",
        directory=home,
    ).to_dict()
    order = json.dumps({"registration": registration, "files": {lock: text}})

    answered = machine.tell(
        "runuser", "-u", "member", "--", "python3", "-c", ASK,
        "POST", "/v1/environments/theirs/sync", order,
    )  # fmt: skip

    answer = json.loads(answered)
    assert answer["ok"], answer
    machine.write(lock, text + "# saved by its owner\n")
    history = f"{STATE}/environments/theirs/history.jsonl"
    wait_for(
        lambda: len(machine.tell("cat", history).splitlines()) > 1,
        "the sync of what only its owner may read",
        PATIENCE,
    )
    assert f"{lock} can't be read" not in machine.journal()


@pytest.mark.parametrize("verb", ["verify", "gc"])
def test_what_the_timers_start_succeeds_in_its_sandbox(site: Site, verb: str) -> None:
    site.machine.tell("systemctl", "start", f"venvctl-{verb}.service")

    unit = f"venvctl-{verb}.service"
    assert site.machine.shown(unit, "Result") == "success", site.machine.journal(unit)
    assert site.machine.shown(unit, "ExecMainStatus") == "0"


def test_the_next_boot_finds_what_was_saved_meanwhile(site: Site) -> None:
    machine = site.machine
    site.pin("1.0", "before the boot")
    wait_for(lambda: site.serves("1.0"), "the sync", PATIENCE)
    machine.tell("systemctl", "stop", "venvctl.service", "venvctl.socket")
    site.pin("2.0", "while it was off")

    machine.restart()

    machine.wait_for_state("venvctl.service", "active")
    wait_for(lambda: site.serves("2.0"), "the sync of what was missed", PATIENCE)


def test_a_users_own_units_run_under_their_own_systemd(site: Site) -> None:
    machine = site.machine
    machine.tell("useradd", "--create-home", "--uid", "1500", "dev")
    machine.tell("loginctl", "enable-linger", "dev")
    machine.wait_for_state("user@1500.service", "active")
    own = ("runuser", "-u", "dev", "--", "env", "XDG_RUNTIME_DIR=/run/user/1500", "HOME=/home/dev")

    installed = machine.tell(*own, "venvctl", "systemd", "install", "--user")

    assert "Enabled and started: venvctl.socket, venvctl.service" in installed
    assert "enable-linger" not in installed  # it is
    state = machine.tell(
        *own, "systemctl", "--user", "show", "--property", "ActiveState", "venvctl"
    )
    assert "ActiveState=active" in state
    mode = machine.tell("stat", "-c", "%a %U", "/run/user/1500/venvctl/control.sock")
    assert mode.strip() == "600 dev"
    machine.tell(*own, "systemctl", "--user", "reload", "venvctl")

    removed = machine.tell(*own, "venvctl", "systemd", "uninstall", "--user")

    assert "Stopped and disabled: venvctl.socket, venvctl.service" in removed
    state = machine.tell(
        *own, "systemctl", "--user", "show", "--property", "ActiveState,LoadState", "venvctl"
    )
    assert "ActiveState=inactive" in state
    assert "LoadState=not-found" in state
    again = machine.tell(*own, "venvctl", "systemd", "uninstall", "--user")
    assert again == "There is no unit of venvctl's.\n"


def test_without_a_systemd_of_theirs_nothing_is_written(site: Site) -> None:
    machine = site.machine
    machine.tell("useradd", "--create-home", "--uid", "1700", "guest")

    refused = machine.run(
        "runuser", "-u", "guest", "--", "env", "HOME=/home/guest",
        "venvctl", "systemd", "install", "--user",
    )  # fmt: skip

    assert refused.code == 1
    assert refused.output == (
        "Error: This user's own systemd can't be reached; nothing was changed.\n"
        "Hint: `loginctl enable-linger guest` as root, then log in as guest or set "
        "XDG_RUNTIME_DIR=/run/user/1700, and try again.\n"
    )
    assert machine.run("ls", "/home/guest/.config").code != 0


def test_systemd_itself_rates_what_is_installed(site: Site) -> None:
    for unit in ("venvctl.service", "venvctl-verify.service", "venvctl-gc.service"):
        rated = site.machine.tell("systemd-analyze", "security", "--no-pager", unit)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", rated)
        assert found is not None
        assert float(found[1]) < 3.0
