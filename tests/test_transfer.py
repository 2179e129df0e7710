"""Snapshots in archives: the same bytes everywhere, a wheel directory, and nothing bad let in."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest
import uv
import zstandard

from archive import Archive, entry, link, repacked
from console import venvctl_command
from interpreters import target
from venvctl import disk, plan, tarball, transfer
from venvctl.archives import Limits
from venvctl.errors import (
    CorruptFileError,
    DiskFullError,
    HostileArchiveError,
    HostileWheelError,
    IntegrityError,
    TargetError,
    UsageError,
    VenvctlError,
)
from venvctl.origin import Origin
from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.root import Root
from venvctl.selection import SelectedFile, Selection
from venvctl.snapshots import Snapshot, Use
from venvctl.specification import EnvironmentSpecification
from venvctl.transfer import ImportLimits, ImportResult, export_snapshot, import_snapshot
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from venvctl.engine.model import Engine

TARGET = target("3.11.2")
NO_ENGINE = cast("Engine", None)
SOURCE = "5" * 64


@dataclass(frozen=True, slots=True)
class Host:
    """A root somewhere, without an engine."""

    folder: Path

    @property
    def root(self) -> Root:
        return Root(self.folder / "root", engine=NO_ENGINE)

    def snapshot(self, *wheels: BuiltWheel, created: str = "", source: str = "") -> Snapshot:
        """A snapshot of some wheels, with the key that a sync gives it; in the store."""
        root = self.root
        root.create()
        for wheel in wheels:
            root.store.add(wheel.path, file=wheel.file, sha256=wheel.sha256)
        files = tuple(
            Origin(
                name=wheel.name,
                version=wheel.version,
                file=wheel.file,
                sha256=wheel.sha256,
                source=source,
                url=f"https://{self.folder.name}.invalid/{wheel.file}",
            )
            for wheel in wheels
        )
        selected = tuple(
            SelectedFile(
                name=file.name,
                version=file.version,
                file=file.file,
                kind="wheel",
                sha256=file.sha256,
                urls=(),
            )
            for file in files
        )
        key = plan.key_of(
            Selection(files=selected).digest,
            TARGET,
            mount="/venv",
            bytecode="off",
            conflicts="last",
        )
        snapshot = Snapshot(
            key=key,
            mount="/venv",
            image=f"sha256:{self.folder.name}",
            target=TARGET,
            bytecode="off",
            conflicts="last",
            created=created or self.folder.name,
            lock_digests={f"{self.folder}/requirements.lock": "digest"},
            files=files,
            environments={},
        )
        root.snapshots.save(snapshot)
        return snapshot

    def register(self, name: str, *, mount: str = "/venv") -> Registration:
        registration = Registration(
            specification=EnvironmentSpecification.from_labels(
                name,
                {"venvctl.lock": "requirements.lock"},
                directory=self.folder,
                place="the volume",
            ),
            mount=mount,
            images={"": "image"},
            labels={},
            project="",
            directory=self.folder,
        )
        self.root.create()
        self.root.registry.claim(registration)
        return registration

    def export(self, key: str, name: str = "shop.tar") -> Path:
        output = self.folder / name
        export_snapshot(key, output, self.root, progress=Silent())
        return output

    def take(
        self, archive: Path, *environments: str, limits: ImportLimits | None = None
    ) -> ImportResult:
        return import_snapshot(
            archive, self.root, environments=environments, limits=limits, progress=Silent()
        )

    def is_empty(self) -> bool:
        """Nothing was imported, and nothing is left of trying."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return [path.name for path in files] in ([], ["lock"])


