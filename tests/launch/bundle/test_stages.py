"""Stages and known issues are read off a server's log."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.launch.bundle.stages import KEPT_LINES, SHOWN_LINES, LogReader
from trtnemo.launch.servers.registry import find_server
from trtnemo.launch.servers.surface import choose_surface


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        ("Fetching 17 files: 12%", "downloading"),
        ("Loading safetensors checkpoint shards: 10% Completed", "loading weights"),
        ("[TRT-LLM] [I] Loading weights took 31 s", "loading weights"),
        ("GPU KV cache size: 1,234,567 tokens", "allotting caches"),
        ("Autotuning process starts", "compiling"),
        ("Capturing CUDA graph shapes: 0%", "capturing CUDA graphs"),
        ("Capture cuda graph begin. This can take up to several minutes.", "capturing CUDA graphs"),
        ("INFO: Uvicorn running on http://0.0.0.0:8000", "listening"),
        ("INFO: Application startup complete.", "listening"),
        ("The server is fired up and ready to roll!", "listening"),
        ("request 12 finished", None),
    ],
)
def test_a_line_begins_a_stage_once(line: str, stage: str | None) -> None:
    reader = LogReader()
    assert reader.read(line) == stage
    assert reader.read(line) is None
    assert reader.stage == (stage or "starting")


# real lines of starts, in their order (shared/launch/cluster.md, 1.3), and the stage after each
STARTS = {
    "vllm": [
        ("Starting to load model nvidia/nemotron...", "loading weights"),
        ("Loading safetensors checkpoint shards:  12% Completed | 2/17", "loading weights"),
        ("Loading weights took 31.20 seconds", "loading weights"),
        ("Model loading took 68.3 GiB memory and 45.1 seconds", "loading weights"),
        ("Using cache directory: /root/.cache/vllm/torch_compile_cache/ab for vLLM's torch.compile", "compiling"),
        ("Dynamo bytecode transform time: 12.3 s", "compiling"),
        ("torch.compile took 92.00 s in total", "compiling"),
        ("Available KV cache memory: 61.2 GiB", "allotting caches"),
        ("GPU KV cache size: 1,234,567 tokens", "allotting caches"),
        ("Maximum concurrency for 1,048,576 tokens per request: 3.1x", "allotting caches"),
        ("[Autotuner]: Autotuning process starts ...", "compiling"),
        ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): 50%", "capturing CUDA graphs"),
        ("Graph capturing finished in 24 secs, took 1.2 GiB", "capturing CUDA graphs"),
        ("init engine (profile, create kv cache, warmup model) took 127.4 s", "capturing CUDA graphs"),
        ("Starting vLLM server on http://0.0.0.0:8000", "listening"),
        ("Application startup complete.", "listening"),
    ],
    "sglang": [
        ("Load weight begin. avail mem=170.0 GB", "loading weights"),
        ("Load weight end. type=NemotronHForCausalLM, avail mem=100.0 GB", "loading weights"),
        ("Mamba Cache is allocated. max_mamba_cache_size: 64", "allotting caches"),
        ("KV Cache is allocated. #tokens: 1000000", "allotting caches"),
        ("Memory pool end. avail mem=20.0 GB", "allotting caches"),
        ("Running FlashInfer autotune...", "compiling"),
        ("Capture cuda graph begin. This can take up to several minutes. avail mem=20 GB", "capturing CUDA graphs"),
        ("Capture cuda graph end. Time elapsed: 30.0 s.", "capturing CUDA graphs"),
        ("max_total_num_tokens=1000000, chunked_prefill_size=8192", "allotting caches"),
        ("The server is fired up and ready to roll!", "listening"),
    ],
    "trtllm": [
        ("Prefetching 120.00GB checkpoint files.", "loading weights"),
        ("Loading weights: 50%|#####", "loading weights"),
        ("[Autotuner] Autotuning process starts ...", "compiling"),
        ("[Autotuner] Autotuning process ends", "compiling"),
        ("Creating CUDA graph instances for 12 batch sizes.", "capturing CUDA graphs"),
        ("Run generation-only CUDA graph warmup for batch size=8, draft_len=3", "capturing CUDA graphs"),
        ("Application startup complete.", "listening"),
    ],
}


@pytest.mark.parametrize("name", STARTS)
def test_the_stages_of_a_real_start_are_told(name: str) -> None:
    reader = LogReader(find_server(name).stages)
    for line, stage in STARTS[name]:
        reader.read(line)
        assert reader.stage == stage, line


def issues(server: Any, version: Any) -> Any:
    return find_server(server).issues_of(version or choose_surface(server, None).surface.version)


def test_the_latest_known_issue_is_told_and_only_the_last_lines_are_kept() -> None:
    reader = LogReader(issues=issues("vllm", "0.20.0"))
    assert reader.known_issue() is None
    reader.read("error: unrecognized arguments: --swap-space 0")
    reader.read("To allow it, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1.")
    issue = reader.known_issue()
    assert issue is not None
    assert issue.name == "vllm-long-context"
    for number in range(KEPT_LINES):
        reader.read(f"line {number}")
    assert reader.known_issue() is None
    shown = reader.last_lines().splitlines()
    assert (len(shown), shown[-1]) == (SHOWN_LINES, f"  | line {KEPT_LINES - 1}")


@pytest.mark.parametrize(
    ("server", "version", "name"),
    [
        ("trtllm", "1.3.0rc12", "trtllm-13179"),
        ("trtllm", "1.3.0rc14", None),
        ("vllm", "0.20.0", None),
        ("sglang", None, None),
    ],
)
def test_a_line_shows_only_an_issue_that_the_server_has_in_its_version(
    server: str, version: str | None, name: str | None
) -> None:
    reader = LogReader(issues=issues(server, version))
    reader.read("run out of mamba cache blocks")
    issue = reader.known_issue()
    assert (issue.name if issue else None) == name


@pytest.mark.parametrize(
    "line",
    [
        "Detected ModelOpt checkpoint, quant_algo=MIXED_PRECISION",
        "non-default args: {'quantization': 'MIXED_PRECISION'}",
        "WARNING VLLM_ALLOW_LONG_MAX_MODEL_LEN must be used with extreme caution.",
        "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1",
    ],
)
def test_an_ordinary_line_shows_no_issue(line: str) -> None:
    reader = LogReader(issues=issues("vllm", "0.15.0"))
    reader.read(line)
    assert reader.known_issue() is None


def test_a_refused_quantization_shows_its_issue_in_the_versions_that_refuse_it() -> None:
    for version, name in (("0.15.0", "vllm-mixed-precision"), ("0.20.0", None)):
        reader = LogReader(issues=issues("vllm", version))
        reader.read("ValueError: ModelOpt currently only supports: ['FP8', 'NVFP4'] quantizations in vLLM.")
        issue = reader.known_issue()
        assert (issue.name if issue else None) == name
