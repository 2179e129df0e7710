"""Audits: what an index, the store and advisories say now of what was made before."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from console import venvctl_command
from estate import Estate
from index import Fault, LocalIndex
from venvctl import advisories, changeover
from venvctl.advisories import Examination, Vulnerability
from venvctl.audit import AuditResult, AuditSettings, Status, audit
from venvctl.errors import ConfigurationError, UnavailableError
from venvctl.indexes import default_url
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "shop_venv"


class Shop:
    """An environment of one package that an index has."""

    def __init__(self, folder: Path, index: LocalIndex) -> None:
        self.index = index
        self.estate = Estate(folder=folder)
        self.folder = folder
        self.lock = folder / "requirements.lock"
        self.alpha = self.estate.wheel("alpha")
        index.add(self.alpha.path)
        self.write_lock(self.alpha)
        self.estate.add(NAME, "a", self.alpha)

    def write_lock(self, *wheels: BuiltWheel, url: str = "") -> None:
        lines = [f"--index-url {url or self.index.url}", f"--trusted-host {self.index.host}"]
        lines += [f"{each.name}=={each.version} --hash=sha256:{each.sha256}" for each in wheels]
        self.lock.write_text("\n".join(lines) + "\n")

    def audit(
        self,
        *indexes: str,
        offline: bool = False,
        hashes: bool = False,
        advisories: str = "",
    ) -> AuditResult:
        settings = AuditSettings(
            indexes=indexes,
            insecure_hosts=(self.index.host,),
            offline=offline,
            hashes=hashes,
            advisories=advisories,
        )
        return audit(NAME, self.estate.root, settings=settings, progress=self.estate.progress)

    def said(self) -> tuple[Status, str]:
        [file] = self.audit().files
        return file.status, file.reason


@pytest.fixture(params=["json", "html"])
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Of an index that speaks PEP 691, and of one that knows PEP 503 alone."""
    with LocalIndex(html_only=request.param == "html") as index:
        yield Shop(tmp_path, index)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Shop]:
    with LocalIndex() as index:
        yield Shop(tmp_path, index)


def test_a_file_that_is_as_it_was_is_no_finding(shop: Shop) -> None:
    result = shop.audit()
    [file] = result.files
    assert (file.status, file.reason, file.index) == (Status.AVAILABLE, "", shop.index.url)
    assert (file.sha256, file.file, file.stored) == (shop.alpha.sha256, shop.alpha.file, "yes")
    assert (result.environment, result.generation, result.key) == (NAME, 1, "a" * 32)
    assert (result.findings, result.advisories, result.vulnerabilities) == (0, None, ())
    assert shop.index.requested(shop.alpha.file) == []


def test_a_yanked_file_is_told_with_its_reason(shop: Shop) -> None:
    shop.index.yank(shop.alpha.file, "it <breaks> things")
    assert shop.said() == (Status.YANKED, "it <breaks> things")
    shop.index.yank(shop.alpha.file)
    assert shop.said() == (Status.YANKED, "")
    assert shop.audit().findings == 1


def test_a_deleted_file_is_told(shop: Shop, tmp_path: Path) -> None:
    shop.index.add(make_wheel(tmp_path / "new", "alpha", "2.0").path)
    shop.index.remove(shop.alpha.file)
    assert shop.said() == (Status.DELETED, "")


def test_a_deleted_project_is_told(shop: Shop) -> None:
    shop.index.remove(shop.alpha.file)
    assert shop.said() == (Status.DELETED, "the project is gone")


def test_a_replaced_file_is_told(shop: Shop, tmp_path: Path) -> None:
    other = make_wheel(tmp_path / "new", "alpha", files={"alpha.py": "evil = True\n"})
    shop.index.add(other.path)
    assert shop.said() == (Status.REPLACED, f"its SHA-256 is now {other.sha256}")


def test_a_quarantined_project_is_told(shop: Shop) -> None:
    shop.index.set_status("alpha", "quarantined", "malware")
    assert shop.said() == (Status.QUARANTINED, "malware")
    shop.index.set_status("alpha", "archived")
    assert shop.said() == (Status.AVAILABLE, "")