@pytest.fixture
def here(tmp_path: Path) -> Host:
    return _host(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Host:
    return _host(tmp_path / "there")


@pytest.fixture
def alpha(tmp_path: Path) -> BuiltWheel:
    return make_wheel(tmp_path / "wheels", "alpha", requires=["beta"])


@pytest.fixture
def beta(tmp_path: Path) -> BuiltWheel:
    return make_wheel(tmp_path / "wheels", "beta", "2.0")


@pytest.fixture
def archive(here: Host, alpha: BuiltWheel, beta: BuiltWheel) -> Path:
    return here.export(here.snapshot(alpha, beta).key)


@pytest.mark.parametrize("name", ["shop.tar", "shop.tar.zst"])
def test_the_same_snapshot_gives_the_same_bytes_on_every_host(
    here: Host, there: Host, alpha: BuiltWheel, beta: BuiltWheel, name: str
) -> None:
    first = here.export(here.snapshot(alpha, beta, created="2024").key, name)
    key = there.snapshot(alpha, beta, created="2025").key
    there.register("shop_venv")
    use = Use(since="2026", number=3, registration=there.root.registry.load("shop_venv"))
    there.root.snapshots.mark_current(key, use)
    os.umask(0o077)
    os.utime(there.root.store.get(there.root.snapshots.load(key).files[0], name=""), (1, 1))
    second = there.export(key, name)
    assert first.read_bytes() == second.read_bytes()


def test_nothing_of_the_host_is_inside(here: Host, archive: Path) -> None:
    content = archive.read_bytes()
    for text in ("here", "requirements.lock", ".invalid", "root", "sha256:h"):
        assert text.encode() not in content
    with tarfile.open(archive) as members:
        assert [member.name for member in members] == [
            "snapshot.json",
            "pylock.toml",
            "alpha-1.0-py3-none-any.whl",
            "beta-2.0-py3-none-any.whl",
        ]
        assert {
            (member.uid, member.gid, member.uname, member.gname, member.mode, member.mtime)
            for member in members
        } == {(0, 0, "", "", 0o644, 315_532_800)}
    assert here.folder.name == "here"


def test_export_says_what_it_wrote(here: Host, alpha: BuiltWheel) -> None:
    snapshot = here.snapshot(alpha, source=SOURCE)
    output = here.folder / "shop.tar"
    result = export_snapshot(snapshot.key, output, here.root, progress=Silent())
    assert result == transfer.ExportResult(
        key=snapshot.key,
        path=output,
        sha256=hashlib.sha256(output.read_bytes()).hexdigest(),
        size=output.stat().st_size,
        packages=1,
        built=("alpha",),
    )
    assert not list(here.folder.glob(".shop*"))


def test_pip_installs_from_the_unpacked_archive(archive: Path, tmp_path: Path) -> None:
    folder = _unpacked(archive, tmp_path)
    peer = _peer(tmp_path)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--isolated", "--python", peer, "install", "--quiet",
            "--no-index", "--find-links", folder, "alpha",
        ],
        check=True,
        env=_without_index(),
    )  # fmt: skip
    assert _says(peer) == "1.0 2.0\n"


def test_uv_syncs_the_unpacked_archive_without_a_network(archive: Path, tmp_path: Path) -> None:
    folder = _unpacked(archive, tmp_path)
    peer = _peer(tmp_path)
    subprocess.run(
        [
            uv.find_uv_bin(), "pip", "sync", "--offline", "--quiet", "--preview",
            "--python", peer, folder / "pylock.toml",
        ],
        check=True,
        env={**_without_index(), "UV_CACHE_DIR": str(tmp_path / "empty-cache")},
    )  # fmt: skip
    assert _says(peer) == "1.0 2.0\n"


@pytest.mark.parametrize("name", ["shop.tar", "shop.tar.zst"])
def test_what_is_imported_is_what_was_exported(
    here: Host, there: Host, alpha: BuiltWheel, beta: BuiltWheel, name: str
) -> None:
    snapshot = here.snapshot(alpha, beta)
    archive = here.export(snapshot.key, name)
    result = there.take(archive)
    assert result == ImportResult(
        key=snapshot.key,
        packages=2,
        python="3.11.2",
        mount="/venv",
        known=False,
        added=2,
        environments=(),
        built=(),
    )
    imported = there.root.snapshots.load(snapshot.key)
    bare = tuple(dataclasses.replace(file, url="") for file in snapshot.files)
    assert imported == dataclasses.replace(
        snapshot, image="", created=imported.created, lock_digests={}, files=bare
    )
    for wheel in (alpha, beta):
        path = there.root.store.get(wheel, name=wheel.name)
        assert (path.name, path.read_bytes()) == (wheel.file, wheel.path.read_bytes())
    assert there.export(snapshot.key, name).read_bytes() == archive.read_bytes()
    assert not list((there.root.path / "tmp").iterdir())


