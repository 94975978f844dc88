"""Each advice is true: what it says fits, and a step further does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.plan.deploy import deployment, super_network
from trtnemo.plan import advice as advice_module
from trtnemo.plan.advice import advise
from trtnemo.plan.hardware import find_device
from trtnemo.plan.plan import make_plan

# the Spark recipe: one sequence too many
SPARK = {
    "server": "trtllm", "version": "1.3.0rc12", "max_batch_size": 8, "max_seq_len": 1_048_576, "draft_tokens": 3,
    "kv_dtype": "fp8", "ssm_dtype": "float16", "memory_fraction": 0.9,
}  # fmt: skip


def is_fit(device: Any = "dgx-spark", **changes: Any) -> Any:
    plan = make_plan(super_network(), deployment(**{**SPARK, **changes}), find_device(device))
    return plan.verdict.kind == "fits"


def advice_of(device: Any = "dgx-spark", precision: Any = "NVFP4", **changes: Any) -> Any:
    return advise(super_network(precision), deployment(**{**SPARK, **changes}), find_device(device))


def number_in(pattern: str, text: str) -> int:
    found = re.fullmatch(pattern, text)
    assert found is not None
    return int(found[1].replace(",", ""))


def test_the_batch_and_the_context_are_the_largest_that_fit() -> None:
    texts = advice_of()
    batch = number_in(r"batch (\d+) at 1,048,576 tokens", texts[0])
    context = number_in(r"batch 8 at ([\d,]+) tokens", texts[1])
    assert is_fit(max_batch_size=batch)
    assert not is_fit(max_batch_size=batch + 1)
    assert is_fit(max_seq_len=context)
    assert not is_fit(max_seq_len=context + 1)


def test_advice_on_types_and_drafts_is_tried_alone() -> None:
    assert "no drafts: the draft head is not loaded then" in advice_of()
    assert is_fit(draft_tokens=0)
    wide = {"kv_dtype": "bfloat16", "max_seq_len": 600_000}
    assert not is_fit(**wide)
    assert "KV cache in fp8" in advice_of(**wide)
    assert is_fit(**{**wide, "kv_dtype": "fp8"})
    heavy = {"ssm_dtype": "float32", "max_seq_len": 950_000}
    assert not is_fit(**heavy)
    assert "SSM state in float16" in advice_of(**heavy)
    assert is_fit(**{**heavy, "ssm_dtype": "float16"})


def test_what_holds_already_is_no_advice() -> None:
    texts = " ".join(advice_of())
    assert "fp8" not in texts
    assert "float16" not in texts


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({}, "2x H100, tensor parallel 2"),
        ({"devices": 4}, "2x H100, tensor parallel 2"),  # three of them idle before
        ({"tensor": 2, "expert": 2, "max_batch_size": 16}, "4x H100, tensor parallel 4"),
    ],
)
def test_more_devices_are_the_fewest_that_do(changes: dict[str, Any], advice: str) -> None:
    assert advice_of("h100", **changes)[-1] == advice


def test_devices_that_the_network_cannot_be_split_over_are_no_advice() -> None:
    # 16 would do, and TensorRT-LLM splits this family over 8 at most
    assert advice_of("rtx-5090", precision="BF16") == []


def test_where_no_single_change_does_two_together_are_tried() -> None:
    """A card of 32 GB: four of them hold the weights, and then the batch or the context must shrink too."""
    texts = advice_of("rtx-5090")
    assert len(texts) == 2
    batch = number_in(r"4x .*, tensor parallel 4, batch (\d+) at 1,048,576 tokens", texts[0])
    context = number_in(r"4x .*, tensor parallel 4, batch 8 at ([\d,]+) tokens", texts[1])
    four = {"devices": 4, "tensor": 4, "expert": 4}
    assert is_fit("rtx-5090", **four, max_batch_size=batch)
    assert not is_fit("rtx-5090", **four, max_batch_size=batch + 1)
    assert is_fit("rtx-5090", **four, max_seq_len=context)
    assert not is_fit("rtx-5090", **{**four, "devices": 2, "tensor": 2, "expert": 2}, max_seq_len=1024)


@pytest.mark.parametrize(
    ("device", "precision", "changes"),
    [("h100", "BF16", {}), ("b200", "NVFP4", {"max_batch_size": 64}), ("h100", "BF16", {"devices": 2, "tensor": 2})],
)
def test_eight_devices_are_advised_where_four_do_not_do(device: str, precision: str, changes: dict[str, Any]) -> None:
    title = find_device(device).title
    assert advice_of(device, precision, **changes)[-1] == f"8x {title}, tensor parallel 8"


def test_a_context_too_short_to_be_of_use_is_no_advice() -> None:
    """256 sequences leave less than a thousand tokens to each."""
    assert advice_of("b200", max_batch_size=256) == ["batch 18 at 1,048,576 tokens"]
    assert advice_of("b200", max_batch_size=247) == ["batch 18 at 1,048,576 tokens"]  # 736 tokens to each
    assert len(advice_of("b200", max_batch_size=246)) == 2
    assert (
        advice_of("h100", max_batch_size=185)
        == advice_of("h100", max_batch_size=256)
        == ["2x H100, tensor parallel 2, batch 14 at 1,048,576 tokens"]
    )


def noting(seen: list[Any]) -> Callable[[Any, Any], bool]:
    """Return a `_splits` that takes no deployment and notes each."""

    def splits(network: Any, deployment: Any) -> bool:
        seen.append(deployment)
        return False

    return splits


@pytest.mark.parametrize(
    ("changes", "expert"),
    [({}, 2), ({"devices": 2, "tensor": 2, "expert": 2}, 4), ({"devices": 2, "tensor": 2, "expert": 1}, 1)],
)
def test_more_devices_share_the_experts_as_before(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], expert: int
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(advice_module, "_splits", noting(seen))
    list(advice_module._doubled(super_network(), deployment(**{**SPARK, **changes}), find_device("b200")))
    assert seen[0].expert == expert
    assert [item.devices for item in seen] == [count for count in (2, 4, 8) if count > changes.get("devices", 1)]
    assert [item.tensor for item in seen] == [item.devices for item in seen]


@pytest.mark.parametrize("name", ["pipeline", "data"])
def test_more_devices_go_to_tensor_parallel_groups_of_every_stage_and_replica(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(advice_module, "_splits", noting(seen))
    list(advice_module._doubled(super_network(), deployment(**{**SPARK, name: 2}), find_device("b200")))
    assert [(item.devices, item.tensor) for item in seen] == [(4, 2), (8, 4)]