def test_an_index_that_fails_is_no_finding(plain: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("venvctl.listing.time.sleep", waits.append)
    plain.index.fault("/simple/alpha/", Fault(status=503))
    assert plain.said() == (Status.UNKNOWN, "it answers 503 Service Unavailable")
    assert plain.audit().findings == 0
    assert len(waits) == 4
    plain.index.fault("/simple/alpha/", Fault(status=503, times=2))
    assert plain.said() == (Status.AVAILABLE, "")


def test_an_index_that_may_not_be_asked_is_unknown(plain: Shop) -> None:
    plain.write_lock(plain.alpha, url="https://127.0.0.1:9/simple/")
    settings = AuditSettings(indexes=(plain.index.url,))
    plain.lock.unlink()
    [file] = audit(NAME, plain.estate.root, settings=settings, progress=plain.estate.progress).files
    assert (file.status, file.reason) == (
        Status.UNKNOWN,
        "it is plain HTTP, and its host is not named insecure",
    )


def test_credentials_are_used_and_never_shown(tmp_path: Path) -> None:
    with LocalIndex(user="me", password="secret") as index:  # noqa: S106 - none
        shop = Shop(tmp_path, index)
        assert shop.said()[0] is Status.UNKNOWN
        shop.write_lock(shop.alpha, url=index.url_with("me", "secret"))
        result = shop.audit()
        assert result.files[0].status is Status.AVAILABLE
        assert "secret" not in repr(result)


def test_an_index_that_still_has_it_is_enough(plain: Shop, tmp_path: Path) -> None:
    with LocalIndex() as other:
        other.add(make_wheel(tmp_path / "new", "alpha", "2.0").path)
        settings = AuditSettings(
            indexes=(other.url, plain.index.url), insecure_hosts=(other.host, plain.index.host)
        )
        progress = plain.estate.progress
        [file] = audit(NAME, plain.estate.root, settings=settings, progress=progress).files
        assert (file.status, file.index) == (Status.AVAILABLE, plain.index.url)
        plain.index.remove(plain.alpha.file)
        [file] = audit(NAME, plain.estate.root, settings=settings, progress=progress).files
        assert file.status is Status.DELETED


def test_a_lock_that_is_gone_is_told_and_another_index_can_be_named(plain: Shop) -> None:
    plain.lock.unlink()
    assert plain.audit(plain.index.url).files[0].status is Status.AVAILABLE
    [warning] = plain.estate.progress.warnings
    assert warning.startswith("The lock can't tell where its packages come from: ")


def test_the_configuration_names_the_index_of_a_lock_that_does_not(
    plain: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", plain.index.url)
    plain.lock.write_text(f"alpha==1.0 --hash=sha256:{plain.alpha.sha256}\n")
    assert plain.said() == (Status.AVAILABLE, "")


def test_uv_tells_its_own_default_index(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("UV_"):
            monkeypatch.delenv(name)
    assert default_url().startswith("https://")
    assert default_url().endswith("/simple")


def test_offline_nobody_is_asked(plain: Shop) -> None:
    result = plain.audit(offline=True)
    assert [file.status for file in result.files] == [Status.UNASKED]
    assert plain.index.requests == []


def test_what_the_store_lost_is_told(plain: Shop) -> None:
    path = plain.estate.root.store.get(plain.alpha, name="alpha")
    content = bytearray(path.read_bytes())
    content[30] ^= 1
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    path.write_bytes(content)
    assert plain.audit().files[0].stored == "yes"
    result = plain.audit(hashes=True)
    assert (result.files[0].stored, result.findings) == ("damaged", 1)
    plain.estate.root.store.remove(plain.alpha.sha256)
    result = plain.audit()
    assert (result.files[0].stored, result.findings) == ("missing", 1)


def test_what_was_built_is_looked_up_by_its_source(plain: Shop, tmp_path: Path) -> None:
    sdist = tmp_path / "beta-1.0.tar.gz"
    sdist.write_bytes(b"source")
    plain.index.add(sdist)
    beta = plain.estate.wheel("beta")
    snapshot = plain.estate.snapshot("b", beta)
    for source, status in (
        (hashlib.sha256(b"source").hexdigest(), Status.AVAILABLE),
        ("5" * 64, Status.DELETED),
        ("5" * 40, Status.UNASKED),
    ):
        files = tuple(dataclasses.replace(file, source=source) for file in snapshot.files)
        built = dataclasses.replace(snapshot, files=files)
        environment = plain.estate.environment(NAME)
        environment.switch(
            changeover.make_generation(built, environment, plain.estate.root, plain.estate.progress)
        )
        [file] = plain.audit(plain.index.url).files
        assert (file.name, file.status) == ("beta", status)


# -- advisories


def record(**fields: Any) -> dict[str, Any]:
    package = {"ecosystem": "PyPI", "name": fields.pop("name", "Alpha")}
    affected = {key: fields.pop(key) for key in ("ranges", "versions") if key in fields}
    return {
        "schema_version": "1.7.0",
        "id": "PYSEC-1",
        "modified": "2026-01-01T00:00:00Z",
        "aliases": ["CVE-1"],
        "summary": "bad",
        "affected": [{"package": package, **affected}],
        **fields,
    }


def events(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in pairs]}]


def examined(folder: Path, version: str, *records: dict[str, Any]) -> Examination:
    source = folder / "osv"
    (source / "deeper").mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(records):
        (source / "deeper" / f"{number}.json").write_text(json.dumps(each))
    return advisories.examine(source, {"alpha": version})


@pytest.mark.parametrize(
    ("version", "fields", "concerned"),
    [
        ("1.0", {"versions": ["1.0.0"]}, True),
        ("1.0", {"versions": ["1.1"]}, False),
        ("1.0", {"ranges": events(("introduced", "0"))}, True),
        ("1.0", {"ranges": events(("introduced", "0"), ("fixed", "1.0"))}, False),
        ("1.0", {"ranges": events(("introduced", "0"), ("fixed", "1.0.1"))}, True),
        ("1.0rc1", {"ranges": events(("introduced", "0"), ("fixed", "1.0"))}, True),
        ("1.0", {"ranges": events(("introduced", "1.1"))}, False),
        ("1.0", {"ranges": events(("introduced", "0"), ("last_affected", "1.0"))}, True),
        ("1.0.post1", {"ranges": events(("introduced", "0"), ("last_affected", "1.0"))}, False),
        ("10.0", {"ranges": events(("introduced", "9"), ("fixed", "11"))}, True),
        (
            "2.5",
            {
                "ranges": events(
                    ("fixed", "3"), ("introduced", "0"), ("introduced", "2"), ("fixed", "1")
                )
            },
            True,
        ),
        (
            "1.5",
            {
                "ranges": events(
                    ("fixed", "3"), ("introduced", "0"), ("introduced", "2"), ("fixed", "1")
                )
            },
            False,
        ),
        ("1.0", {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, False),
        ("1.0", {"name": "beta", "versions": ["1.0"]}, False),
        ("1.0", {"versions": ["1.0"], "withdrawn": "2026-01-02T00:00:00Z"}, False),
        ("1.0", {"versions": ["not a version", "1.0"]}, True),
        ("1.0", {}, False),
    ],
)
def test_an_advisory_concerns_what_its_ranges_say(
    tmp_path: Path,
    version: str,
    fields: dict[str, Any],
    concerned: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    found = examined(tmp_path, version, record(**fields))
    assert found.records == 1
    assert [each.id for each in found.vulnerabilities] == (["PYSEC-1"] if concerned else [])


def test_another_ecosystem_is_none_of_ours(tmp_path: Path) -> None:
    other = record(versions=["1.0"])
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert examined(tmp_path, "1.0", other) == Examination(records=1, vulnerabilities=())


def test_a_vulnerability_is_told_with_what_fixes_it(plain: Shop) -> None:
    folder = plain.folder / "osv"
    folder.mkdir()
    ranges = events(("introduced", "0"), ("fixed", "2.0"), ("introduced", "3"), ("fixed", "3.1"))
    (folder / "one.json").write_text(json.dumps(record(ranges=ranges)))
    result = plain.audit(advisories=str(folder))
    assert (result.advisories, result.findings) == (1, 1)
    assert result.vulnerabilities == (
        Vulnerability(
            name="alpha",
            version="1.0",
            id="PYSEC-1",
            aliases=("CVE-1",),
            summary="bad",
            fixed=("2.0", "3.1"),
        ),
    )


def test_advisories_come_in_an_archive_too_also_from_a_server(plain: Shop) -> None:
    path = plain.folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PYSEC-1.json", json.dumps(record(versions=["1.0"])))
        archive.writestr("README", "no record")
    local = plain.audit(advisories=str(path))
    url = plain.index.add(path, name="advisories")
    remote = plain.audit(advisories=url)
    assert (local.advisories, len(local.vulnerabilities)) == (1, 1)
    assert remote.vulnerabilities == local.vulnerabilities
    assert not list((plain.estate.root.path / "tmp").iterdir())
    plain.index.remove("all.zip")
    with pytest.raises(UnavailableError) as caught:
        plain.audit(advisories=url)
    assert caught.value.message == f"The advisories can't be had: {url} answers 404 Not Found."
    with pytest.raises(UnavailableError) as caught:
        plain.audit(advisories=url, offline=True)
    assert caught.value.message == (
        f"The advisories {url} can't be had: --offline forbids to ask for them."
    )


def test_advisories_that_can_not_be_read_are_an_error(tmp_path: Path) -> None:
    for source, message in (
        (tmp_path / "nowhere", "The advisories {} can't be read: No such file or directory."),
        (tmp_path, "There are no advisories in {}."),
    ):
        with pytest.raises(ConfigurationError) as caught:
            advisories.examine(source, {})
        assert caught.value.message == message.format(source)
    bad = tmp_path / "bad.json"
    for content in ("[", "[]", '{"affected": [{"package": 1}]}', "[" * 100_000):
        bad.write_text(content)
        with pytest.raises(ConfigurationError) as caught:
            advisories.examine(tmp_path, {"alpha": "1.0"})
        assert caught.value.message.startswith(f"The advisory {bad} can't be read: ")
    bad.unlink()
    (tmp_path / "all.zip").write_bytes(b"no archive")
    with pytest.raises(ConfigurationError) as caught:
        advisories.examine(tmp_path / "all.zip", {})
    assert caught.value.message == (
        f"The advisories {tmp_path / 'all.zip'} can't be read: File is not a zip file."
    )


def test_the_command_tells_it_and_fails_only_when_it_is_asked_to(plain: Shop) -> None:
    root = str(plain.estate.root.path)
    osv = plain.folder / "osv"
    osv.mkdir()
    (osv / "one.json").write_text(
        json.dumps(record(ranges=events(("introduced", "0"), ("fixed", "2.0"))))
    )
    clean = venvctl_command("audit", NAME, "--strict", VENVCTL_ROOT=root)
    assert (clean.code, clean.stdout, clean.stderr) == (
        0,
        "shop_venv: generation 1, 1 package: 0 findings; no advisories are configured\n",
        "",
    )
    plain.index.yank(plain.alpha.file, "broken")
    plain.estate.root.store.remove(plain.alpha.sha256)
    loose = venvctl_command("audit", NAME, VENVCTL_ROOT=root, VENVCTL_ADVISORIES=str(osv))
    assert (loose.code, loose.stderr) == (0, "")
    assert loose.stdout.splitlines() == [
        f"alpha 1.0 is yanked at {plain.index.url}: broken",
        f"alpha 1.0 is missing in the store ({plain.alpha.file})",
        "alpha 1.0 is vulnerable, PYSEC-1, CVE-1: bad (fixed in 2.0)",
        "shop_venv: generation 1, 1 package: 3 findings; 1 advisory read",
    ]
    strict = venvctl_command("audit", NAME, "--strict", "--json", VENVCTL_ROOT=root)
    assert strict.code == 1
    assert strict.envelope["error"] == {
        "code": "audit-findings",
        "message": "The audit of shop_venv has 2 findings.",
        "hint": "Lock versions that are still there and not concerned, then sync.",
    }
    assert strict.envelope["data"]["files"][0]["status"] == "yanked"
