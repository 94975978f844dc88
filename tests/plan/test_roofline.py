"""Bounds of speed, against the fact sheet (section 7) and by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.plan.deploy import deployment, small_network, super_network
from trtnemo.plan.hardware import Device, find_device
from trtnemo.plan.roofline import ACCEPTANCE, Roofline, active_operations, experts_touched, tokens_per_step
from trtnemo.plan.weights import weight_bytes

H200 = find_device("h200")
DRAFT_EXPERTS, DRAFT_HEAD, HEAD = 512 * 2 * 1024 * 2688 * 2, 5_884_651_520, 131_072 * 4096 * 2


def roofline(network: Any, device: Any = H200, **fields: Any) -> Any:
    chosen = deployment(**fields)
    return Roofline(network, chosen, device, weight_bytes(network.tensors, network.config, chosen))


@pytest.mark.parametrize(("batch", "touched"), [(1, 22), (16, 258), (64, 481)])
def test_touched_experts_are_published(batch: int, touched: int) -> None:
    assert round(experts_touched(super_network().config, batch)) == touched


@pytest.mark.parametrize(
    ("precision", "gigabytes", "rate"), [("NVFP4", 12.65, 380), ("FP8", 13.48, 356), ("BF16", 24.47, 196)]
)
def test_bytes_of_one_token_and_the_ceiling_without_drafts_are_published(
    precision: str, gigabytes: float, rate: int
) -> None:
    # the fact sheet rounds, counts no KV and no states; at a context of one token the states alone are added:
    # 170 MB read and as much written beside 12.65 GB, which costs 2.7 % of the rate. So the bytes are held exactly
    # (their last digit), and the rate by weights alone within one percent.
    speed = roofline(super_network(precision)).decode(1, 1)
    assert speed.weight_bytes / 1e9 == pytest.approx(gigabytes, abs=0.006)
    assert 4.8e12 / speed.weight_bytes == pytest.approx(rate, rel=0.01)
    assert speed.seconds == pytest.approx((speed.weight_bytes + speed.state_bytes + speed.kv_bytes) / 4.8e12)
    assert speed.bound == "memory"


def test_states_at_batch_64_move_the_published_21_gigabytes() -> None:
    moved = roofline(super_network()).decode(64, 1).state_bytes
    # the fact sheet counts the SSM states alone; the convolution's are 1.5 % more
    assert moved == pytest.approx(64 * 2 * 160 * 2**20, rel=0.02)
    assert roofline(super_network(), ssm_dtype="float16").decode(64, 1).state_bytes < 0.52 * moved


def test_active_parameters_are_published() -> None:
    # 12,770,237,440 counts the whole embedding, of which a token reads a row, and norms, convolutions and vectors,
    # which are not products (0.02 %)
    active = sum(active_operations(super_network("BF16")).values())
    assert active + 131_072 * 4096 == pytest.approx(12_770_237_440, rel=3e-4)
    assert sum(active_operations(super_network("NVFP4")).values()) == active
    head = active - sum(active_operations(super_network("BF16"), head=False).values())
    assert head == 131_072 * 4096


def test_formats_decide_the_units() -> None:
    assert active_operations(super_network("BF16")).keys() == {"bf16"}
    assert active_operations(super_network("FP8")).keys() == {"bf16", "fp8"}
    experts = 40 * 22 * 2 * 1024 * 2688
    assert active_operations(super_network("NVFP4"))["fp4"] >= experts


def test_the_published_acceptance_gives_the_published_tokens() -> None:
    # SPEED-Bench: 3.45 tokens a verification at seven drafts
    assert tokens_per_step(7, ACCEPTANCE) == pytest.approx(3.45, abs=0.01)
    assert tokens_per_step(0, 0.9) == 1
    assert tokens_per_step(3, 1) == 4
    assert tokens_per_step(3, 0) == 1


def test_drafts_read_the_draft_head_and_the_lm_head_once_each() -> None:
    plain, drafted = (roofline(super_network("BF16"), draft_tokens=drafts).decode(1, 1) for drafts in (0, 3))
    share = 22 / 512
    # four tokens are verified, so more experts of the target are touched
    more = 40 * DRAFT_EXPERTS * (1 - (1 - share) ** 4 - share)
    draft = DRAFT_HEAD - DRAFT_EXPERTS * (1 - share) + HEAD
    assert drafted.weight_bytes - plain.weight_bytes == pytest.approx(more + 3 * draft, rel=1e-6)


def test_each_draft_reads_the_draft_heads_own_cache() -> None:
    # eight layers of the target once, the draft head's layer three times, 1,024 bytes of each token in 16 bits
    assert roofline(super_network(), draft_tokens=3).decode(2, 1000).kv_bytes == 2 * 1000 * (8 + 3) * 1024
    assert roofline(super_network()).decode(2, 1000).kv_bytes == 2 * 1000 * 8 * 1024


def test_one_sequence_lies_whole_on_one_device_of_attention_data_parallelism() -> None:
    four = roofline(super_network(), tensor=4, expert=4, attention_dp=True)
    alone = roofline(super_network())
    assert four.decode(1, 1000).kv_bytes == alone.decode(1, 1000).kv_bytes
    assert four.decode(5, 1000).state_bytes == alone.decode(2, 1000).state_bytes
    assert four.decode(8, 1000).state_bytes == alone.decode(2, 1000).state_bytes


def test_more_devices_and_shorter_contexts_are_never_slower() -> None:
    network = super_network()
    rates = [roofline(network, tensor=size).decode(16, 8192).tokens_per_second for size in (1, 2, 4, 8)]
    assert rates == sorted(rates)
    lengths = [roofline(network).decode(16, context).tokens_per_second for context in (100_000, 10_000, 1)]
    assert lengths == sorted(lengths)
    batches = [roofline(network).decode(batch, 8192).tokens_per_second for batch in (1, 2, 64, 256)]
    assert batches == sorted(batches)


def test_a_prompt_chunk_is_bound_by_arithmetic_without_logits() -> None:
    speed = roofline(super_network("BF16")).prefill(8192)
    products = 2 * (12_770_237_440 - 2 * 131_072 * 4096) * 8192
    attention = 4 * 8 * 4096 * 8192 * 4096
    assert speed.bound == "arithmetic"
    assert speed.seconds == pytest.approx((products + attention) / 989e12, rel=1e-3)
    assert speed.tokens_per_second == pytest.approx(8192 / speed.seconds)


def test_published_speeds_stay_below_the_bounds() -> None:
    # lambda.ai, vLLM, 32 sequences of 8192/1024: 1517 tokens/s on one B200 (NVFP4), 1116 on two H100 (FP8)
    for precision, device, count, rate in (("NVFP4", "b200", 1, 1517), ("FP8", "h100", 2, 1116)):
        bound = roofline(super_network(precision), find_device(device), tensor=count).decode(32, 8192)
        assert bound.tokens_per_second > rate


def test_a_device_without_units_does_the_work_with_wider_ones() -> None:
    device = Device(name="d", title="D", memory_mib=1, bandwidth_gbs=1, bf16=2, source="a test")
    assert (device.peak("fp4"), device.peak("fp8"), device.peak("bf16")) == (2e12, 2e12, 2e12)
    assert find_device("b200").peak("fp4") == 9e15


@pytest.mark.parametrize("pattern", ["M*-", "*E", "ME", "-"])
def test_a_network_without_a_kind_of_layer_has_a_bound(pattern: str) -> None:
    speed = roofline(small_network(hybrid_override_pattern=pattern)).decode(4, 100)
    assert speed.tokens_per_second > 0
    assert (speed.experts_touched > 0) == ("E" in pattern)


def test_a_tied_head_is_read_and_multiplied_like_an_untied_one() -> None:
    tied, untied = (roofline(small_network(tie_word_embeddings=value)) for value in (True, False))
    assert tied.decode(1, 1).weight_bytes == untied.decode(1, 1).weight_bytes
    assert tied.operations == untied.operations
    assert tied.chunk_operations == untied.chunk_operations
