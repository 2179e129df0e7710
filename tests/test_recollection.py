"""Who only looks around asks an engine nothing twice, and is told what the engine itself says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from venvctl.engine.model import Container, Image, Volume
from venvctl.engine.recollection import Recollection
from venvctl.errors import EngineUnreachableError

if TYPE_CHECKING:
    from venvctl.engine.model import Engine


def container(name: str, *volumes: str, project: str = "") -> Container:
    return Container(
        id=name,
        name=name,
        image="",
        state="running",
        started_at="",
        health="",
        labels={"com.docker.compose.project": project} if project else {},
        environment={},
        mounts=dict.fromkeys(volumes, ("/venv", False)),
        network_container="",
        auto_remove=False,
        tty=False,
        restart_count=0,
        exit_code=0,
    )


@dataclass(slots=True)
class Counting:
    """As much of an engine as is asked here, and what it was asked."""

    asked: list[str] = field(default_factory=list)
    away: bool = False

    def _note(self, question: str) -> None:
        self.asked.append(question)
        if self.away:
            raise EngineUnreachableError("No Docker Engine answers.")

    def version(self) -> str:
        self._note("version")
        return "1"

    def image(self, reference: str) -> Image | None:
        self._note(f"image {reference}")
        if reference == "missing":
            return None
        return Image(id=reference, environment={}, user="", os="linux", architecture="amd64")

    def volume(self, name: str) -> Volume | None:
        self._note(f"volume {name}")
        return Volume(name="a", driver="local", options={}, labels={}) if name == "a" else None

    def volumes(self) -> list[Volume]:
        self._note("volumes")
        return [Volume(name="a", driver="local", options={}, labels={})]

    def containers(self, *, volume: str = "") -> list[Container]:
        self._note(f"containers {volume}".strip())
        every = [container("one", "a"), container("two", "a", "b", project="shop"), container("no")]
        return [one for one in every if not volume or volume in one.mounts]


@pytest.fixture
def engine() -> Counting:
    return Counting()


@pytest.fixture
def recollection(engine: Counting) -> Recollection:
    return Recollection(lambda: cast("Engine", engine))


def names(found: list[Container]) -> list[str]:
    return [one.name for one in found]


def test_nothing_is_connected_to_before_there_is_a_question() -> None:
    def connect() -> Engine:
        raise AssertionError("nobody asked anything")

    Recollection(connect)


def test_of_one_environment_no_more_is_asked_than_it_needs(
    engine: Counting, recollection: Recollection
) -> None:
    for _ in range(3):
        assert recollection.volume("a") is not None
        assert names(recollection.containers(volume="a")) == ["one", "two"]
        assert names(recollection.containers(volume="a", project="shop")) == ["two"]

    assert engine.asked == ["volume a", "containers a"]


def test_of_many_volumes_and_containers_are_one_question_each(
    engine: Counting, recollection: Recollection
) -> None:
    recollection.volume("b")
    recollection.containers(volume="b")
    engine.asked.clear()

    for _ in range(3):
        assert recollection.volume("a") is not None
        assert recollection.volume("c") is None
        assert names(recollection.containers(volume="a")) == ["one", "two"]
        assert names(recollection.containers(volume="a", project="shop")) == ["two"]
        assert names(recollection.containers()) == ["one", "two", "no"]

    assert engine.asked == ["volumes", "containers"]


def test_an_image_is_asked_for_once_also_one_that_is_missing(
    engine: Counting, recollection: Recollection
) -> None:
    for _ in range(3):
        assert recollection.image("missing") is None
        assert (image := recollection.image("python")) is not None
        assert image.id == "python"

    assert engine.asked == ["image missing", "image python"]


def test_an_engine_that_is_away_is_not_waited_for_again(
    engine: Counting, recollection: Recollection
) -> None:
    engine.away = True
    for name in ("a", "a", "b", "c", "b"):
        with pytest.raises(EngineUnreachableError, match="No Docker Engine answers"):
            recollection.volume(name)

    assert engine.asked == ["volume a", "volumes"]


def test_everything_else_is_handed_on(engine: Counting, recollection: Recollection) -> None:
    assert (recollection.version(), recollection.version()) == ("1", "1")
    assert engine.asked == ["version", "version"]
