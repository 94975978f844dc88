"""vLLM's free-memory check against what users report of devices, and NVIDIA's own recipe for DGX Spark."""

from __future__ import annotations

import pytest

from tests.support.plan.deploy import deployment, fit_of, super_network
from trtnemo.launch.plan_input import to_deployment
from trtnemo.plan.hardware import find_device
from trtnemo.plan.network import find_network
from trtnemo.plan.plan import Plan, make_plan
from trtnemo.recipe import load_recipe


def spark_plan(share: float) -> Plan:
    recipe = load_recipe("vllm-dgx-spark", [f"vllm.args.gpu-memory-utilization={share}"])
    network = find_network(recipe.checkpoint)
    return make_plan(network, to_deployment(recipe, network), find_device("dgx-spark"))


@pytest.mark.parametrize(
    ("share", "kind", "warns"),
    [
        (0.85, "fits", False),  # vllm-project/recipes PR 632: starts
        (0.87, "fits", True),  # MiaAI-Lab issue 47: fails, 101 to 102 of 121.69 GiB are free
        (0.9, "fits", True),  # NVIDIA's card gives it
        (0.92, "no", False),  # PR 632: "can't satisfy"
        (0.95, "no", False),
        (1.0, "no", False),
    ],
)
def test_shares_of_a_dgx_spark(share: float, kind: str, warns: bool) -> None:
    plan = spark_plan(share)
    assert plan.verdict.kind == kind
    assert bool(plan.verdict.warnings) == warns
    if kind == "no":
        assert "refuses to start: the CPU's share is in the same memory" in plan.verdict.sentence
        assert "--gpu-memory-utilization 0.85 or less" in plan.verdict.sentence
        assert plan.advice == []  # nothing that is tried frees memory


# logs: 78.66 of 79.19 GiB are free on an idle H100; an RTX 5090 of its own refused 0.98; 0.9 of a Thor failed by 0.05
@pytest.mark.parametrize(
    ("device", "share", "found"),
    [
        ("h100", 0.9, None), ("h100", 0.97, None), ("h100", 0.98, False), ("h100", 1.0, True), ("b200", 1.0, True),
        ("rtx-5090", 0.9, None), ("rtx-5090", 0.98, False), ("l4", 0.98, True),
        ("jetson-thor", 0.9, False), ("jetson-thor", 0.8, None), ("jetson-thor", 0.95, True),
    ],
)  # fmt: skip
def test_shares_of_other_devices(device: str, share: float, found: bool | None) -> None:
    faults = fit_of(super_network(), deployment(server="vllm", memory_fraction=share), device).start_faults()
    assert [fault.stops for fault in faults if fault.name == "vllm-free-memory"] == [found] * (found is not None)


def test_no_other_server_refuses_a_share() -> None:
    for server in ("trtllm", "tensorrt"):
        chosen = deployment(server=server, memory_fraction=1.0)
        assert fit_of(super_network(), chosen, "dgx-spark").start_faults() == []
