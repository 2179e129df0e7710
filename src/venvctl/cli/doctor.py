"""`venvctl doctor`: what on this machine or in this compose project will bite."""

import typer

from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.naming import find_project
from venvctl.errors import VenvctlError
from venvctl.root import locate

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_TONES = {"ok": Tone.GOOD, "warning": Tone.TITLE, "problem": Tone.BAD}


@app.command(epilog="Example: `venvctl doctor` in a compose project's directory.")
def doctor_command(
    *,
    files: options.Files = None,
    project_name: options.ProjectName = "",
    profiles: options.Profiles = None,
    env_files: options.EnvFiles = None,
    project_directory: options.ProjectDirectory = "",
    offline: options.Offline = False,
    json: options.Json = False,
) -> Answer:
    """Look at this machine, the environments and the compose project here, and change nothing.

    Each finding says what to type. Ends in 0 when nothing is a problem; warnings are none.
    """
    from venvctl.checks.finding import Status  # noqa: PLC0415 - completion and help do without
    from venvctl.doctor import Doctor  # noqa: PLC0415 - completion and help do without

    cwd = options.current_directory()
    compose = options.compose_options(files, project_name, profiles, env_files, project_directory)
    doctor = Doctor(locate(), cwd=cwd, load=lambda: find_project(compose, cwd), offline=offline)
    findings = tuple(doctor.examine())
    lines = []
    for finding in findings:
        lines.append(
            Line(f"{finding.status:<8} {finding.name}: {finding.found}", _TONES[finding.status])
        )
        if finding.advice:
            lines.append(Line(finding.advice, indent=5))
    problems = sum(finding.status is Status.PROBLEM for finding in findings)
    if not problems:
        return Answer(data=findings, lines=tuple(lines))
    error = VenvctlError(
        f"{problems} of {len(findings)} findings "
        f"{'is a problem' if problems == 1 else 'are problems'}.",
        hint="Each says above what to type.",
    )
    return Answer(data=findings, lines=tuple(lines), errors=(error,))
