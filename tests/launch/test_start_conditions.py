"""`check` of a recipe says what the server's start checks find, where its devices are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import trtnemo_here
from trtnemo.launch.start_conditions import start_findings
from trtnemo.recipe import load_recipe

CHECKPOINT = "checkpoint: nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8"
TWO_H100 = "hardware: {name: h100, count: 2}\nparallel: {tensor: 2}"


@pytest.fixture
def findings_of(tmp_path: Path) -> Any:
    """Return (severity, rule) of each finding for a vLLM recipe with these lines."""

    def findings(*lines: str) -> list[tuple[str, str]]:
        (tmp_path / "r.yaml").write_text("\n".join(["runtime: vllm", *lines]))
        return [(found.severity, found.rule) for found in start_findings(load_recipe(str(tmp_path / "r.yaml")))]

    return findings


def test_what_plan_refuses_check_refuses_too(findings_of: Any, tmp_path: Path) -> None:
    assert findings_of(CHECKPOINT, TWO_H100) == [("error", "vllm-mamba-blocks")]
    done = trtnemo_here("check", "--recipe", tmp_path / "r.yaml")
    assert done.returncode == 1
    assert "Lower limits.max_batch_size (--max-num-seqs) to" in done.stdout
    assert findings_of(CHECKPOINT, TWO_H100, "limits: {max_batch_size: 64}") == []


def test_the_cards_share_of_a_dgx_spark_is_a_warning() -> None:
    found = start_findings(load_recipe("vllm-dgx-spark"))
    assert [(item.severity, item.rule) for item in found] == [("warning", "vllm-free-memory")]


@pytest.mark.parametrize(
    "lines",
    [
        (CHECKPOINT,),
        (CHECKPOINT, "hardware: {name: cpu}"),
        (CHECKPOINT, "hardware: {name: abacus}"),
        (CHECKPOINT, TWO_H100, "revision: abc"),
        (CHECKPOINT, "hardware: {name: h100, count: 1}", "parallel: {tensor: 3}"),
        ("checkpoint: somebody/else", TWO_H100),
    ],
)
def test_nothing_is_said_of_unknown_devices_or_networks(findings_of: Any, lines: tuple[str, ...]) -> None:
    assert findings_of(*lines) == []
