"""Targets for tests: interpreters as images have them, on several platforms."""

from __future__ import annotations

from packaging.tags import compatible_tags, cpython_tags

from venvctl.target import Target


def platforms(machine: str, libc: str) -> list[str]:
    """The platform tags of a Linux, most specific first.

    Args:
        machine: e.g. ``x86_64``.
        libc: ``glibc-2.36`` or ``musl-1.2``.
    """
    kind, _, version = libc.partition("-")
    major, minor = map(int, version.split("."))
    name = "manylinux" if kind == "glibc" else "musllinux"
    legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    oldest = 0 if kind == "musl" else 5 if machine == "x86_64" else 17
    found = []
    for each in range(minor, oldest - 1, -1):
        found.append(f"{name}_{major}_{each}_{machine}")
        if kind == "glibc" and each in legacy:
            found.append(f"{legacy[each]}_{machine}")
    return [*found, f"linux_{machine}"]


def target(
    version: str = "3.11.2",
    *,
    machine: str = "x86_64",
    libc: str = "glibc-2.36",
    threaded: bool = False,
) -> Target:
    """A CPython; `threaded` means the free-threaded build."""
    major, minor = map(int, version.split(".")[:2])
    abi = f"cp{major}{minor}{'t' if threaded else ''}"
    names = platforms(machine, libc)
    tags = [
        *cpython_tags((major, minor), [abi], names),
        *compatible_tags((major, minor), f"cp{major}{minor}", names),
    ]
    return Target(
        interpreter=f"/usr/bin/python{major}.{minor}",
        version=version,
        cache_tag=f"cpython-{major}{minor}{'t' if threaded else ''}",
        library=f"python{major}.{minor}{'t' if threaded else ''}",
        tags=tuple(map(str, tags)),
        markers={
            "implementation_name": "cpython",
            "implementation_version": version,
            "os_name": "posix",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": version,
            "python_version": f"{major}.{minor}",
            "sys_platform": "linux",
        },
    )
