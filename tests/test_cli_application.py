"""From arguments to an exit code: every verb, wrong usage, and whatever else may happen."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.exceptions import TyperException
from typer.main import get_command

from console import COMMAND, environment, venvctl_command
from standing import Standing
from venvctl.cli.application import GROUPS, VERBS, app, command_name, run, translate
from venvctl.errors import ExitCode, LockError, UsageError
from venvctl.root import Root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMANDS = get_command(app).commands  # type: ignore[attr-defined]  # typer hides the group's type


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def every_command() -> list[tuple[str, Any]]:
    found = [(verb, COMMANDS[verb].real) for verb in VERBS if verb not in GROUPS]
    for group in sorted(GROUPS):
        found += [(f"{group} {name}", one) for name, one in COMMANDS[group].real.commands.items()]
    return found


@pytest.mark.parametrize(("name", "command"), every_command())
def test_every_command_has_help_with_an_example_and_takes_json(name: str, command: Any) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    assert command.epilog.startswith("Example: ")
    assert f"venvctl {name}" in command.epilog
    assert all(parameter.help for parameter in command.params)


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_no_error(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0

    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: venvctl {verb} ")
    assert "Example: `" in out
    assert err == ""


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0

    out, _ = capsys.readouterr()
    assert out.startswith("Usage: venvctl [OPTIONS] COMMAND")
    for verb in VERBS:
        assert f"\n  {verb} " in out


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_group_without_a_command_is_help_too(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([group]) == 0

    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: venvctl {group} [OPTIONS] COMMAND")
    assert "...\n" not in out.partition("Commands:")[2]
    assert err == ""


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0

    assert capsys.readouterr() == ("venvctl 0.1.0\n", "")


@pytest.mark.parametrize("verb", ["up", "down"])
def test_outside_of_a_project_there_is_nothing_to_bring_up_or_down(
    verb: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run([verb]) == ExitCode.INVALID

    assert capsys.readouterr().err.startswith("Error: There is no compose file in ")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["synk"], "No such command 'synk'. Did you mean 'sync'?", "`venvctl --help` shows"),
        (
            ["sync", "--forse"],
            "No such option: --forse (Possible options: --file, --force).",
            "`venvctl sync --help` shows",
        ),
        (["rollback"], "Missing argument 'ENV'.", "`venvctl rollback --help` shows"),
        (
            ["rollback", "x", "--to", "y"],
            "Invalid value for '--to': 'y' is not a whole number.",
            "`venvctl rollback --help` shows",
        ),
        (["env", "ad"], "No such command 'ad'. Did you mean 'add'?", "`venvctl env --help` shows"),
        (
            ["up", "--wait"],
            "No such option: --wait",
            (
                "`venvctl up --help` shows what there is. "
                "Flags of compose itself go after `--`: `venvctl up -- FLAGS`."
            ),
        ),
    ],
)
def test_wrong_usage_is_exit_code_2_as_text_and_as_json(
    arguments: list[str], message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Error: {message}")
    assert f"\nHint: {hint}" in err

    assert run([*arguments, "--json"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    envelope = json.loads(out)
    assert (envelope["schema"], envelope["ok"]) == (1, False)
    assert envelope["command"] == command_name(arguments)
    assert envelope["error"]["code"] == "usage"
    assert envelope["error"]["message"].startswith(message)
    assert err == ""


def test_an_unknown_environment_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(["path", "nothing"]) == ExitCode.USAGE

    assert capsys.readouterr() == (
        "",
        (
            "Error: There is no environment 'nothing'; known: none.\n"
            "Hint: Run `venvctl up` in its compose project, or `venvctl env add`.\n"
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], ""),
        (["--json"], ""),
        (["sync", "--json", "x"], "sync"),
        (["env", "add", "x"], "env add"),
        (["env", "--help"], "env"),
    ],
)
def test_the_command_in_the_envelope(arguments: list[str], name: str) -> None:
    assert command_name(arguments) == name


def test_an_error_of_the_operating_system_is_told_in_a_sentence() -> None:
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/srv/lock")

    ours = translate(error)

    assert (ours.message, ours.hint, ours.code, ours.exit_code) == (
        "/srv/lock: Too many open files.",
        "",
        "failed",
        ExitCode.FAILED,
    )


def test_our_own_errors_stay_what_they_are() -> None:
    error = LockError("Wrong.")

    assert translate(error) is error


def test_typers_errors_become_usage_errors() -> None:
    assert isinstance(translate(TyperException("Wrong")), UsageError)
    assert translate(TyperException("Wrong")).message == "Wrong."


def test_a_defect_is_told_without_a_traceback_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = TypeError("no such thing")

    ours = translate(error)

    assert ours.message == "venvctl itself failed: TypeError: no such thing"
    assert ours.hint == (
        "This is a defect. Run it again with VENVCTL_TRACEBACK=1 and report what it prints."
    )
    monkeypatch.setenv("VENVCTL_TRACEBACK", "1")
    with pytest.raises(TypeError):
        translate(error)


def test_a_root_that_others_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o777)
    monkeypatch.setenv("VENVCTL_ROOT", str(root))

    assert run(["env", "list"]) == ExitCode.FAILED

    assert capsys.readouterr().err == (
        f"Error: {root} can be written by its group or by others (mode 0777): whoever can write "
        f"there decides what your containers run.\nHint: `chmod go-w {root}`\n"
    )


_TELLS = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
sys.argv[0] = "venvctl"
from venvctl.__main__ import main
main()
"""


