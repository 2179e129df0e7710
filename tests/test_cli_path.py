"""`venvctl path` names a path that stays while generations come and go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from standing import NAME, Standing
from venvctl.cli.application import run

if TYPE_CHECKING:
    import pytest


def test_the_path_leads_to_the_current_packages_and_stays(
    standing: Standing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["path", NAME]) == 0
    [first] = capsys.readouterr().out.splitlines()
    assert (Path(first) / "alpha.py").read_text() == "__version__ = '1.1'\n"

    standing.environment.switch(standing.environment.numbered(1))
    assert run(["path", NAME, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]

    assert data == {"environment": NAME, "path": first, "generation": 1}
    assert (Path(first) / "alpha.py").read_text() == "__version__ = '1.0'\n"


def test_an_environment_without_a_generation_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENVCTL_ROOT", str(Standing(tmp_path).root.path))

    assert run(["path", NAME]) == 2

    assert capsys.readouterr().err == (
        f"Error: Environment {NAME} has no generation yet.\n"
        f"Hint: `venvctl sync {NAME}` makes one.\n"
    )
