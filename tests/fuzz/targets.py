"""What is fuzzed: each target takes any bytes, and fails where an invariant of venvctl does.

The invariant is the same for all: foreign bytes give a result or one of venvctl's own errors, whose
message a person can read; nothing is written but where it belongs. Time and memory are watched by
whoever runs a target.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import h11

from interpreters import target as interpreter
from venvctl import compression, extraction, lockfiles, parcel, pins, probe, tarball, wheels
from venvctl.daemon.api import ROUTES, Api
from venvctl.daemon.notify import Notifier
from venvctl.daemon.peers import Peer
from venvctl.daemon.server import Request, _Conversation
from venvctl.daemon.service import Service
from venvctl.engine.model import TaskResult
from venvctl.errors import IntegrityError, LockError, UsageError, VenvctlError
from venvctl.lockfiles import FORMATS, LockOptions
from venvctl.manifest import Manifest
from venvctl.progress import Silent
from venvctl.registration import Registration
from venvctl.root import Root
from venvctl.seal import Seal
from venvctl.selection import select
from venvctl.transfer import ImportLimits, import_snapshot
from wheelhouse import packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from venvctl.daemon.orders import Order
    from venvctl.engine.model import Engine

PYTHON = interpreter("3.11.2")
# Between the parts of an input that has several.
PART = b"\n=====\n"
_NEXT = PART.decode()
_LONGEST_MESSAGE = 20_000
_LIMITS = wheels.Limits(total_size=64 << 20, members=2_000)
_LOCK_NAMES = {
    "pylock": "pylock.toml",
    "uv": "uv.lock",
    "requirements": "requirements.txt",
    "poetry": "poetry.lock",
    "pdm": "pdm.lock",
    "pipfile": "Pipfile.lock",
}
# What a wheel that is put together from texts has, whatever they say.
_MODULE = b"VALUE = 1\n"


class BrokenInvariantError(AssertionError):
    """A target got a result that must not be."""


@dataclass(slots=True)
class Place:
    """A folder in which targets work; whatever they leave behind outside of it is a find.

    Attributes:
        folder: empty to begin with.
    """

    folder: Path
    _made: dict[str, object] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[Path], object]) -> object:
        """What `make` makes in a folder of that name, made the first time only."""
        if name not in self._made:
            (self.folder / name).mkdir()
            self._made[name] = make(self.folder / name)
        return self._made[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to fuzz.

    Attributes:
        run: takes the input and a place.
        seeds: inputs to begin with, that get far.
        words: what a random input rarely has by itself.
    """

    run: Callable[[bytes, Place], None]
    seeds: Callable[[], Iterator[bytes]]
    words: tuple[bytes, ...] = ()


def check_error(error: VenvctlError) -> None:
    """An error is one that a person can read."""
    if not error.message or len(error.message) > _LONGEST_MESSAGE:
        raise BrokenInvariantError(f"a message of {len(error.message):,} characters") from error


# Locks


def _read_lock(format_: str, data: bytes, place: Place) -> None:
    """A lock, and behind a `PART` the pyproject.toml beside it."""
    folder = cast("Path", place.once("project", lambda path: path))
    content, _, project = data.partition(PART)
    files = {_LOCK_NAMES[format_]: content, "pyproject.toml": project, "other.txt": project}
    for name in ("pyproject.toml", "other.txt"):
        (folder / name).touch()

    def read(path: Path) -> bytes:
        if path.parent != folder or path.name not in files:
            raise LockError(f"The lockfile {path} does not exist.")
        return files[path.name]

    try:
        lock = lockfiles.read(
            folder / _LOCK_NAMES[format_],
            options=LockOptions(project=folder, format=format_),
            read_bytes=read,
        )
        pins._applicable(lock, PYTHON)
        selection = select(
            lock.pylock, PYTHON, extras=lock.extras, groups=lock.groups or (), builds=True
        )
    except VenvctlError as error:
        check_error(error)
        return
    for file in selection.files:
        if "/" in file.file or file.file in {".", ".."} or "\0" in file.file:
            raise BrokenInvariantError(f"{file.file!r} is a file's name")