def loaded_by(*arguments: str, root: str = "/nowhere", **variables: str) -> set[str]:
    """The modules that there are when a command ends.

    Not by `-X importtime`, which does not see what `importlib.import_module` was asked for.
    """
    done = subprocess.run(
        [sys.executable, "-c", _TELLS, *arguments],
        env=environment(VENVCTL_ROOT=root, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["env", "list"], ["up", "--help"]])
def test_a_quick_command_imports_no_library_it_does_not_use(
    arguments: list[str], tmp_path: Path
) -> None:
    Root(tmp_path).create()

    loaded = loaded_by(*arguments, root=str(tmp_path))

    assert "typer" in loaded
    assert not loaded & {
        "docker",
        "requests",
        "urllib3",
        "rich",
        "watchdog",
        "venvctl.fetch",
        "venvctl.trees",
        "venvctl.selection",
        "venvctl.pins",
        "uv",
    }


def verbs_among(loaded: set[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in loaded if name.startswith("venvctl.cli.")} & {
        *VERBS
    }


def test_asking_for_one_verb_imports_no_other() -> None:
    assert verbs_among(loaded_by("path", "--help")) == {"path"}


@pytest.mark.parametrize("words", ["--help", "", "_ ", "_ s"])
def test_the_list_of_all_verbs_imports_none(words: str) -> None:
    # `venvctl`, `venvctl --help`, `venvctl <TAB>` and `venvctl s<TAB>`.
    if words.startswith("_"):
        loaded = loaded_by(
            _VENVCTL_COMPLETE="complete_bash",
            COMP_WORDS=words.replace("_", "venvctl"),
            COMP_CWORD="1",
        )
    else:
        loaded = loaded_by(*words.split())

    assert verbs_among(loaded) == set()
    assert not loaded & {"pydantic", "rich", "packaging", "filelock"}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_an_interrupt_ends_quietly(number: signal.Signals, code: int, tmp_path: Path) -> None:
    # An engine that never answers: the command waits for it.
    (tmp_path / "lock").write_text("six==1.17.0\n")
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "engine"))
        engine.listen()
        process = subprocess.Popen(
            [*COMMAND, "env", "add", "vt-none", "--lock", "lock", "--image", "none"],
            cwd=tmp_path,
            env=environment(
                DOCKER_HOST=f"unix://{tmp_path}/engine", VENVCTL_ROOT=str(tmp_path / "root")
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Where the tests run in a shell's background, SIGINT is ignored, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        )
        engine.settimeout(30)
        connection, _ = engine.accept()
        second, _ = engine.accept()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        connection.close()
        second.close()

    assert (process.returncode, out, err) == (code, b"", b"")


def test_the_shell_completes_verbs_and_environments(tmp_path: Path) -> None:
    standing = Standing(tmp_path)

    def completed(words: str) -> list[str]:
        done = venvctl_command(
            VENVCTL_ROOT=str(standing.root.path),
            _VENVCTL_COMPLETE="complete_bash",
            COMP_WORDS=f"venvctl {words}",
            COMP_CWORD=str(len(words.split(" "))),
        )
        assert done.code == 0, done.stderr
        return done.stdout.split()

    assert completed("ro") == ["rollback"]
    assert completed("rollback sh") == ["shop_venv"]
    assert completed("sync ot") == []
    for key in "abc":
        standing.generation(key, "2026-01-01T00:00:00Z", alpha="1.0")
    assert completed("rollback shop_venv --to ") == ["1", "2", "3"]
    assert completed("diff shop_venv 1 2") == ["2"]
    assert completed("rollback other_venv --to ") == []
    assert completed("snapshot show b") == ["b" * 32]
    assert completed("restore shop_venv --snapshot ") == [key * 32 for key in "abc"]
    assert completed("snapshot export ") == ["shop_venv", *(key * 32 for key in "abc")]


@pytest.mark.parametrize("verb", VERBS)
def test_completion_imports_nothing_that_works(tmp_path: Path, verb: str) -> None:
    standing = Standing(tmp_path)
    words = {"env": "env rm", "snapshot": "snapshot import"}.get(verb, verb)

    loaded = loaded_by(
        root=str(standing.root.path),
        _VENVCTL_COMPLETE="complete_bash",
        COMP_WORDS=f"venvctl {words} ",
        COMP_CWORD=str(len(words.split()) + 1),
    )

    assert f"venvctl.cli.{verb}" in loaded
    assert not loaded & {"concurrent.futures", "docker", "packaging.version", "rich", "ssl"}
    assert not loaded & {"venvctl.sync", "venvctl.status", "venvctl.seal", "venvctl.evidence"}


def test_python_can_run_the_package() -> None:
    done = venvctl_command("--version")

    assert (done.code, done.stdout) == (0, "venvctl 0.1.0\n")
