"""Everything that can be known about a server start before it is tried."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trtnemo.findings import Finding, errors, ordered
from trtnemo.launch.installed.opinion import Opinion, merged
from trtnemo.launch.options.checking import check_options
from trtnemo.launch.options.llm_args import check_llm_args
from trtnemo.launch.servers.invocation import Container, Invocation
from trtnemo.launch.servers.issue import Case
from trtnemo.launch.servers.registry import find_server
from trtnemo.launch.servers.server import Server
from trtnemo.launch.servers.settings import effective_settings, flatten
from trtnemo.launch.servers.surface import SurfaceChoice
from trtnemo.recipe import AnyRecipe
from trtnemo.recipe.nearest import suggestion

# Findings on what was not read: a verdict does not speak for it.
UNREAD = {
    "variable-not-set",
    "branch-not-read",
    "file-not-read",
    "line-dropped",
    "broken-line",
    "text-not-read",
    "kind-not-checked",
}
# Findings of the parser that an unrecorded version may not share.
_VERSION_BOUND = {"unknown-option", "unknown-key", "option-value", "key-value"}


@dataclass(frozen=True)
class LaunchReport:
    """What a check found, by which record, and how much it read: options, variables, and keys of the server's file."""

    server: str
    version: str | None
    checked_against: str
    evidence: str
    model: str
    form: str
    read: Mapping[str, int]
    findings: list[Finding]
    witnesses: tuple[str, ...] = ()

    @property
    def unread(self) -> list[str]:
        """What the text leaves open, or this check did not see: subjects of findings."""
        return [finding.subject for finding in self.findings if finding.rule in UNREAD]

    @property
    def passed(self) -> bool:
        """Whether all was read, and nothing found stops the server."""
        return not errors(self.findings) and not self.unread


def check_invocation(
    invocation: Invocation, compute_capability: str | None = None, device_count: int | None = None
) -> LaunchReport:
    """Return what a server would refuse, ignore or override, and the known issues that a start would meet.

    `device_count` is how many devices there are, where that is known.
    """
    choice, server = invocation.record, find_server(invocation.server)
    settings, sizes = effective_settings(invocation), server.parallel_sizes(invocation)
    invocation = dataclasses.replace(invocation, findings=(*invocation.findings, *check_options(invocation)))
    content, backend = invocation.llm_args, settings.get("backend")
    of_file = [] if content is None else check_llm_args(choice.surface, content, backend)
    findings = [*invocation.findings, *_environment(invocation, choice), *of_file, *settings.findings]
    findings += [*_unreachable(invocation), *_unpublished(invocation), *_unread_file(invocation, server)]
    if _is_another_version(invocation, choice):
        findings = _softened(findings)
    case = Case(invocation, settings, compute_capability)
    findings = [*_with_known_issues(findings, server, case), *_about_the_model(case)]
    findings += [
        *_too_parallel(sizes, device_count, invocation.device_count),
        *_idle(sizes, server.replicas(invocation), invocation.device_count),
        *_about_the_record(choice, invocation.container),
    ]
    return LaunchReport(
        server=invocation.server,
        version=invocation.version,
        checked_against=choice.surface.title,
        evidence=choice.surface.evidence,
        model=invocation.model,
        form=invocation.form,
        read=_counted(invocation),
        findings=ordered(findings),
        witnesses=(f"rules and record of {choice.surface.title}",),
    )


def with_findings(report: LaunchReport, findings: Sequence[Finding]) -> LaunchReport:
    """Return a report with what else was found in the same text."""
    return dataclasses.replace(report, findings=ordered([*report.findings, *findings]))


def with_opinion(report: LaunchReport, opinion: Opinion, device: str) -> LaunchReport:
    """Return a report with what the installed server itself said of the start on a stated device."""
    witness = f"{opinion.witness}, on a stated {device}"
    findings = ordered(merged(report.findings, opinion, report.version))
    return dataclasses.replace(report, findings=findings, witnesses=(*report.witnesses, witness))


def _counted(invocation: Invocation) -> dict[str, int]:
    """Return how much of a start was read."""
    return {
        "options": len(invocation.options) + len(invocation.unknown),
        "variables": len(invocation.env),
        "file_keys": len(flatten(invocation.llm_args or {})),
    }


def check_recipe(invocation: Invocation, recipe: AnyRecipe) -> LaunchReport:
    """Return the check of the start that a recipe means, on the devices that it is written for."""
    hardware = recipe.hardware
    count = hardware.count if "hardware" in recipe.model_fields_set else None
    report = check_invocation(invocation, hardware.compute_capability, count)
    from trtnemo.launch.start_conditions import start_findings

    return dataclasses.replace(report, findings=ordered([*report.findings, *start_findings(recipe)]))


