"""Stages and known issues are read off a server's log."""

from __future__ import annotations

import pytest

from trtnemo.launch.stages import KEPT_LINES, SHOWN_LINES, LogReader


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
def test_a_line_begins_a_stage_once(line, stage):
    reader = LogReader()
    assert reader.read(line) == stage
    assert reader.read(line) is None
    assert reader.stage == (stage or "starting")


def test_the_latest_known_issue_is_told_and_only_the_last_lines_are_kept():
    reader = LogReader()
    assert reader.known_issue() is None
    reader.read("run out of mamba cache blocks")
    reader.read("set VLLM_ALLOW_LONG_MAX_MODEL_LEN=1")
    assert reader.known_issue().name == "vllm-long-context"
    for number in range(KEPT_LINES):
        reader.read(f"line {number}")
    assert reader.known_issue() is None
    shown = reader.last_lines().splitlines()
    assert (len(shown), shown[-1]) == (SHOWN_LINES, f"  | line {KEPT_LINES - 1}")