# Wheels


def _take_wheel(data: bytes, place: Place) -> None:
    """The bytes as a wheel."""
    folder = cast("Path", place.once("wheels", lambda path: path))
    path = folder / "alpha-1.0-py3-none-any.whl"
    path.write_bytes(data)
    tree = folder / "tree"
    try:
        manifest = extraction.extract(path, tree, library="python3.11", limits=_LIMITS)
        _check_tree(tree, manifest)
        if Manifest.from_json(manifest.to_json()) != manifest:
            raise BrokenInvariantError("a manifest that is read back is another")
    except VenvctlError as error:
        check_error(error)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
        path.unlink()
    if left := [*folder.iterdir(), *(each for each in place.folder.iterdir() if each != folder)]:
        raise BrokenInvariantError(f"left behind: {left}")


def _check_tree(tree: Path, manifest: Manifest) -> None:
    found = set()
    # Not `Path.rglob`, which takes quadratic time for what is deep.
    for folder, folders, files in os.walk(tree):
        if any(Path(folder, name).is_symlink() for name in (*folders, *files)):
            raise BrokenInvariantError(f"a symbolic link in {folder}")
        found |= {os.path.relpath(f"{folder}/{name}", tree) for name in files}
    said = {f"prefix/{file.path}" for file in manifest.files}
    said |= {f"scripts/{file.path}" for file in manifest.raw_scripts}
    if found != said:
        raise BrokenInvariantError(f"not in both: {sorted(found ^ said)[:5]}")


def _take_texts(data: bytes, place: Place) -> None:
    """A wheel whose METADATA, WHEEL, entry_points.txt, RECORD and member names are the input's."""
    metadata, wheel, points, record, names = (*data.split(PART), b"", b"", b"", b"", b"")[:5]
    members: dict[str, bytes] = {}
    for line in names.split(b"\n")[:50]:
        name = line.decode("utf-8", "replace")[:2000]
        if name:
            members[name] = b"" if name.endswith("/") else _MODULE
    info = "alpha-1.0.dist-info"
    members |= {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": wheel,
        f"{info}/entry_points.txt": points,
    }
    # Whatever it says besides: all that is there is in it, so that the names are what counts.
    with suppress(UnicodeEncodeError, ValueError):
        _take_wheel(packed(members, name=info, more=record), place)


def _wheel_seeds() -> Iterator[bytes]:
    info = "alpha-1.0.dist-info"
    metadata = b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n"
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    texts = {f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel}
    yield packed({"alpha.py": _MODULE, **texts}, name=info)
    yield packed({"alpha/": b"", "alpha/a.py": b"", **texts}, name=info)
    yield packed({"alpha-1.0.data/scripts/run": b"#!python\n", **texts}, name=info)
    yield packed({"alpha.txt": bytes(9 << 20), **texts}, name=info)


def _text_seeds() -> Iterator[bytes]:
    metadata = (
        b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\nRequires-Dist: beta>1; extra=='x'\n"
        b"Provides-Extra: x\nRequires-Python: >=3.8\n\nSome text."
    )
    wheel = b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    points = b"[console_scripts]\nrun = alpha:main\n[gui_scripts]\nshow=alpha.gui:x.y [x]\n"
    record = b"alpha.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
    names = (
        b"alpha.py\nalpha/__init__.py\nalpha-1.0.data/scripts/tool\nalpha-1.0.data/data/share/x\n"
        b"alpha-1.0.data/headers/a.h\nalpha-1.0.data/purelib/b.py\nempty/\n"
    )
    yield PART.join([metadata, wheel, points, b"", names])
    yield PART.join([metadata, wheel, points, record, b"alpha/x.py"])
    yield PART.join([metadata, wheel, b"", b"", b"alpha-1.0.data/data/lib64/python3.11/x\nbin\n"])


# Snapshots


