"""`venvctl systemd`: the daemon and its timers as units of systemd."""

import os
from typing import Annotated

import typer

from venvctl import units
from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.executable import own_command
from venvctl.root import locate

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    help="Have systemd run the daemon, and check and clean up regularly.",
    epilog="Example: `venvctl systemd install` as root on a build host.",
    no_args_is_help=True,
)


User = Annotated[
    bool, typer.Option("--user", help="For this user's own systemd, not the system's.")
]


@app.command(
    "install",
    short_help="Write, enable and start the units.",
    epilog="Example: `venvctl systemd install --user` for a daemon of your own.",
)
def install_command(
    *,
    user: User = False,
    show: Annotated[
        bool, typer.Option("--print", help="Show the units, and change nothing.")
    ] = False,
    json: options.Json = False,
) -> Answer:
    """Write, enable and start the daemon, its control socket, and the timers of verify and gc.

    A second time brings them up to date. $VENVCTL_ROOT, where it is set, is written into them.
    """
    root = locate() if os.environ.get("VENVCTL_ROOT") else None
    wanted = units.render(own_command(), user=user, root=root)
    if show:
        lines = []
        for unit in wanted:
            lines += [Line(f"# {unit.path}", Tone.TITLE), Line(unit.text)]
        return Answer(data=wanted, lines=tuple(lines))
    done = units.install(wanted, user=user)
    lines = [Line(f"Written: {path}") for path in done.written]
    state = "Enabled and started" if done.started else "Enabled"
    lines.append(Line(f"{state}: {', '.join(done.enabled)}", Tone.GOOD))
    lines += [Line(note) for note in done.notes]
    return Answer(data=done, lines=tuple(lines))


@app.command(
    "uninstall",
    short_help="Stop, disable and remove the units.",
    epilog="Example: `venvctl systemd uninstall --user` for the daemon of your own.",
)
def uninstall_command(*, user: User = False, json: options.Json = False) -> Answer:
    """Stop and disable the daemon, its socket and the timers, and remove their units.

    The root with everything in it stays, and so do the containers and the group of the socket.
    """
    # With a root, whichever: where its place is written is what matters.
    done = units.uninstall(units.render(own_command(), user=user, root=locate()), user=user)
    if not done.removed:
        return Answer(data=done, lines=(Line("There is no unit of venvctl's."),))
    lines = [Line(f"Removed: {path}") for path in done.removed]
    state = "Stopped and disabled" if done.stopped else "Disabled"
    lines.append(Line(f"{state}: {', '.join(units.ENABLED)}", Tone.GOOD))
    return Answer(data=done, lines=tuple(lines))
