"""An engine as somebody sees it who only looks around: nothing is asked twice.

For a command about many environments: a thousand of them are three questions, and not three
thousand. Whoever waits for something to change needs the engine itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from venvctl.errors import EngineUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from venvctl.engine.model import Container, Engine, Image, Volume


class Recollection:
    """What one engine says of images, volumes and containers when it is first asked.

    Everything else is handed on to it.

    Args:
        connect: gives the engine, when it is first asked.
    """

    def __init__(self, connect: Callable[[], Engine]) -> None:
        self._connect = connect
        self._known: dict[object, Any] = {}
        self._first: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        """Whatever is not remembered here."""
        return getattr(self._connect(), name)

    def image(self, reference: str) -> Image | None:
        """As `Engine.image`."""
        image: Image | None = self._once(
            ("image", reference), lambda: self._connect().image(reference)
        )
        return image

    def volume(self, name: str) -> Volume | None:
        """As `Engine.volume`."""
        if self._is_only("volume", name):
            volume: Volume | None = self._once(
                ("volume", name), lambda: self._connect().volume(name)
            )
            return volume
        volumes: dict[str, Volume] = self._once(
            "volumes", lambda: {volume.name: volume for volume in self._connect().volumes()}
        )
        return volumes.get(name)

    def containers(self, *, volume: str = "", project: str = "") -> list[Container]:
        """As `Engine.containers`."""
        if volume and self._is_only("containers", volume):
            found: list[Container] = self._once(
                ("containers", volume), lambda: self._connect().containers(volume=volume)
            )
            return [one for one in found if not project or project == one.project]
        containers: list[Container] = self._once("containers", lambda: self._connect().containers())
        return [
            one
            for one in containers
            if (not volume or volume in one.mounts) and (not project or project == one.project)
        ]

    def _is_only(self, kind: str, name: str) -> bool:
        """Whether no other name was asked for yet: then it alone is asked for, and not all."""
        return bool(self._first.setdefault(kind, name) == name)

    def _once(self, key: object, ask: Callable[[], Any]) -> Any:
        if key not in self._known:
            try:
                self._known[key] = ask()
            except EngineUnreachableError as error:
                # Whoever does not answer now is not waited for a thousand times.
                self._known[key] = error
        if isinstance(found := self._known[key], EngineUnreachableError):
            raise found
        return found
