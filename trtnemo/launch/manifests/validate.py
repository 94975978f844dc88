"""A manifest judged by every rule."""

from __future__ import annotations

from trtnemo.errors import MachineError, UsageError
from trtnemo.findings import Finding, ordered
from trtnemo.launch.manifests.objects import objects_of
from trtnemo.launch.manifests.rule import Manifest, all_rules
from trtnemo.launch.manifests.schemas import are_installed
from trtnemo.launch.pasted.yaml_text import load_yaml


def manifest_findings(documents: tuple[object, ...]) -> list[Finding]:
    """Return what is wrong with the objects of YAML documents, worst first; nothing where they are none."""
    manifest = Manifest(tuple(objects_of(documents)))
    if not manifest.objects:
        return []
    return ordered(finding for rule in all_rules() for finding in rule(manifest))


def findings_of_text(text: str) -> list[Finding]:
    """Return what is wrong with the manifest that a pasted text is; nothing where it is none."""
    try:
        documents = load_yaml(text).documents
    except UsageError:
        return []
    return manifest_findings(documents)


def validate(text: str) -> list[Finding]:
    """Return what is wrong with a manifest; raises MachineError where its schemas are not installed."""
    if not are_installed():
        raise MachineError(
            "the schemas of Kubernetes are not installed", remedy="pip install 'trtnemo[manifests]' has them"
        )
    content = load_yaml(text)
    return ordered([*manifest_findings(content.documents), *content.findings])
