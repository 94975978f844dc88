"""SGLang's pool of Mamba states: the share of its ratio by hand, the caps, and the refusals."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.plan.deploy import deployment, fit_of, small_network, super_network
from trtnemo.launch.plan_input import to_deployment
from trtnemo.launch.servers.sglang.mamba_pool import MambaPool
from trtnemo.launch.servers.sglang.memory import memory_with
from trtnemo.plan.network import find_network
from trtnemo.plan.server_memory import StartFault
from trtnemo.recipe import load_recipe

# 160 MiB of SSM in float32, and 40 layers x 10,240 channels x 3 columns x 2 bytes of convolution
SLOT = 160 * (1 << 20) + 40 * 10240 * 3 * 2


def faults(pool: MambaPool, device: str = "b200", **fields: Any) -> list[StartFault]:
    chosen = deployment(**{"server": "sglang", "memory_fraction": 0.8, "block_reuse": True, **fields})
    return fit_of(super_network(), chosen.model_copy(update={"memory": memory_with(pool)}), device).start_faults()


def running(found: list[StartFault]) -> int:
    return int(found[0].sentence.split("runs ")[1].split()[0].replace(",", ""))


@pytest.mark.parametrize(("drafts", "each"), [(0, 1.0), (3, 1 + 4 / 3)])
def test_requests_that_run_are_a_third_of_the_ratios_share_over_a_slot(drafts: int, each: float) -> None:
    chosen: dict[str, Any] = {"max_batch_size": 1000, "draft_tokens": drafts}
    fit = fit_of(super_network(), deployment(server="sglang", **chosen), "b200")
    left = int(fit.device.memory_bytes * 0.8) - fit.weights
    slots = int(left * 0.9 / 1.9 / (SLOT * each))
    found = faults(MambaPool(), **chosen)
    assert [fault.stops for fault in found] == [False]
    assert running(found) == slots // 3
    assert running(faults(MambaPool(ratio=0.3), **chosen)) == int(left * 0.3 / 1.3 / (SLOT * each)) // 3


def test_slots_that_are_given_are_what_requests_share() -> None:
    assert running(faults(MambaPool(slots=12), max_batch_size=8)) == 4
    assert running(faults(MambaPool(slots=12, replicas=2), max_batch_size=8)) == 2
    assert faults(MambaPool(slots=24), max_batch_size=8) == []
    assert running(faults(MambaPool(slots=6), max_batch_size=8, block_reuse=False)) == 6


def test_without_the_radix_cache_the_pool_follows_the_requests() -> None:
    assert faults(MambaPool(), max_batch_size=1000, block_reuse=False) == []


def test_requests_that_the_plan_assumed_are_not_called_too_many() -> None:
    assert faults(MambaPool(is_capped=False), max_batch_size=1000) == []


@pytest.mark.parametrize(("pool", "device"), [(MambaPool(slots=2), "b200"), (MambaPool(), "h100")])
def test_a_pool_without_room_for_a_request_stops_the_server(pool: MambaPool, device: str) -> None:
    found = faults(pool, device)
    assert [fault.stops for fault in found] == [True]
    assert "SGLang refuses to start" in found[0].sentence


def test_a_network_without_mamba_layers_has_no_pool() -> None:
    chosen = deployment(server="sglang", memory_fraction=0.1, max_batch_size=10**6)
    assert fit_of(small_network(hybrid_override_pattern="*E-"), chosen, "b200").start_faults() == []


def test_a_recipe_sizes_the_pool_by_its_options() -> None:
    asked = ["limits.max_batch_size=8", "sglang.args.max-mamba-cache-size=9"]
    recipe = load_recipe("sglang-b200", asked)
    network = find_network(recipe.checkpoint)
    found = fit_of(network, to_deployment(recipe, network)).start_faults()
    assert running(found) == 3