def _import(data: bytes, place: Place) -> None:
    """The bytes as a snapshot's archive, which is imported."""

    def make(folder: Path) -> Root:
        root = Root(folder / "root", engine=cast("Engine", None))
        root.create()
        return root

    root = cast("Root", place.once("import", make))
    archive = place.folder / "import" / "archive"
    archive.write_bytes(data)
    limits = ImportLimits(size=64 << 20, wheel=_LIMITS)
    before = _below(root.path)
    try:
        result = import_snapshot(archive, root, limits=limits, progress=Silent())
    except VenvctlError as error:
        check_error(error)
        if _below(root.path) != before:
            raise BrokenInvariantError("something of a refused archive is left") from error
        return
    finally:
        archive.unlink()
    root.snapshots.load(result.key)
    if not result.known:
        root.snapshots.remove(result.key)


def _below(root: Path) -> set[str]:
    """What there is, but for the directories that any import makes."""
    return {str(path) for path in root.rglob("*") if path.is_file() and path.name != "lock"}


def _read_tar(data: bytes, place: Place) -> None:
    """The bytes as a tar archive, compressed or not, read to its end."""
    path = place.folder / "archive"
    path.write_bytes(data)
    try:
        with compression.reading(path) as stream:
            reader = tarball.Reader(stream, file="archive")
            while member := reader.next():
                if "/" in member.name or member.name in {"", ".", ".."} or "\0" in member.name:
                    raise BrokenInvariantError(f"a member called {member.name!r}")
                if sum(map(len, reader.blocks(member))) != member.size:
                    raise BrokenInvariantError("a member of another size")
    except VenvctlError as error:
        check_error(error)
    finally:
        path.unlink()


def _parse_parcel(data: bytes, _place: Place) -> None:
    """The two texts of an archive."""
    facts, _, lock = data.partition(PART)
    try:
        found = parcel.parse(facts, lock, file="archive")
    except VenvctlError as error:
        check_error(error)
        return
    for text in (found.target.library, found.target.cache_tag):
        if "/" in text or text.startswith("."):
            raise BrokenInvariantError(f"{text!r} becomes part of a path")
    if parcel.parse(found.facts(), found.lock(), file="archive") != found:
        raise BrokenInvariantError("what is read back is another")


def _parcel_seeds() -> Iterator[bytes]:
    for archive in _archive_seeds():
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            texts = [members.extractfile(name) for name in (parcel.FACTS, parcel.LOCK)]
            yield PART.join(text.read() for text in texts if text)


def _archive_seeds() -> Iterator[bytes]:
    # An archive whose wheel was built may have any key: so a change of its texts gets further.
    for source in ("", "5" * 64):
        yield _archive(source)


def _archive(source: str) -> bytes:
    from hashlib import sha256  # noqa: PLC0415 - for seeds alone

    from venvctl.origin import Origin  # noqa: PLC0415 - the same
    from venvctl.snapshots import Snapshot  # noqa: PLC0415 - the same

    wheel = next(_wheel_seeds())
    origin = Origin(
        name="alpha",
        version="1.0",
        file="alpha-1.0-py3-none-any.whl",
        sha256=sha256(wheel).hexdigest(),
        source=source,
    )
    snapshot = Snapshot(
        key=_key(origin) if not source else "0" * 32,
        mount="/venv",
        image="",
        target=PYTHON,
        bytecode="ahead",
        conflicts="last",
        created="",
        lock_digests={},
        files=(origin,),
        environments={},
    )
    content = parcel.Parcel.of(snapshot, [len(wheel)])
    stream = io.BytesIO()
    writer = tarball.Writer(stream)
    for name, text in (
        (parcel.FACTS, content.facts()),
        (parcel.LOCK, content.lock()),
        (origin.file, wheel),
    ):
        writer.add(name, len(text), [text])
    writer.close()
    return stream.getvalue()


def _key(origin: object) -> str:
    from venvctl import plan  # noqa: PLC0415 - for seeds alone
    from venvctl.origin import Origin  # noqa: PLC0415 - the same
    from venvctl.selection import SelectedFile, Selection  # noqa: PLC0415 - the same

    if not isinstance(origin, Origin):
        raise TypeError(origin)
    selected = SelectedFile(
        name=origin.name,
        version=origin.version,
        file=origin.file,
        kind="wheel",
        sha256=origin.sha256,
        urls=(),
    )
    digest = Selection(files=(selected,)).digest
    return plan.key_of(digest, PYTHON, mount="/venv", bytecode="ahead", conflicts="last")


