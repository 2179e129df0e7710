"""Rows in which there is nothing to do: sync, up, and a commit that changes no lock."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from measurement import Comparison, in_turns, run, seconds
from serving import service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workplace import Workplace

_TURNS = 9  # of what takes well below a second


def nothing_changed(place: Workplace) -> Iterator[Comparison]:
    """A sync that has nothing to do."""
    lock = place.lock()
    name = place.add("still", lock)
    python = place.peer("still", lock)
    place.pip("still-pip", lock)
    place.venvctl("sync", name)
    took = in_turns(
        {
            "venvctl": lambda: seconds(lambda: place.venvctl("sync", name)),
            "uv": lambda: seconds(lambda: place.peer_sync(python, lock, "--offline")),
            "pip": lambda: seconds(lambda: place.pip("still-pip", lock, anew=False)),
        },
        place.turns(_TURNS),
    )
    for peer, tool, goal in (
        ("`uv pip sync --offline`, nothing changed", "uv", 1.5),
        ("`pip install --requirement`, nothing changed", "pip", 1.0),
    ):
        yield Comparison(
            what="`venvctl sync`, nothing changed",
            peer=peer,
            ours=took["venvctl"],
            theirs=took[tool],
            goal=goal,
        )


def nothing_up(place: Workplace) -> Iterator[Comparison]:
    """An up that has nothing to do."""
    directory = place.project("idle", {"web": service()}, place.lock())
    place.venvctl("up", cwd=directory)
    place.venvctl("up", cwd=directory)
    took = in_turns(
        {
            "ours": lambda: seconds(lambda: place.venvctl("up", cwd=directory)),
            "theirs": lambda: seconds(
                lambda: place.docker("compose", "up", "--detach", cwd=directory)
            ),
        },
        place.turns(_TURNS),
    )
    yield Comparison(
        what="`venvctl up`, nothing changed, stack up",
        peer="`docker compose up -d`",
        goal=2.5,
        ours=took["ours"],
        theirs=took["theirs"],
    )


def hook(place: Workplace) -> Iterator[Comparison]:
    """A commit that changes no lock, with venvctl's hooks and without any."""
    place.add("hooked", place.lock())
    repository = place.folder / "repository"
    repository.mkdir()
    shutil.copyfile(place.lock(), repository / "requirements.lock")
    git = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost")

    def commit(*settings: str) -> float:
        command = [*git, *settings, "commit", "--quiet", "--allow-empty", "--message", "no lock"]
        return seconds(lambda: run(command, cwd=repository, environment=place.environment))

    run([*git, "init", "--quiet"], cwd=repository)
    run([*git, "add", "requirements.lock"], cwd=repository)
    commit()
    place.venvctl("hook", "install", "--lock", "requirements.lock", cwd=repository)
    commit()
    took = in_turns(
        {"ours": commit, "theirs": lambda: commit("-c", "core.hooksPath=/dev/null")},
        place.turns(_TURNS),
    )
    yield Comparison(
        what="`git commit` with venvctl's hook, no lock changed",
        peer="`git commit` without it",
        goal=0.015,
        beyond=True,
        ours=took["ours"],
        theirs=took["theirs"],
    )
