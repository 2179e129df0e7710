"""docs/reference.md says what the code says: every label, command, option, code and variable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from venvctl import errors, labels
from venvctl.cli.application import GROUPS, VERBS, app
from venvctl.errors import ExitCode, VenvctlError

REPOSITORY = Path(__file__).parents[1]
TEXT = (REPOSITORY / "docs" / "reference.md").read_text("utf-8")
GROUP: Any = get_command(app)
COMPOSE_OPTIONS = "Takes [compose's options](#composes-options) too."


def commands() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for verb in VERBS:
        command = GROUP.commands[verb].real
        if verb in GROUPS:
            found |= {f"{verb} {name}": one for name, one in command.commands.items()}
        else:
            found[verb] = command
    return found


COMMANDS = commands()


def sections(mark: str) -> dict[str, str]:
    """The text below each heading, by the heading."""
    parts = re.split(rf"^{mark} (.+)$", TEXT, flags=re.MULTILINE)[1:]
    return {
        title: re.split(r"^#{1,3} ", body, maxsplit=1, flags=re.MULTILINE)[0]
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def first_cells(section: str) -> list[str]:
    """The first cell of every row of the section's tables, without their heads."""
    rows = re.findall(r"^\| (.+?) \|", section, flags=re.MULTILINE)
    heads = re.findall(r"^\| (.+?) \|.*\n\| ---", section, flags=re.MULTILINE)
    return [row for row in rows if row != "---" and row not in heads]


def names(cells: list[str], pattern: str) -> set[str]:
    return {name for cell in cells for name in re.findall(pattern, cell)}


def test_every_label_is_there_and_no_other() -> None:
    cells = first_cells(sections("##")["Labels"])

    assert names(cells, r"`(venvctl\.[a-z-]+)`") == {*labels.VOLUME_LABELS, *labels.SERVICE_LABELS}
    assert all(label in TEXT for label in labels.OWN_LABELS)


def test_every_command_is_there_in_the_order_of_the_help() -> None:
    headings = [
        re.sub(r" [\[(A-Z].*", "", title.strip("`")).removeprefix("venvctl ")
        for title in sections("###")
        if title.startswith("`venvctl ")
    ]

    assert headings == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_there_and_no_other(name: str) -> None:
    command = COMMANDS[name]
    [(title, section)] = [
        (title, section)
        for title, section in sections("###").items()
        if re.fullmatch(rf"`venvctl {name}( [\[(A-Z].*)?`", title)
    ]
    options = {
        option
        for parameter in command.params
        if parameter.param_type_name == "option"
        for option in parameter.opts
    } - {"--json", "--help"}
    written = names(first_cells(section), r"`(-[a-z-]+)")
    if COMPOSE_OPTIONS in section:
        written |= names(first_cells(sections("###")["Compose's options"]), r"`(-[a-z-]+)")
    arguments = [one for one in command.params if one.param_type_name == "argument"]

    assert written == options
    assert all(argument.metavar.strip("[].") in title for argument in arguments)
    assert command.epilog in section


def test_every_exit_code_is_there_and_no_other() -> None:
    cells = first_cells(sections("##")["Exit codes"])

    assert {int(number) for cell in cells for number in cell.split(", ")} == {
        *map(int, ExitCode),
        130,
        143,
    }


def test_every_error_code_is_there_with_its_exit_code() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", sections("##")["JSON"], flags=re.MULTILINE)

    assert {code: int(number) for code, number in rows} == {
        kind.code: int(kind.exit_code)
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, VenvctlError)
    }


def test_every_variable_that_is_read_is_there() -> None:
    source = "\n".join(
        path.read_text("utf-8")
        for path in (REPOSITORY / "src").rglob("*")
        if path.suffix in {".py", ".sh"}
    )
    read = set(re.findall(r"\b(VENVCTL_[A-Z_]+)\b", source))
    read |= set(re.findall(r"environ(?:\.get\(|\[)[\"']([A-Z_]+)", source))
    written = names(first_cells(sections("##")["Environment variables"]), r"`([A-Z_]+)`")

    # A container's own, and the shell's.
    assert read - {"PATH", "PWD", "VIRTUAL_ENV"} <= written
    assert {name for name in written if name.startswith("VENVCTL_")} <= read
