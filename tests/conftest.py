"""What every test starts from: a clean environment, a common umask, and no root but its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from standing import Standing, two_generations
from venvctl.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

# The engine's fixtures, for the tests in engine/ and in faults/, and those of the kills.
pytest_plugins = ("engine_fixtures", "arena_fixtures")

_TELLING = ("COMPOSE_", "VENVCTL_")
_ALSO_TELLING = ("STATE_DIRECTORY", "VIRTUAL_ENV", "PYTHONPATH")
_ENGINE_REQUIRED = bool(os.environ.get("VENVCTL_REQUIRE_ENGINE"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what would tell venvctl or compose something that no test has said."""
    for name in list(os.environ):
        if name.startswith(_TELLING) or name in _ALSO_TELLING:
            monkeypatch.delenv(name)
    # A test that names no root must not write to this machine's.
    monkeypatch.setenv("VENVCTL_ROOT", str(tmp_path / "unnamed-root"))


@pytest.fixture(autouse=True)
def _common_umask() -> Iterator[None]:
    """Start with the usual umask, and undo what a test sets."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "root")


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standing:
    """Where a command works: an environment with two generations, and an engine that is away."""
    standing = two_generations(tmp_path)
    monkeypatch.setenv("VENVCTL_ROOT", str(standing.root.path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    monkeypatch.chdir(tmp_path)
    return standing


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where an engine is required (.ci/run), an engine test that skips itself has failed."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if _ENGINE_REQUIRED and skipped and item.get_closest_marker("engine"):
        reason = call.excinfo.value if call.excinfo else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"VENVCTL_REQUIRE_ENGINE is set, and this test was skipped: {reason}"
    return report
