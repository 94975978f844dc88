"""Texts in the shape that people publish, in our own words, with the right verdict beside each: the YAML files here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from trtnemo.errors import TrtnemoError
from trtnemo.launch.check import check_invocation
from trtnemo.launch.pasted.command import read_command

CORPUS = Path(__file__).parent
MODELS = {
    "{super}": "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4",
    "{nano}": "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4",
    "{ultra}": "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-NVFP4",
    "{lightning}": "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4",
}
ENTRIES = [
    (f"{path.stem}: {entry['name']}", entry)
    for path in sorted(CORPUS.glob("*.yaml"))
    for entry in yaml.safe_load(path.read_text(encoding="utf-8"))
]


def filled(text: Any) -> Any:
    for mark, name in MODELS.items():
        text = text.replace(mark, name)
    return text


def verdict_of(entry: dict[str, Any]) -> tuple[str, Any]:
    """Return the verdict, and the rules of errors and warnings; or `refused` and the sentence."""
    try:
        invocation = read_command(filled(entry["text"]), entry.get("version"), entry.get("part"))
        report = check_invocation(invocation, entry.get("capability"))
    except TrtnemoError as error:
        return "refused", str(error)
    severities = {finding.severity for finding in report.findings}
    verdict = "failed" if "error" in severities else "unread" if report.unread else "passed"
    assert report.passed == (verdict == "passed")
    return verdict, (invocation, {f.rule for f in report.findings if f.severity != "note"})
