"""What happens to lockfiles, engines and daemons in the life of a project, at random."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stage import BRANCHES, VERSIONS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from stage import Lock, Stage

# Every so many decks of saves, the engine goes away and the daemon is killed.
_ENGINE_EACH = 2
_DAEMON_EACH = 8


@dataclass(slots=True)
class Mischief:
    """Deals decks of acts: each kind once, in random order.

    Attributes:
        written: how many contents were written, of which any may be synced.
    """

    stage: Stage
    chance: random.Random
    decks: int = 0
    written: int = 0

    def deck(self) -> list[Callable[[], None]]:
        """The next acts."""
        acts: list[Callable[[], None]] = [
            self.in_place,
            self.by_rename,
            self.truncated_then_written,
            self.checked_out,
            self.touched,
            self.chmodded,
            self.deleted_and_restored,
            self.burst,
            self.half_written,
            self.comment_only,
            self.folder_replaced,
            self.saved_again,
        ]
        if self.decks % _ENGINE_EACH == 0:
            acts.append(self.engine_stopped)
        if self.decks % _DAEMON_EACH == 0:
            acts.append(self.daemon_killed)
        if self.decks % _DAEMON_EACH == _DAEMON_EACH // 2:
            acts.append(self.daemon_restarted)
        self.decks += 1
        self.chance.shuffle(acts)
        return acts

    def in_place(self) -> None:
        lock = self._lock()
        lock.path.write_text(self._content(lock))

    def by_rename(self) -> None:
        lock = self._lock()
        temporary = lock.path.with_name(f".{lock.path.name}.swp")
        temporary.write_text(self._content(lock))
        temporary.rename(lock.path)

    def truncated_then_written(self) -> None:
        lock = self._lock()
        with lock.path.open("w") as stream:
            self._pause(1.5)
            stream.write(self._content(lock))

    def checked_out(self) -> None:
        """Switch branches, and back at times: contents of then are there again."""
        self.stage.commit()
        for _ in range(self.chance.choice((1, 1, 2))):
            current = self.stage.git("branch", "--show-current")
            (branch,) = set(BRANCHES) - {current}
            self.stage.git("checkout", "--quiet", branch)
            self.written += len(self.stage.locks)
            self._pause(1.0)
        for lock in self.stage.locks:
            pin = lock.path.read_text().rpartition("alpha==")[2]
            lock.version = pin.split()[0]

    def touched(self) -> None:
        self._lock().path.touch()

    def chmodded(self) -> None:
        self._lock().path.chmod(self.chance.choice((0o600, 0o644, 0o664)))

    def deleted_and_restored(self) -> None:
        lock = self._lock()
        was = lock.path.read_text()
        lock.path.unlink()
        self._pause(4.0)
        lock.path.write_text(self.chance.choice((was, self._content(lock))))
        lock.version = lock.path.read_text().rpartition("alpha==")[2].split()[0]

    def burst(self) -> None:
        """Several saves a second."""
        for _ in range(self.chance.randint(5, 20)):
            self.chance.choice((self.in_place, self.by_rename))()
            self._pause(0.3)

    def half_written(self) -> None:
        """An editor, or a person, that takes its time: half of it is no lock, or another one."""
        lock = self._lock()
        content = self._content(lock)
        lock.path.write_text(content[: len(content) - self.chance.randint(1, 70)])
        self.written += 1
        self._pause(3.0)
        lock.path.write_text(content)

    def comment_only(self) -> None:
        lock = self._lock()
        lock.path.write_text(self.stage.content(lock))
        self.written += 1

    def saved_again(self) -> None:
        """The same text in a new file."""
        lock = self._lock()
        temporary = lock.path.with_name("again")
        temporary.write_bytes(lock.path.read_bytes())
        temporary.rename(lock.path)

    def folder_replaced(self) -> None:
        """As a checkout of another tree does."""
        lock = self.stage.locks[1]
        folder = lock.path.parent
        new = folder.with_name("new")
        shutil.copytree(folder, new)
        (new / lock.path.name).write_text(self._content(lock))
        folder.rename(folder.with_name("old"))
        self._pause(1.0)
        new.rename(folder)
        shutil.rmtree(folder.with_name("old"))

    def engine_stopped(self) -> None:
        """Saves go on while it is away."""
        self._pause(0.5)  # at times in the middle of a sync
        self.stage.engine.stop(self.chance.choice((signal.SIGTERM, signal.SIGKILL)))
        for _ in range(self.chance.randint(0, 2)):
            self.in_place()
            self._pause(2.0)
        self._pause(4.0)
        self.stage.engine.start()
        # An engine that was killed ends its containers at its next start, and leaves them so.
        self.stage.start_containers()

    def daemon_killed(self) -> None:
        self.in_place()
        self._pause(1.5)
        self.stage.daemon.stop(signal.SIGKILL)
        self.chance.choice((self.by_rename, self.touched))()
        self.stage.daemon.start()

    def daemon_restarted(self) -> None:
        assert self.stage.daemon.process is not None
        os.kill(self.stage.daemon.process.pid, signal.SIGHUP)
        self.in_place()
        self._pause(1.0)
        self.stage.daemon.stop()
        self.chance.choice((self.by_rename, self.touched))()
        self.stage.daemon.start()

    def _lock(self) -> Lock:
        return self.chance.choice(self.stage.locks)

    def _content(self, lock: Lock) -> str:
        self.written += 1
        return self.stage.content(lock, self.chance.choice(VERSIONS))

    def _pause(self, most: float) -> None:
        # What happens at random moments is what this is about; nothing is waited for.
        time.sleep(self.chance.random() * most)