def _tar_seeds() -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415 - for seeds alone

    yield from _archive_seeds()
    yield zstandard.ZstdCompressor().compress(next(_archive_seeds()))
    for format_ in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=format_) as archive:
            for name in ("a", "b" * 200, "ü"):
                with suppress(ValueError):
                    archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        yield stream.getvalue()


# The control API


@dataclass(slots=True)
class _Refusing:
    """Takes orders and does none of them."""

    service: Service

    def order(self, name: str, order: Order) -> None:
        order.refuse(UsageError(f"Nothing is done to {name}."))


def _api(folder: Path) -> Api:
    root = Root(folder / "root", engine=cast("Engine", None))
    root.create()
    service = Service(root, Notifier())
    service.feed.close()  # so that following events ends at once
    service.order = _Refusing(service).order  # type: ignore[method-assign] # nothing is worked on
    return Api(service, group=os.getgid())


def _speak(data: bytes, place: Place) -> None:
    """The bytes as all that a client says."""
    api = cast("Api", place.once("control", _api))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(10)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.sendall(data[: 1 << 16])
        theirs.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            _Conversation(ours, api.answer).hold()
        ours.close()
        answer = b"".join(iter(partial(theirs.recv, 1 << 16), b""))
    _check_answer(answer)


def _check_answer(answer: bytes) -> None:
    if not answer:
        return
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answer)
    event = client.next_event()
    while isinstance(event, h11.InformationalResponse):
        event = client.next_event()
    if not isinstance(event, h11.Response):
        raise BrokenInvariantError(f"the answer begins with {event!r}")


def _request(data: bytes, place: Place) -> None:
    """A request's line, and behind it its body."""
    api = cast("Api", place.once("control", _api))
    head, _, body = data.partition(b"\n")
    method, _, path = head.decode("latin-1").partition(" ")
    response = api.answer(
        Request(
            peer=Peer(pid=os.getpid(), uid=os.geteuid(), groups=frozenset()),
            method=method,
            path=path,
            query={},
            accept="",
            content_type="",
            body=body,
        )
    )
    content = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    if response.content_type.endswith("/json"):
        json.loads(content)


def _control_seeds() -> Iterator[bytes]:
    for route in ROUTES:
        path = route.path.replace("{name}", "shop_venv")
        yield f"{route.method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    yield (
        b"POST /v1/environments/a/sync HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /v1/health HTTP/1.1\r\n\r\n"
    )
    yield b"GET http://x/v1/events?after=1 HTTP/1.0\r\n\r\n"


_REGISTRATION: Mapping[str, object] = {
    "schema": 1,
    "specification": {
        "name": "shop_venv",
        "lock": "/project/requirements.lock",
        "bytecode": "ahead",
    },
    "mount": "/venv",
    "images": {"web": "python"},
    "labels": {},
    "project": "shop",
    "directory": "/project",
}


def _request_seeds() -> Iterator[bytes]:
    for route in ROUTES:
        yield f"{route.method} {route.path.replace('{name}', 'shop_venv')}\n{{}}".encode()
    body = {
        "registration": _REGISTRATION,
        "files": {"/project/requirements.lock": "alpha==1.0"},
        "force": True,
        "recreated": ["a"],
    }
    yield b"POST /v1/environments/shop_venv/sync\n" + json.dumps(body).encode()
    yield b'POST /v1/environments/shop_venv/rollback\n{"to": 2}'
    yield b'POST /v1/environments/shop_venv/restore\n{"snapshot": "' + b"a" * 32 + b'"}'
    yield (
        b"PUT /v1/projects/shop\n"
        + json.dumps(
            {"name": "shop", "directory": "/project", "files": ["/project/compose.yaml"]}
        ).encode()
    )


# What an image says, and what the root's own files say


