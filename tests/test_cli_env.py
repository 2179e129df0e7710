"""A removal that was killed is ended by asking for it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from standing import NAME, Standing
from venvctl.cli.application import run
from venvctl.engine.docker import DockerEngine

if TYPE_CHECKING:
    import pytest


def test_what_is_unknown_by_now_loses_its_rest(
    standing: Standing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(DockerEngine, "remove_helpers", lambda _: 0)
    half = standing.root.path / "tmp" / "half"
    half.parent.mkdir(exist_ok=True)
    standing.environment.directory.rename(half)

    assert run(["env", "rm", NAME]) == 2

    assert f"There is no environment {NAME!r}" in capsys.readouterr().err
    assert list(half.parent.iterdir()) == []
