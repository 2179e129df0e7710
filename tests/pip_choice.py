"""Asks pip itself which file of each requirement it would take, for any target; run with pip alone.

`own_tools.py` runs it where pip is and venvctl is not. It reads JSON from standard input,
``{"lock": path, "pylock": bool, "extras": [], "groups": [], "targets": {name: {"tags": [],
"environment": {}, "version": ""}}}``, and writes ``{name: {package: file or commit}}``, with
``"@ "`` before what is not from an index, or ``{name: {"error": text}}`` for a target that pip
refuses. Nothing is downloaded but the index's pages.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pip._internal.exceptions import PipError
from pip._internal.index.collector import IndexContent, LinkCollector
from pip._internal.index.package_finder import PackageFinder
from pip._internal.models.index import PyPI
from pip._internal.models.search_scope import SearchScope
from pip._internal.models.selection_prefs import SelectionPreferences
from pip._internal.models.target_python import TargetPython
from pip._internal.network.session import PipSession
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements
from pip._vendor.packaging import markers
from pip._vendor.packaging.pylock import Pylock, PylockSelectError
from pip._vendor.packaging.tags import Tag
from pip._vendor.packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from pip._internal.models.link import Link


def tags_of(target: dict[str, Any]) -> list[Tag]:
    """The compatible tags of a target, best first."""
    return [Tag(*text.split("-")) for text in target["tags"]]


def of_pylock(asked: dict[str, Any], target: dict[str, Any]) -> dict[str, str]:
    """What pip takes of a lock of PEP 751."""
    lock = Pylock.from_dict(tomllib.loads(Path(asked["lock"]).read_text(encoding="utf-8-sig")))
    groups = {*(lock.default_groups or ()), *asked["groups"]}
    chosen = lock.select(
        environment=target["environment"],
        tags=tags_of(target),
        extras=asked["extras"],
        dependency_groups=groups,
    )
    return {
        package.name: getattr(file, "filename", "")
        or getattr(file, "commit_id", "")
        or getattr(file, "url", "")
        or getattr(file, "path", "")
        for package, file in chosen
    }


def of_requirements(lock: str, target: dict[str, Any], session: PipSession) -> dict[str, str]:
    """What pip takes of a requirements file."""
    index = os.environ.get("PIP_INDEX_URL", PyPI.simple_url)
    wanted = TargetPython(
        py_version_info=tuple(int(part) for part in target["version"].split(".")[:3])
    )
    wanted._valid_tags = tags_of(target)
    wanted._valid_tags_set = set(wanted._valid_tags)
    finder = PackageFinder.create(
        link_collector=LinkCollector(session, SearchScope([], [index], no_index=False)),
        selection_prefs=SelectionPreferences(allow_yanked=True),
        target_python=wanted,
    )
    parsed = list(parse_requirements(lock, session=session, finder=finder))
    every = [install_req_from_parsed_requirement(each) for each in parsed if not each.is_editable]
    constraints = [each for each in every if each.constraint and each.match_markers()]
    applying = [each for each in every if not each.constraint and each.match_markers()]
    with ThreadPoolExecutor(16) as pool:  # the pages are kept; only the first target waits for them
        list(
            pool.map(finder.find_all_candidates, {each.name for each in applying if not each.link})
        )
    found: dict[str, str] = {}
    for each in applying:
        if each.link:
            commit = each.link.url_without_fragment.rpartition("@")[2]
            file = commit if each.link.is_vcs else each.link.filename
            found[canonicalize_name(each.name or each.link.egg_fragment or file)] = f"@ {file}"
            continue
        specifier, hashes = each.req.specifier, each.hashes(trust_internet=False)
        for constraint in constraints:
            if canonicalize_name(constraint.name) == canonicalize_name(each.name):
                specifier &= constraint.req.specifier
                hashes &= constraint.hashes(trust_internet=False)
        best = finder.find_best_candidate(each.name, specifier, hashes).best_candidate
        found[canonicalize_name(each.name)] = best.link.filename if best else "no file"
    return found


def main() -> None:
    """Answer for every target."""
    asked = json.load(sys.stdin)
    session = PipSession(retries=3)
    answers: dict[str, dict[str, str]] = {}
    pages: dict[str, IndexContent | None] = {}
    fetch = LinkCollector.fetch_response

    def fetch_once(self: LinkCollector, location: Link, **rest: Any) -> IndexContent | None:
        if location.url not in pages:
            pages[location.url] = fetch(self, location, **rest)
        return pages[location.url]

    with patch.object(LinkCollector, "fetch_response", fetch_once):
        for name, target in asked["targets"].items():
            environment = functools.partial(dict, target["environment"])
            with patch.object(markers, "default_environment", environment):
                try:
                    answers[name] = (
                        of_pylock(asked, target)
                        if asked["pylock"]
                        else of_requirements(asked["lock"], target, session)
                    )
                except (PipError, PylockSelectError) as error:
                    answers[name] = {"error": str(error).partition("\n")[0]}
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
