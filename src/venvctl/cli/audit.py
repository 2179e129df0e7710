"""`venvctl audit`: what has become of an environment's files since it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.display import display
from venvctl.cli.naming import resolve
from venvctl.cli.sentences import count
from venvctl.errors import AuditError
from venvctl.project import ComposeOptions

if TYPE_CHECKING:
    from venvctl.advisories import Vulnerability
    from venvctl.audit import AuditedFile, AuditResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl audit shop_venv --advisories /srv/osv --strict`.")
def audit_command(
    name: options.Name,
    index: Annotated[
        list[str] | None,
        typer.Option("--index", metavar="URL", help="Asked instead of those that the lock names."),
    ] = None,
    advisories: Annotated[
        str,
        typer.Option(
            "--advisories",
            metavar="DIR|ZIP|URL",
            envvar="VENVCTL_ADVISORIES",
            help="Known vulnerabilities, as records in the OSV format.",
        ),
    ] = "",
    *,
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Hash the store's files again, not only look for them.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 1 if anything was found.")
    ] = False,
    offline: options.Offline = False,
    json: options.Json = False,
) -> Answer:
    """Tell what has become of an environment's files since it was made.

    Which of them their index has yanked, replaced or deleted; whether the store still has them;
    and which known vulnerabilities concern them, where advisories are named.
    """
    from venvctl.audit import AuditSettings, audit  # noqa: PLC0415 - it brings an HTTP stack

    root = options.own_root()
    name = resolve(name, root.registry.names(), ComposeOptions(), options.current_directory())
    settings = AuditSettings(
        indexes=tuple(index or ()), offline=offline, hashes=hashes, advisories=advisories
    )
    with display(as_json=json) as progress:
        result = audit(name, root, settings=settings, progress=progress)
    return describe(result, strict=strict)


def describe(result: AuditResult, *, strict: bool) -> Answer:
    """What was found, worst news first to be seen."""
    lines = [line for file in result.files for line in _file_lines(file)]
    lines += [_vulnerability_line(each) for each in result.vulnerabilities]
    checked = count(len(result.files), "package")
    if result.advisories is None:
        against = "no advisories are configured"
    else:
        against = f"{count(result.advisories, 'advisory').replace('advisorys', 'advisories')} read"
    tone = Tone.PLAIN if result.findings else Tone.GOOD
    lines.append(
        Line(
            f"{result.environment}: generation {result.generation}, {checked}: "
            f"{count(result.findings, 'finding')}; {against}",
            tone,
        )
    )
    error = AuditError(
        f"The audit of {result.environment} has {count(result.findings, 'finding')}.",
        hint="Lock versions that are still there and not concerned, then sync.",
    )
    return Answer(
        data=result, lines=tuple(lines), errors=(error,) if strict and result.findings else ()
    )


def _file_lines(file: AuditedFile) -> list[Line]:
    from venvctl.audit import FINDINGS, Status  # noqa: PLC0415 - as above

    title = f"{file.name} {file.version}"
    lines = []
    if file.status in FINDINGS:
        because = f": {file.reason}" if file.reason else ""
        lines.append(Line(f"{title} is {file.status} at {file.index}{because}", Tone.BAD))
    elif file.status is Status.UNKNOWN:
        where = f"{file.index}: " if file.index else ""
        lines.append(Line(f"{title} can't be looked up: {where}{file.reason}"))
    if file.stored != "yes":
        lines.append(Line(f"{title} is {file.stored} in the store ({file.file})", Tone.BAD))
    return lines


def _vulnerability_line(each: Vulnerability) -> Line:
    names = ", ".join((each.id, *each.aliases))
    summary = f": {each.summary}" if each.summary else ""
    fixed = f" (fixed in {', '.join(each.fixed)})" if each.fixed else ""
    return Line(f"{each.name} {each.version} is vulnerable, {names}{summary}{fixed}", Tone.BAD)
