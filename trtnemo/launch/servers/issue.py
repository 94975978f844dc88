"""One known issue, as data with one small function."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.family.releases import release_named
from trtnemo.findings import Finding, Severity
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.settings import Settings

# Nemotron-H, Nemotron-3, and Nano 2, which is named by its sizes; Llama-Nemotron is a transformer.
_HYBRIDS = re.compile(r"NEMOTRON(-LABS)?[-_. ]?(H|V?3)\b|NEMOTRON-NANO-(9B|12B)-V2")
_THIRD = re.compile(r"NEMOTRON(-LABS)?[-_. ]?V?3\b")


def trained_positions(model: str) -> int | None:
    """Return the longest context in a model's config.json, where that is here or the model is a known release."""
    given = _local_config(model).get("max_position_embeddings")
    if isinstance(given, int):
        return given
    release = release_named(model)
    return None if release is None else release.config.max_position_embeddings


def _local_config(model: str) -> dict[str, Any]:
    """Return the config.json of a model on this machine, empty where there is none."""
    try:
        content = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@dataclass(frozen=True)
class Case:
    """What a trigger looks at: the invocation, its effective settings, and the devices, where they are known."""

    invocation: Invocation
    settings: Settings
    compute_capability: str | None = None

    def option(self, name: str) -> Any:
        """Return an option's value, or None."""
        return self.invocation.option(name)

    def late_choices(self, name: str) -> tuple[str, ...]:
        """Return the values that an option may have, where the server checks them after its parser."""
        return self.invocation.surface.late_choices.get(name, ())

    @property
    def is_nvfp4(self) -> bool:
        """Whether the model's name says that its weights are NVFP4."""
        return "NVFP4" in self.invocation.model.upper()

    @property
    def is_nemotron(self) -> bool:
        """Whether the model's name is one of the family's."""
        return "NEMOTRON" in self.invocation.model.upper()

    @property
    def is_nemotron_h(self) -> bool:
        """Whether the model is a Mamba hybrid of the family: by its config.json where it is here, else by its name."""
        kind = _local_config(self.invocation.model).get("model_type")
        if isinstance(kind, str):
            return kind == "nemotron_h"
        name = self.invocation.model.upper()
        return _HYBRIDS.search(name) is not None and "LLAMA" not in name

    @property
    def is_nemotron_3(self) -> bool:
        """Whether the model's name is one of the third generation, whose cards name their parsers."""
        return _THIRD.search(self.invocation.model.upper()) is not None

    @property
    def is_stranger(self) -> bool:
        """Whether the model is named after the family, and none of the rules for its hybrids applies to the name."""
        return self.is_nemotron and not self.is_nemotron_h and "LLAMA" not in self.invocation.model.upper()

    @property
    def network(self) -> ModelConfig | None:
        """The network of the release that has this name, where it is one whose config is known here."""
        release = release_named(self.invocation.model)
        return None if release is None else release.config

    @property
    def trained_positions(self) -> int | None:
        """The longest context in config.json: the model's own where it is here, else that of the release so named."""
        return trained_positions(self.invocation.model)

    def beyond_training(self, length: Any) -> str | None:
        """Return, in words, by how much a length exceeds what the model was trained on, or None."""
        trained = self.trained_positions
        if trained is None or not isinstance(length, int) or length <= trained:
            return None
        return f"{length:,} positions, config.json says {trained:,}"

    @property
    def is_hopper(self) -> bool:
        """Whether the devices are H100 or H200."""
        return (self.compute_capability or "").startswith("9.")

    @property
    def lacks_fp4(self) -> bool:
        """Whether the devices are older than Blackwell, the first that computes in FP4."""
        return self.compute_capability is not None and int(self.compute_capability.partition(".")[0]) < 10


# Returns where the issue shows and, in words, why; or None.
Trigger = Callable[[Case], tuple[str, str] | None]


@dataclass(frozen=True)
class KnownIssue:
    """A known issue of some versions of a server.

    `since` is the first version that has it and `until` the last; None leaves that side open. `is_confirmed` is false
    where the versions are inferred. `log` is what the server writes when it dies of this.
    """

    name: str
    severity: Severity
    symptom: str
    source: str
    remedy: str
    trigger: Trigger
    since: str | None = None
    until: str | None = None
    is_confirmed: bool = True
    log: str | None = None

    def affects(self, version: str) -> bool:
        """Return whether a version has the issue."""
        asked = Version(version)
        return not (
            (self.since is not None and asked < Version(self.since))
            or (self.until is not None and asked > Version(self.until))
        )

    def apply(self, case: Case) -> Finding | None:
        """Return the finding where the issue is triggered; whether the version has it is not asked here."""
        found = self.trigger(case)
        if found is None:
            return None
        subject, why = found
        doubt = "" if self.is_confirmed else "; that this version has it is inferred"
        return Finding(self.severity, self.name, subject, f"{why}: {self.symptom} [{self.source}{doubt}]", self.remedy)

    def explains(self, line: str) -> bool:
        """Return whether a line of a server's log is this issue's."""
        return self.log is not None and re.search(self.log, line, re.IGNORECASE) is not None
