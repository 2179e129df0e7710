"""The control API: which requests there are, who may make them, and what they answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from venvctl import catalogue, comparison, sitepackages
from venvctl.client import group_name
from venvctl.daemon import metrics, streams, work
from venvctl.daemon.peers import Rights, Sight
from venvctl.daemon.responses import (
    MethodError,
    MismatchError,
    UnknownError,
    failure,
    success,
)
from venvctl.daemon.server import Request, Response
from venvctl.daemon.views import View
from venvctl.document import Document
from venvctl.errors import ConfigurationError, ForbiddenError, UsageError, VenvctlError
from venvctl.project import ComposeProject

if TYPE_CHECKING:
    from collections.abc import Callable

    from venvctl.daemon.service import Service
    from venvctl.registration import Registration

_NAME = r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation.

    Attributes:
        command: its name in the envelope.
        answer: what answers it; gets the API, the request, and the name in the path or "".
        least: the rights that it takes.
    """

    method: str
    path: str
    command: str
    answer: Callable[[Api, Request, str], Response]
    least: Rights = Rights.MEMBER

    def match(self, path: str) -> str | None:
        """The name in a path of this route ("" where there is none); None for another path."""
        found = re.fullmatch(self.path.replace("{name}", _NAME), path)
        return None if found is None else found.groupdict().get("name", "")


class Api:
    """Answers requests about one service.

    Args:
        service: what does the work.
        group: number of the socket's group, whose members get in.
    """

    def __init__(self, service: Service, *, group: int) -> None:
        self.service = service
        self.sight = Sight()
        self._group = group

    def answer(self, request: Request) -> Response:
        """The answer to a request; whatever goes wrong is one too."""
        command = ""
        try:
            route, name = _find(request)
            command = route.command
            self._check(request, route)
            return route.answer(self, request, name)
        except VenvctlError as error:
            return failure(command, error)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            return failure(command, VenvctlError(f"{place}{error.strerror}."))

    def view(self, request: Request) -> View:
        """What whoever made a request is shown."""
        return View(self.service, request.peer, self._rights(request), self.sight)

    def _rights(self, request: Request) -> Rights:
        owner = self.service.root.path.stat().st_uid
        return request.peer.rights(owner=owner, group=self._group)

    def _check(self, request: Request, route: Route) -> None:
        if self._rights(request) < route.least:
            who = "the root's owner" if route.least is Rights.OWNER else "a member of its group"
            raise ForbiddenError(
                f"{request.peer.name} may not do this: the daemon takes it from {who} alone.",
                hint="Add the user to the control socket's group (`usermod -aG "
                f"{group_name(self._group)} USER`), or ask the owner."
                if route.least is Rights.MEMBER
                else "Ask the owner, or root.",
            )


def _find(request: Request) -> tuple[Route, str]:
    methods = []
    for route in ROUTES:
        name = route.match(request.path)
        if name is None:
            continue
        if route.method == request.method:
            return route, name
        methods.append(route.method)
    if methods:
        raise MethodError(
            f"{request.path} takes {', '.join(methods)}, not {request.method}.",
            allowed=tuple(methods),
        )
    raise UnknownError(
        f"There is no {request.path}.", hint="GET /v1/openapi.json describes what there is."
    )


def _body(request: Request, *known: str) -> Document:
    """The request's JSON object; an empty body is an empty object.

    Args:
        request: whose.
        known: its fields; a misspelt one must not have something else done than was meant.
    """
    try:
        value = json.loads(request.body) if request.body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The request's body is no JSON: {error}.") from None
    try:
        body = Document.parse(value, "the request")
    except ConfigurationError as error:
        raise UsageError(error.message) from None
    unknown = sorted(body.fields.keys() - set(known)) if known else []
    if unknown:
        raise UsageError(
            f"{unknown[0]} in the request is no field of it.",
            hint=f"There {'is' if len(known) == 1 else 'are'} {', '.join(known)}.",
        )
    return body


def _known(api: Api, name: str) -> str:
    names = api.service.root.registry.names()
    if name not in names:
        raise UnknownError(
            f"There is no environment {name!r}.",
            hint="GET /v1/environments lists those that are registered.",
        )
    return name


def _health(api: Api, request: Request, _name: str) -> Response:
    return success("health", api.view(request).health())


def _metrics(api: Api, _request: Request, _name: str) -> Response:
    return Response(content_type=metrics.CONTENT_TYPE, body=api.service.metrics.page())


def _openapi(_api: Api, _request: Request, _name: str) -> Response:
    document = resources.files("venvctl") / "daemon" / "openapi.json"
    return Response(body=document.read_bytes())


def _environments(api: Api, request: Request, _name: str) -> Response:
    return success("environments", {"environments": api.view(request).summaries()})


def _environment(api: Api, request: Request, name: str) -> Response:
    return success("status", api.view(request).status(_known(api, name)))


def _history(api: Api, request: Request, name: str) -> Response:
    events = api.view(request).history(_known(api, name))
    return success("history", {"environment": name, "events": events})


def _diff(api: Api, request: Request, name: str) -> Response:
    before, after = (_generation(request, key) for key in ("before", "after"))
    root = api.service.root
    return success("diff", comparison.compare(_known(api, name), root, before=before, after=after))


def _generation(request: Request, key: str) -> int | None:
    text = request.query.get(key)
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise UsageError(f"{key}={text!r} is not a generation's number.")
    return int(text)


