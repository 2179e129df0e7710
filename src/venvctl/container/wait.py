"""Waits in a container of the image for what to run, and becomes it.

So a container can start before it is known what for: its start takes longer than most trials. One
line of standard input, a JSON object, says ``place``, the generation whose programs come first, and
``command``. Without a line nothing was wanted.
"""

import json
import os
import sys


def main() -> int:
    """Become the command; the status with which a shell would tell that it can't be run."""
    line = sys.stdin.readline()
    if not line:
        return 0
    order = json.loads(line)
    os.environ["VIRTUAL_ENV"] = order["place"]
    os.environ["PATH"] = order["place"] + "/bin:" + os.environ.get("PATH", os.defpath)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execvp(order["command"][0], order["command"])  # noqa: S606 - no shell is meant
    except OSError as error:
        sys.stderr.write(f"{order['command'][0]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main())
