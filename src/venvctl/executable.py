"""How this venvctl is started again, by hooks and units that outlive a shell."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def own_command() -> tuple[str, ...]:
    """The words that start this venvctl from anywhere, the first an absolute path.

    The ``venvctl`` beside this interpreter, or the one that was typed, which may be a link that an
    upgrade points elsewhere: so links are kept. Without either it is the interpreter with ``-m``.
    """
    typed = shutil.which(sys.argv[0]) if Path(sys.argv[0]).name == "venvctl" else None
    for candidate in (typed, str(Path(sys.executable).with_name("venvctl"))):
        if candidate and os.access(candidate, os.X_OK):
            return (os.path.abspath(candidate),)  # noqa: PTH100 - Path.resolve follows links
    return (sys.executable, "-m", "venvctl")
