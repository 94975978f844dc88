"""Rules that hold for the family on every server: whose parsers read its answers, and how its heads may be cut."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.launch.servers.issue import Case, KnownIssue, Trigger


@dataclass(frozen=True)
class Parsers:
    """How a server calls the parsers that the family's cards name, and the options that choose them.

    `plugins` are options by which a file brings others, of which nothing is said.
    """

    tool_option: str
    reasoning_option: str
    tools: tuple[str, ...]
    reasonings: tuple[str, ...]
    plugins: tuple[str, ...] = ()


def parser_issues(server: str, parsers: Parsers) -> tuple[KnownIssue, ...]:
    """Return the rules on parsers of another family, and on thinking that no parser takes out."""
    best = parsers.reasonings[0]
    return (
        KnownIssue(
            name=f"{server}-foreign-tool-parser",
            severity="warning",
            symptom="it reads another family's calls: Nemotron-3 writes <function=...>, and no call is found",
            source="the model cards",
            remedy=f"Use {' or '.join(parsers.tools)}",
            trigger=_foreign(parsers, parsers.tool_option, parsers.tools),
        ),
        KnownIssue(
            name=f"{server}-foreign-reasoning-parser",
            severity="warning",
            symptom="it is written for another family: thinking may stay in the content, or the answer be lost",
            source="the model cards",
            remedy=f"Use {best}",
            trigger=_foreign(parsers, parsers.reasoning_option, parsers.reasonings),
        ),
        KnownIssue(
            name=f"{server}-no-reasoning-parser",
            severity="warning",
            symptom="thinking and </think> stay in the content",
            source="the model cards; NemoClaw PR 6992",
            remedy=f"Add {parsers.reasoning_option} {best}",
            trigger=_open_thinking(parsers),
        ),
    )


def _foreign(parsers: Parsers, option: str, own: tuple[str, ...]) -> Trigger:
    def trigger(case: Case) -> tuple[str, str] | None:
        name = case.option(option)
        if not case.is_nemotron_3 or name is None or any(case.option(plugin) for plugin in parsers.plugins):
            return None
        found = case.invocation.surface.find(option)
        choices = found.choices if found is not None else None
        known = {str(choice) for choice in choices or case.late_choices(option)}
        return (option, f"{name!r}") if str(name) in known and name not in own else None

    return trigger


def _open_thinking(parsers: Parsers) -> Trigger:
    def trigger(case: Case) -> tuple[str, str] | None:
        if case.is_nemotron_3 and case.option(parsers.tool_option) and not case.option(parsers.reasoning_option):
            return parsers.reasoning_option, "tool calls are read, and thinking is not"
        return None

    return trigger


def heads_issue(server: str, option: str, excused: str | None = None) -> KnownIssue:
    """Return the rule that attention heads, Mamba heads and Mamba groups divide by the tensor parallel size.

    `excused`: the option by which attention is not cut.
    """

    def trigger(case: Case) -> tuple[str, str] | None:
        size, network = case.option(option), case.network
        if not isinstance(size, int) or isinstance(size, bool) or size < 2 or network is None:
            return None
        if excused is not None and case.option(excused):
            return None
        for parts, kind in (
            (network.num_attention_heads, "attention heads"),
            (network.mamba_num_heads, "Mamba heads"),
            (network.n_groups, "Mamba groups"),
        ):
            if parts % size:
                return option, f"{parts} {kind} on {size} devices"
        return None

    return KnownIssue(
        name=f"{server}-heads",
        severity="error",
        symptom="they cannot be shared out evenly; the server stops at start",
        source="the model classes and Mamba layers of vLLM and SGLang divide them by the size",
        remedy="Use a size that divides all, such as 1, 2, 4 or 8, and pipeline stages beyond",
        trigger=trigger,
    )
