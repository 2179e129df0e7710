"""What the daemon counts, and how Prometheus reads it."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry, Metric

    from venvctl.root import Root
    from venvctl.sync import SyncResult

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
# A store of a million files takes seconds to walk, and a scrape comes every few.
_STORE_SECONDS = 300.0


@dataclass(slots=True)
class _Histogram:
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS) + 1))
    total: float = 0.0

    def observe(self, value: float) -> None:
        self.buckets[sum(value > bound for bound in _BOUNDS)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        found, so_far = [], 0
        for bound, count in zip([*map(str, _BOUNDS), "+Inf"], self.buckets, strict=True):
            so_far += count
            found.append((bound, float(so_far)))
        return found


class Tally:
    """Counts, from any thread; the numbers only go up while the daemon runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.results: Counter[str] = Counter()
        self.downloads = self.hits = self.builds = self.restarts = 0
        self.seconds = _Histogram()
        self.waits = _Histogram()

    def synced(self, result: SyncResult, seconds: float) -> None:
        """A sync ended well."""
        with self._lock:
            self.results[str(result.action)] += 1
            self.seconds.observe(seconds)
            self.downloads += result.fetched
            self.builds += result.built
            self.hits += result.action == "reuse"
            self.restarts += sum(
                step.action == "restart" and step.outcome == "done" for step in result.steps
            )

    def failed(self, code: str, seconds: float) -> None:
        """A sync failed with an error of that code."""
        with self._lock:
            self.results[f"error:{code}"] += 1
            self.seconds.observe(seconds)

    def waited(self, seconds: float) -> None:
        """So long after its reason came up, a sync began."""
        with self._lock:
            self.waits.observe(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """What is now.

    Attributes:
        environments: how many are followed. problems: how many of them have one.
        waiting, running: jobs. engine: whether it answers.
        watcher_healthy: whether changes are heard of everywhere. files, directories: watched.
        overflows, deaths: of the listener, so far.
    """

    environments: int
    problems: int
    waiting: int
    running: int
    engine: bool
    watcher_healthy: bool
    files: int
    directories: int
    overflows: int
    deaths: int


class Metrics:
    """The page that Prometheus reads.

    Args:
        tally: what was counted.
        gauges: gives what is now.
        root: its generations and store are measured.
    """

    def __init__(self, tally: Tally, gauges: Callable[[], Gauges], root: Root) -> None:
        self._tally = tally
        self._gauges = gauges
        self._root = root
        self._store_bytes = 0
        self._measured: float | None = None
        self._lock = threading.Lock()
        self._registry: CollectorRegistry | None = None

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        # Only here: it costs 10 MB, and a daemon that nobody scrapes does without.
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - see above

        with self._lock:
            if self._registry is None:
                self._registry = CollectorRegistry(auto_describe=False)
                self._registry.register(self)
            return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client's collectors."""
        from prometheus_client.core import (  # noqa: PLC0415 - as in `page`
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        tally, now = self._tally, self._gauges()
        syncs = CounterMetricFamily("venvctl_syncs", "Syncs by result.", labels=["result"])
        for result, count in sorted(tally.results.items()):
            syncs.add_metric([result], count)
        yield syncs
        for name, text, histogram in (
            ("venvctl_sync_seconds", "How long syncs took.", tally.seconds),
            ("venvctl_wait_seconds", "From a change to the start of its sync.", tally.waits),
        ):
            yield HistogramMetricFamily(
                name, text, buckets=histogram.cumulative(), sum_value=histogram.total
            )
        for name, text, count in (
            ("venvctl_downloads", "Files fetched.", tally.downloads),
            ("venvctl_builds", "Packages built from source.", tally.builds),
            ("venvctl_cache_hits", "Generations used again.", tally.hits),
            ("venvctl_restarts", "Containers restarted.", tally.restarts),
            ("venvctl_watcher_overflows", "Times that file events were lost.", now.overflows),
            ("venvctl_watcher_deaths", "Times that the listener was replaced.", now.deaths),
        ):
            yield CounterMetricFamily(name, text, value=count)
        for name, text, value in (
            ("venvctl_environments", "Environments that are followed.", now.environments),
            ("venvctl_problems", "Environments that have a problem.", now.problems),
            ("venvctl_jobs_waiting", "Environments with something to be done.", now.waiting),
            ("venvctl_jobs_running", "Environments that are worked on.", now.running),
            ("venvctl_engine_up", "Whether the engine answers.", float(now.engine)),
            ("venvctl_watcher_healthy", "Whether events come.", float(now.watcher_healthy)),
            ("venvctl_watched_files", "Files watched.", now.files),
            ("venvctl_watched_directories", "Directories watched.", now.directories),
            ("venvctl_generations", "Generations on disk.", self._generations()),
            ("venvctl_store_bytes", "Size of the stored wheels.", self._bytes()),
        ):
            yield GaugeMetricFamily(name, text, value=value)

    def _generations(self) -> int:
        names = self._root.registry.names()
        return sum(len(self._root.environment(name).generations()) for name in names)

    def _bytes(self) -> int:
        now = time.monotonic()
        if self._measured is None or now - self._measured > _STORE_SECONDS:
            self._store_bytes = _size(str(self._root.path / "store" / "wheels"))
            self._measured = now
        return self._store_bytes


def _size(directory: str) -> int:
    """Bytes of all files below a directory."""
    total = 0
    pending = [directory]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # it was collected meanwhile
    return total
