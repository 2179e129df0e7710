"""`venvctl daemon`: follow every registered environment, under systemd or in a terminal."""

from typing import Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer
from venvctl.cli.logformat import LogFormat, start

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl daemon` in a terminal; Ctrl-C ends it.")
def daemon_command(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every stage of the work, too.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Lines for a person, or JSON objects.")
    ] = LogFormat.TEXT,
    json: options.Json = False,
) -> Answer:
    """Keep every registered environment in sync with its lockfile, and answer the control API.

    It logs to stderr, for journald with levels; SIGHUP has its configuration read again.
    """
    from venvctl.daemon.run import run  # noqa: PLC0415 - no other verb pays for it

    start(log_format, verbose=verbose)
    run(options.open_root())
    return Answer(data={"stopped": True})
