"""Private indexes on the real engine: logins from everywhere, and no trace of any."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import uv

from console import COMMAND, Done, environment, venvctl_command
from index import Fault, LocalIndex
from venvctl.credentials import Credentials, Login, NamedIndex
from wheelhouse import make_wheel
from world import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine_fixtures import Docker, Unique
    from wheelhouse import BuiltWheel

pytestmark = pytest.mark.engine

# A backend that knows the user too, as those of operating systems do: keyring's `creds` mode.
_BACKEND = """
import json, os
from keyring import backend, credentials

class Backend(backend.KeyringBackend):
    priority = 1

    def get_credential(self, service, username):
        user, password = json.loads(os.environ["OWN_KEYRING"]).get(service, (None, None))
        return credentials.SimpleCredential(user, password) if user else None

    def get_password(self, service, username):
        return None

    def set_password(self, service, username, password):
        raise NotImplementedError
"""


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the program of the real `keyring`, beside a backend that keeps a file."""
    folder = tmp_path_factory.mktemp("keyring")
    program = uv.find_uv_bin()
    subprocess.run([program, "venv", "--quiet", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    packages = ("keyring", "keyrings.alt")
    subprocess.run(
        [program, "pip", "install", "--quiet", "--python", python, *packages], check=True
    )
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    (site / "own_keyring.py").write_text(_BACKEND)
    return folder / "venv/bin"


def in_file(keyring: Path, folder: Path) -> dict[str, str]:
    """Variables for a keyring that is a file."""
    return {
        "PATH": f"{keyring}:{os.environ['PATH']}",
        "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
        "XDG_DATA_HOME": str(folder),
        "HOME": str(folder),
    }


def remember(keyring: Path, variables: Mapping[str, str], service: str, login: Login) -> None:
    subprocess.run(
        [keyring / "keyring", "set", service, login.user],
        env={**os.environ, **variables},
        input=login.password,
        text=True,
        check=True,
    )


LOGIN = Login(user="ann", password="pass of a keyring")  # noqa: S106 - of a test's own index
URL = "https://packages.test/simple"


@pytest.mark.parametrize("service", [URL, "packages.test"])
def test_the_real_keyring_is_asked_for_the_user_that_is_known(
    keyring: Path, tmp_path: Path, service: str
) -> None:
    variables = in_file(keyring, tmp_path)
    remember(keyring, variables, service, LOGIN)
    known = [NamedIndex(url="https://ann@packages.test/simple")]
    credentials = Credentials(known, environment=variables)
    place = "https://packages.test/files/six.whl"
    assert credentials.find(place) is None
    assert credentials.ask_keyring(place) == LOGIN
    assert credentials.find(place) == LOGIN  # once asked, it is known
    other = Credentials(known, environment=variables)
    assert other.ask_keyring("https://other.test/files/six.whl") is None


def test_the_real_keyring_is_asked_for_any_user(keyring: Path) -> None:
    variables = {
        "PATH": str(keyring),
        "PYTHON_KEYRING_BACKEND": "own_keyring.Backend",
        "OWN_KEYRING": f'{{"{URL}": ["{LOGIN.user}", "{LOGIN.password}"]}}',
    }
    credentials = Credentials([NamedIndex(url=URL)], environment=variables)
    assert credentials.ask_keyring("https://packages.test/files/six.whl") == LOGIN


@dataclass(slots=True)
class Office:
    """A root, a lock, and four indexes: each wants a login that is kept in another place."""

    folder: Path
    image: str
    name: str
    variables: dict[str, str]
    indexes: dict[str, LocalIndex]
    wheels: dict[str, BuiltWheel] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def lock(self) -> Path:
        return self.folder / "requirements.txt"

    def write_lock(self, **versions: str) -> None:
        url, ring = self.indexes["url"], self.indexes["keyring"]
        lines = [
            f"--index-url {url.url_with('ann', url.password)}",
            f"--extra-index-url http://ann@{ring.host}/simple/",
            f"--extra-index-url {self.indexes['netrc'].url}",
        ]
        for name, wheel in self.wheels.items():
            lines.append(
                f"{name}=={versions.get(name, wheel.version)} --hash=sha256:{wheel.sha256}"
            )
        self.lock.write_text("\n".join(lines) + "\n")

    def run(self, *arguments: str) -> Done:
        done = venvctl_command(*arguments, cwd=self.folder, **self.variables)
        self.said += [done.stdout, done.stderr]
        return done

    def secrets(self) -> list[bytes]:
        """Every password as it is, as a URL has it, and as a header has it."""
        found = []
        for index in self.indexes.values():
            pair = base64.b64encode(f"ann:{index.password}".encode())
            found += [index.password.encode(), quote(index.password, safe="").encode(), pair]
        return found


@pytest.fixture
def office(tmp_path: Path, image_311: str, unique: Unique, keyring: Path) -> Iterator[Office]:
    made = {
        place: LocalIndex(user="ann", password=f"{place} pass/word %41")
        for place in ("url", "netrc", "environment", "keyring")
    }
    with made["url"], made["netrc"], made["environment"], made["keyring"]:
        variables = {
            **in_file(keyring, tmp_path / "home"),
            "VENVCTL_ROOT": str(tmp_path / "root"),
            "VENVCTL_CONFIG": str(tmp_path / "config.toml"),
            "VENVCTL_SOCKET": str(tmp_path / "control.sock"),
            "UV_INDEX_CORP_USERNAME": "ann",
            "UV_INDEX_CORP_PASSWORD": made["environment"].password,
        }
        (tmp_path / "home").mkdir()
        netrc = tmp_path / "home/.netrc"
        netrc.write_text(f'machine 127.0.0.1 login ann password "{made["netrc"].password}"\n')
        netrc.chmod(0o600)
        service = made["keyring"].url
        login = Login(user="ann", password=made["keyring"].password)
        remember(keyring, variables, service, login)
        (tmp_path / "config.toml").write_text(
            f'[[index]]\nname = "corp"\nurl = "{made["environment"].url}"\n'
            '[network]\ninsecure-hosts = ["127.0.0.1"]\n'
        )
        office = Office(
            folder=tmp_path,
            image=image_311,
            name=unique("env"),
            variables=variables,
            indexes=made,
        )
        for number, (place, index) in enumerate(made.items()):
            name = f"alpha{number}"
            wheel = make_wheel(tmp_path / "wheels", name, files={f"{name}.py": repr(place)})
            index.add(wheel.path)
            office.wheels[name] = wheel
        office.write_lock()
        yield office


def test_logins_are_used_and_leave_no_trace(office: Office, docker: Docker) -> None:
    name = office.name
    added = office.run("env", "add", name, "--lock", str(office.lock), "--image", office.image)
    assert added.code == 0, added.stderr
    answers = [
        office.run("status", name, "--verbose"),
        office.run("doctor", "--json"),
        office.run("sbom", name),
        office.run("snapshot", "export", name, "--output", "out.tar"),
        office.run("audit", name, "--json"),
    ]
    assert [answer.code for answer in answers] == [0] * len(answers), office.said
    assert b"alpha3-1.0-py3-none-any.whl" in (office.folder / "out.tar").read_bytes()

    # A version that nobody has, then a login that is no longer good, a file that was replaced, and
    # no index at all.
    office.write_lock(alpha0="2.0")
    assert office.run("sync", name).code == 5
    office.write_lock(alpha3="3.0")
    password = office.indexes["keyring"].password
    office.indexes["keyring"].password += "!"
    failed = office.run("sync", name, "--json")
    assert failed.code == 5
    assert failed.envelope["error"]["message"] == (
        f"The index {office.indexes['keyring'].url} can't be asked for alpha3:"
        " it answers 401 Unauthorized."
    )
    office.indexes["keyring"].password = password
    other = make_wheel(office.folder / "other", "alpha1", "1.1", files={"alpha1.py": "evil"})
    wheel = make_wheel(office.folder / "wheels", "alpha1", "1.1", files={"alpha1.py": "good"})
    office.wheels["alpha1"] = wheel
    office.indexes["netrc"].add(wheel.path)
    office.indexes["netrc"].fault(wheel.file, Fault(content=other.path.read_bytes()))
    office.write_lock()
    assert office.run("sync", name).code == 6
    follow(office)
    office.run("history", name, "--json")
    office.run("status", name, "--json")
    office.run("logs", name)
    office.run("env", "list", "--json")

    office.said += [
        docker("volume", "inspect", name),
        (office.folder / "out.tar").read_bytes().decode("latin-1"),
    ]
    said = "\n".join(office.said).encode("latin-1", "replace")
    assert [secret for secret in office.secrets() if secret in said] == []
    files = [path for path in office.root.rglob("*") if path.is_file()]
    assert len(files) > 30
    assert [
        (path, secret)
        for path in files
        for secret in office.secrets()
        if secret in path.read_bytes()
    ] == []


def follow(office: Office) -> None:
    """Let a daemon fail at the same, and say so in its log."""
    log = office.folder / "daemon.log"
    with log.open("wb") as stream:
        daemon = subprocess.Popen(
            [*COMMAND, "daemon", "--verbose"],
            env=environment(**office.variables),
            stdout=stream,
            stderr=stream,
        )
    try:
        wait_for(lambda: "alpha1-1.1" in log.read_text(), "the failure in the daemon's log")
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)
    office.said.append(log.read_text())
