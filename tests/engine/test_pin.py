"""A process that started before a switch never imports from the generation after it.

Every test runs a real process in a container, with an interpreter that makes two passes over path
configuration files (3.11) and with a later one (3.13).
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent import Agent
from engine_fixtures import require_image, run_docker
from index import LocalIndex
from venvctl.root import Root
from wheelhouse import BuiltWheel, make_wheel
from world import World, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine_fixtures import Unique
    from venvctl.engine.docker import DockerEngine
    from venvctl.environments import Generation

pytestmark = pytest.mark.engine

# As setuptools wrote them for namespace packages, in every wheel that shares one.
_NAMESPACE_PTH = (
    "import sys, types, os;p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('legacy',));"
    "m = sys.modules.setdefault('legacy', types.ModuleType('legacy'));"
    "mp = m.__dict__.setdefault('__path__', []);(p not in mp) and mp.append(p)\n"
)
# Every module that lies in the volume, but for the pin itself, which is what leads there.
_FOREIGN = """
import sys
value = sorted(
    name for name, module in list(sys.modules.items())
    for place in (str(getattr(module, "__file__", "")), *map(str, getattr(module, "__path__", ())))
    if place.startswith("/venv/") and not place.startswith(PLACE) and name != "_venvctl_pin"
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """An environment with two generations, which have every package in versions 1.0 and 2.0."""

    world: World
    generations: tuple[Generation, Generation]
    library: str
    container: str

    @property
    def places(self) -> list[str]:
        """The two as containers see them."""
        return [f"/venv/.venvctl/generations/{each.name}" for each in self.generations]

    def switch(self, number: int) -> None:
        """Make the first or the second current."""
        self.world.environment.switch(self.generations[number - 1])

    def agent(
        self, *arguments: str, python: tuple[str, ...] = ("/venv/bin/python",), paused: bool = False
    ) -> Agent:
        """A process on what is current now."""
        return Agent(container=self.container, arguments=arguments, python=python, paused=paused)


@pytest.fixture(scope="module")
def real_wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wheels as their authors publish them."""
    folder = tmp_path_factory.mktemp("real-wheels")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary", ":all:", "--dest", folder),
            *("--requirement", Path(__file__).with_name("real-wheels.txt")),
        ],
        check=True,
        timeout=300,
    )
    return sorted(folder.iterdir())


@pytest.fixture(scope="module", params=["3.11", "3.13"])
def made(
    request: pytest.FixtureRequest,
    engine: DockerEngine,
    real_wheels: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    name = f"vt-{secrets.token_hex(4)}-env"
    with LocalIndex() as index:
        world = World(
            folder=folder,
            index=index,
            root=Root(folder / "root"),
            name=name,
            image=require_image(engine, f"venvctl-test/python:{request.param}"),
            docker=run_docker,
        )
        generations = []
        for version in ("1.0", "2.0"):
            world.write_lock(*_wheels(folder, version), *map(_as_built, real_wheels))
            for path in (*real_wheels, *folder.glob("*.whl")):
                index.add(path)
            world.sync()
            current = world.environment.current()
            assert current is not None
            generations.append(current)
        container = run_docker(
            "run", "--detach", "--volume", f"{name}:/venv", "--workdir", "/usr", world.image,
            "sleep", "infinity",
        )  # fmt: skip
        yield Shop(
            world=world,
            generations=(generations[0], generations[1]),
            library=f"python{request.param}",
            container=container,
        )
        run_docker("rm", "--force", container)
        run_docker("volume", "rm", name)


@pytest.fixture
def shop(made: Shop) -> Shop:
    """The environment, with its first generation current."""
    made.switch(1)
    return made


def _wheels(folder: Path, version: str) -> list[BuiltWheel]:
    text = f"VERSION = {version!r}\n"
    return [
        make_wheel(
            folder,
            "alpha",
            version,
            files={
                "alpha/__init__.py": text,
                "alpha/late.py": text + "def version():\n    return VERSION\n",
                "alpha/tool.py": (
                    "import sys\ndef main():\n    import alpha.late\n"
                    "    print(sys.prefix, alpha.late.VERSION)\n"
                ),
                "alpha/web.py": (
                    "def app(environ, start_response):\n"
                    "    import os, alpha.late\n"
                    "    start_response('200 OK', [])\n"
                    "    return [f'{os.getpid()} {alpha.late.VERSION}'.encode()]\n"
                ),
                "spread/one.py": text,
                f"alpha-{version}.data/scripts/alpha_beside.py": "#!python\n" + text,
                f"alpha-{version}.data/scripts/alpha-wait": (
                    "#!python\nimport sys\nprint('up', flush=True)\nsys.stdin.readline()\n"
                    "import alpha_beside\nprint(alpha_beside.VERSION, alpha_beside.__file__)\n"
                ),
            },
            entry_points="[console_scripts]\nalpha-tool = alpha.tool:main\n",
        ),
        make_wheel(
            folder,
            "beta",
            version,
            files={
                "spread/two.py": text,
                "legacy/three.py": text,
                "beta-nspkg.pth": _NAMESPACE_PTH,
                "beta-paths.pth": "beta_vendored\n",
                "beta_vendored/vendored.py": text,
            },
        ),
        make_wheel(
            folder,
            "gamma",
            version,
            files={
                "aaa-gamma.pth": "import gamma\n",
                "zzz-gamma.pth": "import gamma.last\n",
                "gamma/__init__.py": text,
                "gamma/last.py": text,
                "gamma/late.py": text,
                # Stops a process in the middle of its start, where a test asks for it.
                "mmm-gamma.pth": "import gamma.pause\n",
                "gamma/pause.py": (
                    "import os\nif os.environ.pop('GAMMA_PAUSE', ''):\n"
                    '    os.write(1, b\'{"value": "paused"}\\n\')\n    os.read(0, 1)\n'
                ),
            },
        ),
    ]


def _as_built(path: Path) -> BuiltWheel:
    name, version, *_ = path.name.split("-")
    return BuiltWheel(path=path, name=name, version=version)


def test_every_way_to_the_environment_leads_to_the_generation(shop: Shop) -> None:
    place = shop.places[0]
    site = f"{place}/lib/{shop.library}/site-packages"
    with shop.agent("--env", "VIRTUAL_ENV=/venv") as agent:
        assert agent.ask("sys.prefix") == place
        assert agent.ask("sys.exec_prefix") == place
        assert agent.ask("sys.executable") == f"{place}/bin/python"
        assert agent.ask("__import__('os').environ['VIRTUAL_ENV']") == place
        assert agent.ask("__import__('site').PREFIXES") == [place]
        # Debian's Python has further ones; none may lead through what is current.
        folders = agent.ask("__import__('site').getsitepackages()")
        assert isinstance(folders, list)
        assert all(folder.startswith(f"{place}/") for folder in folders)
        assert agent.ask("__import__('sysconfig').get_path('purelib')") == site
        assert agent.ask("__import__('sysconfig').get_path('scripts')") == f"{place}/bin"
        assert agent.ask("[path for path in sys.path if path.startswith('/venv')]") == [
            site,
            f"{site}/beta_vendored",
        ]
        assert agent.ask("[path for path in sys.path_importer_cache if '/current' in path]") == []
        assert agent.ask("sys.base_prefix") == "/usr"


def test_what_is_imported_late_is_what_was_there_at_the_start(shop: Shop) -> None:
    with shop.agent() as agent:
        shop.switch(2)

        assert agent.ask("__import__('alpha.late').late.VERSION") == "1.0"
        assert agent.ask("__import__('importlib.metadata').metadata.version('alpha')") == "1.0"
        assert agent.do(f"PLACE = {shop.places[0]!r}\n{_FOREIGN}") == []
    with shop.agent() as fresh:
        assert fresh.ask("__import__('alpha.late').late.VERSION") == "2.0"
        assert fresh.ask("sys.prefix") == shop.places[1]


@pytest.mark.parametrize(
    "module",
    [
        *("spread.one", "spread.two", "legacy.three", "vendored", "gamma.late"),
        *("setuptools", "gunicorn.app.wsgiapp"),
    ],
)
def test_no_kind_of_module_comes_from_the_generation_after(shop: Shop, module: str) -> None:
    with shop.agent() as agent:
        shop.switch(2)

        file = agent.do(f"import importlib; value = importlib.import_module({module!r}).__file__")

        assert str(file).startswith(f"{shop.places[0]}/lib/{shop.library}/site-packages/")
        assert agent.do(f"PLACE = {shop.places[0]!r}\n{_FOREIGN}") == []


def test_a_namespace_package_that_was_open_before_the_switch_stays_whole(shop: Shop) -> None:
    with shop.agent() as agent:
        assert agent.ask("__import__('spread.one').one.VERSION") == "1.0"
        assert agent.ask("__import__('legacy.three').three.VERSION") == "1.0"
        shop.switch(2)

        assert agent.ask("__import__('spread.two').two.VERSION") == "1.0"
        assert agent.do("import spread; value = list(spread.__path__)") == [
            f"{shop.places[0]}/lib/{shop.library}/site-packages/spread"
        ]


def test_setuptools_finds_its_distutils_where_it_was(shop: Shop) -> None:
    with shop.agent() as agent:
        shop.switch(2)

        file = agent.do("import distutils.core; value = distutils.core.__file__")

        assert str(file).startswith(f"{shop.places[0]}/lib/")


def test_a_switch_in_the_middle_of_a_start_mixes_nothing(shop: Shop) -> None:
    with shop.agent("--env", "GAMMA_PAUSE=1", paused=True) as agent:
        shop.switch(2)
        agent.go_on()

        assert agent.ask("sys.prefix") == shop.places[0]
        assert agent.ask("__import__('alpha.late').late.VERSION") == "1.0"
        assert agent.ask("__import__('gamma.last').last.VERSION") == "1.0"
        assert agent.do(f"PLACE = {shop.places[0]!r}\n{_FOREIGN}") == []


_CHILD = "import sys, alpha.late; print(sys.prefix, alpha.late.VERSION)"


def test_a_child_of_the_same_interpreter_stays_and_a_new_command_does_not(shop: Shop) -> None:
    with shop.agent("--env", "PATH=/venv/bin:/usr/bin:/bin") as agent:
        shop.switch(2)

        for command, place, version in (
            ("sys.executable", shop.places[0], "1.0"),
            ("'/venv/bin/python'", shop.places[1], "2.0"),
            ("'python'", shop.places[1], "2.0"),
        ):
            assert agent.do(
                f"import subprocess, sys; value = subprocess.run([{command}, '-c', {_CHILD!r}],"
                " capture_output=True, text=True, check=True).stdout"
            ) == f"{place} {version}\n"  # fmt: skip


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_the_children_of_multiprocessing_stay(shop: Shop, method: str) -> None:
    with shop.agent() as agent:
        agent.do("import multiprocessing, warnings; warnings.simplefilter('ignore')")
        shop.switch(2)

        assert agent.do(
            "import multiprocessing, alpha.late\n"
            f"with multiprocessing.get_context({method!r}).Pool(1) as pool:\n"
            "    value = pool.apply(alpha.late.version)"
        ) == "1.0"  # fmt: skip


def test_a_process_that_runs_itself_again_stays(shop: Shop) -> None:
    program = (
        "import os, sys; os.read(0, 1)\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {_CHILD!r}])"
    )
    process = subprocess.Popen(
        [
            *("docker", "exec", "--interactive", shop.container),
            *("/venv/bin/python", "-u", "-c", f"print('up')\n{program}"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    shop.switch(2)

    output, _ = process.communicate("\n", timeout=30)

    assert output == f"{shop.places[0]} 1.0\n"


def test_without_the_pin_a_server_that_reloads_in_place_gets_what_is_current(shop: Shop) -> None:
    with shop.agent("--env", "VENVCTL_PIN=0", "--env", "VIRTUAL_ENV=/venv") as agent:
        assert agent.ask("sys.prefix") == "/venv"
        assert agent.ask("sys.executable") == "/venv/bin/python"
        assert agent.ask("__import__('os').environ['VIRTUAL_ENV']") == "/venv"
        assert agent.ask("__import__('alpha').VERSION") == "1.0"
        shop.switch(2)

        assert agent.ask("__import__('alpha.late').late.VERSION") == "2.0"


@pytest.mark.parametrize("options", [("-I",), ("-E",), ("-s",), ("-P",), ("-O",), ("-B",)])
def test_options_of_the_interpreter_do_not_unpin(shop: Shop, options: tuple[str, ...]) -> None:
    with shop.agent(python=("/venv/bin/python", *options)) as agent:
        shop.switch(2)

        assert agent.ask("__import__('alpha.late').late.VERSION") == "1.0"
        assert agent.ask("sys.prefix") == shop.places[0]


@pytest.mark.parametrize("name", ["python", "python3", "{library}"])
def test_by_whatever_name_it_is_called(shop: Shop, name: str) -> None:
    name = name.format(library=shop.library)
    with shop.agent(python=(f"/venv/bin/{name}",)) as agent:
        shop.switch(2)

        assert agent.ask("sys.executable") == f"{shop.places[0]}/bin/{name}"
        assert agent.ask("__import__('alpha.late').late.VERSION") == "1.0"


def test_without_site_there_is_nothing_of_the_environment_as_in_any(shop: Shop) -> None:
    with shop.agent(python=("/venv/bin/python", "-S")) as agent:
        assert agent.ask("[path for path in sys.path if path.startswith('/venv')]") == []


def test_a_path_that_the_user_adds_is_pinned_and_stays_first_and_once(shop: Shop) -> None:
    added = f"/venv/lib/{shop.library}/site-packages"
    with shop.agent("--env", f"PYTHONPATH=/srv:{added}:/venv/share") as agent:
        shop.switch(2)

        path = agent.ask("sys.path")

        assert isinstance(path, list)
        place = shop.places[0]
        site = f"{place}/lib/{shop.library}/site-packages"
        assert path[:4] == ["", "/srv", site, f"{place}/share"]
        assert path.count(site) == 1
        assert agent.ask("__import__('alpha.late').late.VERSION") == "1.0"


def test_a_user_without_rights_and_without_a_home_is_pinned_too(shop: Shop) -> None:
    with shop.agent("--user", "4321:4321") as agent:
        shop.switch(2)

        assert agent.ask("__import__('alpha.late').late.VERSION") == "1.0"


def test_another_interpreter_of_the_image_is_not_touched(shop: Shop) -> None:
    with shop.agent("--env", "VIRTUAL_ENV=/venv", python=("python3",)) as agent:
        assert agent.ask("sys.prefix") == "/usr"
        assert agent.ask("__import__('os').environ['VIRTUAL_ENV']") == "/venv"


def test_mounted_elsewhere_it_works_as_a_plain_environment(shop: Shop) -> None:
    said = shop.world.docker(
        "run", "--rm", "--volume", f"{shop.world.name}:/elsewhere", shop.world.image,
        "/elsewhere/bin/python", "-c", _CHILD,
    )  # fmt: skip
    assert said == "/elsewhere 1.0"


def test_a_script_of_the_environment_is_pinned(shop: Shop) -> None:
    said = shop.world.docker("exec", shop.container, "/venv/bin/alpha-tool")
    assert said == f"{shop.places[0]} 1.0"


def test_what_a_script_imports_from_beside_itself_late_is_of_its_generation(shop: Shop) -> None:
    # The interpreter puts the script's folder on the path when `site` is done.
    process = subprocess.Popen(
        ["docker", "exec", "--interactive", shop.container, "/venv/bin/alpha-wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    shop.switch(2)

    output, _ = process.communicate("\n", timeout=30)

    assert output == f"1.0 {shop.places[0]}/bin/alpha_beside.py\n"


@pytest.mark.parametrize(
    "file", ["alpha/__init__.py", "alpha/late.py", "beta_vendored/vendored.py"]
)
def test_a_path_through_the_mount_that_is_added_late_leads_to_the_generation(
    shop: Shop, file: str
) -> None:
    below = f"lib/{shop.library}/site-packages"
    folder, _, module = file.removesuffix(".py").removesuffix("/__init__").rpartition("/")
    with shop.agent() as agent:
        shop.switch(2)

        assert agent.do(
            f"import importlib, sys; sys.path.insert(0, '/venv/{below}/{folder}'.rstrip('/'))\n"
            f"late = importlib.import_module({module!r}); value = [late.VERSION, late.__file__]"
        ) == ["1.0", f"{shop.places[0]}/{below}/{file}"]


def test_a_worker_that_gunicorn_starts_after_a_switch_is_of_its_master_s_generation(
    shop: Shop, unique: Unique
) -> None:
    world = shop.world
    web = world.docker(
        "run", "--detach", "--name", unique("web"), "--volume", f"{world.name}:/venv", world.image,
        "/venv/bin/gunicorn", "--bind", "127.0.0.1:8000", "--no-control-socket", "alpha.web:app",
    )  # fmt: skip

    def answer() -> str:
        done = subprocess.run(
            ["docker", "exec", web, "python3", "-c",
             "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000').read().decode())"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.strip()

    wait_for(lambda: answer().endswith(" 1.0"), "the first answer")
    worker = answer().partition(" ")[0]
    shop.switch(2)
    world.docker("exec", web, "python3", "-c", f"import os; os.kill({worker}, 9)")

    wait_for(lambda: answer() and answer().partition(" ")[0] != worker, "another worker")

    assert answer().endswith(" 1.0")
    world.docker("restart", "--time", "2", web)
    wait_for(lambda: answer().endswith(" 2.0"), "the answer after a restart")
