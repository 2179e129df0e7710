"""Keeps a process on the environment generation it started with (written by venvctl).

`!venvctl.pth` and `~venvctl.pth` call `pin` first and last among the path configuration files, in
each of the passes that `site` makes. They import this module once, so a switch in the middle of a
start changes nothing. Set VENVCTL_PIN=0 for servers that reload in place.
"""

import os
import sys

MOUNT = "@mount@"
GENERATION = "@generation@"


def _pinned(path: str) -> str:
    """The same path in the generation, for a path that leads through what is current now."""
    if path == MOUNT:
        return GENERATION
    inside = path[len(MOUNT) :]
    if not path.startswith(MOUNT + "/") or inside.startswith("/.venvctl/generations/"):
        return path
    return GENERATION + inside.removeprefix("/.venvctl/current")


def _pin_path() -> None:
    """Rewrite `sys.path`; what leads to one place twice stays once."""
    pinned = [_pinned(entry) for entry in sys.path]
    for entry in sys.path:
        if _pinned(entry) != entry:
            sys.path_importer_cache.pop(entry, None)
    sys.path[:] = [
        path
        for place, path in enumerate(pinned)
        if not path.startswith(MOUNT + "/") or path not in pinned[:place]
    ]


def _lead(path: str) -> object:
    """A path hook: an entry that somebody adds later leads to the generation too."""
    pinned = _pinned(path)
    for hook in sys.path_hooks if pinned != path else ():
        if hook is not _lead:
            try:
                return hook(pinned)
            except ImportError:
                continue
    raise ImportError(path)


def pin() -> None:
    """Rewrite every way to the environment so that it leads to one generation; idempotent."""
    if os.environ.get("VENVCTL_PIN") == "0":
        return
    if _lead not in sys.path_hooks:
        sys.path_hooks.insert(0, _lead)  # type: ignore[arg-type] # typeshed only has its name
    _pin_path()
    for name in ("prefix", "exec_prefix", "executable"):
        value = getattr(sys, name)
        if value:
            setattr(sys, name, _pinned(value))
    site = sys.modules.get("site")
    prefixes = getattr(site, "PREFIXES", [])
    prefixes[:] = [_pinned(prefix) for prefix in prefixes]
    for module in list(sys.modules.values()):
        # namespace packages that another .pth file made hold the path they were found by
        places = getattr(module, "__path__", None)
        if isinstance(places, list):
            places[:] = [_pinned(place) for place in places]
    if os.environ.get("VIRTUAL_ENV") == MOUNT:
        os.environ["VIRTUAL_ENV"] = GENERATION