def _path(api: Api, _request: Request, name: str) -> Response:
    return success("path", sitepackages.find(_known(api, name), api.service.root))


def _snapshots(api: Api, _request: Request, _name: str) -> Response:
    return success("snapshot list", {"snapshots": catalogue.snapshots(api.service.root)})


def _snapshot(api: Api, _request: Request, name: str) -> Response:
    return success("snapshot show", catalogue.snapshot(name, api.service.root))


def _register(api: Api, request: Request, name: str) -> Response:
    registration = work.SyncWish.parse(_body(request, "registration")).registration
    if registration is None:
        raise UsageError("registration is missing in the request.")
    _check_name(registration, name)
    work.reserve(api.service, registration, request.peer)
    return success("env add", {"environment": name})


def _remove(api: Api, request: Request, name: str) -> Response:
    order = work.remove_order(api.service, _known(api, name), request.peer)
    return streams.ordered(api.service, request, name, order)


def _rollout(api: Api, request: Request, name: str) -> Response:
    return streams.ordered(
        api.service, request, name, work.rollout_order(api.service, _known(api, name))
    )


def _check_name(registration: Registration, name: str) -> None:
    if registration.name != name:
        raise MismatchError(f"The registration is of {registration.name}, not of {name}.")


def _sync(api: Api, request: Request, name: str) -> Response:
    wish = work.SyncWish.parse(_body(request, *work.SYNC_FIELDS))
    if wish.registration is None:
        _known(api, name)
    else:
        _check_name(wish.registration, name)
    return streams.ordered(
        api.service, request, name, work.sync_order(api.service, name, wish, request.peer)
    )


def _rollback(api: Api, request: Request, name: str) -> Response:
    to = work.number(_body(request, "to"), "to")
    return streams.ordered(
        api.service, request, name, work.rollback_order(api.service, _known(api, name), to)
    )


def _restore(api: Api, request: Request, name: str) -> Response:
    snapshot = work.word(_body(request, "snapshot"), "snapshot")
    if not api.service.root.snapshots.any_of(name):
        _known(api, name)  # one whose registration was lost can be restored all the same
    return streams.ordered(
        api.service, request, name, work.restore_order(api.service, name, snapshot)
    )


def _events(api: Api, request: Request, _name: str) -> Response:
    text = request.query.get("after", "-1")
    if not re.fullmatch(r"-1|[0-9]{1,15}", text):
        raise UsageError(f"after={text!r} is not an event's number.")
    return streams.events(api.service, api.view(request), int(text))


def _follow(api: Api, request: Request, name: str) -> Response:
    try:
        project = ComposeProject.from_dict(_body(request).fields, source="the request")
    except ConfigurationError as error:
        raise UsageError(error.message, hint=error.hint) from None
    if project.name != name:
        raise MismatchError(f"The body is of project {project.name}, not of {name}.")
    service = api.service
    work.check_project(service, name, request.peer, api.sight)
    if service.owner_of_project(name) is None:
        service.follow_project_for(name, work.owner_for(request.peer))
    service.root.registry.follow(project)
    return success("follow", {"project": name, "followed": True})


def _unfollow(api: Api, request: Request, name: str) -> Response:
    work.check_project(api.service, name, request.peer, api.sight)
    followed = api.service.root.registry.unfollow(name)
    return success("down", {"project": name, "followed": followed})


def _reload(api: Api, _request: Request, _name: str) -> Response:
    api.service.reload()
    return success("reload", {"reloading": True})


ROUTES = (
    Route(method="GET", path="/v1/health", command="health", answer=_health),
    Route(method="GET", path="/v1/metrics", command="metrics", answer=_metrics),
    Route(method="GET", path="/v1/openapi.json", command="openapi", answer=_openapi),
    Route(method="GET", path="/v1/events", command="events", answer=_events),
    Route(method="GET", path="/v1/environments", command="environments", answer=_environments),
    Route(method="GET", path="/v1/environments/{name}", command="status", answer=_environment),
    Route(method="GET", path="/v1/environments/{name}/history", command="history", answer=_history),
    Route(method="PUT", path="/v1/environments/{name}", command="env add", answer=_register),
    Route(method="DELETE", path="/v1/environments/{name}", command="env rm", answer=_remove),
    Route(method="GET", path="/v1/environments/{name}/diff", command="diff", answer=_diff),
    Route(method="GET", path="/v1/environments/{name}/path", command="path", answer=_path),
    Route(method="POST", path="/v1/environments/{name}/sync", command="sync", answer=_sync),
    Route(
        method="POST", path="/v1/environments/{name}/rollout", command="rollout", answer=_rollout
    ),
    Route(
        method="POST", path="/v1/environments/{name}/rollback", command="rollback", answer=_rollback
    ),
    Route(
        method="POST", path="/v1/environments/{name}/restore", command="restore", answer=_restore
    ),
    Route(method="GET", path="/v1/snapshots", command="snapshot list", answer=_snapshots),
    Route(method="GET", path="/v1/snapshots/{name}", command="snapshot show", answer=_snapshot),
    Route(method="PUT", path="/v1/projects/{name}", command="follow", answer=_follow),
    Route(method="DELETE", path="/v1/projects/{name}", command="down", answer=_unfollow),
    Route(method="POST", path="/v1/reload", command="reload", answer=_reload, least=Rights.OWNER),
)
