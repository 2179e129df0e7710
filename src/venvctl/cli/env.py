"""`venvctl env`: environments without compose, for plain `docker run`."""

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from venvctl import mountpoint
from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Table
from venvctl.cli.display import display
from venvctl.cli.naming import find
from venvctl.cli.sentences import describe_sync
from venvctl.errors import LockError, UsageError, VenvctlError
from venvctl.labels import LOCK
from venvctl.workplace import Workplace

if TYPE_CHECKING:
    from venvctl.catalogue import ListedEnvironment
    from venvctl.sync import SyncResult

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    help="Add, list and remove environments; also those that no compose project has.",
    epilog="Example: `venvctl env add tools --lock tools.lock --image python:3.12-slim`.",
    no_args_is_help=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAnswer:
    """A new environment: what its first sync did, and how a container gets it.

    Attributes:
        option: what `docker run` needs.
    """

    sync: "SyncResult"
    option: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAnswer:
    """All environments of one root, by name."""

    root: str
    environments: "tuple[ListedEnvironment, ...]"


@app.command(
    "add",
    short_help="Make an environment for containers of an image.",
    epilog="Example: `venvctl env add tools --lock tools.lock --image python:3.12-slim`, "
    "then `docker run -v tools:/venv python:3.12-slim /venv/bin/python`.",
)
def add_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The volume's name.")],
    lock: Annotated[str, typer.Option("--lock", metavar="FILE", help="The lockfile.")],
    image: Annotated[
        str, typer.Option("--image", metavar="IMAGE", help="The image whose Python it is for.")
    ],
    at: Annotated[
        str, typer.Option("--at", metavar="PATH", help="Where containers mount it.")
    ] = "/venv",
    python: Annotated[
        str, typer.Option("--python", metavar="NAME", help="The interpreter in the image.")
    ] = "",
    extra: Annotated[
        list[str] | None,
        typer.Option("--extra", metavar="NAME", help="An extra; may be given more than once."),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME", help="A group; may be given more than once."),
    ] = None,
    lock_format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="The lock's format.")
    ] = "",
    package: Annotated[
        str, typer.Option("--package", metavar="NAME", help="The workspace member that is meant.")
    ] = "",
    builds: Annotated[
        str, typer.Option("--builds", metavar="deny|allow", help="Whether an sdist may be built.")
    ] = "deny",
    build_image: Annotated[
        str,
        typer.Option("--build-image", metavar="IMAGE", help="The image that builds run in."),
    ] = "",
    bytecode: Annotated[
        str, typer.Option("--bytecode", metavar="ahead|off", help="When bytecode is compiled.")
    ] = "ahead",
    conflicts: Annotated[
        str,
        typer.Option("--conflicts", metavar="last|error", help="When two wheels own one path."),
    ] = "last",
    index: Annotated[
        list[str] | None,
        typer.Option("--index", metavar="URL", help="Asked where the lock's own can't be had."),
    ] = None,
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=0, help="How many old generations stay.")
    ] = 3,
    keep_snapshots: Annotated[
        str,
        typer.Option("--keep-snapshots", metavar="all|N|AGE", help="What `gc` may not forget."),
    ] = "all",
    *,
    build_network: Annotated[
        bool, typer.Option("--build-network", help="Let builds use the network.")
    ] = False,
    offline: options.Offline = False,
    json: options.Json = False,
) -> Answer:
    """Make an environment from a lockfile, for containers of an image.

    Given again with other options it is changed.
    """
    from venvctl.registration import Registration  # noqa: PLC0415 - completion and help do without
    from venvctl.specification import EnvironmentSpecification  # noqa: PLC0415 - completion and help do without
    from venvctl.survey import SyncOptions  # noqa: PLC0415 - completion and help do without

    labels = {
        LOCK: lock,
        "venvctl.python": python,
        "venvctl.extras": ",".join(extra or ()),
        "venvctl.groups": ",".join(group or ()),
        "venvctl.format": lock_format,
        "venvctl.package": package,
        "venvctl.builds": builds,
        "venvctl.build-image": build_image,
        "venvctl.build-network": "true" if build_network else "",
        "venvctl.bytecode": bytecode,
        "venvctl.conflicts": conflicts,
        "venvctl.index": " ".join(index or ()),
        "venvctl.keep": str(keep),
        "venvctl.keep-snapshots": keep_snapshots,
    }
    cwd = options.current_directory()
    specification = EnvironmentSpecification.from_labels(
        name,
        {label: value for label, value in labels.items() if value},
        directory=cwd,
        place="the command line",
    )
    registration = Registration(
        specification=specification,
        mount=mountpoint.checked(at),
        images={"": image},
        labels=specification.to_labels(),
        project="",
        directory=cwd,
    )
    if not os.path.lexists(specification.lock):
        raise LockError(
            f"The lockfile {specification.lock} does not exist.",
            hint="Correct --lock; nothing was changed.",
        )
    workplace = Workplace.locate()
    backend = workplace.of(name)
    with display(as_json=json) as progress:
        if not offline and workplace.engine.image(image) is None:
            progress.stage(f"pulling {image}")
            workplace.engine.pull(image)
        result = backend.sync(name, registration, SyncOptions(offline=offline), progress)
    option = f"-v {name}:{registration.mount}"
    line = f"docker run {option} {image} {registration.mount}/bin/python"
    return Answer(
        data=AddAnswer(sync=result, option=option),
        lines=(*describe_sync(result), Line(f"use it with: {line}", indent=1)),
    )


@app.command("list", epilog="Example: `venvctl env list --json` for a program.")
def list_command(*, json: options.Json = False) -> Answer:
    """List the environments of this root."""
    base = Workplace.locate().base
    found = base.environments()
    rows = tuple(
        (each.environment, each.project or "-", str(each.generation or "-"), each.lock)
        for each in found
    )
    table = Table(("ENVIRONMENT", "PROJECT", "GENERATION", "LOCK"), rows)
    return Answer(
        data=ListAnswer(root=str(base.path), environments=found),
        lines=(table,) if rows else (Line(f"There is no environment in {base.path}."),),
    )


@app.command(
    "rm",
    short_help="Remove an environment and its volume.",
    epilog="Example: `venvctl env rm tools` once no container mounts it.",
)
def remove_command(name: options.Name, *, json: options.Json = False) -> Answer:
    """Remove an environment and its volume; its snapshots stay, for `venvctl restore`.

    How many of them `venvctl gc` keeps was said by venvctl.keep-snapshots; `venvctl snapshot rm`
    forgets one.

    Refused while a container mounts it, running or not.
    """
    workplace = Workplace.locate()
    try:
        name, backend = find(name, workplace, options.current_directory())
    except UsageError:
        # One that was killed may have left the rest of what it was removing.
        if workplace.own is not None and workplace.own.path.is_dir():
            with suppress(VenvctlError):  # what is unknown is what there is to say
                workplace.own.recover()
        raise
    result = backend.remove(name)
    line = f"{name}: removed"
    if backend.has_snapshots(name):
        line += f"; `venvctl restore {name}` brings it back, `venvctl snapshot rm KEY` forgets it"
    return Answer(data=result, lines=(Line(line),))
