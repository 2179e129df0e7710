"""`venvctl daemon`: follow every registered environment, under systemd or in a terminal."""

import logging
import sys
from typing import Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl daemon` in a terminal; Ctrl-C ends it.")
def daemon_command(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every stage of the work, too.")
    ] = False,
    json: options.Json = False,
) -> Answer:
    """Keep every registered environment in sync with its lockfile, and answer the control API.

    It logs to stderr; SIGHUP makes it read its registrations again.
    """
    from venvctl.daemon.run import run  # noqa: PLC0415 - no other verb pays for it

    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
    # Other libraries' own debugging is not what was asked for.
    logging.getLogger("venvctl").setLevel(logging.DEBUG if verbose else logging.INFO)
    run(options.open_root())
    return Answer(data={"stopped": True})
