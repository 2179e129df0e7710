"""Pin records: the index is asked once, and what it said then is what counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from index import Fault, LocalIndex
from interpreters import target
from venvctl import asking, lockfiles, pins
from venvctl.errors import (
    ChangedFileError,
    IntegrityError,
    SelectionError,
    UnavailableError,
    VenvctlError,
)
from venvctl.indexes import IndexOptions
from venvctl.lockfiles import LockOptions
from venvctl.pins import PinStore
from venvctl.selection import select
from venvctl.settings import Settings
from wheelhouse import BuiltWheel, make_sdist, make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from venvctl.asking import Said
    from venvctl.lockfiles import Lock
    from venvctl.target import Target


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with LocalIndex() as running:
        yield running


class Project:
    """A requirements file with records of its own."""

    def __init__(self, folder: Path, index: LocalIndex) -> None:
        self.folder = folder
        self.index = index
        self.records = folder / "root/pins"

    def resolve(
        self,
        content: str,
        *,
        target: Target = target(),  # noqa: B008 - frozen
        offline: bool = False,
        refresh: bool = False,
        accept: tuple[str, ...] = (),
        stored: Callable[[str], str] = lambda _: "",
        said: Said | None = None,
    ) -> list[tuple[str, str]]:
        """The selected files, each with its hash."""
        lock, options = self._read(content)
        pylock = pins.resolve(
            lock,
            target,
            PinStore(self.records),
            transport=None if offline else Settings().transport,
            index=options,
            refresh=refresh,
            accept=accept,
            stored=stored,
            said=said,
        )
        selection = select(pylock, target, builds=True, insecure_hosts=("127.0.0.1",))
        return [(file.file, file.sha256) for file in selection.files]

    def ahead(self, content: str) -> Said:
        """What is asked before the target is known."""
        lock, options = self._read(content)
        return asking.ask_ahead(
            lock, PinStore(self.records), transport=Settings().transport, index=options
        )

    def _read(self, content: str) -> tuple[Lock, IndexOptions]:
        path = self.folder / "requirements.txt"
        path.write_text(content)
        lock = lockfiles.read(path, options=LockOptions(project=self.folder))
        return lock, IndexOptions(url=self.index.url, insecure_hosts=("127.0.0.1",))

    def refused(self, content: str, kind: type[VenvctlError], **options: bool) -> VenvctlError:
        with pytest.raises(kind) as caught:
            self.resolve(
                content, offline=options.get("offline", False), refresh="refresh" in options
            )
        assert type(caught.value) is kind
        assert "\n" not in caught.value.message
        assert caught.value.hint
        return caught.value

    def asked(self) -> list[str]:
        """The projects that the index was asked for, since the last call."""
        found = sorted(request.path.split("/")[2] for request in self.index.requests)
        self.index.requests.clear()
        return found


@pytest.fixture
def project(tmp_path: Path, index: LocalIndex) -> Project:
    return Project(tmp_path, index)


def as_file(wheel: BuiltWheel) -> tuple[str, str]:
    return wheel.file, wheel.sha256


def test_what_was_asked_ahead_is_not_asked_again(project: Project, tmp_path: Path) -> None:
    six, idna, attrs = (make_wheel(tmp_path, name) for name in ("six", "idna", "attrs"))
    for wheel in (six, idna, attrs):
        project.index.add(wheel.path)
    project.resolve("attrs==1.0\n")
    project.asked()
    lock = "attrs==1.0\nsix==1\nidna==1.0\nnobody==1.0; sys_platform == 'win32'\n"

    said = project.ahead(lock)

    assert project.asked() == ["idna", "nobody", "six"], "of attrs there is a record"
    assert list(project.records.glob("*/six/*")) == [], "for which target it is, is not known"
    assert project.resolve(lock, said=said) == [as_file(attrs), as_file(idna), as_file(six)]
    assert project.asked() == []
    # Another Python's record says nothing of this one's: it is asked for as ever.
    older = target(version="3.9.1")
    assert project.ahead("attrs==1.0\nsix==1\n") == {}
    assert project.resolve("six==1\n", target=older, said=said) == [as_file(six)]
    assert project.asked() == []
    assert project.resolve("attrs==1.0\n", target=older, said=said) == [as_file(attrs)]
    assert project.asked() == ["attrs"]


def test_an_index_that_failed_ahead_matters_only_to_pins_that_apply(
    project: Project, tmp_path: Path
) -> None:
    six = make_wheel(tmp_path, "six")
    project.index.add(six.path)
    project.resolve("six==1.0\n")
    lock = "six==1.0\nnobody==1.0; sys_platform == 'win32'\n"
    project.index.fault("/simple/nobody/", Fault(status=500))

    said = project.ahead(lock)

    assert "nobody" in project.asked()
    assert project.resolve(lock, said=said) == [as_file(six)]
    with pytest.raises(UnavailableError, match="can't be asked"):
        project.resolve("nobody==1.0\n", said=said)


def test_only_pins_without_a_record_are_asked_for(project: Project, tmp_path: Path) -> None:
    six, idna = make_wheel(tmp_path, "six"), make_wheel(tmp_path, "idna")
    for wheel in (six, idna):
        project.index.add(wheel.path)
    assert project.resolve("six==1.0\n") == [as_file(six)]
    assert project.asked() == ["six"]
    assert project.resolve("six==1.0\n# more\nidna==1.0\n") == [as_file(idna), as_file(six)]
    assert project.asked() == ["idna"]
    assert project.resolve("idna==1\nsix==1.0.0\n", offline=True) == [as_file(idna), as_file(six)]
    assert project.asked() == []


def test_pins_for_other_targets_are_not_asked_for(project: Project, tmp_path: Path) -> None:
    six = make_wheel(tmp_path, "six")
    project.index.add(six.path)
    lock = (
        "six==1.0 ; python_version < '3.12'\nsix==2.0 ; python_version >= '3.12'\n"
        "nobody==1 ; os_name == 'nt'\n"
    )
    assert project.resolve(lock) == [as_file(six)]
    assert project.asked() == ["six"]


def test_a_file_that_comes_later_changes_nothing(project: Project, tmp_path: Path) -> None:
    first = make_wheel(tmp_path, "six")
    project.index.add(first.path)
    assert project.resolve("six==1.0\n") == [as_file(first)]
    better = make_wheel(tmp_path, "six", tag="cp311-cp311-linux_x86_64")
    project.index.add(better.path)
    assert project.resolve("six==1.0\n") == [as_file(first)]
    assert project.resolve("six==1.0\n", refresh=True) == [as_file(better)]


def test_each_minor_version_of_python_has_its_own_record(project: Project, tmp_path: Path) -> None:
    pure, old = (
        make_wheel(tmp_path, "six"),
        make_wheel(tmp_path, "six", tag="cp310-cp310-linux_x86_64"),
    )
    for wheel in (pure, old):
        project.index.add(wheel.path)
    assert project.resolve("six==1.0\n") == [as_file(pure)]
    assert project.resolve("six==1.0\n", target=target("3.10.4")) == [as_file(old)]
    assert project.asked() == ["six", "six"]
    assert project.resolve("six==1.0\n", target=target("3.11.9"), offline=True) == [as_file(pure)]


def test_another_index_has_its_own_records(project: Project, tmp_path: Path) -> None:
    six = make_wheel(tmp_path, "six")
    project.index.add(six.path)
    project.resolve("six==1.0\n")
    with LocalIndex() as other:
        other.add(make_wheel(tmp_path / "other", "six", files={"six.py": "other"}).path)
        options = f"-i {other.url}\n--trusted-host 127.0.0.1\n"
        assert project.resolve(f"{options}six==1.0\n") != [as_file(six)]
    assert project.resolve("six==1.0\n") == [as_file(six)]


def test_only_what_the_hashes_allow_is_taken(project: Project, tmp_path: Path) -> None:
    pure = make_wheel(tmp_path, "six")
    platform = make_wheel(tmp_path, "six", tag="cp311-cp311-linux_x86_64")
    for wheel in (pure, platform):
        project.index.add(wheel.path)
    assert project.resolve(f"six==1.0 --hash=sha256:{pure.sha256}\n") == [as_file(pure)]
    both = f"six==1.0 --hash=sha256:{pure.sha256} --hash=sha256:{platform.sha256}\n"
    assert project.resolve(both) == [as_file(platform)]
    assert project.asked() == ["six"]


def test_a_hash_that_no_record_has_is_asked_for_once(project: Project, tmp_path: Path) -> None:
    pure = make_wheel(tmp_path, "six")
    project.index.add(pure.path)
    gone = "0" * 64
    lock = f"six==1.0 --hash=sha256:{pure.sha256} --hash=sha256:{gone}\n"
    assert project.resolve(lock) == project.resolve(lock) == [as_file(pure)]
    assert project.asked() == ["six"]
    late = make_wheel(tmp_path, "six", tag="cp311-cp311-linux_x86_64")
    project.index.add(late.path)
    assert project.resolve(lock.strip() + f" --hash=sha256:{late.sha256}\n") == [as_file(late)]
    assert project.asked() == ["six"]


def test_wheels_or_source_only(project: Project, tmp_path: Path) -> None:
    wheel, sdist = make_wheel(tmp_path, "six"), make_sdist(tmp_path, "six")
    project.index.add(wheel.path)
    project.index.add(sdist)
    project.index.add(make_sdist(tmp_path, "idna"))
    (found,) = project.resolve("--no-binary six\nsix==1.0\n")
    assert found[0] == "six-1.0.tar.gz"
    assert project.resolve("--only-binary :all:\nsix==1.0\n") == [as_file(wheel)]
    error = project.refused("--only-binary :all:\nidna==1.0\n", UnavailableError)
    assert error.message == (
        "No file can be had for 1 of the lock's pins. idna 1.0 (requirements.txt:2): the lock's"
        " hashes or options allow none of the index's files (idna-1.0.tar.gz)."
    )


def test_every_pin_that_can_not_be_had_is_named(project: Project, tmp_path: Path) -> None:
    project.index.add(make_wheel(tmp_path, "six").path)
    project.index.add(make_wheel(tmp_path, "idna").path)
    lock = (
        f"six==1.0 --hash=sha256:{'0' * 64}\nidna==7 --hash=sha256:{'1' * 64}\n"
        f"nobody==1 --hash=sha256:{'2' * 64}\n"
    )
    assert project.refused(lock, UnavailableError).message == (
        "No file can be had for 3 of the lock's pins. six 1.0 (requirements.txt:1): the lock's"
        " hashes or options allow none of the index's files (six-1.0-py3-none-any.whl);"
        " idna 7 (requirements.txt:2): the index can't give it: it has no version 7 of idna;"
        " nobody 1 (requirements.txt:3): the index can't give it: it has no project nobody."
    )


def test_what_the_index_lost_is_taken_from_the_store(project: Project, tmp_path: Path) -> None:
    six = make_wheel(tmp_path, "six")
    lock = f"six==1.0 --hash=sha256:{six.sha256} --hash=sha256:{'0' * 64}\n"
    kept = {six.sha256: six.file}
    assert project.resolve(lock, stored=lambda digest: kept.get(digest, "")) == [as_file(six)]
    assert project.resolve(lock, stored=lambda digest: kept.get(digest, ""), offline=True) == [
        as_file(six)
    ]


@pytest.mark.parametrize("pin", ["six==1.1", "seven==1.0"])
def test_what_the_store_has_is_taken_for_its_own_name_and_version_alone(
    project: Project, tmp_path: Path, pin: str
) -> None:
    six = make_wheel(tmp_path, "six")
    lock = f"{pin} --hash=sha256:{six.sha256}\n"

    with pytest.raises(UnavailableError) as caught:
        project.resolve(lock, stored=lambda _: six.file, offline=True)

    assert caught.value.message == (
        f"No file can be had for 1 of the lock's pins. {pin.replace('==', ' ')} "
        "(requirements.txt:1): it has no pin record, and the index may not be asked."
    )


def test_offline_names_what_has_no_record(project: Project) -> None:
    assert project.refused("six==1.0\nidna==2\n", UnavailableError, offline=True).message == (
        "No file can be had for 2 of the lock's pins. six 1.0 (requirements.txt:1): it has no pin"
        " record, and the index may not be asked; idna 2 (requirements.txt:2): it has no pin"
        " record, and the index may not be asked."
    )
    assert project.asked() == []


def test_a_changed_file_is_its_own_error(project: Project, tmp_path: Path) -> None:
    six = make_wheel(tmp_path, "six")
    project.index.add(six.path)
    project.resolve("six==1.0\n")
    other = make_wheel(tmp_path / "other", "six", files={"six.py": "other"})
    project.index.add(other.path)
    # Without a reason to ask, the record goes on to count: the download is then what fails.
    assert project.resolve("six==1.0\n") == [as_file(six)]
    message = (
        "The index now serves another file as six-1.0-py3-none-any.whl of six 1.0: its SHA-256 is"
        f" {other.sha256}, and was {six.sha256} when it was first asked."
    )
    error = project.refused("six==1.0\n", ChangedFileError, refresh=True)
    assert error.message == message
    assert error.hint == (
        "Find out why: an index must not change a file. Once you know,"
        " `venvctl sync --accept six` takes the new one."
    )
    # Another Python's record must agree with it too, and nothing was forgotten.
    with pytest.raises(ChangedFileError) as caught:
        project.resolve("six==1.0\n", target=target("3.13.1"))
    assert caught.value.message == message
    assert project.resolve("six==1.0\n", offline=True) == [as_file(six)]


def test_a_changed_file_is_accepted_on_purpose(project: Project, tmp_path: Path) -> None:
    six, idna = make_wheel(tmp_path, "six"), make_wheel(tmp_path, "idna")
    other = make_wheel(tmp_path / "other", "six", files={"six.py": "other"})
    for wheel in (six, idna):
        project.index.add(wheel.path)
    for version in ("3.11.2", "3.13.1"):
        project.resolve("six==1.0\nidna==1.0\n", target=target(version))
    project.index.add(other.path)
    project.asked()
    assert project.resolve("six==1.0\nidna==1.0\n", accept=("six",)) == [
        as_file(idna),
        as_file(other),
    ]
    assert project.asked() == ["six"]
    # From then on it is what is enforced, for every Python.
    assert project.resolve("six==1.0\n", target=target("3.13.1"), offline=True) == [as_file(other)]
    assert project.resolve("six==1.0\n", refresh=True) == [as_file(other)]
    project.index.add(six.path)
    assert project.refused("six==1.0\n", ChangedFileError, refresh=True).message == (
        "The index now serves another file as six-1.0-py3-none-any.whl of six 1.0: its SHA-256 is"
        f" {six.sha256}, and was {other.sha256} when it was first asked."
    )


def test_accepting_keeps_the_files_that_the_index_lost(project: Project, tmp_path: Path) -> None:
    pure = make_wheel(tmp_path, "six")
    platform = make_wheel(tmp_path, "six", tag="cp311-cp311-linux_x86_64")
    for wheel in (pure, platform):
        project.index.add(wheel.path)
    project.resolve("six==1.0\n")
    project.index.remove(platform.file)
    assert project.resolve("six==1.0\n", accept=("six",)) == [as_file(platform)]


@pytest.mark.parametrize(
    ("requires_python", "version", "suits"),
    [
        (">=3.12", "3.11.2", False),
        (">=3.11.5", "3.11.2", False),
        (">=3.11.5", "3.11.5", True),
        (">=3.8,!=3.11.*", "3.11.2", False),
        (">=3.14", "3.14.0rc2", True),  # as pip and uv have it
        ("3.6 or so", "3.11.2", True),  # the same
    ],
)
def test_the_requires_python_of_each_file_counts(
    project: Project, tmp_path: Path, requires_python: str, version: str, *, suits: bool
) -> None:
    new = make_wheel(tmp_path, "six", build="2")
    old = make_wheel(tmp_path, "six", build="1")
    project.index.add(new.path, requires_python=requires_python)
    project.index.add(old.path, requires_python=">=3.8")
    hashes = f"six==1.0 --hash=sha256:{new.sha256} --hash=sha256:{old.sha256}\n"
    for lock in ("six==1.0\n", hashes):
        found = project.resolve(lock, target=target(version))
        assert found == [as_file(new if suits else old)]
    # It is on record: the same is selected, and refused, without the index.
    assert project.resolve(hashes, target=target(version), offline=True) == found


def test_a_pin_without_a_file_for_the_python_is_refused(project: Project, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "six")
    project.index.add(wheel.path, requires_python=">=3.12")
    lock = f"six==1.0 --hash=sha256:{wheel.sha256}\n"
    for stored in (lambda _: "", lambda _: wheel.file):
        with pytest.raises(UnavailableError) as caught:
            project.resolve(lock, stored=stored)
        assert caught.value.message == (
            "No file can be had for 1 of the lock's pins. six 1.0 (requirements.txt:1): its files"
            " are for Python >=3.12, and the image has 3.11.2."
        )


def test_html_tells_the_requires_python_too(project: Project, tmp_path: Path) -> None:
    project.index.html_only = True
    new, old = make_wheel(tmp_path, "six", build="2"), make_wheel(tmp_path, "six")
    project.index.add(new.path, requires_python=">=3.12,<4")
    project.index.add(old.path)
    assert project.resolve("six==1.0\n") == [as_file(old)]
    assert project.resolve("six==1.0\n", target=target("3.12.1")) == [as_file(new)]


def test_a_pin_without_a_local_label_means_the_highest_that_suits(
    project: Project, tmp_path: Path
) -> None:
    plain = make_wheel(tmp_path, "torch", "2.3.0", tag="cp311-cp311-manylinux_2_17_aarch64")
    cpu = make_wheel(tmp_path, "torch", "2.3.0+cpu", tag="cp311-cp311-manylinux_2_17_x86_64")
    older = make_wheel(tmp_path, "torch", "2.3.0+abc", tag="cp311-cp311-manylinux_2_17_x86_64")
    for wheel in (plain, cpu, older):
        project.index.add(wheel.path)
    assert project.resolve("torch==2.3.0\n") == [as_file(cpu)]
    assert project.resolve("torch==2.3.0+abc\n") == [as_file(older)]
    assert project.resolve("torch==2.3.0\n", target=target(machine="aarch64")) == [as_file(plain)]
    hashed = f"torch==2.3.0 --hash=sha256:{older.sha256}\n"
    assert project.resolve(hashed) == [as_file(older)]


def test_hashes_in_the_lock_decide_about_a_changed_file(project: Project, tmp_path: Path) -> None:
    six = make_wheel(tmp_path, "six")
    project.index.add(six.path)
    project.resolve("six==1.0\n")
    other = make_wheel(tmp_path / "other", "six", files={"six.py": "other"})
    project.index.add(other.path)
    assert project.resolve(f"six==1.0 --hash=sha256:{other.sha256}\n") == [as_file(other)]


def test_a_download_that_differs_from_the_record_has_a_message(
    project: Project, tmp_path: Path
) -> None:
    six = make_wheel(tmp_path, "six")
    project.index.add(six.path)
    path = tmp_path / "requirements.txt"
    path.write_text(f"-i {project.index.url}\n--trusted-host 127.0.0.1\nsix==1.0\n")
    lock = lockfiles.read(path, options=LockOptions(project=tmp_path))
    pylock = pins.resolve(lock, target(), PinStore(project.records), transport=Settings().transport)
    (file,) = select(pylock, target(), insecure_hosts=lock.insecure_hosts).files
    assert file.recorded
    assert file.place == "requirements.txt:3"
    error = asking.changed(file, "0" * 64)
    assert error.message == (
        "The index now serves another file as six-1.0-py3-none-any.whl of six 1.0: its SHA-256 is"
        f" {'0' * 64}, and was {six.sha256} when it was first asked."
    )


def test_a_damaged_record_is_not_made_again(project: Project, tmp_path: Path) -> None:
    project.index.add(make_wheel(tmp_path, "six").path)
    project.resolve("six==1.0\n")
    (record,) = project.records.glob("*/six/1-3.11.json")
    whole = json.loads(record.read_text())
    for damage in ("", "[]", "{}", record.read_text()[:-30], json.dumps({**whole, "schema": 9})):
        record.write_text(damage)
        error = project.refused("six==1.0\n", IntegrityError)
        assert error.message == f"The pin record {record} is damaged."
        assert error.hint == (
            "Remove it; the index is then asked again, and what it serves is trusted."
        )


def test_records_hold_no_credentials(tmp_path: Path) -> None:
    with LocalIndex(user="user", password="s3cret") as index:  # noqa: S106 - made up
        six = make_wheel(tmp_path, "six")
        index.add(six.path)
        path = tmp_path / "requirements.txt"
        url = index.url_with("user", "s3cret")
        path.write_text(f"-i {url}\n--trusted-host 127.0.0.1\nsix==1.0\n")
        lock = lockfiles.read(path, options=LockOptions(project=tmp_path))
        pins.resolve(lock, target(), PinStore(tmp_path / "pins"), transport=Settings().transport)
    (record,) = (tmp_path / "pins").rglob("*.json")
    assert "s3cret" not in record.read_text()
    assert json.loads(record.read_text())["source"] == index.url


def test_two_versions_for_one_target_name_both_places(project: Project) -> None:
    error = project.refused("six==1.0\nsix==2.0 ; python_version > '3'\n", SelectionError)
    assert error.message == (
        "six is selected twice for Python 3.11.2: 1.0 by requirements.txt:1,"
        " 2.0 by requirements.txt:2."
    )
    assert project.asked() == []


def test_a_pin_and_a_url_of_one_package_name_both_places(project: Project, tmp_path: Path) -> None:
    six = make_wheel(tmp_path, "six")
    project.index.add(six.path)
    url = f"six @ https://x.test/six-2.0-py3-none-any.whl#sha256={'0' * 64}"
    error = project.refused(f"{url}\nsix==1.0 --hash=sha256:{six.sha256}\n", SelectionError)
    assert error.message == (
        "six is selected twice for Python 3.11.2: 2.0 by requirements.txt:1,"
        " 1.0 by requirements.txt:2."
    )


def test_the_same_line_twice_counts_once(project: Project, tmp_path: Path) -> None:
    six = make_wheel(tmp_path, "six")
    project.index.add(six.path)
    assert project.resolve("six==1.0\nSix==1.0 ; python_version > '3'\n") == [as_file(six)]
