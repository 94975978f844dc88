"""Need against budget: what each server's share means, and that larger is never easier."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plan.deploy import GIB, deployment, fit_of, small_network, super_network
from trtnemo.plan.fit import LONGEST
from trtnemo.plan.hardware import Device

DEVICE = Device(name="d", title="D", memory_mib=100 << 10, bandwidth_gbs=1000, bf16=100, source="a test")
FIELDS = st.fixed_dictionaries(
    {
        "server": st.sampled_from(["cpu", "tensorrt", "trtllm", "vllm", "sglang"]),
        "version": st.sampled_from([None, "1.3.0rc12", "1.3.0rc14"]),
        "tensor": st.sampled_from([1, 2, 8]),
        "pipeline": st.sampled_from([1, 2]),
        "attention_dp": st.booleans(),
        "draft_tokens": st.integers(0, 5),
        "memory_fraction": st.floats(0.3, 1),
        "kv_dtype": st.sampled_from(["fp8", "bfloat16"]),
        "ssm_dtype": st.sampled_from(["float16", "float32"]),
        "block_reuse": st.booleans(),
    }
)
MEMORY = st.integers(20 << 10, 200 << 10)


def some_fit(fields: Any, memory: Any) -> Any:
    return fit_of(super_network(), deployment(**fields), DEVICE.model_copy(update={"memory_mib": memory}))


@settings(max_examples=60, deadline=None)
@given(FIELDS, MEMORY, st.integers(1, 600), st.integers(1, 600), st.integers(1, 1 << 20), st.integers(0, 1 << 20))
def test_more_sequences_or_tokens_never_leave_more(
    fields: Any, memory: Any, batch: Any, more: Any, context: Any, longer: Any
) -> None:
    fit = some_fit(fields, memory)
    here = fit.need(batch, context).spare
    assert fit.need(batch + more, context).spare <= here
    assert fit.need(batch, context + longer).spare <= here
    assert fit.need(batch, context, 0).spare >= here


@settings(max_examples=60, deadline=None)
@given(FIELDS, MEMORY, st.integers(1, 600), st.integers(1, 1 << 21))
def test_the_largest_is_what_fits_and_one_more_does_not(fields: Any, memory: Any, batch: Any, context: Any) -> None:
    fit = some_fit(fields, memory)
    most, longest, resident = fit.largest_batch(context), fit.largest_context(batch), fit.resident(batch, context)
    assert most == 0 or fit.fits(most, context)
    assert not fit.fits(most + 1, context)
    assert longest == 0 or fit.fits(batch, longest)
    assert longest == LONGEST or not fit.fits(batch, longest + 1)
    assert (resident == batch) == fit.fits(batch, context)
    assert resident == -1 or fit.need(batch, context, resident).spare >= 0
    assert resident == batch or fit.need(batch, context, resident + 1).spare < 0


def test_a_network_without_attention_takes_any_context() -> None:
    fit = fit_of(small_network(hybrid_override_pattern="ME-"), deployment(server="trtllm"), DEVICE)
    assert fit.largest_context(1) == LONGEST


def test_nothing_fits_where_the_weights_do_not() -> None:
    fit = fit_of(super_network(), deployment(), "rtx-5090")
    assert (fit.largest_batch(1), fit.largest_context(1), fit.resident(1, 1)) == (0, 0, -1)


def parts_of(server: Any) -> Any:
    """Return (fit, weights, states, workspace, cache) for two sequences of 100,000 tokens, in bytes."""
    fit = fit_of(super_network(), deployment(server=server, memory_fraction=0.9, version="1.3.0rc12"), DEVICE)
    need = fit.need(2, 100_000)
    return need, need.weights, need.states + need.draft_states, need.workspace, need.kv_cache


def test_tensorrt_llm_shares_what_is_left_after_all_else() -> None:
    need, weights, states, workspace, cache = parts_of("trtllm")
    assert need.spare == int(0.9 * (100 * GIB - weights - states - workspace)) - cache


def test_vllm_shares_the_whole_device_for_everything() -> None:
    need, weights, states, workspace, cache = parts_of("vllm")
    assert need.spare == int(0.9 * 100 * GIB) - weights - states - workspace - cache


def test_sglang_keeps_its_workspace_outside_of_its_share() -> None:
    need, weights, states, workspace, cache = parts_of("sglang")
    inside, outside = int(0.9 * 100 * GIB) - weights - states - cache, 100 * GIB - int(0.9 * 100 * GIB) - workspace
    assert need.spare == min(inside, outside)
    assert need.total == weights + states + workspace + cache


def test_the_cache_is_counted_in_whole_pages() -> None:
    fit = fit_of(super_network(), deployment(server="trtllm", kv_dtype="fp8"))
    assert fit.need(3, 1).kv_cache == 3 * 32 * 4096
    assert fit.need(3, 33).kv_cache == 3 * 64 * 4096


def test_workspace_counts_what_it_says() -> None:
    # 4 rows of 4,096, and the MoE's: 22 latent rows in and 22 of 2,688, the shared expert, the latent in and out
    work = fit_of(super_network(), deployment(max_num_tokens=1000, draft_tokens=1)).workspace(10)
    assert work.activations == 1000 * 2 * (4 * 4096 + 22 * (1024 + 2688) + 5376 + 2 * 1024)
    assert work.logits == 10 * 2 * 131_072 * 4
    assert work.fixed == 2 * GIB


def test_only_devices_that_work_together_need_buffers_for_it() -> None:
    alone, idle, two = (
        fit_of(super_network(), deployment(**fields)).workspace(1).fixed
        for fields in ({}, {"devices": 2}, {"tensor": 2})
    )
    assert (idle, two) == (alone, alone + GIB)
