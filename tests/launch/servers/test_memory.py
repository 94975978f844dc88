"""What each server holds back, against what is known of each version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.plan.deploy import GIB, MIB, deployment, fit_of, small_network, super_network
from trtnemo.plan.state import state_bytes

CONFIG = super_network().config


def held(batch: Any = 8, **fields: Any) -> Any:
    chosen = deployment(**fields)
    return chosen.memory.reserve(chosen.batch(batch), CONFIG, state_bytes(CONFIG, chosen))


def test_2048_sequences_allot_the_160_gib_that_a_user_of_rc12_saw() -> None:
    # notes.md: with the default batch one SSM allocation of 160 GiB on one GPU; 2,048 states in 16 bits
    chosen = deployment(server="trtllm", version="1.3.0rc12", ssm_dtype="float16")
    assert held(2048, server="trtllm", version="1.3.0rc12").slots == 2048
    assert 2048 * state_bytes(CONFIG, chosen).ssm_per_slot == 160 * GIB


@pytest.mark.parametrize(
    ("version", "padding", "drafts", "slots"),
    [
        ("1.3.0rc12", True, 3, 8),  # issue 13179: none beside the batch
        ("1.3.0rc14", False, 3, 8 + 4),  # PR 13151: max_draft_len + 1
        ("1.3.0rc14", True, 3, 8 + 5),  # and one for padding
        ("1.4.0rc1", True, 3, 8 + 1),  # PR 13489 cuts them to one
        ("1.4", True, 0, 8 + 1),
        (None, True, 3, 8 + 1),
        ("nonsense", True, 3, 8 + 1),
    ],
)
def test_slots_of_tensorrt_llm_follow_its_version(version: str | None, padding: bool, drafts: int, slots: Any) -> None:
    found = held(8, server="trtllm", version=version, graph_padding=padding, draft_tokens=drafts)
    assert found.slots == slots
    assert found.inferred


def test_rc12_keeps_the_states_after_each_draft_and_1_4_replays() -> None:
    # the fact sheet (section 3): up to k x 160 MiB a sequence with snapshots, unless replayed; k tokens are verified
    snapshots = held(1, server="trtllm", version="1.3.0rc12", draft_tokens=3).draft_bytes
    assert 4 * 160 * MIB <= snapshots <= 4 * 163 * MIB
    assert held(1, server="trtllm", version="1.3.0rc12").draft_bytes == 0
    assert held(1, server="trtllm", version="1.4.0rc1", draft_tokens=3).draft_bytes < snapshots / 5


@pytest.mark.parametrize(("ssm", "kv"), [("float32", "fp8"), ("float16", "fp8"), ("float16", "bfloat16")])
def test_a_page_of_vllm_is_the_least_of_16s_that_is_as_large_as_a_layers_state(ssm: str, kv: str) -> None:
    page = held(server="vllm", ssm_dtype=ssm, kv_dtype=kv).page_tokens
    layer = 128 * 64 * 128 * (4 if ssm == "float32" else 2) + 10240 * 3 * 2
    token = 2 * 2 * 128 * (1 if kv == "fp8" else 2)
    assert page % 16 == 0
    assert (page - 16) * token < layer <= page * token


def test_vllm_takes_a_block_for_each_sequence_and_draft() -> None:
    assert held(8, server="vllm", draft_tokens=3).slots == 32


def test_sglang_keeps_three_slots_a_sequence_with_its_radix_cache_and_one_without() -> None:
    assert held(8, server="sglang", block_reuse=True).slots == 25
    assert held(8, server="sglang").slots == 9
    assert (
        held(8, server="sglang", draft_tokens=3).draft_bytes
        == 9 * 4 * fit_of(super_network(), deployment()).state.per_slot
    )


@pytest.mark.parametrize("server", ["cpu", "tensorrt"])
def test_our_own_servers_hold_nothing_back(server: str) -> None:
    found = held(8, server=server, draft_tokens=3)
    assert (found.slots, found.draft_bytes, found.page_tokens, found.inferred) == (8, 0, 1, False)


@pytest.mark.parametrize("pattern", ["*-", "ME-"])
def test_vllm_without_mamba_or_without_attention_has_plain_pages(pattern: str) -> None:
    network = small_network(hybrid_override_pattern=pattern)
    chosen = deployment(server="vllm")
    reserved = chosen.memory.reserve(chosen.batch(4), network.config, state_bytes(network.config, chosen))
    assert reserved.page_tokens == 16
