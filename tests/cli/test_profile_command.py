"""What people give to a profiler: other programs' words, prompts that do not fit, engines that run elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import trtnemo, trtnemo_here


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-p", "512", "-n", "128"), "No such option '-p'"),  # llama-bench's README
        (("-t", "0"), "No such option '-t'"),
        (("--prompt", "0"), "0 is not in the range"),  # llama-bench -p 0: no prompt
        (("--tokens", "0"), "0 is not in the range"),
        (("--prompt", "512,1024"), "'512,1024' is not a valid integer"),
        (("--prompt", "128-256+64"), "is not a valid integer"),  # ggml-org/llama.cpp pull 14203
        (("--interpret",), "runtime 'cpu' has none"),
    ],
)
def test_words_of_other_programs_are_refused_before_weights_are_read(
    tiny_engine: Path, words: tuple[str, ...], told: str
) -> None:
    done = trtnemo_here("bench", "profile", tiny_engine, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_prompt_that_is_cut_is_told_beside_the_json(tiny_engine: Path) -> None:
    # ggml-org/llama.cpp issue 15554, OpenHands/benchmarks issue 498: notes among JSON that a pipe reads
    done = trtnemo("bench", "profile", tiny_engine, "--prompt", "32768", "--tokens", "1", "--json")
    assert json.loads(done.stdout)["prefill"]
    assert done.stderr.startswith("The prompt has 512 tokens, not 32,768: more do not fit one step")
    assert trtnemo_here("bench", "profile", tiny_engine, "--prompt", "512", "--tokens", "1").stderr == ""


def test_engine_that_is_not_profiled_is_refused_before_it_is_loaded(make_engine: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("trtnemo.bench.profile.load_executor", lambda *_: pytest.fail("it was loaded"))
    told = trtnemo_here("bench", "profile", make_engine("bf16", "cpu.lowering=torch"))
    assert (told.returncode, "only engines of native code are profiled" in told.stderr) == (6, True)


def test_bundle_of_another_server_is_not_measured(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert trtnemo_here("build", "--recipe", "vllm-b200", "--output", bundle).returncode == 0
    told = trtnemo_here("bench", "profile", bundle)
    assert (told.returncode, "is a bundle for vllm" in told.stderr) == (5, True)
