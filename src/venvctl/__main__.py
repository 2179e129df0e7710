"""Starts the command line: `venvctl`, or `python -m venvctl`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was started with, and end with its exit code."""
    from venvctl.cli.application import run  # noqa: PLC0415 - whoever imports this runs nothing

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
