"""Software bills of materials: what a generation is made of, as CycloneDX has it.

Everything comes from the generation itself, its seal and the METADATA of its packages; so the same
generation gives the same bytes whenever it is asked.
"""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import (
    DisjunctiveLicense,
    License,
    LicenseAcknowledgement,
    LicenseExpression,
)
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import venvctl
from venvctl.errors import IntegrityError
from venvctl.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from venvctl.origin import Origin
    from venvctl.root import Root
    from venvctl.target import Target

SCHEMA_VERSION = SchemaVersion.V1_6
# The serial numbers of one environment and snapshot are one: drawn from this by RFC 9562, 5.5.
_NAMESPACE = uuid.UUID("0f1f6f0c-2d1e-5c68-9c0a-6f3f3d7a8f52")
_DECLARED = LicenseAcknowledgement.DECLARED
_LONGEST_NAME = 100  # characters; a longer "License" is its text
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillOfMaterials:
    """What one generation is made of.

    Attributes:
        text: CycloneDX JSON.
        packages: how many it has.
        unlicensed: packages whose METADATA tells no licence.
    """

    environment: str
    generation: int
    key: str
    text: str
    packages: int
    unlicensed: tuple[str, ...]


def bill(name: str, root: Root, *, generation: int | None = None) -> BillOfMaterials:
    """List what a generation is made of.

    Args:
        name: the environment's.
        root: where it is kept.
        generation: its number; None for the current one.

    Raises:
        UsageError: there is no such environment or generation.
        IntegrityError: the generation is damaged, so that its content can't be told.
    """
    chosen = root.generation(name, generation)
    seal = Seal.load(chosen.path)
    metadata = _metadata(chosen.path, seal)
    bom = _bom(name, seal, metadata)
    return BillOfMaterials(
        environment=name,
        generation=seal.number,
        key=seal.key,
        text=make_outputter(bom, OutputFormat.JSON, SCHEMA_VERSION).output_as_string(indent=2),
        packages=len(seal.packages),
        unlicensed=tuple(name for name, raw in metadata.items() if not list(_licenses(raw))),
    )


def _metadata(generation: Path, seal: Seal) -> dict[str, RawMetadata]:
    """The METADATA of each package, by its name, in the order of the seal."""
    site_packages = generation / "lib" / seal.target.library / "site-packages"
    found: dict[str, RawMetadata] = {}
    for path in site_packages.glob("*.dist-info/METADATA"):
        raw, _ = parse_email(path.read_bytes())
        found[canonicalize_name(raw.get("name", ""))] = raw
    try:
        return {package.origin.name: found[package.origin.name] for package in seal.packages}
    except KeyError as error:
        raise IntegrityError(
            f"The package {error.args[0]} of the generation {generation} has lost its METADATA.",
            hint="`venvctl verify --repair` has it made anew.",
        ) from error


def _bom(name: str, seal: Seal, metadata: Mapping[str, RawMetadata]) -> Bom:
    environment = Component(
        name=name,
        version=str(seal.number),
        type=ComponentType.APPLICATION,
        bom_ref=f"environment:{name}",
        description=f"Python environment for containers that mount it at {seal.mount}",
        properties=[
            Property(name="venvctl:key", value=seal.key),
            Property(name="venvctl:image", value=seal.image),
            *(
                Property(name="venvctl:lock:sha256", value=digest)
                for digest in sorted(set(seal.lock_digests.values()))
            ),
        ],
    )
    tool = Component(name="venvctl", version=venvctl.__version__, type=ComponentType.APPLICATION)
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, f"{name}\n{seal.key}"),
        metadata=BomMetaData(component=environment, timestamp=datetime.fromisoformat(seal.created)),
    )
    bom.metadata.tools.components.add(tool)
    interpreter = _interpreter(seal.target)
    packages = {
        package.origin.name: _package(package.origin, metadata[package.origin.name])
        for package in seal.packages
    }
    for component in (interpreter, *packages.values()):
        bom.components.add(component)
    bom.register_dependency(environment, [interpreter, *packages.values()])
    needs = _needs(metadata, seal.target)
    for package, component in packages.items():
        bom.register_dependency(component, [packages[other] for other in sorted(needs[package])])
    return bom


