"""One known issue, as data with one small function."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from trtnemo.findings import Finding, Severity
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.settings import Settings

TRAINED_POSITIONS = 262_144  # max_position_embeddings of every Super config
# Nemotron-H, Nemotron-3, and Nano 2, which is named by its sizes; Llama-Nemotron is a transformer.
_HYBRIDS = re.compile(r"NEMOTRON[-_. ]?(H|V?3)\b|NEMOTRON-NANO-(9B|12B)-V2")


def _model_type(model: str) -> str | None:
    """Return what the config.json of a local model says that it is."""
    try:
        kind = json.loads((Path(model) / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        return None
    return kind if isinstance(kind, str) else None


@dataclass(frozen=True)
class Case:
    """What a trigger looks at: the invocation, its effective settings, and the devices, where they are known."""

    invocation: Invocation
    settings: Settings
    compute_capability: str | None = None

    def option(self, name: str) -> Any:
        """Return an option's value, or None."""
        return self.invocation.option(name)

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
        kind = _model_type(self.invocation.model)
        if kind is not None:
            return kind == "nemotron_h"
        name = self.invocation.model.upper()
        return _HYBRIDS.search(name) is not None and "LLAMA" not in name

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
class Rule:
    """A known issue of some versions of a server.

    `since` is the first version that has it and `until` the last; None leaves that side open. `is_confirmed` is false
    where the versions are inferred. `log` is what the server writes when it dies of this.
    """

    name: str
    server: str
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

    def concerns(self, invocation: Invocation) -> bool:
        """Return whether the invocation's server has the issue in its version."""
        version = invocation.version or invocation.surface.surface.version  # without one, the record's is asked about
        return invocation.server == self.server and self.affects(version)

    def apply(self, case: Case) -> Finding | None:
        """Return the finding where the issue is triggered."""
        if not self.concerns(case.invocation):
            return None
        found = self.trigger(case)
        if found is None:
            return None
        subject, why = found
        doubt = "" if self.is_confirmed else "; that this version has it is inferred"
        return Finding(self.severity, self.name, subject, f"{why}: {self.symptom} [{self.source}{doubt}]", self.remedy)

    def explains(self, line: str) -> bool:
        """Return whether a line of a server's log is this issue's."""
        return self.log is not None and re.search(self.log, line, re.IGNORECASE) is not None
