"""`uv.lock`: what uv itself exports from it, as PEP 751."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from venvctl.errors import LockError
from venvctl.lockfiles import toml, uv_command
from venvctl.lockfiles.model import Lock
from venvctl.lockfiles.pylock import from_tables
from venvctl.lockfiles.uv_workspace import workspace_files
from venvctl.lockfiles.wanted import check_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from venvctl.lockfiles.files import Files
    from venvctl.lockfiles.model import LockOptions


_UNREADABLE = "error: Failed to parse lockfile"


def read_uv(files: Files, path: Path, options: LockOptions) -> Lock:
    """Read uv's lock as `uv sync --frozen --no-default-groups --no-install-workspace` would.

    The lock alone decides: no pyproject.toml is read, so nothing else has to be watched.

    Raises:
        LockError: as `venvctl.lockfiles.read`; extras, groups and packages that the lock doesn't
            have are named together with those it has.
    """
    name = files.display(path)
    text = files.text(path)
    arguments = [
        *("export", "--frozen", "--no-emit-workspace", "--no-default-groups"),
        *("--format", "pylock.toml", "--no-header"),
        *("--preview-features", "frozen-lockfile,pylock"),
        *("--offline", "--no-config", "--no-cache"),
        *(f"--extra={extra}" for extra in options.extras),
        *(f"--group={group}" for group in options.groups),
        *([f"--package={options.package}"] if options.package else []),
    ]
    with uv_command.directory({**workspace_files(text, name), "uv.lock": text}) as directory:
        answer = uv_command.run(arguments, within=directory)
    if answer.exit_code != 0:
        if _UNREADABLE not in answer.stderr:
            _explain(toml.parse(text, name), name, options)
        raise _refused(answer, name)
    return Lock(
        path=path,
        format="uv",
        digests=dict(files.digests),
        pylock=from_tables(
            toml.parse(answer.stdout, name),
            name=name,
            directory=path.parent,
            project=files.project,
            exported=True,
        ),
    )


def _refused(answer: uv_command.Answer, name: str) -> LockError:
    """The explanation of uv, in several lines, as one line that begins with the place."""
    line = re.search(r"TOML parse error at line (\d+)", answer.stderr)
    reason = answer.reason()
    for text in answer.stderr.splitlines():
        plain = text.strip().removeprefix("cause: ")
        if plain and not re.match(rf"{_UNREADABLE}|TOML parse|\d* *\||error:|warning:", plain):
            reason = plain
            break
    if " are incompatible with the " in reason:
        return LockError(
            f"{name}: {reason.rstrip('.')}.",
            hint="Name only one of them in the labels `venvctl.extras` and `venvctl.groups`.",
        )
    return LockError(
        f"{name}{f':{line[1]}' if line else ''}: uv can't read it: {reason.rstrip('.:')}.",
        hint="Make the lock again with `uv lock`; a lock of a newer uv needs a newer venvctl.",
    )


def _explain(tables: Mapping[str, Any], name: str, options: LockOptions) -> None:
    """Raise for what the options name and the lock doesn't have; uv names only the first."""
    packages = [package for package in tables.get("package", ()) if isinstance(package, dict)]
    local = [package for package in packages if _is_local(package)]
    if options.package:
        check_known(
            "package", [options.package], [str(each.get("name", "")) for each in local], name
        )
        wanted = canonicalize_name(options.package)
        chosen = [package for package in local if canonicalize_name(package["name"]) == wanted]
    else:
        chosen = [package for package in local if _source(package) in {".", ""}] or local
    extras = [extra for package in chosen for extra in _names(package, "optional-dependencies")]
    groups = [group for package in local for group in _names(package, "dev-dependencies")]
    check_known("extra", options.extras, extras, name)
    check_known("group", options.groups, groups, name)


def _is_local(package: Mapping[str, Any]) -> bool:
    source = package.get("source")
    return isinstance(source, dict) and bool({"virtual", "editable", "directory"} & source.keys())


def _source(package: Mapping[str, Any]) -> str:
    return str(next(iter(package["source"].values()), ""))


def _names(package: Mapping[str, Any], key: str) -> Iterable[str]:
    # An extra without dependencies stands in the metadata alone.
    metadata = package.get("metadata", {})
    table = package.get(key, {})
    if not isinstance(metadata, dict) or not isinstance(table, dict):
        return []
    other = "provides-extras" if key == "optional-dependencies" else "requires-dev"
    return [*table, *(value for value in metadata.get(other, ()) if value not in table)]
