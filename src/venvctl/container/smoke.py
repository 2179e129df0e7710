"""Runs inside a container of the image: imports modules, and says of each how that went.

Its arguments are the modules' names. Each is imported in a process that can die without taking the
others with it: an extension module for another libc ends in a signal, not in an exception.
"""

import importlib
import os
import sys

MARK = "venvctl-smoke:"


def attempt(names: "list[str]", write: int) -> None:
    """Import one after the other; tell each name before, and its fault or nothing after."""
    for name in names:
        os.write(write, (MARK + name + "\n").encode())
        fault = ""
        try:
            importlib.import_module(name)
        except SystemExit as error:
            fault = f"SystemExit: {error}"
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
            fault = type(error).__name__ + ": " + str(error)
        os.write(write, (MARK + "=" + " ".join(fault.split())[:500] + "\n").encode())


def main(names: "list[str]") -> None:
    """Go through all names, with a new process wherever one ended its own."""
    sys.argv[1:] = []
    answers = os.dup(1)
    # what modules print at their import is nobody's answer
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    while names:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            attempt(names, write)
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            lines = stream.read().decode(errors="replace").splitlines()
        _, status = os.waitpid(child, 0)
        if len(lines) % 2:
            lines.append(f"{MARK}=the process ended with status {status}")
        os.write(answers, ("\n".join(lines) + "\n").encode() if lines else b"")
        names = names[max(len(lines) // 2, 1) :]


main(sys.argv[1:])
