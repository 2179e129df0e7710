"""What a wheel says of itself must fit its name, its RECORD and the specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from venvctl.errors import HostileWheelError
from venvctl.manifest import EntryPoint
from venvctl.wheels import read
from wheelhouse import EXECUTABLE, make_wheel, packed

if TYPE_CHECKING:
    from pathlib import Path

INFO = "evil-1.0.dist-info"
DATA = "evil-1.0.data"
METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n"


def reason(path: Path) -> str:
    """Why a wheel is refused: the message without what they all begin with."""
    with pytest.raises(HostileWheelError) as caught:
        read(path, library="python3.11")
    start = f"The wheel {path.name!a} is refused: "
    assert caught.value.message.startswith(start)
    return caught.value.message.removeprefix(start)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"without": [f"{INFO}/RECORD"]}, "it has no RECORD."),
        ({"without": [f"{INFO}/METADATA"]}, "it has no METADATA."),
        ({"without": [f"{INFO}/WHEEL"]}, "it has no WHEEL."),
        (
            {"metadata": METADATA.format("other", "1.0")},
            "it says in METADATA that it is 'other' '1.0'.",
        ),
        (
            {"metadata": METADATA.format("evil", "2.0")},
            "it says in METADATA that it is 'evil' '2.0'.",
        ),
        (
            {"metadata": METADATA.format("evil", "one")},
            "it says in METADATA that it is 'evil' 'one'.",
        ),
        ({"metadata": "nonsense"}, "it says in METADATA that it is '' ''."),
        ({"wheel": "Wheel-Version: 2.0\n"}, "it has the unknown Wheel-Version '2.0'."),
        ({"wheel": "Root-Is-Purelib: true\n"}, "it has the unknown Wheel-Version ''."),
        (
            {"files": {"other-1.0.dist-info/METADATA": b""}},
            (
                "it must have exactly one .dist-info folder, and has evil-1.0.dist-info, "
                "other-1.0.dist-info."
            ),
        ),
        (
            {"files": {f"{DATA}/purelib/other-1.0.dist-info/METADATA": b""}},
            (
                f"'{DATA}/purelib/other-1.0.dist-info/METADATA' is in the .dist-info folder of "
                "another package."
            ),
        ),
        ({"extra": [("late.py", b"")]}, "'late.py' is not in RECORD with a hash."),
        ({"record": {"evil.py": ","}}, "'evil.py' is not in RECORD with a hash."),
        (
            {"record": {"evil.py": "sha256=x,1"}},
            "it has a RECORD that can't be read (Invalid base64",
        ),
        (
            {"record": {"gone.py": "sha256=xxxx,1"}},
            "'gone.py' is in RECORD and not in the archive.",
        ),
        ({"without": ["evil.py"]}, "'evil.py' is in RECORD and not in the archive."),
        (
            {"record": {"evil.py": "md5=kAFQmDzST7DWlj99KOF_cg,20"}},
            "'evil.py' has a hash in RECORD that is not SHA-256 or stronger ('md5').",
        ),
        (
            {"record": {"evil.py": f"sha256={'A' * 43},7"}},
            "'evil.py' has 20 bytes and not the '7' that RECORD says.",
        ),
        ({"record": {"evil.py": "a,b,c,d"}}, "it has a RECORD that can't be read (too many values"),
        (
            {"files": {"x.py": b"", f"{DATA}/purelib/x.py": b""}},
            f"'{DATA}/purelib/x.py' goes to the same place as 'x.py'.",
        ),
        ({"files": {"x": b"", f"{DATA}/purelib/x/y": b""}}, "'x' is a file and a folder."),
        (
            {"files": {f"{DATA}/nowhere/x": b""}},
            f"'{DATA}/nowhere/x' is in a .data folder without that scheme.",
        ),
        ({"files": {f"{DATA}/data": b""}}, f"'{DATA}/data' is a file where a folder belongs."),
        (
            {"files": {f"{DATA}/scripts/a/b": b""}},
            f"'{DATA}/scripts/a/b' is a folder among the scripts.",
        ),
        (
            {"entry_points": "[console_scripts]\nx\n"},
            "it has an entry_points.txt that can't be read",
        ),
        ({"entry_points": "[console_scripts]\nx = a b\n"}, "it has an entry_points.txt that can't"),
        (
            {"entry_points": "[console_scripts]\n../x = a:b\n"},
            "'../x' as an entry point is not a plain file name.",
        ),
        (
            {"entry_points": "[gui_scripts]\npython3 = a:b\n"},
            "'python3' as an entry point would be bin/python3, which is reserved.",
        ),
    ],
)
def test_refuses(tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    wheel = make_wheel(tmp_path, "evil", **options)
    found = reason(wheel.path)
    # What a parser of others says at the end of a message is theirs.
    assert found == expected if expected.endswith(".") else found.startswith(expected)


@pytest.mark.parametrize(
    ("member", "place"),
    [
        (f"{DATA}/scripts/python", "bin/python"),
        (f"{DATA}/scripts/python3", "bin/python3"),
        (f"{DATA}/scripts/python3.11", "bin/python3.11"),
        (f"{DATA}/scripts/python3.13t", "bin/python3.13t"),
        (f"{DATA}/scripts/activate", "bin/activate"),
        (f"{DATA}/scripts/activate.fish", "bin/activate.fish"),
        (f"{DATA}/scripts/activate_this.py", "bin/activate_this.py"),
        (f"{DATA}/scripts/Activate.ps1", "bin/Activate.ps1"),
        (f"{DATA}/data/bin/python3", "bin/python3"),
        (f"{DATA}/data/pyvenv.cfg", "pyvenv.cfg"),
        (f"{DATA}/data/.venvctl/current", ".venvctl/current"),
        ("!venvctl.pth", "lib/python3.11/site-packages/!venvctl.pth"),
        ("~venvctl.pth", "lib/python3.11/site-packages/~venvctl.pth"),
        ("_venvctl_pin.py", "lib/python3.11/site-packages/_venvctl_pin.py"),
        ("_venvctl/__init__.py", "lib/python3.11/site-packages/_venvctl/__init__.py"),
        (
            f"{DATA}/data/lib64/python3.11/site-packages/_venvctl.py",
            "lib/python3.11/site-packages/_venvctl.py",
        ),
    ],
)
def test_refuses_a_reserved_name(tmp_path: Path, member: str, place: str) -> None:
    wheel = make_wheel(tmp_path, "evil", files={member: b""})
    assert reason(wheel.path) == f"{member!a} would be {place}, which is reserved."


def test_lets_names_through_that_only_look_reserved(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "argcomplete",
        files={
            "argcomplete-1.0.data/scripts/activate-global-python-argcomplete": b"#!python\n",
            "argcomplete-1.0.data/scripts/python-argcomplete-check": b"#!python\n",
            "venvctl.pth": b"",
            "pyvenv.cfg": b"",
        },
        entry_points="[console_scripts]\npython-dotenv = a:b\n",
    )
    assert len(read(wheel.path, library="python3.11").members) == 7


def test_reads_what_generations_need(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "Some.Name",
        "2.0",
        files={"some_name/__init__.py": b"x", "some_name/tool": b"y"},
        modes={"some_name/tool": EXECUTABLE},
        requires=["alpha>=1", 'beta; extra == "more"'],
        requires_python=">=3.8",
        entry_points="[console_scripts]\nb = m.n:f.g [extra]\na = m:f\n[gui_scripts]\nw = m:f\n"
        "[other]\nz = not looked at\n",
    )
    found = read(wheel.path, library="python3.11")
    assert (found.name, found.version, found.root_is_purelib) == ("some-name", "2.0", True)
    assert found.requires_dist == ("alpha>=1", 'beta; extra == "more"')
    assert found.requires_python == ">=3.8"
    assert found.entry_points == (
        EntryPoint(name="b", module="m.n", attribute="f.g", kind="console"),
        EntryPoint(name="a", module="m", attribute="f", kind="console"),
        EntryPoint(name="w", module="m", attribute="f", kind="gui"),
    )
    assert {member.name: member.executable for member in found.members} == {
        "some_name/__init__.py": False,
        "some_name/tool": True,
        "some_name-2.0.dist-info/METADATA": False,
        "some_name-2.0.dist-info/WHEEL": False,
        "some_name-2.0.dist-info/entry_points.txt": False,
    }


def test_a_script_of_the_wheel_wins_over_an_entry_point_of_its_name(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "evil",
        files={f"{DATA}/scripts/one": b"#!python\n", f"{DATA}/data/bin/two": b"#!/bin/sh\n"},
        entry_points="[console_scripts]\none = a:b\ntwo = a:b\nthree = a:b\n",
    )
    assert [point.name for point in read(wheel.path, library="x").entry_points] == ["three"]


def test_stronger_hashes_and_signatures_are_fine(tmp_path: Path) -> None:
    digest = "ujJgQ1NIcS_a9rfMcJUPJHJDKlVgKfoLjLnL_MmxKIVHFtDi4RZJgEAIGgxpkRhD"
    wheel = make_wheel(
        tmp_path,
        "evil",
        record={"evil.py": f"sha384={digest},"},
        extra=[(f"{INFO}/RECORD.jws", b"{}")],
    )
    assert read(wheel.path, library="x").members[0].algorithm == "sha384"


@pytest.mark.parametrize("file", ["evil.whl", "evil-1.0.zip", "evil-one-py3-none-any.whl"])
def test_refuses_a_file_without_the_name_of_a_wheel(tmp_path: Path, file: str) -> None:
    path = make_wheel(tmp_path, "evil").path.rename(tmp_path / file)
    assert reason(path) == "it does not have the name of a wheel."


def test_refuses_the_wheel_of_another_package(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "evil").path.rename(tmp_path / "good-1.0-py3-none-any.whl")
    assert reason(path) == "'evil-1.0.dist-info' is the folder of another package."


def test_refuses_a_record_that_says_two_things_of_one_file(tmp_path: Path) -> None:
    other = "sha256=" + "A" * 43
    members = {"alpha.py": b"", **_texts()}
    path = tmp_path / "alpha-1.0-py3-none-any.whl"
    more = f"alpha.py,{other},0\n".encode()
    path.write_bytes(packed(members, name="alpha-1.0.dist-info", more=more))
    with pytest.raises(HostileWheelError) as caught:
        read(path, library="python3.11")
    assert caught.value.message == (
        "The wheel 'alpha-1.0-py3-none-any.whl' is refused: 'alpha.py' is in RECORD twice, "
        "with two hashes."
    )


def test_refuses_more_fields_than_any_metadata_has(tmp_path: Path) -> None:
    # 20,000 took `parse_email` 80 seconds.
    more = "".join(f"X{number}: a\n" for number in range(2000)).encode()
    path = tmp_path / "alpha-1.0-py3-none-any.whl"
    path.write_bytes(packed({"alpha.py": b"", **_texts(more)}, name="alpha-1.0.dist-info"))
    with pytest.raises(HostileWheelError) as caught:
        read(path, library="python3.11")
    assert caught.value.message == (
        "The wheel 'alpha-1.0-py3-none-any.whl' is refused: it has more than 100 different fields "
        "in METADATA."
    )


def test_refuses_a_file_where_every_environment_has_its_commands(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "alpha", files={"alpha-1.0.data/data/bin": b""})
    with pytest.raises(HostileWheelError) as caught:
        read(wheel.path, library="python3.11")
    assert caught.value.message == (
        "The wheel 'alpha-1.0-py3-none-any.whl' is refused: 'alpha-1.0.data/data/bin' is a file "
        "where a folder belongs."
    )


def _texts(more: bytes = b"") -> dict[str, bytes]:
    info = "alpha-1.0.dist-info"
    return {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n" + more,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
    }
