"""Sources become wheels in containers of the real engine, with real build backends."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from index import LocalIndex
from venvctl import build
from venvctl.probe import Probe
from venvctl.progress import Silent
from venvctl.selection import SelectedFile
from venvctl.specification import EnvironmentSpecification
from venvctl.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from venvctl.build import BuiltWheel
    from venvctl.engine.docker import DockerEngine
    from venvctl.target import Target

pytestmark = pytest.mark.engine

_PROJECT = """\
[build-system]
requires = [{requires!r}]
build-backend = {backend!r}
[project]
name = "shop"
version = "1.0"
description = "A shop"
"""
_BACKENDS = {
    "setuptools": ("setuptools>=61", "setuptools.build_meta"),
    "hatchling": ("hatchling", "hatchling.build"),
    "flit": ("flit-core>=3.2", "flit_core.buildapi"),
}


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

    def source(self, path: Path, **values: str) -> SelectedFile:
        """An sdist of the package ``shop``, put into the store."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.store.add(path, file=path.name, sha256=sha256)
        fields = {"name": "shop", "version": "1.0", **values}
        return SelectedFile(**fields, file=path.name, kind="sdist", sha256=sha256, urls=())

    def archive(self, files: Mapping[str, str], *, top: str = "shop-1.0/") -> Path:
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
        path = self.store.wheel(wheel.sha256)
        assert path is not None
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def leftovers(self) -> list[Path]:
        return list((self.root / "tmp").iterdir())


def _site(folder: Path, engine: DockerEngine, name: str) -> Site:
    image = engine.image(name)
    assert image is not None
    target = Probe(folder / "root", engine).ask(image.id, "", name=name)
    return Site(folder=folder, engine=engine, image=image.id, target=target)


@pytest.fixture
def site(tmp_path: Path, engine: DockerEngine, image_311: str) -> Site:
    return _site(tmp_path, engine, image_311)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalIndex]:
    """An empty index, which is the only one that uv knows."""
    with LocalIndex() as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_INSECURE_HOST", index.host)
        monkeypatch.setenv("UV_NO_CACHE", "1")
        yield index


@pytest.mark.parametrize("backend", _BACKENDS)
@pytest.mark.parametrize("image", ["image_311", "image_313"])
def test_pure_packages_are_built_on_minimal_images_by_the_backends_people_have(
    backend: str, image: str, tmp_path: Path, engine: DockerEngine, request: pytest.FixtureRequest
) -> None:
    site = _site(tmp_path, engine, request.getfixturevalue(image))
    requires, name = _BACKENDS[backend]
    pyproject = _PROJECT.format(requires=requires, backend=name)
    path = site.archive({"pyproject.toml": pyproject, "shop.py": '"""A shop."""\nopen = True\n'})

    built = site.build(site.source(path))["shop"]

    assert (built.name, built.version) == ("shop", "1.0")
    assert built.file in {"shop-1.0-py3-none-any.whl", "shop-1.0-py2.py3-none-any.whl"}
    assert site.members(built)["shop.py"] == b'"""A shop."""\nopen = True\n'
    assert site.leftovers() == []
