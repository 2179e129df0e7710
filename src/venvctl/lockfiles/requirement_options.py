"""The options of a requirements file: their grammar, and the state they leave behind."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from optparse import OptionParser, Values
from typing import TYPE_CHECKING, NoReturn

from packaging.utils import canonicalize_name

from venvctl.errors import LockError
from venvctl.lockfiles.locations import absolute
from venvctl.lockfiles.model import Index
from venvctl.lockfiles.requirement_lines import expand_variables

if TYPE_CHECKING:
    from pathlib import Path


# Some 200 hashes stand on the longest lines there are; `optparse` takes quadratic time.
_MOST_WORDS = 10_000


@dataclass(slots=True, kw_only=True)
class Settings:
    """What the option lines of all files together say; one that comes later wins, as in pip."""

    index: str = ""
    extra: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    no_index: bool = False
    no_binary: set[str] = field(default_factory=set)
    only_binary: set[str] = field(default_factory=set)
    require_hashes: bool = False
    insecure_hosts: list[str] = field(default_factory=list)

    def apply(self, options: Values, place: str, directory: Path) -> None:
        """Take over the options of one line.

        Args:
            options: as `Grammar.parse` gives them; URLs get their environment variables here.
            place: where the line is.
            directory: what relative paths start from.
        """
        if options.no_index:
            self.no_index, self.index, self.extra = True, "", []
        if options.index_url and not self.no_index:
            self.index, self.extra = expand_variables(options.index_url, place), []
        if options.extra_index_urls and not self.no_index:
            self.extra += [expand_variables(url, place) for url in options.extra_index_urls]
        for text in options.find_links or ():
            link = expand_variables(text, place)
            local = directory / link
            there = os.path.isdir(local)  # noqa: PTH112 - Path raises on a name that is too long
            self.find_links.append(str(absolute(local)) if there else link)
        for value in options.no_binary or ():
            _control(value, self.no_binary, self.only_binary)
        for value in options.only_binary or ():
            _control(value, self.only_binary, self.no_binary)
        if options.require_hashes or options.no_require_hashes:
            self.require_hashes = not options.no_require_hashes
        self.insecure_hosts += options.trusted_hosts or ()

    def as_index(self) -> Index:
        """Where pins are to be asked for."""
        return Index(
            url=self.index,
            extra=tuple(dict.fromkeys(self.extra)),
            find_links=tuple(dict.fromkeys(self.find_links)),
            disabled=self.no_index,
        )

    def formats(self, name: str) -> tuple[bool, bool]:
        """Whether a package may not come as a wheel, and whether not as an sdist."""
        if name in self.no_binary:
            return True, False
        if name in self.only_binary:
            return False, True
        return ":all:" in self.no_binary, ":all:" in self.only_binary


def split_line(text: str) -> tuple[str, str]:
    """Split a line into the requirement and its options (the first word that begins with ``-``)."""
    words = text.split(" ")
    for position, word in enumerate(words):
        if word.startswith("-"):
            return " ".join(words[:position]).strip(), " ".join(words[position:])
    return text, ""


class Grammar(OptionParser):
    """The options that pip allows in a requirements file.

    pip parses them with `optparse` too; with it, abbreviations and `-rFILE` mean the same. It is
    made once for a lock, since that costs more than parsing a line.
    """

    def __init__(self) -> None:
        super().__init__(add_help_option=False, usage="")
        self._place = ""
        for names, destination in (
            (("-r", "--requirement"), "requirements"),
            (("-c", "--constraint"), "constraints"),
            (("-e", "--editable"), "editables"),
            (("--extra-index-url",), "extra_index_urls"),
            (("-f", "--find-links"), "find_links"),
            (("--no-binary",), "no_binary"),
            (("--only-binary",), "only_binary"),
            (("--trusted-host",), "trusted_hosts"),
            (("--hash",), "hashes"),
            (("--global-option",), "build_options"),
            (("-C", "--config-settings", "--config-setting"), "build_options"),
            (("--use-feature",), "features"),
            (("--all-releases",), "release_control"),
            (("--only-final",), "release_control"),
        ):
            self.add_option(*names, dest=destination, action="append")
        self.add_option("-i", "--index-url", "--pypi-url", dest="index_url")
        # `--pre`, `--prefer-binary`, `--all-releases` and `--only-final` tell how to choose among
        # versions; of pins there is nothing to choose.
        flags = ("--no-index", "--require-hashes", "--no-require-hashes", "--pre")
        for name in (*flags, "--prefer-binary"):
            self.add_option(name, action="store_true")

    def parse(self, text: str, place: str) -> Values:
        """Parse the options of one line.

        Raises:
            LockError: an option is unknown or lacks its value; the message names it.
        """
        self._place = place
        try:
            # Hashes alone, the common case, need none of the shell's rules, which are slow.
            words = shlex.split(text) if re.search(r"[\\'\"]", text) else text.split()
        except ValueError as error:
            raise LockError(
                f"{place}: The options can't be split into words: {error}.",
                hint="Check the quotes on that line.",
            ) from error
        if len(words) > _MOST_WORDS:
            raise LockError(
                f"{place}: The line has more than {_MOST_WORDS:,} options.",
                hint="Check that it is a lockfile.",
            )
        values, rest = self.parse_args(words)
        if rest:
            raise LockError(
                f"{place}: {rest[0]!r} stands among the options.",
                hint="Write one requirement to a line, its options after it.",
            )
        return values

    def error(self, msg: str) -> NoReturn:
        """Raise what `optparse` would print before it ends the process."""
        raise LockError(
            f"{self._place}: {msg[:1].upper()}{msg[1:]}.",
            hint="Only the options that pip allows in a requirements file can stand there.",
        )


def _control(value: str, target: set[str], other: set[str]) -> None:
    """Apply one `--no-binary` or `--only-binary` value; each excludes the other (pip)."""
    names = value.split(",")
    while ":all:" in names:
        other.clear()
        target.clear()
        target.add(":all:")
        del names[: names.index(":all:") + 1]
        if ":none:" not in names:
            return
    for name in names:
        if name == ":none:":
            target.clear()
            continue
        normalized = canonicalize_name(name)
        other.discard(normalized)
        target.add(normalized)