def _hear(data: bytes, _place: Place) -> None:
    """What an interpreter in an image says that it is."""
    text = data.decode("utf-8", "replace")
    result = TaskResult(exit_code=0, stdout=f"venvctl-probe:{text}\n", stderr="")
    try:
        found = probe._read(result, name="image", python="")
    except VenvctlError as error:
        check_error(error)
        return
    for part in (found.library, found.cache_tag, found.python_version):
        if "/" in part or part in {"", ".", ".."} or "\0" in part:
            raise BrokenInvariantError(f"{part!r} becomes part of a path")
    if "\n" in found.interpreter:
        raise BrokenInvariantError(f"{found.interpreter!r} is the interpreter")


def _stored(data: bytes, place: Place) -> None:
    """A file of the root that somebody damaged: a seal, a manifest, a registration."""
    folder = cast("Path", place.once("1-" + "a" * 32, lambda path: path))
    (folder / "seal.json").write_bytes(data)
    with suppress(IntegrityError):
        Seal.load(folder)
    with suppress(ValueError):
        Manifest.from_json(data)
    with suppress(VenvctlError, ValueError):
        Registration.from_dict(json.loads(data), source="environment.json")


def _stored_seeds() -> Iterator[bytes]:
    yield json.dumps(_REGISTRATION).encode()
    yield Manifest(name="alpha", version="1.0", directories=("lib",), files=()).to_json()
    yield json.dumps(
        {
            "schema": 1,
            "number": 1,
            "key": "a" * 32,
            "created": "",
            "created-by": "",
            "mount": "/venv",
            "image": "",
            "target": PYTHON.to_dict(),
            "locks": {},
            "packages": [],
            "conflicts": [],
            "generated": {},
        }
    ).encode()


# Seeds of locks


_DIGEST = "a" * 64
_HOST = "https://index.test"


def _lock_seeds(format_: str) -> Iterator[bytes]:
    yield from (text.encode() for text in _LOCKS[format_])


