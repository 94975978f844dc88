"""build, inspect and serve of CUDA kernels, as a user on a machine without a GPU types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from trtnemo.backends.cuda.kernel_index import KERNEL_INDEX

SMALL = ("--set", "limits.max_seq_len=256", "--set", "limits.max_num_tokens=64", "--set", "limits.max_batch_size=2")


def trtnemo(*arguments: Any) -> Any:
    command = [sys.executable, "-m", "trtnemo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500)


def build(checkpoint: Any, engine: Path, *words: str) -> Any:
    return trtnemo("build", "--recipe", "h200-cuda", "--checkpoint", checkpoint, "--output", engine, *SMALL, *words)


@pytest.fixture
def engine(make_checkpoint: Any, tmp_path: Path) -> Path:
    built = build(make_checkpoint("mixed"), tmp_path / "engine", "--set", "cuda.compile_ahead=false")
    assert built.returncode == 0, built.stderr
    return tmp_path / "engine"


def test_serving_without_a_gpu_says_what_can_be_done(engine: Path) -> None:
    found = trtnemo("serve", "--engine", engine, "--port", "0")
    assert found.returncode == 6
    assert "no NVIDIA GPU" in found.stderr
    assert "--interpret" in found.stderr


def test_an_engine_may_leave_its_kernels_to_the_device(engine: Path) -> None:
    assert not (engine / KERNEL_INDEX).exists()
    shown = trtnemo("inspect", engine, "--json")
    assert "kernels" not in json.loads(shown.stdout)


def test_interpreting_what_was_made_for_a_cpu_is_refused() -> None:
    found = trtnemo("build", "--recipe", "tiny", "--interpret")
    assert found.returncode == 2
    assert "runtime 'cpu' has none" in found.stderr


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["8.0", "9.0", "12.0"])
def test_kernels_of_mixed_formats_compile_without_spills(make_checkpoint: Any, tmp_path: Path, capability: str) -> None:
    checkpoint = make_checkpoint("mixed", "small")
    words = ("--set", f"hardware.compute_capability={capability}", "--json")
    built = build(checkpoint, tmp_path / "engine", *words)
    assert built.returncode == 0, built.stderr
    kernels = json.loads(built.stdout)["kernels"]
    assert kernels["compute_capability"] == capability
    assert kernels["launches"]["decode 1"] < kernels["launches"]["prompt of 64"]
    of_decode = [kernel for kernel in kernels["kernels"] if kernel["phase"] == "decode"]
    assert len(of_decode) > 10
    assert [kernel for kernel in of_decode if kernel["spilled"]] == []
    shown = trtnemo("inspect", tmp_path / "engine", "--verify")
    assert f"kernels for compute capability {capability}, by Triton" in shown.stdout


@pytest.mark.slow
def test_openais_client_is_answered_by_interpreted_kernels(server_process: Any, tmp_path: Path) -> None:
    built = build("tiny", tmp_path / "engine", "--set", "cuda.compile_ahead=false")
    assert built.returncode == 0, built.stderr
    _, url = server_process(tmp_path / "engine", "--interpret")
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=300) as client:
        asked: dict[str, Any] = {"model": "tiny", "prompt": "The capital of France is"}
        said = client.completions.create(**asked, max_tokens=2, temperature=0)
    assert said.choices[0].text.strip().startswith("Paris")
