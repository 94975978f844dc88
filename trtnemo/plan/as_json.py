"""A plan as JSON: stable keys, bytes as whole numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

from trtnemo.plan.plan import Plan
from trtnemo.plan.roofline import Speed


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return all of a plan; everything is of one device of the fullest stage unless the key says otherwise."""
    return {
        "verdict": dataclasses.asdict(plan.verdict),
        "advice": plan.advice,
        "network": {"name": plan.network.name, "source": plan.network.source, "inferred": plan.network.inferred},
        "deployment": plan.deployment.model_dump(mode="json"),
        "device": plan.device.model_dump(mode="json"),
        "weights": [dataclasses.asdict(item) for item in plan.weights],
        "stage": plan.stage,
        "weights_whole": sum(item.whole for item in plan.weights),
        "weights_replicated": plan.replicated,
        "need": {**dataclasses.asdict(plan.need), "total": plan.need.total},
        "sequence": {**dataclasses.asdict(plan.state), "per_slot": plan.state.per_slot},
        "reservation": dataclasses.asdict(plan.reservation),
        "workspace": {**dataclasses.asdict(plan.workspace), "total": plan.workspace.total},
        "frontier": [{"batch": batch, "context": context} for batch, context in plan.frontier],
        "roofline": {
            "acceptance": plan.acceptance,
            "decode": [_speed(speed) for speed in plan.decode],
            "prefill": [_speed(speed) for speed in plan.prefill],
        },
    }


def _speed(speed: Speed) -> dict[str, Any]:
    return {**dataclasses.asdict(speed), "tokens_per_second_each": speed.tokens_per_second_each}
