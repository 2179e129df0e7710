"""Bills of materials: valid CycloneDX, the same every time, with hashes, licences and needs."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from console import venvctl_command
from estate import SITE, Estate
from venvctl.errors import IntegrityError, UsageError
from venvctl.sbom import BillOfMaterials, bill
from wheelhouse import BuiltWheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME = "shop_venv"


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(folder=tmp_path)


def wheel(estate: Estate, name: str, *fields: str) -> BuiltWheel:
    """A wheel with further fields in its METADATA."""
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *fields, ""]
    return make_wheel(estate.folder, name, metadata="\n".join(lines))


def document(estate: Estate, *wheels: BuiltWheel) -> dict[str, Any]:
    """The bill of an environment with these packages."""
    estate.add(NAME, "a", *wheels)
    found: dict[str, Any] = json.loads(bill(NAME, estate.root).text)
    return found


def component(found: dict[str, Any], name: str) -> dict[str, Any]:
    [one] = [each for each in found["components"] if each["name"] == name]
    return dict(one)


def test_it_is_valid(estate: Estate) -> None:
    document(
        estate,
        wheel(estate, "alpha", "License-Expression: MIT OR Apache-2.0", "Requires-Dist: beta"),
        wheel(estate, "beta", "License: BSD-3-Clause", "Home-page: https://beta.invalid/"),
        wheel(estate, "gamma", "Classifier: License :: OSI Approved :: MIT License"),
    )
    text = bill(NAME, estate.root).text
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_a_package_is_told_with_everything_that_is_known(estate: Estate) -> None:
    estate.urls["alpha-1.0-py3-none-any.whl"] = "https://files.invalid/alpha-1.0-py3-none-any.whl"
    alpha = wheel(estate, "alpha", "Summary: The first", "License-Expression: mit")
    digest = {"alg": "SHA-256", "content": alpha.sha256}
    assert component(document(estate, alpha), "alpha") == {
        "type": "library",
        "bom-ref": "pkg:pypi/alpha@1.0",
        "name": "alpha",
        "version": "1.0",
        "purl": "pkg:pypi/alpha@1.0",
        "description": "The first",
        "hashes": [digest],
        "licenses": [{"license": {"id": "MIT", "acknowledgement": "declared"}}],
        "externalReferences": [
            {
                "type": "distribution",
                "url": "https://files.invalid/alpha-1.0-py3-none-any.whl",
                "hashes": [digest],
            }
        ],
        "properties": [{"name": "venvctl:file", "value": alpha.file}],
    }


def test_the_environment_and_its_interpreter_are_told(estate: Estate) -> None:
    generation = estate.add(NAME, "a", wheel(estate, "alpha"))
    found = json.loads(bill(NAME, estate.root).text)
    assert found["metadata"]["component"] == {
        "type": "application",
        "bom-ref": "environment:shop_venv",
        "name": "shop_venv",
        "version": "1",
        "description": "Python environment for containers that mount it at /venv",
        "properties": [
            {"name": "venvctl:image", "value": "sha256:image"},
            {"name": "venvctl:key", "value": generation.key},
        ],
    }
    assert [tool["name"] for tool in found["metadata"]["tools"]["components"]] == ["venvctl"]
    assert component(found, "cpython") == {
        "type": "platform",
        "bom-ref": "interpreter:cpython@3.11.2",
        "name": "cpython",
        "version": "3.11.2",
        "description": "The interpreter of the image, /usr/bin/python3.11",
    }


@pytest.mark.parametrize(
    ("fields", "licenses"),
    [
        (["License-Expression: MIT OR Apache-2.0"], [{"expression": "MIT OR Apache-2.0"}]),
        (["License-Expression: nonsense words"], [{"name": "nonsense words"}]),
        (["License-Expression: MIT", "License: GPL"], [{"id": "MIT"}]),
        (["License: BSD-3-Clause"], [{"id": "BSD-3-Clause"}]),
        (["License: The text\n        of a licence"], [{"name": "The text"}]),
        (["License: UNKNOWN"], []),
        (
            [
                "License: BSD",
                "Classifier: License :: OSI Approved :: BSD License",
                "Classifier: License :: OSI Approved",
            ],
            [{"name": "BSD License"}],
        ),
        ([], []),
    ],
)
def test_a_licence_is_what_metadata_says(
    estate: Estate, fields: Sequence[str], licenses: list[dict[str, str]]
) -> None:
    found = component(document(estate, wheel(estate, "alpha", *fields)), "alpha")
    told = [
        {key: value for key, value in each.get("license", each).items() if key != "acknowledgement"}
        for each in found.get("licenses", [])
    ]
    assert told == licenses
    assert bill(NAME, estate.root).unlicensed == (() if licenses else ("alpha",))


def test_what_needs_what_follows_markers_and_extras(estate: Estate) -> None:
    found = document(
        estate,
        wheel(estate, "alpha", "Requires-Dist: beta[fast]", "Requires-Dist: absent",
              "Requires-Dist: delta; sys_platform == 'win32'"),
        wheel(estate, "beta", "Provides-Extra: fast", "Requires-Dist: gamma; extra == 'fast'",
              "Requires-Dist: delta; extra == 'slow'", "Requires-Dist: what is this"),
        wheel(estate, "delta"),
        wheel(estate, "gamma"),
    )  # fmt: skip
    edges = {each["ref"]: each.get("dependsOn", []) for each in found["dependencies"]}
    assert edges == {
        "environment:shop_venv": [
            "interpreter:cpython@3.11.2",
            *(f"pkg:pypi/{name}@1.0" for name in ("alpha", "beta", "delta", "gamma")),
        ],
        "interpreter:cpython@3.11.2": [],
        "pkg:pypi/alpha@1.0": ["pkg:pypi/beta@1.0"],
        "pkg:pypi/beta@1.0": ["pkg:pypi/gamma@1.0"],
        "pkg:pypi/delta@1.0": [],
        "pkg:pypi/gamma@1.0": [],
    }


def test_the_same_generation_gives_the_same_text(estate: Estate) -> None:
    document(estate, wheel(estate, "alpha"), wheel(estate, "beta"))
    assert bill(NAME, estate.root) == bill(NAME, estate.root)


def test_the_serial_number_is_that_of_environment_and_snapshot(estate: Estate) -> None:
    first = document(estate, wheel(estate, "alpha"))
    estate.add(NAME, "b", wheel(estate, "beta"))
    second = json.loads(bill(NAME, estate.root).text)
    before = json.loads(bill(NAME, estate.root, generation=1).text)
    assert before == first
    assert first["serialNumber"] != second["serialNumber"]
    assert first["serialNumber"].startswith("urn:uuid:")
    assert (first["version"], first["specVersion"]) == (1, "1.6")


def test_an_earlier_generation_can_be_asked_for(estate: Estate) -> None:
    estate.add(NAME, "a", wheel(estate, "alpha"))
    estate.add(NAME, "b", wheel(estate, "beta"))
    found = bill(NAME, estate.root, generation=1)
    assert found == BillOfMaterials(
        environment=NAME,
        generation=1,
        key="a" * 32,
        text=found.text,
        packages=1,
        unlicensed=("alpha",),
    )
    assert "pkg:pypi/alpha@1.0" in found.text


def test_what_is_not_there_is_named(estate: Estate) -> None:
    estate.root.create()
    with pytest.raises(UsageError) as caught:
        bill("nobody", estate.root)
    assert caught.value.message == (
        f"There is no environment 'nobody' in {estate.root.path}; known: none."
    )
    estate.root.registry.claim(estate.registration(NAME))
    estate.environment(NAME).prepare()
    with pytest.raises(UsageError) as caught:
        bill(NAME, estate.root)
    assert caught.value.message == f"Environment {NAME} has no generation yet."


def test_a_package_without_metadata_is_no_bill(estate: Estate) -> None:
    generation = estate.add(NAME, "a", wheel(estate, "alpha"))
    shutil.rmtree(generation.path / SITE / "alpha-1.0.dist-info")
    with pytest.raises(IntegrityError) as caught:
        bill(NAME, estate.root)
    assert caught.value.message == (
        f"The package alpha of the generation {generation.path} has lost its METADATA."
    )


def test_the_command_prints_it_or_writes_it(estate: Estate, tmp_path: Path) -> None:
    estate.add(NAME, "a", wheel(estate, "alpha"))
    root = str(estate.root.path)
    text = bill(NAME, estate.root).text
    assert venvctl_command("sbom", NAME, VENVCTL_ROOT=root).stdout == f"{text}\n"
    assert venvctl_command("sbom", NAME, "--json", VENVCTL_ROOT=root).data == json.loads(text)
    done = venvctl_command("sbom", NAME, "-o", "shop.cdx.json", cwd=tmp_path, VENVCTL_ROOT=root)
    assert done.stdout.splitlines() == [
        "shop_venv: written to shop.cdx.json (generation 1, 1 package)",
        "  without a licence: alpha",
    ]
    assert (tmp_path / "shop.cdx.json").read_text() == f"{text}\n"
