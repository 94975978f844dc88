"""What a batch costs beside the engine alone: the same rows through `trtnemo batch` over HTTP, and in this process.

usage: python -m benchmarks.batches [--work DIR] [--rounds N] [--size mid] [--rows N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import checkpoints
from benchmarks.served import serving
from trtnemo import LLM, SamplingParams
from trtnemo.bench.load.prompts import draw_prompts
from trtnemo.bench.load.shape import LoadShape
from trtnemo.endpoint import served_models

TOKENS = 64


def texts(rows: int, seed: int) -> list[str]:
    """Return prompts of real text that share no beginning."""
    shape = LoadShape(concurrency=1, requests=rows, warmup=0, seed=seed)
    return [prompt.text for prompt in draw_prompts(shape, str(seed))]


def batch_rate(url: str, prompts: list[str]) -> float:
    """Return tokens a second of `trtnemo batch`, from its first request to its last result."""
    with tempfile.TemporaryDirectory() as directory:
        source, output = Path(directory) / "in.jsonl", Path(directory) / "out.jsonl"
        body = {"max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
        lines = [
            {"custom_id": str(number), "method": "POST", "url": "/v1/completions", "body": {**body, "prompt": prompt}}
            for number, prompt in enumerate(prompts)
        ]
        source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        command = [sys.executable, "-m", "trtnemo", "batch", str(source), str(output), "--url", url, "--json"]
        words = ["--model", served_models(url)[0]]
        found = json.loads(subprocess.run([*command, *words], check=True, capture_output=True, text=True).stdout)
        answers = [json.loads(line)["response"]["body"] for line in output.read_text().splitlines()]
        return float(sum(answer["usage"]["completion_tokens"] for answer in answers) / found["seconds"])


def process_rate(engine: Path, prompts: list[str]) -> float:
    """Return tokens a second of LLM.generate on the same rows."""
    with LLM(engine) as llm:
        llm.generate(prompts[:1], SamplingParams(temperature=0, max_tokens=2))
        started = time.perf_counter()
        found = llm.generate(prompts, SamplingParams(temperature=0, max_tokens=TOKENS, ignore_eos=True))
        return sum(len(output.token_ids) for output in found) / (time.perf_counter() - started)


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="mid")
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    engine = checkpoints.build(options.work, checkpoints.make(options.work, options.size, "nvfp4"))
    ratios = []
    for number in range(options.rounds):
        prompts = texts(options.rows, number)
        with serving(engine) as (url, _):
            batch_rate(url, texts(1, 1000 + number))
            over_http = batch_rate(url, prompts)
        alone = process_rate(engine, prompts)
        ratios.append(over_http / alone)
        print(f"  round {number + 1}: batch {over_http:.1f}, in process {alone:.1f} tokens/s", flush=True)
    median, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"{options.rows} rows on {options.size}: a batch gets {median:.3f} ({low:.3f} to {high:.3f}) of the rate")


if __name__ == "__main__":
    main()
