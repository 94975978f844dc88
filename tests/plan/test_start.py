"""Start checks in a plan: what stops a server is no fit, what may is a warning, and each stage is looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.plan.deploy import GIB, deployment, fit_of, super_network
from trtnemo.plan.as_json import plan_json
from trtnemo.plan.hardware import find_device
from trtnemo.plan.plan import Plan, make_plan
from trtnemo.plan.server_memory import Start, StartCheck, StartFault


def checked(*checks: StartCheck, **fields: Any) -> Any:
    """Return a deployment of a server that makes these checks."""
    chosen = deployment(**fields)
    return chosen.model_copy(update={"memory": replace(chosen.memory, start_checks=checks)})


def plan_of(*checks: StartCheck, **fields: Any) -> Plan:
    return make_plan(super_network(), checked(*checks, **fields), find_device("b200"))


def stops(start: Start) -> StartFault:
    return StartFault("stop", True, "it stops", "do this", "a source")


def warns(start: Start) -> StartFault:
    return StartFault("warn", False, "it may stop", "do that", "another")


def test_a_server_that_refuses_to_start_fits_nothing_and_no_change_is_advised() -> None:
    assert plan_of().verdict.kind == "fits"
    plan = plan_of(warns, stops)
    assert plan.verdict.kind == "no"
    assert plan.verdict.sentence == "does not fit: 1x B200, it stops; do this [a source]"
    assert (plan.verdict.resident, plan.verdict.warnings) == (0, ("it may stop; do that [another]",))
    assert plan.advice == []


def test_a_doubt_leaves_the_verdict_and_stands_in_the_json() -> None:
    plan = plan_of(warns)
    assert plan.verdict == replace(plan_of().verdict, warnings=("it may stop; do that [another]",))
    assert plan_json(plan)["verdict"]["warnings"] == ("it may stop; do that [another]",)


def test_bytes_that_do_not_fit_are_told_first() -> None:
    plan = make_plan(super_network("BF16"), checked(stops), find_device("h100"))
    assert "weights alone take" in plan.verdict.sentence


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_check_of_any_stage_stops_the_server(stage: int) -> None:
    states = [fit_of(super_network(), deployment(pipeline=3), stage=number).state for number in range(3)]

    def of_stage(start: Start) -> StartFault | None:
        return stops(start) if start.state == states[stage] else None

    assert len(set(states)) == 3
    assert plan_of(of_stage, pipeline=3).stage == stage
    assert plan_of(of_stage, pipeline=3).verdict.kind == "no"


def test_a_change_after_which_the_server_starts_is_advised() -> None:
    def of_batch(start: Start) -> StartFault | None:
        return stops(start) if start.batch.draft_tokens else None

    assert plan_of(of_batch, draft_tokens=3).advice == ["no drafts: the draft head is not loaded then"]


@pytest.mark.parametrize(("server", "inside"), [("vllm", True), ("sglang", False)])
def test_the_pool_is_what_the_share_leaves_after_weights_and_a_workspace_inside_it(server: str, inside: bool) -> None:
    seen: list[Start] = []

    def look(start: Start) -> None:
        seen.append(start)

    fit = fit_of(super_network(), checked(look, server=server, memory_fraction=0.5), "b200")
    fit.start_faults()
    workspace = fit.workspace(8).total if inside else 0
    assert seen[0].pool == (183_359 << 20) // 2 - fit.weights - workspace > GIB
    assert (seen[0].memory_bytes, seen[0].unified, seen[0].share) == (183_359 << 20, False, 0.5)
