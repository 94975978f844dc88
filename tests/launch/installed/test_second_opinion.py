"""What becomes of an installed server's own word, and of a Python that has none; the wheels themselves: test_wheels."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.launch.starts import FINE, FINE_VLLM, with_options
from trtnemo.errors import MachineError, UsageError
from trtnemo.findings import Finding
from trtnemo.launch.installed.model_directory import model_directory
from trtnemo.launch.installed.opinion import Opinion, merged
from trtnemo.launch.installed.second_opinion import StatedDevice, ask_installed, case_of
from trtnemo.launch.installed.stated import stated_by_capability
from trtnemo.launch.pasted.command import read_command

DEVICE = StatedDevice("10.0", 180 << 30, 1)
ERROR = Finding("error", "vllm-heads", "--tensor-parallel-size", "no")


def opinion(error: str = "", version: str = "0.20.0") -> Opinion:
    return Opinion("vLLM", version, "/env/bin/python", "engine configuration", error)


def severities(findings: Any) -> list[tuple[str, str]]:
    return [(finding.severity, finding.rule) for finding in findings]


@pytest.mark.parametrize(
    ("ours", "error", "told"),
    [
        ([], "", [("note", "installed")]),
        ([], "ValueError: no", [("error", "installed"), ("note", "disagreement")]),
        ([ERROR], "ValueError: no", [("error", "vllm-heads"), ("error", "installed")]),
        ([ERROR], "", [("error", "vllm-heads"), ("note", "installed"), ("note", "disagreement")]),
    ],
)
def test_both_opinions_stand_and_a_disagreement_is_told(ours: Any, error: str, told: Any) -> None:
    assert severities(merged(ours, opinion(error), "0.20.0")) == told


def test_another_version_speaks_for_itself_alone() -> None:
    found = merged([], opinion(version="0.33.0"), "0.20.0")
    assert severities(found)[0] == ("warning", "installed-version")
    assert severities(merged([], opinion(), None)) == [("note", "installed")]


def test_a_server_without_a_stage_that_runs_here_is_not_asked() -> None:
    with pytest.raises(UsageError, match="no stage that runs without its GPU"):
        ask_installed(FINE, DEVICE)


def test_what_is_not_installed_is_said_with_the_way_to_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MachineError, match=r"vllm is not installed here.*--server-python"):
        ask_installed(FINE_VLLM, DEVICE)
    with pytest.raises(UsageError, match="no Python"):
        ask_installed(FINE_VLLM, DEVICE, "/nowhere/at/all")


def test_a_python_without_the_server_is_no_answer() -> None:
    with pytest.raises(MachineError, match="no answer: "):
        ask_installed(FINE_VLLM, DEVICE, sys.executable)


def test_the_server_is_asked_what_the_text_says_and_no_secret() -> None:
    text = "HF_TOKEN=hf_x VLLM_USE_V2=1 vllm serve m stray --no-such 1 --port $PORT --max-num-seqs 4 --api-key sk-1"
    case = case_of(read_command(text, "0.20.0"), DEVICE, None)
    assert case["words"] == ["m", "stray", "--max-num-seqs", "4", "--no-such", "1"]
    assert case["env"] == {"VLLM_USE_V2": "1"}


def test_a_release_has_a_directory_with_its_map_and_a_stranger_none() -> None:
    with model_directory(FINE_VLLM.model) as folder:
        assert folder is not None
        config = json.loads((Path(folder) / "config.json").read_text())
        assert config["model_type"] == "nemotron_h"
        assert "auto_map" not in config
        block = config["quantization_config"]
        assert (block["quant_method"], block["quant_algo"]) == ("modelopt", "MIXED_PRECISION")
        assert {entry["quant_algo"] for entry in block["quantized_layers"].values()} == {"FP8", "NVFP4"}
    assert not Path(folder).exists()
    with model_directory("meta/Some-Model") as folder:
        assert folder is None


def test_the_device_is_the_first_of_its_capability_as_often_as_the_model_is_cut() -> None:
    device, title = stated_by_capability("9.0", with_options(FINE_VLLM, tensor_parallel_size=2))
    assert (device.capability, device.count) == ("9.0", 2)
    assert title.startswith("2x ")
    with pytest.raises(UsageError, match=r"compute capability 3\.0"):
        stated_by_capability("3.0", FINE_VLLM)