def test_a_second_import_changes_nothing(archive: Path, there: Host) -> None:
    first = there.take(archive)
    before = _content(there.folder)
    again = there.take(archive)
    assert again == dataclasses.replace(first, known=True, added=0)
    assert _content(there.folder) == before


def test_a_damaged_wheel_of_the_store_is_replaced_by_the_imported_one(
    archive: Path, there: Host, alpha: BuiltWheel
) -> None:
    there.take(archive)
    path = there.root.store.get(alpha, name="alpha")
    path.write_bytes(b"x" * alpha.size)
    there.take(archive)
    assert path.read_bytes() == alpha.path.read_bytes()


def test_an_import_for_an_environment_is_what_it_is_restored_from_if_it_has_no_other(
    archive: Path, there: Host, alpha: BuiltWheel
) -> None:
    registration = there.register("shop_venv")
    result = there.take(archive, "shop_venv", "shop_venv")
    assert result.environments == ("shop_venv",)
    (found,) = there.root.snapshots.of("shop_venv")
    use = found.environments["shop_venv"]
    assert (found.key, use.number, use.registration) == (result.key, 0, registration)
    own = there.snapshot(alpha)
    there.root.snapshots.mark_current(
        own.key, Use(since="1990-01-01T00:00:00Z", number=1, registration=registration)
    )
    assert there.root.snapshots.of("shop_venv")[-1].key == own.key


def test_an_import_does_not_make_an_environment_forget_that_it_had_the_snapshot(
    here: Host, archive: Path
) -> None:
    (key,) = here.root.snapshots.keys()
    use = Use(since="2026-01-01T00:00:00Z", number=4, registration=here.register("shop_venv"))
    here.root.snapshots.mark_current(key, use)
    here.take(archive, "shop_venv")
    assert here.root.snapshots.load(key).environments["shop_venv"] == use


def test_an_environment_elsewhere_is_refused_before_anything_is_imported(
    archive: Path, there: Host
) -> None:
    there.register("shop_venv", mount="/opt/venv")
    with pytest.raises(TargetError) as caught:
        there.take(archive, "shop_venv")
    key = _facts(archive)["key"]
    assert caught.value.message == (
        f"Snapshot {key} is for an environment at /venv, and shop_venv is mounted at /opt/venv."
    )
    assert there.root.snapshots.keys() == []
    assert list(there.root.store.iterate()) == []


def test_an_environment_that_is_not_here_is_named(archive: Path, there: Host) -> None:
    with pytest.raises(UsageError) as caught:
        there.take(archive, "shop_venv")
    assert caught.value.message == (
        f"There is no environment 'shop_venv' in {there.root.path}; known: none."
    )
    assert there.is_empty()


def test_what_was_built_elsewhere_is_told(here: Host, there: Host, alpha: BuiltWheel) -> None:
    archive = here.export(here.snapshot(alpha, source=SOURCE).key)
    progress = Silent()
    result = import_snapshot(archive, there.root, progress=progress)
    assert result.built == ("alpha",)
    assert there.root.snapshots.load(result.key).files[0].source == SOURCE
    assert progress.warnings == [
        (
            "alpha came as source, and the wheel was built where this archive was made: "
            "nothing but the archive vouches for it."
        )
    ]
    # A sync of this host still builds for itself.
    assert there.root.store.built(SOURCE, TARGET.fingerprint) is None


def test_two_hosts_that_built_differently_are_not_mixed(
    here: Host, there: Host, alpha: BuiltWheel, tmp_path: Path
) -> None:
    key = here.snapshot(alpha, source=SOURCE).key
    archive = here.export(key)
    other = make_wheel(tmp_path / "other", "alpha", files={"alpha.py": "different = True\n"})
    mine = there.snapshot(other, source=SOURCE)
    shutil.rmtree(there.root.snapshots.path(mine.key))
    there.root.snapshots.save(dataclasses.replace(mine, key=key))
    there.root.create()
    (there.root.path / "lock").touch()
    before = _content(there.folder)
    with pytest.raises(IntegrityError) as caught:
        there.take(archive)
    assert caught.value.message == (
        f"Snapshot {key} is here already, with other wheels of alpha; nothing was imported."
    )
    assert _content(there.folder) == before


