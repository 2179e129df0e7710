"""Sources to build, with backends of their own, and a place to build them in."""

from __future__ import annotations

import hashlib
import io
import tarfile
import textwrap
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from venvctl import build
from venvctl.probe import Probe
from venvctl.progress import Silent
from venvctl.selection import SelectedFile
from venvctl.specification import EnvironmentSpecification
from venvctl.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from venvctl.build import BuiltWheel
    from venvctl.engine.docker import DockerEngine
    from venvctl.target import Target


@dataclass(slots=True, kw_only=True)
class Site:
    """A root, an image, and what is built with them."""

    folder: Path
    engine: DockerEngine
    image: str
    target: Target
    labels: Mapping[str, str] = field(default_factory=dict)
    progress: Silent = field(default_factory=Silent)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def store(self) -> Store:
        return Store(self.root)

    def source(self, path: Path) -> SelectedFile:
        """An sdist of the package ``shop``, put into the store."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.store.add(path, file=path.name, sha256=sha256)
        return SelectedFile(
            name="shop", version="1.0", file=path.name, kind="sdist", sha256=sha256, urls=()
        )

    def archive(self, files: Mapping[str, str], *, top: str = "shop-1.0/") -> Path:
        """An sdist with these files."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "shop-1.0.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                info = tarfile.TarInfo(top + name)
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))
        return path

    def build(self, *files: SelectedFile, offline: bool = False) -> dict[str, BuiltWheel]:
        return build.ensure(
            files,
            store=self.store,
            target=self.target,
            engine=self.engine,
            image=self.image,
            specification=EnvironmentSpecification.from_labels(
                "shop-env",
                {"venvctl.lock": "x.lock", **self.labels},
                directory=self.folder,
                place="the volume",
            ),
            root=self.root,
            offline=offline,
            progress=self.progress,
        )

    def members(self, wheel: BuiltWheel) -> dict[str, bytes]:
        """Every file of a wheel that was built."""
        path = self.store.wheel(wheel.sha256)
        assert path is not None
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def leftovers(self) -> list[Path]:
        """What temporary directories are left."""
        return list((self.root / "tmp").iterdir())


def make_site(folder: Path, engine: DockerEngine, name: str) -> Site:
    """A new root for an image."""
    image = engine.image(name)
    assert image is not None
    target = Probe(folder / "root", engine).ask(image.id, "", name=name)
    return Site(folder=folder, engine=engine, image=image.id, target=target)


def backend(body: str = "pass", *, file: str = "shop-1.0-py3-none-any.whl") -> str:
    """A build backend in the source itself.

    Args:
        body: statements of `build_wheel`, which may change `members` (name → text) of the wheel.
        file: the wheel's file name.
    """
    return _BACKEND.format(body=textwrap.indent(textwrap.dedent(body), "    "), file=file)


_BACKEND = """\
import base64, hashlib, json, os, sys, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    file = {file!r}
    name, version, *_ = file.split("-")
    info = name + "-" + version + ".dist-info/"
    members = {{
        info + "METADATA": f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: {{version}}\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    digests = {{}}
{body}
    with zipfile.ZipFile(os.path.join(directory, file), "w") as archive:
        record = info + "RECORD,,\\n"
        for member, text in members.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            digest = digests.get(member, digest.rstrip(b"=").decode())
            record += f"{{member}},sha256={{digest}},{{len(text)}}\\n"
            archive.writestr(zipfile.ZipInfo(member), text)
        archive.writestr(zipfile.ZipInfo(info + "RECORD"), record)
    return file

"""


def in_tree(site: Site, text: str, *, requires: str = "[]") -> SelectedFile:
    """The package ``shop`` with its own backend."""
    pyproject = (
        f"[build-system]\nrequires = {requires}\nbuild-backend = 'own'\nbackend-path = ['.']\n"
    )
    return site.source(site.archive({"pyproject.toml": pyproject, "own.py": text}))
