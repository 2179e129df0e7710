"""Starts the command line: `venvctl`, or `python -m venvctl`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was started with, and end with its exit code."""
    from venvctl import gate  # noqa: PLC0415 - whoever imports this runs nothing

    arguments = sys.argv[1:]
    code = gate.answer(arguments)
    if code is None:
        from venvctl.cli.application import run  # noqa: PLC0415 - the gate does without

        code = run(arguments)
    sys.exit(code)


if __name__ == "__main__":
    main()