def _with_known_issues(findings: list[Finding], server: Server, case: Case) -> list[Finding]:
    """Add the known issues; one that refuses the same subject takes the place of the parser's finding."""
    # without a version, the record's is asked about
    issues = server.issues_of(case.invocation.version or case.invocation.surface.version)
    known = [finding for issue in issues if (finding := issue.apply(case)) is not None]
    explained = {finding.subject for finding in known if finding.severity == "error"}
    kept = [f for f in findings if not (f.rule in _VERSION_BOUND and f.subject in explained)]
    return [*kept, *known]


def _is_another_version(invocation: Invocation, choice: SurfaceChoice) -> bool:
    """Return whether the record is another version's; where neither version nor image is named, it is what is asked."""
    return not choice.is_exact and (choice.asked is not None or invocation.container is not None)


def _softened(findings: list[Finding]) -> list[Finding]:
    """Return the parser's errors as warnings."""
    return [
        dataclasses.replace(finding, severity="warning")
        if finding.severity == "error" and finding.rule in _VERSION_BOUND
        else finding
        for finding in findings
    ]


def _about_the_record(choice: SurfaceChoice, container: Container | None) -> list[Finding]:
    if choice.is_exact:
        return []
    if choice.asked:
        asked = f"there is no record of {choice.asked}"
    elif container is not None:
        asked = f"the image {container.image} names no version of {choice.surface.dialect.title}"
    else:
        asked = "no version is named, and no image was read"
    remedy = "" if choice.asked else "Name it with --server-version, or in the recipe"
    return [Finding("note", "record", "version", f"{asked}: checked against {choice.surface.title}", remedy)]


def _about_the_model(case: Case) -> list[Finding]:
    if not case.is_stranger:
        return []
    message = "no member of the family that is known here has this name: the rules for its hybrids were not applied"
    return [Finding("note", "unknown-member", "model", message)]


def _unreachable(invocation: Invocation) -> list[Finding]:
    """Return a finding where a pasted container's server listens to itself alone."""
    host = invocation.options.get("--host", invocation.surface.dialect.default_host)
    container = invocation.container
    if container is None or container.shares_network or not invocation.is_pasted:
        return []
    if host not in ("localhost", "127.0.0.1", "::1"):
        return []
    message = f"{host} is the container's own address: the published port does not reach it"
    return [Finding("warning", "container-host", "--host", message, "Give --host 0.0.0.0")]


def _unpublished(invocation: Invocation) -> list[Finding]:
    """Return a finding where a pasted docker line publishes ports, and not the one that the server listens on."""
    container, port = invocation.container, invocation.port
    if container is None or container.shares_network or not container.ports or port in container.ports.values():
        return []
    published = ", ".join(map(str, container.ports.values()))
    message = f"the server listens on {port}, the container publishes {published}"
    return [Finding("warning", "container-port", "--port", message, f"Give -p {port}:{port}, or another --port")]


def _too_parallel(sizes: tuple[Any, Any], of_hardware: int | None, of_text: int | None) -> list[Finding]:
    """Return a finding where the model is cut into more parts than there are devices."""
    count = of_text if of_hardware is None else of_hardware
    if count is None or not all(isinstance(size, int) for size in sizes) or math.prod(sizes) <= count:
        return []
    told = f"the text gives {count}" if of_hardware is None else f"hardware.count says {count}"
    message = f"{sizes[0]} x {sizes[1]} devices (tensor x pipeline) are needed, {told}"
    subject = "devices" if of_hardware is None else "hardware.count"
    return [Finding("error", "too-parallel", subject, message, "Make the sizes smaller, or name the devices")]


def _idle(sizes: tuple[Any, Any], replicas: Any, of_text: int | None) -> list[Finding]:
    """Return a finding where a text gives the server more GPUs than it works on."""
    factors = (*sizes, replicas)
    if of_text is None or not all(isinstance(size, int) for size in factors) or math.prod(factors) >= of_text:
        return []
    message = f"the text gives {of_text} GPUs, and the server works on {math.prod(factors)} of them: the rest stay idle"
    return [Finding("warning", "idle-gpus", "devices", message, "Give it fewer, or a larger tensor parallel size")]


def _unread_file(invocation: Invocation, server: Server) -> list[Finding]:
    """Return a finding where the server takes options from a file, which is not read here."""
    option = server.config_option
    path = invocation.option(option) if option is not None else None
    if path is None:
        return []
    message = f"the options in {path} are not read: they are not checked, and may change what is"
    return [
        Finding(
            "warning",
            "file-not-read",
            str(option),
            message,
            "Paste the file with the command, or write them out, to have them read",
        )
    ]


def _environment(invocation: Invocation, choice: SurfaceChoice) -> list[Finding]:
    """Return findings on variables that carry the server's prefix and that it does not read."""
    findings, known = [], choice.surface.environment
    for name in invocation.env:
        if choice.surface.reads(name) and name not in known:
            message = f"{choice.surface.title} is not known to read it{suggestion(name, known)}"
            findings.append(Finding("warning", "unknown-variable", name, message))
    return findings


def report_json(report: LaunchReport) -> dict[str, Any]:
    """Return a report as plain data."""
    return {"passed": report.passed, "unread": report.unread, **dataclasses.asdict(report)}