def test_a_damaged_wheel_is_not_exported(here: Host, alpha: BuiltWheel) -> None:
    key = here.snapshot(alpha).key
    path = here.root.store.get(alpha, name="alpha")
    damaged = b"x" * alpha.size
    path.write_bytes(damaged)
    with pytest.raises(CorruptFileError) as caught:
        here.export(key)
    assert caught.value.message == (
        f"{path} is damaged: its SHA-256 is {hashlib.sha256(damaged).hexdigest()}, and not that of "
        "its folder. It has been set aside, and nothing was exported."
    )
    assert not path.exists()
    assert not list(here.folder.glob("*shop*"))


def test_a_snapshot_that_was_changed_is_not_exported(here: Host, alpha: BuiltWheel) -> None:
    snapshot = here.snapshot(alpha)
    here.root.snapshots.save(dataclasses.replace(snapshot, mount="/elsewhere"))
    with pytest.raises(IntegrityError) as caught:
        here.export(snapshot.key)
    assert caught.value.message == (
        f"Snapshot {snapshot.key} is not what its key says: it was changed after it was made."
    )


def test_a_file_of_another_kind_is_not_written(here: Host, alpha: BuiltWheel) -> None:
    with pytest.raises(UsageError) as caught:
        here.export(here.snapshot(alpha).key, "shop.zip")
    assert caught.value.message == "'shop.zip' does not say what kind of archive it is."


