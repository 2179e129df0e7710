"""All that is fuzzed, by name."""

from __future__ import annotations

import fuzz_control
import fuzz_locks
import fuzz_snapshots
import fuzz_stored
import fuzz_wheels

TARGETS = {
    **fuzz_locks.TARGETS,
    **fuzz_wheels.TARGETS,
    **fuzz_snapshots.TARGETS,
    **fuzz_control.TARGETS,
    **fuzz_stored.TARGETS,
}