_LOCKS: dict[str, tuple[str, ...]] = {
    "pylock": (
        (
            'lock-version = "1.0"\ncreated-by = "x"\nrequires-python = ">=3.8"\n'
            'extras = ["e"]\ndependency-groups = ["g"]\ndefault-groups = ["g"]\n'
            "environments = [\"sys_platform == 'linux'\"]\n"
            '[[packages]]\nname = "alpha"\nversion = "1.0"\nmarker = "python_version > \'3\'"\n'
            f'[[packages.wheels]]\nurl = "{_HOST}/alpha-1.0-py3-none-any.whl"\nsize = 9\n'
            f'hashes = {{sha256 = "{_DIGEST}"}}\n'
            f'[packages.sdist]\nname = "alpha-1.0.tar.gz"\nurl = "{_HOST}/alpha-1.0.tar.gz"\n'
            f'hashes = {{sha256 = "{_DIGEST}"}}\n'
        ),
        (
            'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "beta"\n'
            f'[packages.vcs]\ntype = "git"\nurl = "{_HOST}/b.git"\ncommit-id = "{"b" * 40}"\n'
            '[[packages]]\nname = "gamma"\n[packages.archive]\npath = "./gamma-1.tar.gz"\n'
            f'hashes = {{sha256 = "{_DIGEST}"}}\n'
        ),
    ),
    "uv": (
        (
            'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n'
            '[[package]]\nname = "alpha"\nversion = "1.0"\n'
            f'source = {{ registry = "{_HOST}/simple" }}\n'
            f'wheels = [\n    {{ url = "{_HOST}/alpha-1.0-py3-none-any.whl",'
            f' hash = "sha256:{_DIGEST}", size = 9 }},\n]\n\n'
            '[[package]]\nname = "shop"\nversion = "0"\nsource = { virtual = "." }\n'
            'dependencies = [\n    { name = "alpha" },\n]\n\n'
            '[package.metadata]\nrequires-dist = [{ name = "alpha" }]\n'
        ),
    ),
    "requirements": (
        (
            f"-i {_HOST}/simple --trusted-host index.test\n-r other.txt\n-c other.txt\n"
            f"alpha[x]==1.0 ; python_version > '3' \\\n    --hash=sha256:{_DIGEST}\n# a comment\n"
            f"beta @ {_HOST}/beta-1.0-py3-none-any.whl#sha256={_DIGEST}\n"
            f"gamma @ git+{_HOST}/c.git@{'b' * 40}#subdirectory=d\n"
            f"--no-binary :all:\n--find-links ./wheels\n{_NEXT}"
            f"delta==1.0 --hash=sha256:{_DIGEST}"
        ),
        "\ufeffalpha==1.0\n",
        "# -*- coding: latin-1 -*-\nalpha===1.0",
    ),
    "poetry": (
        (
            '[[package]]\nname = "alpha"\nversion = "1.0"\noptional = false\n'
            'python-versions = "*"\n'
            f'groups = ["main", "dev"]\nfiles = [{{file = "a", hash = "sha256:{_DIGEST}"}}]\n'
            'markers = {main = "python_version > \'3\' and extra == \\"x\\""}\n'
            '[package.dependencies]\nbeta = [{version = "^1.2", markers = "os_name == \'posix\'"},'
            ' {version = "~1", optional = true}]\n[package.source]\ntype = "legacy"\n'
            f'url = "{_HOST}/simple"\nreference = "r"\n[extras]\nx = ["alpha"]\n[metadata]\n'
            'lock-version = "2.1"\npython-versions = "^3.8 || >=2.7,<3.0"\ncontent-hash = "c"\n'
        ),
        (
            '[[package]]\nname = "alpha"\nversion = "1.0"\n[package.dependencies]\nbeta = "*"\n'
            '[[package]]\nname = "beta"\nversion = "2.0"\n'
            f'[package.source]\ntype = "git"\nurl = "{_HOST}"\nresolved_reference = "{"b" * 40}"\n'
            '[metadata]\nlock-version = "1.1"\npython-versions = "*"\ncontent-hash = "c"\n'
            f'[metadata.files]\nalpha = [{{file = "a", hash = "sha256:{_DIGEST}"}}]\n{_NEXT}'
            '[tool.poetry.dependencies]\npython = "^3.8"\nalpha = "^1.0"\n[tool.poetry.extras]\n'
            'x = ["alpha"]\n'
        ),
    ),
    "pdm": (
        (
            '[metadata]\ngroups = ["default", "dev"]\nstrategy = ["inherit_metadata"]\n'
            'lock_version = "4.5.0"\ncontent_hash = "sha256:c"\n'
            '[[metadata.targets]]\nrequires_python = ">=3.8"\n'
            '[[package]]\nname = "alpha"\nversion = "1.0"\ngroups = ["default"]\n'
            f'marker = "os_name == \'posix\'"\nfiles = [{{file = "a", hash = "sha256:{_DIGEST}"}},'
            f' {{url = "{_HOST}/alpha-1.0-py3-none-any.whl", hash = "sha256:{_DIGEST}"}}]\n'
        ),
        (
            '[metadata]\ngroups = ["default"]\nstrategy = []\nlock_version = "4.5.0"\n'
            'content_hash = "c"\n[[package]]\nname = "alpha"\nversion = "1.0"\n'
            f"dependencies = [\"beta>1; os_name == 'posix'\"]\n{_NEXT}"
            '[project]\nname = "p"\ndependencies = ["alpha"]\n[tool.pdm]\n'
        ),
    ),
    "pipfile": (
        json.dumps(
            {
                "_meta": {
                    "hash": {"sha256": _DIGEST},
                    "pipfile-spec": 6,
                    "requires": {"python_version": "3.11"},
                    "sources": [{"name": "i", "url": f"{_HOST}/simple", "verify_ssl": True}],
                },
                "default": {
                    "alpha": {
                        "hashes": [f"sha256:{_DIGEST}"],
                        "version": "==1.0",
                        "index": "i",
                        "markers": "python_version >= '3'",
                    },
                    "beta": {"git": _HOST, "ref": "b" * 40},
                    "gamma": {"file": f"{_HOST}/gamma-1.0.tar.gz", "hashes": []},
                },
                "develop": {},
            },
            indent=1,
        ),
    ),
}
_TOML_WORDS = (
    b'lock-version = "1.0"',
    b"[[packages]]",
    b"[[package]]",
    b'version = "1.0"',
    b"name = ",
    b"markers",
    b"1" * 5000,
    b"../",
    b"file:///",
    b"http://[",
    b"(" * 300,
    b"a." * 300,
    b"[" * 2000,
    b"python_version",
    b" and ",
    b"extra == ",
    b"sha256:",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\\u0000",
    b"nan",
    b"1979-05-27T07:32:00Z",
    b"{}",
    b"[]",
    b"true",
    b"-1",
    b"\xe2\x80\xa8",
    b"git+ssh://",
    b"os_name ~= 'x'",
    b"in python_version",
)
_LOCK_WORDS = {
    "requirements": (
        *(b"-r ", b"-c ", b"-e ", b"--hash=sha256:", b"${HOME}", b"coding: utf-7", b"\\\n", b"#"),
        *(b"coding: base64", b"coding: punycode", b"coding: undefined", b"coding: idna"),
    ),
}