def test_an_export_that_fails_leaves_the_old_file(
    here: Host, alpha: BuiltWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = here.snapshot(alpha).key
    (here.folder / "shop.tar").write_bytes(b"old")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(disk, "sync_file", full)
    with pytest.raises(DiskFullError):
        here.export(key)
    assert [path.name for path in here.folder.glob("*shop*")] == ["shop.tar"]
    assert (here.folder / "shop.tar").read_bytes() == b"old"


# What an archive may not be: how it is changed → what is said of it.
def _add(name: str, content: bytes = b"x") -> Callable[[Archive], None]:
    return lambda archive: archive.entries.append(entry(name, content))


def _fact(**changes: object) -> Callable[[Archive], None]:
    def change(archive: Archive) -> None:
        facts = {**json.loads(archive.content("snapshot.json")), **changes}
        archive.replace("snapshot.json", json.dumps(facts).encode())

    return change


def _target(**changes: object) -> Callable[[Archive], None]:
    def change(archive: Archive) -> None:
        facts = json.loads(archive.content("snapshot.json"))
        facts["target"].update(changes)
        archive.replace("snapshot.json", json.dumps(facts).encode())

    return change


def _lock(old: str, new: str) -> Callable[[Archive], None]:
    def change(archive: Archive) -> None:
        text = archive.content("pylock.toml").decode()
        assert old in text
        archive.replace("pylock.toml", text.replace(old, new).encode())

    return change


def _text(name: str, content: bytes) -> Callable[[Archive], None]:
    return lambda archive: archive.replace(name, content)


ALPHA = "alpha-1.0-py3-none-any.whl"
HOSTILE: list[tuple[str, Callable[[Archive], None], str]] = [
    ("climbs", _add("../evil.whl"), "'../evil.whl' climbs out of its folder."),
    ("absolute", _add("/etc/evil"), "'/etc/evil' is an absolute path."),
    ("folder", _add("wheels/x.whl"), "'wheels/x.whl' is in a folder."),
    ("backslash", _add("..\\evil"), "'..\\\\evil' has a backslash in its name."),
    ("control", _add("a\nb"), "'a\\nb' has a control character in its name."),
    ("hidden", _add(".evil"), "'.evil' has a name that begins with a dot."),
    ("long", _add("n" * 300), f"'{'n' * 300}' has too long a name."),
    ("unlisted", _add("gamma-1.0-py3-none-any.whl"),
     "'gamma-1.0-py3-none-any.whl' is not in pylock.toml."),
    ("twice", lambda archive: archive.entries.append(archive.entries[2]),
     f"'{ALPHA}' is in it twice."),
    ("missing", lambda archive: archive.drop(ALPHA),
     f"'{ALPHA}' is in pylock.toml, and not there."),
    ("symlink", lambda archive: archive.entries.append(link("x.whl", tarfile.SYMTYPE)),
     "'x.whl' is a symbolic link."),
    ("hard link", lambda archive: archive.entries.append(link("x.whl", tarfile.LNKTYPE)),
     "'x.whl' is a hard link."),
    ("long symlink", lambda archive: archive.entries.append(link("x" * 120, tarfile.SYMTYPE)),
     f"'{'x' * 100}' is a symbolic link."),
    ("device", lambda archive: archive.entries.append(link("null", tarfile.CHRTYPE)),
     "'null' is a device."),
    ("block device", lambda archive: archive.entries.append(link("sda", tarfile.BLKTYPE)),
     "'sda' is a device."),
    ("pipe", lambda archive: archive.entries.append(link("pipe", tarfile.FIFOTYPE)),
     "'pipe' is a named pipe."),
    ("directory", lambda archive: archive.entries.append(link("wheels", tarfile.DIRTYPE)),
     "'wheels/' is a folder."),
    ("sparse", lambda archive: archive.entries.append(link("holes", tarfile.GNUTYPE_SPARSE)),
     "'holes' is a sparse file."),
    ("unknown kind", lambda archive: archive.entries.append(link("odd", b"Z")),
     "'odd' is of a kind that is not known (b'Z')."),
    ("global header", lambda archive: archive.entries.insert(0, link("g", tarfile.XGLTYPE)),
     "'g' is of a kind that is not known (b'g')."),
    ("GNU long name", lambda archive: archive.entries.append(link("l", tarfile.GNUTYPE_LONGNAME)),
     "'l' is of a kind that is not known (b'L')."),
    ("first", lambda archive: archive.entries.reverse(),
     "it has 'beta-2.0-py3-none-any.whl' where snapshot.json belongs."),
    ("no lock", lambda archive: archive.drop("pylock.toml"),
     f"it has '{ALPHA}' where pylock.toml belongs."),
    ("empty", lambda archive: archive.entries.clear(),
     "it has its end where snapshot.json belongs."),
    ("no JSON", _text("snapshot.json", b"{"),
     ("it has texts that can't be used: Expecting property name enclosed in double quotes: "
     "line 1 column 2 (char 1).")),
    ("deep JSON", _text("snapshot.json", b"[" * 200_000),
     "it has texts that can't be used: one is nested too deep."),
    ("deep TOML", _text("pylock.toml", b"x = " + b"[" * 200_000),
     "it has texts that can't be used: pylock.toml:1: The file is nested too deep."),
    ("other JSON", _text("snapshot.json", b"[]"),
     "it has texts that can't be used: snapshot.json is not that of a snapshot."),
    ("schema", _fact(schema=2),
     "it has texts that can't be used: schema 2 is not known to this venvctl."),
    ("lacking", _text("snapshot.json", b'{"format": "venvctl-snapshot", "schema": 1}'),
     "it has texts that can't be used: misses 'built'."),
    ("bad key", _fact(key="../../x"), ("it has texts that can't be used: "
     "the key '../../x' can't be one.")),
    ("other key", _fact(key="0" * 32),
     f"'{'0' * 32}' has another content than its key says."),
    ("mount", _fact(mount="/venv/../etc"), ("it has texts that can't be used: "
     "the mount '/venv/../etc' can't be one.")),
    ("mount line", _fact(mount="/venv\nevil"), ("it has texts that can't be used: "
     "the mount '/venv\\nevil' can't be one.")),
    ("library", _target(library="../../../x"), ("it has texts that can't be used: "
     "the library '../../../x' can't be one.")),
    ("cache tag", _target(**{"cache-tag": "x/../y"}), ("it has texts that can't be used: "
     "the cache tag 'x/../y' can't be one.")),
    ("interpreter", _target(interpreter="python\n"), ("it has texts that can't be used: "
     "the interpreter 'python\\n' can't be one.")),
    ("bytecode", _fact(bytecode="evil"),
     "it has texts that can't be used: the bytecode 'evil' is none of ahead, off."),
    ("built stray", _fact(built={"gamma": SOURCE}),
     "it has texts that can't be used: 'gamma' was built, and is not in pylock.toml."),
    ("built odd", _fact(built={"alpha": "x"}),
     "it has texts that can't be used: the source of alpha 'x' can't be one."),
    ("no TOML", _text("pylock.toml", b"\xff"), ("it has texts that can't be used: "
     "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte.")),
    ("lock path", _lock(f'path = "{ALPHA}"', f'path = "../{ALPHA}"'),
     f"it has texts that can't be used: '{ALPHA}' is not beside pylock.toml."),
    ("lock name", _lock(f'"{ALPHA}"', '"gamma-1.0-py3-none-any.whl"'),
     ("it has texts that can't be used: Name in 'gamma-1.0-py3-none-any.whl' is not consistent "
     "with package name 'alpha' in 'packages[0].wheels[0]'.")),
    ("no version", _lock('version = "2.0"\n', ""),
     "it has texts that can't be used: 'beta-2.0-py3-none-any.whl' is no wheel of beta None."),
    ("unsuited", _lock(ALPHA, "alpha-1.0-cp27-cp27m-win32.whl"),
     "'alpha-1.0-cp27-cp27m-win32.whl' does not suit its Python 3.11.2."),
]  # fmt: skip


@pytest.mark.parametrize("compressed", [False, True], ids=["tar", "zst"])
@pytest.mark.parametrize(
    ("change", "reason"), [(change, reason) for _, change, reason in HOSTILE],
    ids=[name for name, _, _ in HOSTILE],
)  # fmt: skip
def test_a_hostile_archive_is_refused_whole(
    archive: Path,
    there: Host,
    change: Callable[[Archive], None],
    reason: str,
    compressed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    changed = repacked(archive, change, compressed=compressed)
    with pytest.raises(HostileArchiveError) as caught:
        there.take(changed)
    assert caught.value.message == f"The archive {changed} is refused: {reason}"
    assert there.is_empty()


def test_a_changed_byte_of_a_wheel_is_found(archive: Path, there: Host, alpha: BuiltWheel) -> None:
    content = bytearray(alpha.path.read_bytes())
    content[40] ^= 1
    changed = repacked(archive, _text(ALPHA, bytes(content)))
    with pytest.raises(HostileArchiveError) as caught:
        there.take(changed)
    assert caught.value.message == (
        f"The archive {changed} is refused: '{ALPHA}' has the SHA-256 "
        f"{hashlib.sha256(content).hexdigest()}, and not {alpha.sha256}."
    )
    assert there.is_empty()


def test_a_wheel_of_another_size_is_refused_unread(
    archive: Path, there: Host, alpha: BuiltWheel
) -> None:
    changed = repacked(archive, _lock(f"size = {alpha.size}", f"size = 9{alpha.size}"))
    with pytest.raises(HostileArchiveError) as caught:
        there.take(changed)
    assert caught.value.message == (
        f"The archive {changed} is refused: '{ALPHA}' has {alpha.size:,} bytes, "
        f"and not the {int(f'9{alpha.size}'):,} of pylock.toml."
    )
    assert there.is_empty()


def test_every_way_to_cut_it_short_is_found(here: Host, there: Host, alpha: BuiltWheel) -> None:
    key = here.snapshot(alpha).key
    for name in ("shop.tar", "shop.tar.zst"):
        whole = here.export(key, name).read_bytes()
        cut = here.folder / f"cut-{name}"
        tail = len(whole) if name.endswith("zst") else whole.rindex(b"PK\x05\x06") + 1024
        for length in (*range(0, tail, 97), tail - 1):
            cut.write_bytes(whole[:length])
            with pytest.raises(HostileArchiveError):
                there.take(cut)
        assert there.is_empty()


def test_something_behind_its_end_is_found(here: Host, there: Host, alpha: BuiltWheel) -> None:
    key = here.snapshot(alpha).key
    for name in ("shop.tar", "shop.tar.zst"):
        path = here.export(key, name)
        for more in (b"more", path.read_bytes(), bytes(100_000)):
            whole = path.read_bytes()
            path.write_bytes(whole + more)
            with pytest.raises(HostileArchiveError) as caught:
                there.take(path)
            assert caught.value.message == (
                f"The archive {path} is refused: it has something behind its end."
            )
            path.write_bytes(whole)
    assert there.is_empty()


def test_a_header_that_is_none_is_refused(archive: Path, there: Host) -> None:
    whole = bytearray(archive.read_bytes())
    whole[0] ^= 1
    archive.write_bytes(whole)
    with pytest.raises(HostileArchiveError) as caught:
        there.take(archive)
    assert caught.value.message == (
        f"The archive {archive} is refused: it has a header that can't be read (bad checksum)."
    )


def test_a_huge_header_is_refused_unread(archive: Path, there: Host) -> None:
    info = tarfile.TarInfo("pax")
    info.type = tarfile.XHDTYPE
    info.size = 1 << 40
    archive.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + archive.read_bytes())
    with pytest.raises(HostileArchiveError) as caught:
        there.take(archive)
    assert caught.value.message == (
        f"The archive {archive} is refused: it has a header of {1 << 40:,} bytes."
    )


def test_an_extended_header_that_means_more_is_refused(archive: Path, there: Host) -> None:
    info = tarfile.TarInfo("snapshot.json")
    info.pax_headers = {"SCHILY.xattr.security.capability": "x"}
    archive.write_bytes(info.tobuf(tarfile.PAX_FORMAT) + archive.read_bytes())
    with pytest.raises(HostileArchiveError) as caught:
        there.take(archive)
    assert caught.value.message == (
        f"The archive {archive} is refused: 'snapshot.json' has the extended header "
        "'SCHILY.xattr.security.capability'."
    )


def test_a_bomb_is_refused_before_it_unpacks(archive: Path, there: Host) -> None:
    info = tarfile.TarInfo("snapshot.json")
    info.size = 1 << 40
    bomb = archive.with_name("bomb.tar.zst")
    compressor = zstandard.ZstdCompressor().compressobj()
    with bomb.open("wb") as stream:
        stream.write(compressor.compress(info.tobuf()))
        for _ in range(512):
            stream.write(compressor.compress(bytes(1 << 20)))
        stream.write(compressor.flush())
    assert bomb.stat().st_size < 1 << 17
    with pytest.raises(HostileArchiveError) as caught:
        there.take(bomb)
    assert caught.value.message == (
        f"The archive {bomb} is refused: 'snapshot.json' has 1,099,511,627,776 bytes, "
        "more than 16,777,216."
    )


def test_the_limits_can_be_set(archive: Path, there: Host) -> None:
    size = sum(wheel["size"] for wheel in _wheels(archive))
    for limits, words in (
        (ImportLimits(files=1), "it has 2 wheels, more than 1"),
        (ImportLimits(size=size - 1), f"it has {size:,} bytes of wheels, more than {size - 1:,}"),
    ):
        with pytest.raises(HostileArchiveError) as caught:
            there.take(archive, limits=limits)
        assert caught.value.message == f"The archive {archive} is refused: {words}."
    with pytest.raises(HostileWheelError) as wheel:
        there.take(archive, limits=ImportLimits(wheel=Limits(members=1)))
    assert wheel.value.message == f"The wheel '{ALPHA}' is refused: it has more than 1 members."
    assert there.is_empty()
    there.take(archive, limits=ImportLimits(files=2, size=size))


def test_a_hostile_wheel_in_a_good_archive_is_refused(
    here: Host, there: Host, tmp_path: Path
) -> None:
    evil = make_wheel(tmp_path / "wheels", "evil", files={"../evil.py": "x"})
    archive = here.export(here.snapshot(evil).key)
    with pytest.raises(HostileWheelError):
        there.take(archive)
    assert there.is_empty()


def test_no_change_of_a_byte_gets_through(here: Host, there: Host, alpha: BuiltWheel) -> None:
    path = here.export(here.snapshot(alpha).key)
    whole = path.read_bytes()
    changed = 0
    for place in range(0, len(whole) - 512, 61):
        content = bytearray(whole)
        content[place] ^= 0x10
        path.write_bytes(content)
        try:
            there.take(path)
        except VenvctlError:
            changed += 1
        else:
            # Only what no reader looks at: fill, or an owner and a date that nobody takes over.
            assert there.export(_facts(path)["key"]).read_bytes() == whole
            shutil.rmtree(there.folder)
            there.folder.mkdir()
    assert changed > 20


def test_the_snapshot_is_written_last(archive: Path, there: Host) -> None:
    renamed: list[str] = []

    def observe(operation: str, path: Path) -> None:
        if operation == "rename":
            renamed.append(path.name)

    disk.observers.append(observe)
    try:
        there.take(archive)
    finally:
        disk.observers.remove(observe)
    assert renamed[-3:] == ["pylock.toml", "snapshot.json", _facts(archive)["key"]]
    assert sorted(renamed[:-3]) == ["alpha-1.0-py3-none-any.whl", "beta-2.0-py3-none-any.whl"]


def test_a_long_name_survives(here: Host, there: Host, tmp_path: Path) -> None:
    tag = "py3-none-manylinux1_x86_64.manylinux2014_x86_64.manylinux_2_17_x86_64.linux_x86_64"
    wheel = make_wheel(tmp_path / "wheels", "a-name-of-some-length-" + "x" * 60, tag=tag)
    assert len(wheel.file) > 100
    archive = here.export(here.snapshot(wheel).key)
    there.take(archive)
    assert there.root.store.get(wheel, name="").name == wheel.file
    listed = subprocess.run(["tar", "tf", archive], check=True, capture_output=True, text=True)
    assert listed.stdout.split() == ["snapshot.json", "pylock.toml", wheel.file]
    assert listed.stderr == ""


def test_from_command_to_command(here: Host, there: Host, alpha: BuiltWheel) -> None:
    key = here.snapshot(alpha).key
    archive = here.folder / "shop.tar.zst"
    exported = venvctl_command(
        "snapshot", "export", key[:6], "--output", str(archive), VENVCTL_ROOT=str(here.root.path)
    )
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert exported.stdout.splitlines() == [
        f"{key}: exported to {archive} (1 package, {archive.stat().st_size:,} bytes)",
        f"  SHA-256 {digest}",
    ]
    there.register("shop_venv")
    imported = venvctl_command(
        "snapshot", "import", str(archive), "--env", "shop_venv", VENVCTL_ROOT=str(there.root.path)
    )
    assert imported.stdout.splitlines() == [
        f"{key}: imported, 1 file new (1 package for Python 3.11.2 at /venv)",
        f"  use it with: venvctl restore shop_venv --snapshot {key}",
    ]
    again = venvctl_command(
        "snapshot",
        "export",
        "shop_venv",
        "-o",
        "x.tar",
        cwd=there.folder,
        VENVCTL_ROOT=str(there.root.path),
    )
    assert again.stdout.startswith(f"{key}: exported to x.tar")
    missing = venvctl_command(
        "snapshot", "import", "/nowhere.tar", VENVCTL_ROOT=str(there.root.path)
    )
    assert (missing.code, missing.stderr) == (2, "Error: There is no file /nowhere.tar.\n")


def _host(folder: Path) -> Host:
    folder.mkdir()
    return Host(folder)


def _facts(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as members:
        stream = members.extractfile("snapshot.json")
        assert stream is not None
        facts: dict[str, str] = json.load(stream)
        return facts


def _wheels(archive: Path) -> list[dict[str, int]]:
    with tarfile.open(archive) as members:
        stream = members.extractfile("pylock.toml")
        assert stream is not None
        lock = tomllib.load(io.BytesIO(stream.read()))
    return [package["wheels"][0] for package in lock["packages"]]


def _unpacked(archive: Path, folder: Path) -> Path:
    """As a person unpacks it, with the system's own tar."""
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    done = subprocess.run(
        ["tar", "xf", archive, "-C", unpacked], check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    return unpacked


def _peer(folder: Path) -> Path:
    venv = folder / "peer"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, venv], check=True)
    return venv / "bin/python"


def _without_index() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}


def _says(python: Path) -> str:
    code = "import alpha, beta; print(alpha.__version__, beta.__version__)"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout


def _content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_size_of_an_archive_is_known_before_it_is_written(archive: Path) -> None:
    # A message of a full disk names it.
    with tarfile.open(archive) as members:
        sizes = [info.size for info in members]
    assert tarball.size(sizes) == archive.stat().st_size
