"""The systemd units, as systemd itself reads them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import venvctl
from venvctl import units
from venvctl.cli.application import run
from venvctl.errors import UsageError

# .ci installs it; elsewhere a machine may run no systemd.
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and "VENVCTL_REQUIRE_ENGINE" not in os.environ,
    reason="systemd-analyze is not installed",
)
COMMAND = (sys.executable, "-m", "venvctl")
DATA = Path(venvctl.__file__).parent / "data" / "systemd"
KINDS = ("system", "user")


def laid_out(directory: Path, *, user: bool, root: Path | None = None) -> list[str]:
    """Write rendered units below a directory; their paths."""
    paths = []
    for unit in units.render(COMMAND, user=user, root=root):
        if unit.path.suffix == ".conf" and unit.path.parent.suffix != ".d":
            continue
        if unit.path.parent.name.endswith(".d") and unit.path.parent.name == "sysusers.d":
            continue
        place = directory / unit.path.relative_to(unit.path.parents[_depth(unit.path)])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(unit.text)
        if not unit.path.parent.name.endswith(".d"):
            paths.append(str(place))
    return paths


def _depth(path: Path) -> int:
    return 1 if path.parent.name.endswith(".d") else 0


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


@needs_systemd
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("root", [None, Path("/srv/with space/100%/$x")])
def test_systemd_finds_nothing_wrong_with_the_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, root: Path | None
) -> None:
    # Where a user's systemd would be: its units name it.
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    paths = laid_out(tmp_path, user=kind == "user", root=root)
    assert len(paths) == 6

    done = analyze(f"--{kind}", "verify", *paths)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
@pytest.mark.parametrize("name", ["venvctl", "venvctl-verify", "venvctl-gc"])
def test_the_exposure_is_below_three(tmp_path: Path, name: str) -> None:
    laid_out(tmp_path, user=False)

    done = analyze("security", "--offline=true", "--threshold=29", f"{tmp_path}/{name}.service")

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) < 3.0
    assert done.returncode == 0


@pytest.mark.parametrize("kind", KINDS)
def test_all_services_are_shut_in_alike_but_for_what_the_daemon_reads_as_others(kind: str) -> None:
    start = "# The root is one" if kind == "system" else "# Only what"
    blocks = {
        tuple(
            line
            for line in path.read_text()
            .partition(start)[2]
            .partition("\n[Install]")[0]
            .splitlines()
            if line and not line.startswith(("#", "CapabilityBoundingSet="))
        )
        for path in (DATA / kind).glob("*.service")
    }

    shut_in, *more = sorted(blocks, key=len)
    assert "NoNewPrivileges=yes" in shut_in
    assert [set(block) - set(shut_in) for block in more] == (
        [{"SystemCallFilter=@setuid"}] if kind == "system" else []
    )


def test_the_directory_of_units_at_the_top_is_the_packages_own() -> None:
    top = Path(__file__).parents[1] / "systemd"

    assert top.resolve() == DATA.resolve()


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("/usr/bin/venvctl", "/usr/bin/venvctl"),
        ("/opt/a b/venvctl", '"/opt/a b/venvctl"'),
        ("/opt/100%/venvctl", "/opt/100%%/venvctl"),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("", '""'),
    ],
)
def test_words_are_quoted_as_systemd_reads_them(word: str, quoted: str) -> None:
    assert units.quote(word) == quoted


def test_the_program_and_the_root_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/ann/.config")
    command = ("/opt/$x/venvctl",)

    system = {str(unit.path): unit.text for unit in units.render(command, user=False)}
    user = units.render(command, user=True, root=Path("/srv/root"))

    assert sorted(system) == [
        "/etc/systemd/system/venvctl-gc.service",
        "/etc/systemd/system/venvctl-gc.timer",
        "/etc/systemd/system/venvctl-verify.service",
        "/etc/systemd/system/venvctl-verify.timer",
        "/etc/systemd/system/venvctl.service",
        "/etc/systemd/system/venvctl.socket",
        "/etc/sysusers.d/venvctl.conf",
    ]
    service = system["/etc/systemd/system/venvctl.service"]
    assert "\nExecStart=/opt/$$x/venvctl daemon\n" in service
    assert all("/usr/bin/venvctl" not in text for text in system.values())
    here = Path("/home/ann/.config/systemd/user")
    [drop_in] = [each for each in user if each.path == here / "venvctl.service.d/root.conf"]
    assert drop_in.text == "[Service]\nEnvironment=VENVCTL_ROOT=/srv/root\n"
    assert not [each for each in user if not each.path.is_relative_to(here)]


def test_print_shows_the_units_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["systemd", "install", "--print", "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["command"] == "systemd install"
    [drop_in] = [
        each
        for each in answer["data"]
        if each["path"] == "/etc/systemd/system/venvctl.service.d/root.conf"
    ]
    root = tmp_path / "unnamed-root"
    assert drop_in["text"] == (
        f"[Service]\nEnvironment=VENVCTL_ROOT={root}\nReadWritePaths={root}\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_only_root_installs_the_systems_units() -> None:
    before = os.geteuid()
    os.seteuid(65534)
    try:
        with pytest.raises(UsageError) as caught:
            units.install([], user=False)
    finally:
        os.seteuid(before)
    assert caught.value.message == "Only root can install the system's units."
    assert caught.value.hint == (
        "Run it as root, or `venvctl systemd install --user` for a daemon of your own."
    )


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not installed")
def test_without_a_running_systemd_units_are_written_and_enabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("HOME", str(tmp_path))
    directory = tmp_path / "config/systemd/user"

    done = units.install(units.render(COMMAND, user=True), user=True)
    again = units.install(units.render(COMMAND, user=True), user=True)

    assert done == again
    assert not done.started
    assert done.notes[0] == "systemd does not run here: the units start with the machine."
    wanted = {str(path.relative_to(directory)) for path in directory.glob("*.wants/*")}
    assert wanted == {
        "default.target.wants/venvctl.service",
        "sockets.target.wants/venvctl.socket",
        "timers.target.wants/venvctl-gc.timer",
        "timers.target.wants/venvctl-verify.timer",
    }

    gone = units.uninstall(units.render(COMMAND, user=True, root=tmp_path), user=True)

    assert set(gone.removed) == set(done.written)
    assert not gone.stopped
    assert not [path for path in directory.rglob("*") if not path.is_dir()]
    assert units.uninstall(units.render(COMMAND, user=True), user=True).removed == ()
