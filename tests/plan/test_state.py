"""KV of a token and states of a slot, against the fact sheet (section 3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.plan.deploy import GIB, MIB, deployment, fit_of, small_network, super_network
from trtnemo.plan.state import state_bytes

SUPER = super_network().config


@pytest.mark.parametrize(("dtype", "drafts", "size"), [("bfloat16", 0, 8192), ("fp8", 0, 4096), ("bfloat16", 3, 9216),
                                                       ("fp8", 3, 4608)])  # fmt: skip
def test_kv_of_a_token_is_published(dtype: str, drafts: int, size: int) -> None:
    assert state_bytes(SUPER, deployment(kv_dtype=dtype, draft_tokens=drafts)).kv_per_token == size


@pytest.mark.parametrize(("dtype", "ssm", "all_of_it"), [("float32", 160, 162.3), ("float16", 80, 82.3)])
def test_the_fixed_state_of_a_slot_is_published(dtype: str, ssm: int, all_of_it: float) -> None:
    state = state_bytes(SUPER, deployment(ssm_dtype=dtype))
    assert state.ssm_per_slot == ssm * MIB
    assert state.conv_per_slot == 40 * 10240 * 3 * 2
    assert round(state.per_slot / MIB, 1) == all_of_it


@pytest.mark.parametrize(("tokens", "size"), [(131_072, GIB // 2), (262_144, GIB), (1_048_576, 4 * GIB)])
def test_kv_of_a_long_context_is_published(tokens: int, size: Any) -> None:
    fit = fit_of(super_network(), deployment(kv_dtype="fp8"))
    assert fit.need(1, tokens).kv_cache == size


def test_batch_64_at_32k_needs_the_published_ten_and_eight_gib() -> None:
    need = fit_of(super_network(), deployment(kv_dtype="fp8")).need(64, 32768)
    assert need.kv_cache == 8 * GIB
    assert round(need.states / GIB, 1) == 10.1


def test_the_fixed_state_weighs_as_much_as_41500_tokens_of_fp8_kv() -> None:
    state = state_bytes(SUPER, deployment(kv_dtype="fp8"))
    assert state.per_slot / state.kv_per_token == pytest.approx(41_500, rel=0.01)


@pytest.mark.parametrize(("tensor", "kv"), [(1, 8192), (2, 4096), (4, 4096), (8, 4096)])
def test_states_divide_by_tensor_parallelism_and_two_kv_heads_do_not_beyond_two(tensor: int, kv: int) -> None:
    whole, cut = (state_bytes(SUPER, deployment(tensor=size)) for size in (1, tensor))
    assert whole.per_slot == tensor * cut.per_slot
    assert cut.kv_per_token == kv


def test_attention_data_parallelism_divides_nothing() -> None:
    whole = state_bytes(SUPER, deployment())
    assert state_bytes(SUPER, deployment(tensor=8, attention_dp=True)) == whole


@pytest.mark.parametrize("stages", [2, 3, 5, 88])
def test_stages_add_up_and_the_draft_heads_cache_stands_with_the_last(stages: int) -> None:
    for drafts in (0, 3):
        chosen = deployment(pipeline=stages, draft_tokens=drafts)
        whole = state_bytes(SUPER, deployment(draft_tokens=drafts))
        cut = [state_bytes(SUPER, chosen, stage) for stage in range(stages)]
        assert sum(state.kv_per_token for state in cut) == whole.kv_per_token
        assert sum(state.per_slot for state in cut) == whole.per_slot
    layers = [state_bytes(SUPER, deployment(pipeline=stages), stage).attention_layers for stage in range(stages)]
    assert [state.attention_layers for state in cut] == [*layers[:-1], layers[-1] + 1]


@pytest.mark.parametrize(("pattern", "kv", "slot"), [("E*-", True, False), ("ME-", False, True), ("-", False, False)])
def test_a_network_without_a_kind_of_layer_pays_nothing_for_it(pattern: str, kv: bool, slot: bool) -> None:
    state = state_bytes(small_network(hybrid_override_pattern=pattern).config, deployment())
    assert (state.kv_per_token > 0, state.per_slot > 0) == (kv, slot)


def test_our_own_cpu_runtime_keeps_its_convolution_in_float32() -> None:
    assert state_bytes(SUPER, deployment(server="cpu")).conv_per_slot == 40 * 10240 * 3 * 4
