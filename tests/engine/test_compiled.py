"""Sources that need a compiler, and commits, from the lock to a container that imports them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from engine_fixtures import require_image
from gitserver import GitServer, commit
from venvctl.errors import BuildError, BuildsDeniedError
from venvctl.restore import restore
from venvctl.sync import SyncOptions
from wheelhouse import make_sdist

if TYPE_CHECKING:
    from pathlib import Path

    from venvctl.engine.docker import DockerEngine
    from world import World

pytestmark = pytest.mark.engine

# A real package with a C extension, taken as source.
_MARKUPSAFE = """\
--no-binary markupsafe
markupsafe==3.0.2 --hash=sha256:ee55d3edf80167e48ea11a923c7386f4669df67d7994554387f84e7d8b0a2bf0
"""
_ESCAPE = "from markupsafe import _speedups; print(_speedups._escape_inner('<b>'))"


@pytest.fixture
def compiler(engine: DockerEngine) -> str:
    """An image with the Python of the service's and a C compiler; the service's has none."""
    return require_image(engine, "venvctl-test/python-build:3.11")


def test_a_c_extension_is_compiled_in_the_build_image_and_runs_in_the_services(
    world: World, compiler: str
) -> None:
    world.lock.write_text(_MARKUPSAFE)
    world.labels = {"venvctl.builds": "allow", "venvctl.build-image": compiler}

    result = world.sync()

    assert (result.built, result.changes) == (1, ("+ markupsafe 3.0.2",))
    assert world.python(_ESCAPE) == "&lt;b&gt;"
    # A restore needs neither the source, nor a compiler, nor the build's own needs.
    for path in (world.root.path / "store/wheels").glob("*/*/*.tar.gz"):
        path.unlink()
    shutil.rmtree(world.root.path / "environments")
    world.labels = {}
    restored = restore(world.name, world.root, snapshot=None, progress=world.progress)
    assert restored.key == result.key
    assert world.python(_ESCAPE) == "&lt;b&gt;"


def test_the_services_own_image_is_what_builds_where_no_other_is_named(world: World) -> None:
    world.lock.write_text(_MARKUPSAFE)
    world.labels = {"venvctl.builds": "allow"}

    # markupsafe goes on without its extension where there is no compiler, and is as good.
    assert world.sync().built == 1
    assert world.python("import markupsafe; print(markupsafe.escape('<b>'))") == "&lt;b&gt;"
    with pytest.raises(AssertionError, match="cannot import name '_speedups'"):
        world.python(_ESCAPE)


def test_a_folder_of_a_commit_is_built(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyproject = (
        "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n"
        "[project]\nname = 'shop'\nversion = '2.5'\n"
    )
    with GitServer(tmp_path / "served", tmp_path) as server:
        monkeypatch.setenv("GIT_SSL_CAINFO", str(server.certificate))
        repository = server.folder / "mono"
        first = commit(repository, README="all in one\n")
        (repository / "packages/shop").mkdir(parents=True)
        (repository / "packages/shop/own.py").write_text(_OWN)
        (repository / "packages/shop/pyproject.toml").write_text(pyproject)
        head = commit(repository, README="all in one, and more\n")
        commit(repository, README="what comes later does not count\n")

        def lock(at: str, folder: str) -> None:
            url = f"git+{server.url('mono', login='ann:s3cret')}@{at}#subdirectory={folder}"
            world.lock.write_text(f"shop @ {url}\n")

        world.labels = {"venvctl.builds": "deny"}
        lock(head, "packages/shop")
        with pytest.raises(BuildsDeniedError) as denied:
            world.sync()
        assert server.authorizations == []
        world.labels = {"venvctl.builds": "allow"}
        result = world.sync()
        assert (result.built, result.changes) == (1, ("+ shop 2.5",))
        assert world.python("import shop; print(shop.FOUND)") == "packages/shop"
        lock(first, "packages/shop")
        with pytest.raises(BuildError) as caught:
            world.sync()
    assert denied.value.message == (
        "These packages come only as source for Python 3.11.2, and building is not allowed: shop."
    )
    assert caught.value.message.startswith(f"shop (commit {first[:12]}) can't be built: ")
    assert "packages/shop" in caught.value.message
    # It is had from the store from now on, without a server to clone from.
    lock(head, "packages/shop")
    world.labels = {"venvctl.builds": "allow", "venvctl.bytecode": "off"}
    assert world.sync(SyncOptions(offline=True)).built == 1
    files = [path for path in world.root.path.rglob("*") if path.is_file()]
    assert [path for path in files if b"s3cret" in path.read_bytes()] == []


def test_every_package_that_would_be_built_is_named_before_anything_is_fetched(
    world: World,
) -> None:
    lines = [f"--index-url {world.index.url}", f"--trusted-host {world.index.host}"]
    for name in ("alpha", "beta", "gamma"):
        world.index.add(make_sdist(world.folder, name))
        lines.append(f"{name}==1.0")
    wheel = world.wheel("delta", "1.0")
    world.lock.write_text("\n".join([*lines, "delta==1.0"]) + "\n")

    with pytest.raises(BuildsDeniedError) as caught:
        world.sync()

    assert caught.value.message == (
        "These packages come only as source for Python 3.11.2, and building is not allowed:"
        " alpha 1.0, beta 1.0, gamma 1.0."
    )
    assert not any(request.path.startswith("/files/") for request in world.index.requests)
    assert not world.index.requested(wheel.file)


_OWN = """\
import base64, hashlib, os, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    file = "shop-2.5-py3-none-any.whl"
    info = "shop-2.5.dist-info/"
    folder = "/".join(os.getcwd().split("/")[-2:])
    members = {
        "shop.py": f"FOUND = {folder!r}\\n",
        info + "METADATA": "Metadata-Version: 2.1\\nName: shop\\nVersion: 2.5\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = ""
    with zipfile.ZipFile(os.path.join(directory, file), "w") as archive:
        for member, text in members.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            record += f"{member},sha256={digest.rstrip(b'=').decode()},{len(text)}\\n"
            archive.writestr(member, text)
        archive.writestr(info + "RECORD", record + info + "RECORD,,\\n")
    return file
"""
