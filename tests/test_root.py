"""The root belongs to one user, and whoever is alone in it tidies up after a crash."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from venvctl.engine.model import TaskResult
from venvctl.errors import BusyError, RootError, TargetError, UsageError
from venvctl.root import Root, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from venvctl.engine.model import Engine, Task


@dataclass(slots=True)
class Helpers:
    """As much of an engine as a root asks by itself: to remove helper containers."""

    removed: int = 0

    def remove_helpers(self) -> int:
        self.removed += 1
        return 0


@pytest.fixture
def helpers() -> Helpers:
    return Helpers()


@pytest.fixture
def root(tmp_path: Path, helpers: Helpers) -> Root:
    return Root(tmp_path / "root", engine=cast("Engine", helpers))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"VENVCTL_ROOT": "/srv/venvs"}, "/srv/venvs"),
        ({"VENVCTL_ROOT": "/srv/venvs", "STATE_DIRECTORY": "/var/lib/x"}, "/srv/venvs"),
        ({"STATE_DIRECTORY": "/var/lib/x:/var/lib/y"}, "/var/lib/x"),
        ({"VENVCTL_ROOT": "", "STATE_DIRECTORY": "/var/lib/x"}, "/var/lib/x"),
    ],
)
def test_it_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.delenv("VENVCTL_ROOT")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert locate() == Path(expected)


def test_without_a_word_it_is_the_system_s_or_the_user_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VENVCTL_ROOT")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert locate() == Path("/var/lib/venvctl")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/me/.data")
    assert locate() == Path("/home/me/.data/venvctl")


def test_a_relative_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENVCTL_ROOT", "venvs")

    with pytest.raises(RootError) as caught:
        locate()

    assert caught.value.message == "VENVCTL_ROOT is 'venvs', which is no absolute path."


def test_one_place_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert Root(tmp_path / "link").path == tmp_path / "real"


def test_others_don_t_get_in(root: Root) -> None:
    os.umask(0)

    root.create()

    assert stat.S_IMODE(root.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_one_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)

    with pytest.raises(RootError) as caught:
        Root(tmp_path)

    assert caught.value.message == (
        f"{tmp_path} can be written by its group or by others (mode {mode:04o}): "
        "whoever can write there decides what your containers run."
    )
    assert caught.value.hint == f"`chmod go-w {tmp_path}`"


def test_that_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)

    with pytest.raises(RootError) as caught:
        Root(tmp_path)

    assert caught.value.message == f"{tmp_path} belongs to user {me}, and this is user {me + 1}."


def test_a_file_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(RootError) as caught:
        Root(tmp_path / "file")

    assert caught.value.message == f"{tmp_path}/file is not a directory."


def test_many_work_at_once_and_nobody_is_alone_meanwhile(root: Root, tmp_path: Path) -> None:
    other = Root(tmp_path / "root", engine=root.engine)
    with root.working(), other.working():
        with pytest.raises(BusyError) as caught, other.alone():
            pass
        assert caught.value.message == f"Another venvctl is at work in {root.path}."
        assert caught.value.hint == "Try again when it is done."
    with other.alone(), pytest.raises(BusyError), root.alone():
        pass


_HOLD = """
import sys
from pathlib import Path
from venvctl.root import Root
with getattr(Root(Path(sys.argv[1])), sys.argv[2])():
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["working", "alone"])
def holder(root: Root, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Another process in the root, until it is told to end, or killed."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, root.path, request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process
        process.kill()


def test_who_was_killed_holds_nothing_and_is_tidied_up_after(
    root: Root, helpers: Helpers, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(BusyError), root.alone():
        pass
    assert list((root.path / "tmp").iterdir()) != []
    holder.kill()
    holder.wait()

    with root.alone():
        assert helpers.removed == 1
    assert list((root.path / "tmp").iterdir()) == []


def test_who_waits_gets_his_turn(root: Root, holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    holder.stdin.close()

    with root.alone(wait=20.0):
        assert holder.wait(60) == 0


@pytest.mark.parametrize("way", [Root.working, Root.alone])
def test_what_a_crash_left_is_removed_first_and_names_are_kept(
    root: Root, helpers: Helpers, way: Callable[[Root], AbstractContextManager[None]]
) -> None:
    with way(root):
        pass
    assert helpers.removed == 0  # nothing was left, so nobody is asked
    volume = root.path / "environments/shop/volume"
    volume.mkdir(parents=True)
    for name in ("state.json", ".state.json.0123456789ab"):
        (volume.parent / name).write_text("{}")
    left = root.path / "tmp" / "left"
    (left / "inner").mkdir(parents=True)
    (root.path / "tmp" / "file").write_bytes(b"")

    with way(root):
        assert helpers.removed == 1
        assert not left.exists()
        assert not (root.path / "tmp" / "file").exists()
    assert sorted(path.name for path in volume.parent.iterdir()) == ["state.json", "volume"]
    with way(root):
        pass
    assert helpers.removed == 1  # recovering twice changes nothing more


def test_nobody_tidies_up_what_another_is_working_on(root: Root, helpers: Helpers) -> None:
    with root.working():
        (mine,) = (root.path / "tmp").iterdir()
        root.recover()
        with root.working():
            assert mine.exists()
        assert mine.exists()
    assert helpers.removed == 0


def test_nobody_tidies_up_beneath_a_probe(root: Root, helpers: Helpers, tmp_path: Path) -> None:
    seen = []

    class Probed(Helpers):
        def run(self, task: Task) -> TaskResult:
            Root(tmp_path / "root", engine=cast("Engine", helpers)).recover()
            seen.append(Path(task.mounts[0].source, "probe.py").exists())
            return TaskResult(exit_code=127, stdout="", stderr="")

    root.engine = cast("Engine", Probed())
    with pytest.raises(TargetError):
        root.probe.ask("image", "python3", name="image")
    with root.alone(), pytest.raises(TargetError):
        root.probe.ask("image", "python3", name="image")

    assert seen == [True, True]
    assert helpers.removed == 0


def test_a_recovery_without_a_crash_asks_nobody(root: Root, helpers: Helpers) -> None:
    root.recover()
    assert not root.path.exists()
    (root.path / "tmp" / "left").mkdir(parents=True)

    root.recover()

    assert helpers.removed == 1
    assert list((root.path / "tmp").iterdir()) == []


def test_what_may_still_come_is_looked_for_again(root: Root, helpers: Helpers) -> None:
    note = root.path / "helpers" / "one"
    note.parent.mkdir(parents=True, mode=0o700)
    note.touch()

    root.recover()
    root.recover()

    assert helpers.removed == 2
    note.unlink()
    root.recover()
    assert helpers.removed == 2


def test_environments_are_those_with_a_directory(root: Root) -> None:
    assert root.environments() == []
    for name in ("till", "shop"):
        root.environment(name).prepare()
    (root.path / "environments" / "notes.txt").write_text("")

    assert [environment.name for environment in root.environments()] == ["shop", "till"]


def test_a_generation_of_an_unknown_environment_is_an_error(root: Root) -> None:
    with pytest.raises(UsageError) as caught:
        root.generation("shop")
    assert caught.value.message == f"There is no environment 'shop' in {root.path}; known: none."
    root.environment("shop").prepare()
    with pytest.raises(UsageError) as caught:
        root.generation("shop")
    assert caught.value.message == "Environment shop has no generation yet."
    with pytest.raises(UsageError) as caught:
        root.generation("shop", 3)
    assert caught.value.message == "Environment shop has no generation 3; it has none."


def test_a_root_that_others_can_put_another_in_the_place_of_is_refused(tmp_path: Path) -> None:
    parent = tmp_path / "open"
    path = parent / "root"
    path.mkdir(parents=True, mode=0o700)
    parent.chmod(0o777)

    with pytest.raises(RootError) as caught:
        Root(path)

    assert caught.value.message == (
        f"{parent}, in which {path} is, can be written by others (mode 0777): whoever can write "
        "there can put another directory in its place."
    )
    assert caught.value.hint == f"`chmod o-w {parent}`, or set VENVCTL_ROOT elsewhere."
    parent.chmod(0o1777)  # as /tmp: each may rename their own alone
    assert Root(path).path == path


def test_the_place_that_a_link_leads_to_is_what_counts(tmp_path: Path) -> None:
    path = tmp_path / "open" / "root"
    path.mkdir(parents=True, mode=0o700)
    path.parent.chmod(0o777)
    (tmp_path / "link").symlink_to(path)

    with pytest.raises(RootError) as caught:
        Root(tmp_path / "link")

    assert caught.value.message.startswith(f"{path.parent}, in which {path} is, ")
