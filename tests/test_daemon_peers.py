"""Files that are read for another user are read with that user's rights, whatever they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from open_folder import open_folder
from venvctl.daemon import peers
from venvctl.daemon.peers import Sight
from venvctl.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NOBODY = 65534
LIMIT = 1 << 20

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


def refused(path: Path) -> str:
    with pytest.raises(LockError) as caught:
        peers.reader(_NOBODY, limit=LIMIT)(path)
    return caught.value.message


def test_a_file_that_its_user_can_read_is_read(folder: Path) -> None:
    lock = folder / "lock"
    lock.write_bytes(b"six==1.0\n" * 1000)
    lock.chmod(0o644)

    assert peers.reader(_NOBODY, limit=LIMIT)(lock) == b"six==1.0\n" * 1000


def _secret(folder: Path) -> Path:
    path = folder / "secret"
    path.write_text("secret")
    path.chmod(0o600)
    return path


def _link(folder: Path) -> Path:
    path = folder / "link"
    path.symlink_to(_secret(folder))
    return path


def _pipe(folder: Path) -> Path:
    path = folder / "pipe"
    os.mkfifo(path)
    path.chmod(0o666)
    return path


def _huge(folder: Path) -> Path:
    path = folder / "huge"
    path.touch()
    os.truncate(path, 100 << 20)
    path.chmod(0o644)
    return path


@pytest.mark.parametrize(
    "make",
    [
        _secret,
        _link,
        _pipe,
        _huge,
        lambda folder: folder,
        lambda folder: folder / "nothing",
        lambda _folder: Path("/dev/zero"),
        lambda _folder: Path("/dev/null"),
        lambda _folder: Path("/dev/stdin"),
        lambda _folder: Path("/proc/1/environ"),
        lambda _folder: Path(f"/proc/{os.getpid()}/environ"),
        lambda folder: folder / ("a" * 5000),
        lambda folder: Path(f"{folder}/a\0b"),
    ],
)
def test_whatever_else_it_is_nothing_is_told_of_it(
    folder: Path, make: Callable[[Path], Path]
) -> None:
    path = make(folder)

    assert refused(path) == f"The lockfile {path} can't be read by nobody."


def test_a_file_of_proc_that_its_user_can_read_has_nothing_of_ours() -> None:
    try:
        content = peers.reader(_NOBODY, limit=LIMIT)(Path("/proc/self/environ"))
    except LockError:
        return
    assert content == f"PATH={os.defpath}\0".encode()


def test_a_variable_of_the_daemon_is_not_put_into_somebody_elses_lock(folder: Path) -> None:
    lock = folder / "lock"
    lock.write_text("--index-url https://x/${HOME}\n")
    lock.chmod(0o644)

    assert refused(lock) == (
        f"The lockfile {lock} has ${{HOME}}, and the daemon has not your environment's variables."
    )


def test_a_user_who_is_gone_reads_nothing(folder: Path) -> None:
    with pytest.raises(LockError) as caught:
        peers.reader(4_000_000_000, limit=LIMIT)(folder / "lock")

    assert caught.value.message == (
        f"The lockfile {folder}/lock is followed for user 4000000000, who is gone."
    )


def test_sight_is_by_the_rights_of_each_user(folder: Path) -> None:
    open_file, secret = folder / "open", _secret(folder)
    open_file.write_text("")
    open_file.chmod(0o644)
    sight = Sight()

    assert sight.reads(_NOBODY, [str(open_file)])
    assert not sight.reads(_NOBODY, [str(open_file), str(secret)])
    assert not sight.reads(_NOBODY, [str(folder)])
    assert not sight.reads(4_000_000_000, [str(open_file)])
    assert sight.reads(0, [str(secret)])
    assert sight.reads(_NOBODY, [])
