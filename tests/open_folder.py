"""A folder that every user of this machine may enter, for tests with more than one of them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make one, and remove it with everything in it.

    Not pytest's: each of its sessions closes the folder of all sessions to other users.
    """
    folder = Path(tempfile.mkdtemp(prefix="vt-open-"))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder)
