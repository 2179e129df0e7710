"""The rows of the design's section 8, each with its peers on the same work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changes import cold, one_package, warm
from checking import verified
from follow import followed
from serving import served, start
from unchanged import hook, nothing_changed, nothing_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measurement import Comparison
    from workplace import Workplace

ROWS: dict[str, Callable[[Workplace], Iterator[Comparison]]] = {
    "nothing-changed": nothing_changed,
    "nothing-up": nothing_up,
    "one-package": one_package,
    "warm": warm,
    "cold": cold,
    "served": served,
    "verified": verified,
    "hook": hook,
    "start": start,
    "followed": followed,
}

# Rows for which the list of packages makes no difference: they are measured with the first one.
ONCE = frozenset({"nothing-up", "hook", "followed"})