TARGETS: dict[str, Target] = {
    **{
        f"lock_{name}": Target(
            run=partial(_read_lock, name),
            seeds=partial(_lock_seeds, name),
            words=(*_TOML_WORDS, *_LOCK_WORDS.get(name, ()), PART),
        )
        for name in FORMATS
    },
    "wheel": Target(
        run=_take_wheel,
        seeds=_wheel_seeds,
        words=(
            b"PK\x01\x02",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"PK\x06\x06",
            b"PK\x06\x07",
            b"\xff" * 8,
        ),
    ),
    "wheel_texts": Target(
        run=_take_texts,
        seeds=_text_seeds,
        words=(
            *(PART, b"../", b"/etc/x", b"\\", b"C:", b".pth", b"pyvenv.cfg", b"bin/python", b"/"),
            *(b"Requires-Dist: ", b"Version: ", b"1" * 5000, b"sha256=", b".data/", b"lib64/"),
            *(b"__pycache__", b"\xcc\x81", b"a" * 256, b"x/" * 200, b"[console_scripts]", b","),
        ),
    ),
    "archive": Target(run=_import, seeds=_archive_seeds, words=(b"ustar\x00", b"ustar  ")),
    "tar": Target(
        run=_read_tar,
        seeds=_tar_seeds,
        words=(
            *(b"ustar\x0000", b"ustar  \x00", b"GNU.sparse.map", b"GNU.sparse.major=1\n"),
            *(b"27 GNU.sparse.size=99999999\n", b"hdrcharset=BINARY\n", b"19 size=999999999\n"),
            *(b"\x80" + b"\xff" * 11, b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"path=a/b\n"),
        ),
    ),
    "parcel": Target(run=_parse_parcel, seeds=_parcel_seeds, words=(*_TOML_WORDS, PART)),
    "control": Target(
        run=_speak,
        seeds=_control_seeds,
        words=(
            *(b"//[", b"http://[::1", b"\r\n", b"Transfer-Encoding: chunked", b"%00", b"%2e%2e"),
            *(b"Content-Length: ", b"Upgrade: ", b"Connection: close", b"?after=", b"\xff"),
        ),
    ),
    "request": Target(
        run=_request,
        seeds=_request_seeds,
        words=(
            *(b'"registration"', b'"files"', b'"\\ud800"', b"1e999", b"NaN", b"null", b"[" * 2000),
            *(b"..", b"/", b"%2e", b'"/etc/shadow"', b"\\u0000", b"9" * 5000, b"-1", b"true"),
        ),
    ),
    "probe": Target(
        run=_hear,
        seeds=lambda: iter([json.dumps(PYTHON.to_dict()).encode()]),
        words=(b"../../..", b"\\n", b"\\u0000", b"/etc", b'"library"', b'"cache-tag"', b"null"),
    ),
    "stored": Target(
        run=_stored,
        seeds=_stored_seeds,
        words=(b"../", b"null", b"[" * 2000, b"9" * 5000, b'"\\ud800"', b"NaN", b"1e999"),
    ),
}
