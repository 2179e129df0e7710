"""Where a wheel's member goes below the prefix, and which names a wheel may not use (pure)."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Literal

# Names that a generation writes itself, or that an interpreter or an activator answers to. They
# are patterns and not prefixes: argcomplete rightly ships bin/activate-global-python-argcomplete.
_RESERVED_COMMANDS = re.compile(
    r"python(w|\d+(\.\d+)*t?)?(-config)?|activate(_this\.py|\.[a-z0-9]+)?|Activate\.ps1"
    r"|deactivate(\.[a-z0-9]+)?"
)
_RESERVED_MODULES = re.compile(r"_venvctl.*|[!~]venvctl\.pth|\.venvctl")
_RESERVED_ROOTS = frozenset({"pyvenv.cfg", ".venvctl", "seal.json"})
COMMANDS = "bin"  # the folder of every environment that not every wheel has something in
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PART_BYTES = 255  # the longest file name of ext4, XFS and Btrfs


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The folders of one wheel in one prefix (binary distribution format, "The .data directory").

    Attributes:
        library: name of the interpreter's folder below ``lib/``, e.g. ``python3.11``.
        name: the distribution's normalised name; names its folder of headers, as in pip and uv.
        dist_info: the wheel's ``.dist-info`` folder.
    """

    library: str
    name: str
    dist_info: str

    @property
    def site_packages(self) -> str:
        """Where modules go, relative to the prefix."""
        return f"lib/{self.library}/site-packages"

    @property
    def data(self) -> str:
        """The wheel's folder for what goes elsewhere."""
        return self.dist_info.removesuffix(".dist-info") + ".data"

    def recorded(self, path: str) -> str:
        """A path below the prefix as RECORD writes it: relative to site-packages."""
        site = self.site_packages + "/"
        return path[len(site) :] if path.startswith(site) else f"../../../{path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A member's destination: `path` is relative to the prefix; "" for a bare scheme folder."""

    kind: Literal["file", "script"]
    path: str


def name_fault(name: str, *, longest: int) -> str:  # noqa: PLR0911 - one line a rule
    """Why a member can't be called that, in words that follow its name; "" when it can.

    Args:
        name: as the archive has it, without a folder's last slash.
        longest: how many bytes the whole name may have.
    """
    if not name:
        return "has no name"
    if _CONTROL.search(name):
        return "has a control character in its name"
    if "\\" in name:
        return "has a backslash in its name"
    if name.startswith("/") or _DRIVE.match(name):
        return "is an absolute path"
    parts = name.split("/")
    if ".." in parts:
        return "climbs out of its folder"
    if "" in parts or "." in parts:
        return "has an empty part in its name"
    if len(name.encode()) > longest or any(len(part.encode()) > _PART_BYTES for part in parts):
        return "has too long a name"
    return ""


def place(name: str, layout: Layout) -> Place | str:  # noqa: PLR0911 - one a scheme
    """Where a member of that name goes, or why it may go nowhere, in words that follow its name."""
    top, _, rest = name.partition("/")
    if top != layout.data:
        return _checked(f"{layout.site_packages}/{name}", layout)
    scheme, _, rest = rest.partition("/")
    if scheme in {"purelib", "platlib"}:
        return _checked(posixpath.join(layout.site_packages, rest).rstrip("/"), layout)
    if scheme == "data":
        # In a venv lib64 is a link to lib, and a wheel's file goes through it.
        if rest == "lib64" or rest.startswith("lib64/"):
            rest = "lib" + rest.removeprefix("lib64")
        return _checked(rest, layout)
    if scheme == "headers":
        return _checked(f"include/site/{layout.library}/{layout.name}/{rest}".rstrip("/"), layout)
    if scheme == "scripts":
        if "/" in rest:
            return "is a folder among the scripts"
        if not rest:
            return Place(kind="script", path="")
        return command_fault(rest) or Place(kind="script", path=rest)
    return "is in a .data folder without that scheme" if scheme else Place(kind="file", path="")


def command_fault(name: str) -> str:
    """Why a script can't be called that, in words that follow its name; "" when it can."""
    if "/" in name or name in {".", ".."}:
        return "is not a plain file name"
    if fault := name_fault(name, longest=_PART_BYTES):
        return fault
    if _RESERVED_COMMANDS.fullmatch(name):
        return f"would be bin/{name}, which is reserved"
    return ""


def _checked(path: str, layout: Layout) -> Place | str:
    root, _, rest = path.partition("/")
    if root in _RESERVED_ROOTS:
        return f"would be {path}, which is reserved"
    if root == "bin" and rest and _RESERVED_COMMANDS.fullmatch(rest.partition("/")[0]):
        return f"would be {path}, which is reserved"
    site = layout.site_packages + "/"
    if path.startswith(site):
        top = path[len(site) :].partition("/")[0]
        if _RESERVED_MODULES.fullmatch(top):
            return f"would be {path}, which is reserved"
        if top.endswith(".dist-info") and top != layout.dist_info:
            return "is in the .dist-info folder of another package"
    return Place(kind="file", path=path)
