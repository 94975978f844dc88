"""Compare a checkpoint with what its config and quantization map promise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NoReturn

from trtnemo.checkpoint.auditing.configs import config_findings
from trtnemo.checkpoint.auditing.groups import settle_groups
from trtnemo.checkpoint.auditing.modelopt import Comparison, compare_with_modelopt
from trtnemo.checkpoint.auditing.scales import never_written, scale_findings
from trtnemo.checkpoint.auditing.tensors import settle_formats, tensor_findings
from trtnemo.checkpoint.auditing.tokenizer import tokenizer_findings
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.collector import paused_collector
from trtnemo.checkpoint.family.expected import ExpectedTensor
from trtnemo.checkpoint.family.tools.known import refuse_unsaid_tool
from trtnemo.checkpoint.family.tools.tool_map import ToolMap
from trtnemo.errors import CheckpointError
from trtnemo.findings import Finding


@dataclass(frozen=True)
class DeepSummary:
    """How much of a checkpoint was read to the last byte, and which tensors no rule judges.

    digests: files that were compared with the sha256 that was published, or given.
    """

    bytes: int
    seconds: float
    unjudged: tuple[str, ...] = ()
    digests: int = 0


@dataclass(frozen=True)
class AuditReport:
    """What an audit found, and what it looked at.

    `remote_code` lists the Python classes that config.json's auto_map names: reported, never imported. `modelopt` is
    there where sampled weights were decoded by ModelOpt too, `deep` where every value was read. `values_read` says
    whether the values of scales were read.
    """

    directory: str
    tensors: int
    bytes: int
    formats: dict[str, int]
    producer: str | None
    remote_code: tuple[str, ...] = ()
    values_read: bool = True
    deep: DeepSummary | None = None
    modelopt: Comparison | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing worse than a warning was found."""
        return not self.errors

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the checkpoint unfit to serve."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def first_error(self) -> str | None:
        """The first error in words, with how many more there are; nothing where there is none."""
        if not self.errors:
            return None
        first, more = self.errors[0], len(self.errors) - 1
        return f"{first.subject}: {first.message}" + (f" (and {more} more)" if more else "")

    def require(self) -> None:
        """Raise CheckpointError for the first error, naming how many there are."""
        if self.first_error is not None:
            raise CheckpointError(
                self.first_error,
                where=self.directory,
                remedy=f"`trtnemo check {self.directory}` lists everything",
            )


@paused_collector()
def audit(checkpoint: Checkpoint, *, values: bool = True, with_modelopt: bool = False) -> AuditReport:
    """Return every finding of a checkpoint; reads headers, and where `values` says so the values of scales too.

    Of a checkpoint whose headers alone were fetched, no values are read. `with_modelopt` decodes sampled weights by
    ModelOpt too, and raises MachineError where it is not installed. Raises CheckpointError for the weights of a tool
    that is not audited here.
    """
    tool = checkpoint.quantization.tool
    if tool is None:
        refuse_unsaid_tool(checkpoint.tensors, checkpoint.place)
    elif with_modelopt or not tool.is_audited:
        _refuse_tool(tool, checkpoint.place)
    expected, mismatches = settle_formats(checkpoint) if tool is None else settle_groups(checkpoint, tool)
    findings = [
        *checkpoint.headers.problems,
        *config_findings(checkpoint, expected),
        *tokenizer_findings(checkpoint),
        *mismatches,
        *tensor_findings(checkpoint, expected),
    ]
    holes = list(never_written(checkpoint)) if values and checkpoint.listing is None else []
    reads_values = values and checkpoint.listing is None and not holes
    findings += [*holes, *(scale_findings(checkpoint, expected) if reads_values else ())]
    comparison = compare_with_modelopt(checkpoint) if with_modelopt and checkpoint.listing is None else None
    if comparison is not None:
        findings += comparison.findings
    return AuditReport(
        directory=checkpoint.place,
        tensors=len(checkpoint.tensors),
        bytes=checkpoint.total_bytes,
        formats=_count_formats(expected),
        producer=checkpoint.quantization.producer if tool is None else tool.title,
        remote_code=_remote_code(checkpoint.raw_config.get("auto_map")),
        values_read=reads_values,
        modelopt=comparison,
        findings=findings,
    )


def _refuse_tool(tool: ToolMap, place: str) -> NoReturn:
    """Raise CheckpointError for weights that are known and sized, and neither audited nor decoded by ModelOpt."""
    asked = "ModelOpt does not decode" if tool.is_audited else "`check` does not audit"
    raise CheckpointError(
        f"its weights are {tool.title}, which {asked}", where=place, remedy=f"{tool.readers}; `trtnemo plan` sizes it"
    )


def _remote_code(auto_map: object) -> tuple[str, ...]:
    return tuple(sorted(str(value) for value in auto_map.values())) if isinstance(auto_map, dict) else ()


def _count_formats(expected: dict[str, ExpectedTensor]) -> dict[str, int]:
    """Count the weights of linear layers by the format that they are stored in."""
    return dict(Counter(item.weight_format.value for item in expected.values() if item.weight_format is not None))
