"""Commits are had over HTTPS alone, checked, and nothing of them or of the user is let out."""

from __future__ import annotations

import base64
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from gitserver import GitServer, commit, git
from venvctl.errors import UnavailableError
from venvctl.git import checkout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TITLE = "shop 1.0 (commit 0123456789ab)"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served", tmp_path) as server:
        monkeypatch.setenv("GIT_SSL_CAINFO", str(server.certificate))
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        yield server


def test_the_files_of_the_commit_come_and_not_those_of_the_branch(
    server: GitServer, tmp_path: Path
) -> None:
    first = commit(server.folder / "shop", a="1")
    commit(server.folder / "shop", a="2", b="2")

    checkout(server.url("shop"), first, into=tmp_path / "source", title=_TITLE)

    assert (tmp_path / "source" / "a").read_text() == "1"
    assert not (tmp_path / "source" / "b").exists()
    assert git(tmp_path / "source", "rev-parse", "HEAD") == first


def test_a_commit_that_no_branch_leads_to_is_asked_for_by_its_hash(
    server: GitServer, tmp_path: Path
) -> None:
    commit(server.folder / "shop", a="1")
    lost = commit(server.folder / "shop", a="2")
    git(server.folder / "shop", "reset", "--quiet", "--hard", "HEAD~1")

    checkout(server.url("shop"), lost, into=tmp_path / "source", title=_TITLE)

    assert (tmp_path / "source" / "a").read_text() == "2"


def test_what_git_knows_of_the_version_is_said_for_images_without_git(
    server: GitServer, tmp_path: Path
) -> None:
    commit(server.folder / "shop", a="1")
    git(server.folder / "shop", "tag", "v1.4")
    head = commit(server.folder / "shop", a="2")

    said = checkout(server.url("shop"), head, into=tmp_path / "source", title=_TITLE)

    assert said.splitlines() == [
        f"node: {head}",
        "node-date: 2024-01-01T00:00:00+01:00",
        f"describe-name: v1.4-1-g{head[:7]}",
    ]


def test_submodules_come_at_the_commits_that_are_written_down(
    server: GitServer, tmp_path: Path
) -> None:
    commit(server.folder / "part", inner="old")
    commit(server.folder / "shop", a="1")
    git(
        server.folder / "shop",
        *("-c", "protocol.file.allow=always", "submodule", "--quiet", "add"),
        *(str(server.folder / "part"), "part"),
    )
    git(server.folder / "shop", "config", "-f", ".gitmodules", "submodule.part.url", "../part")
    head = commit(server.folder / "shop")
    commit(server.folder / "part", inner="new")

    checkout(server.url("shop"), head, into=tmp_path / "source", title=_TITLE)

    assert (tmp_path / "source" / "part" / "inner").read_text() == "old"


def test_a_submodule_can_not_reach_into_this_host(server: GitServer, tmp_path: Path) -> None:
    commit(tmp_path / "private", hidden="s")
    commit(server.folder / "shop", a="1")
    git(
        server.folder / "shop",
        *("-c", "protocol.file.allow=always", "submodule", "--quiet", "add"),
        *(str(tmp_path / "private"), "part"),
    )
    head = commit(server.folder / "shop")

    with pytest.raises(UnavailableError) as caught:
        checkout(server.url("shop"), head, into=tmp_path / "source", title=_TITLE)

    assert caught.value.message == (
        f"{_TITLE} can't be had from {server.url('shop')}: `git submodule` ended with exit code 1:"
        " transport 'file' not allowed."
    )
    assert not list((tmp_path / "source").rglob("hidden"))


@pytest.mark.parametrize("url", ["file:///etc", "ext::sh -c true", "http://127.0.0.1:9/shop"])
def test_other_protocols_are_not_spoken(url: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        checkout(url, "0" * 40, into=tmp_path / "source", title=_TITLE)

    protocol = url.partition(":")[0]
    assert caught.value.message == (
        f"{_TITLE} can't be had from {url}: `git fetch` ended with exit code 128:"
        f" transport '{protocol}' not allowed."
    )


def test_a_login_is_sent_to_its_host_and_kept_nowhere(server: GitServer, tmp_path: Path) -> None:
    head = commit(server.folder / "shop", a="1")

    checkout(server.url("shop", login="me:s%40cret"), head, into=tmp_path / "source", title=_TITLE)

    expected = "Basic " + base64.b64encode(b"me:s@cret").decode()
    assert set(server.authorizations) == {expected}
    kept = b"".join(
        file.read_bytes() for file in (tmp_path / "source").rglob("*") if file.is_file()
    )
    assert b"cret" not in kept


def test_a_commit_that_is_not_there_is_said_in_the_words_of_git(
    server: GitServer, tmp_path: Path
) -> None:
    commit(server.folder / "shop", a="1")
    missing = "12" * 20

    with pytest.raises(UnavailableError) as caught:
        checkout(server.url("shop", login="me:secret"), missing, into=tmp_path / "s", title=_TITLE)

    assert caught.value.message == (
        f"{_TITLE} can't be had from {server.url('shop')}: `git fetch` ended with exit code 128:"
        f" remote error: upload-pack: not our ref {missing}."
    )
    assert caught.value.hint == (
        "Check the commit, the network, and what git on this host may read without asking for a"
        " password."
    )


def test_neither_hooks_nor_a_surrounding_repository_have_a_say(
    server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit(server.folder / "shop", a="1")
    commit(tmp_path / "mine", mine="1")
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    (template / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    (template / "post-checkout").chmod(0o755)
    # As in a hook of the user's own repository, from which venvctl may be called.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "mine" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "mine"))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(template.parent))

    checkout(server.url("shop"), head, into=tmp_path / "source", title=_TITLE)

    assert (tmp_path / "source" / "a").read_text() == "1"
    assert not (tmp_path / "ran").exists()
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert git(tmp_path / "mine", "ls-files") == "mine"


def test_modes_do_not_depend_on_the_umask(server: GitServer, tmp_path: Path) -> None:
    head = commit(server.folder / "shop", a="1")
    os.umask(0o077)

    checkout(server.url("shop"), head, into=tmp_path / "source", title=_TITLE)

    assert (tmp_path / "source" / "a").stat().st_mode & 0o777 == 0o644


def test_a_host_without_git_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shutil.which("git")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UnavailableError) as caught:
        checkout("https://127.0.0.1:9/shop", "0" * 40, into=tmp_path / "source", title=_TITLE)

    assert caught.value.message == f"{_TITLE} comes from git, and this host has no git."
    assert caught.value.hint == "Install git, or take the package from an index."