def _interpreter(target: Target) -> Component:
    name = target.markers.get("implementation_name", "python")
    return Component(
        name=name,
        version=target.version,
        type=ComponentType.PLATFORM,
        bom_ref=f"interpreter:{name}@{target.version}",
        description=f"The interpreter of the image, {target.interpreter}",
    )


def _package(origin: Origin, raw: RawMetadata) -> Component:
    purl = PackageURL("pypi", name=origin.name, version=origin.version)
    return Component(
        name=origin.name,
        version=origin.version,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        description=raw.get("summary") or None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=origin.sha256)],
        licenses=_licenses(raw),
        external_references=_references(origin, raw),
        properties=[
            Property(name="venvctl:file", value=origin.file),
            *([Property(name="venvctl:built-from", value=origin.source)] if origin.source else []),
        ],
    )


def _references(origin: Origin, raw: RawMetadata) -> Iterator[ExternalReference]:
    if origin.url:
        content = origin.source or origin.sha256
        hashes = (
            [HashType(alg=HashAlgorithm.SHA_256, content=content)]
            if _SHA256.fullmatch(content)
            else []
        )
        kind = (
            ExternalReferenceType.SOURCE_DISTRIBUTION
            if origin.source
            else ExternalReferenceType.DISTRIBUTION
        )
        yield ExternalReference(type=kind, url=XsUri(origin.url), hashes=hashes)
    if page := raw.get("home_page", ""):
        yield ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(page))


def _licenses(raw: RawMetadata) -> Iterator[License]:
    """What METADATA says, in the order of how exact it is (PEP 639)."""
    if expression := raw.get("license_expression", ""):
        try:
            valid = canonicalize_license_expression(expression)
        except InvalidLicenseExpression:
            yield _named(expression)
        else:
            yield _identified(valid)
        return
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in raw.get("classifiers", ())
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    stated = raw.get("license", "").strip()
    if is_supported_id(stated):
        yield _identified(stated)
    elif classifiers:
        # A component has a list of licences, or one expression: these are names.
        yield from (_named(text) for text in dict.fromkeys(classifiers))
    elif stated and stated.upper() != "UNKNOWN":
        yield _named(stated)


def _identified(expression: str) -> License:
    if is_supported_id(expression):
        return DisjunctiveLicense(id=expression, acknowledgement=_DECLARED)
    return LicenseExpression(expression, acknowledgement=_DECLARED)


def _named(text: str) -> License:
    return DisjunctiveLicense(
        name=text.splitlines()[0].strip()[:_LONGEST_NAME], acknowledgement=_DECLARED
    )


def _needs(metadata: Mapping[str, RawMetadata], target: Target) -> dict[str, set[str]]:
    """Which of the packages each of them needs, with the extras that others ask of it."""
    extras: dict[str, set[str]] = {name: {""} for name in metadata}
    needs: dict[str, set[str]] = {name: set() for name in metadata}
    environment = target.marker_environment()
    waiting = list(metadata)
    while waiting:
        name = waiting.pop()
        for requirement in _requirements(metadata[name]):
            other = canonicalize_name(requirement.name)
            if other not in metadata or not _applies(requirement, environment, extras[name]):
                continue
            needs[name].add(other)
            asked = {canonicalize_name(extra) for extra in requirement.extras}
            if asked - extras[other]:
                extras[other] |= asked
                waiting.append(other)
    return needs


def _requirements(raw: RawMetadata) -> Iterator[Requirement]:
    for text in raw.get("requires_dist", ()):
        # Old packages have requirements that no standard ever allowed, and hostile ones any.
        with suppress(ValueError, RecursionError):
            yield Requirement(text)


def _applies(
    requirement: Requirement, environment: Mapping[str, str], extras: Iterable[str]
) -> bool:
    if requirement.marker is None:
        return True
    try:
        return any(requirement.marker.evaluate({**environment, "extra": extra}) for extra in extras)
    except (ValueError, KeyError):
        return False  # it compares what can't be compared
