"""Accuracy of any OpenAI-compatible endpoint, measured by lm-eval in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.family.card import Comparison, Precision, card_suites, compare
from trtnemo.endpoint import base_url, served_models
from trtnemo.errors import MachineError, ServerError, UsageError


def evaluate(
    url: str,
    model: str | None,
    tokenizer: str | None,
    tasks: Sequence[str],
    chat: bool,
    limit: int | None,
    include_path: Path | None,
    precision: Precision,
) -> list[Comparison]:
    """Return a comparison per task and metric, scores in per cent.

    Raises MachineError without lm-eval, ServerError where no server answers or lm-eval fails, UsageError on a bad task
    folder.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise MachineError("lm-eval is not installed", remedy="pip install 'trtnemo[eval]'")
    if include_path is not None and not include_path.is_dir():
        raise UsageError("is not a directory", where=str(include_path))
    base = base_url(url)
    name = model or served_models(base)[0]
    chosen = tuple(tasks) or tuple(suite.lm_eval for suite in card_suites() if suite.lm_eval is not None)
    endpoint = f"{base}/v1/{'chat/completions' if chat else 'completions'}"
    arguments = f"model={name},base_url={endpoint},tokenizer={tokenizer or name},num_concurrent=4"
    command = [sys.executable, "-m", "lm_eval", "run"]
    command += ["--model", "local-chat-completions" if chat else "local-completions", "--model_args", arguments]
    command += ["--tasks", ",".join(chosen)]
    command += ["--apply_chat_template"] if chat else []
    command += ["--limit", str(limit)] if limit is not None else []
    command += ["--include_path", str(include_path)] if include_path is not None else []
    with tempfile.TemporaryDirectory() as directory:
        results = _run([*command, "--output_path", directory], Path(directory))
    return [item for task, scores in results.items() for item in _comparisons(task, scores, precision)]


def _run(command: list[str], directory: Path) -> dict[str, dict[str, Any]]:
    environment = {**os.environ, "OPENAI_API_KEY": os.environ.get("OPENAI_API_KEY", "EMPTY")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    file = next(iter(sorted(directory.rglob("results*.json"))), None)
    if done.returncode or file is None:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ServerError(f"lm-eval failed: {last}", remedy="Try one task with --limit 1")
    results: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["results"]
    return results


def _comparisons(task: str, scores: dict[str, Any], precision: Precision) -> list[Comparison]:
    found = []
    for key, value in scores.items():
        metric, _, filtered = key.partition(",")
        if not filtered or metric.endswith("_stderr") or not isinstance(value, (int, float)):
            continue
        error = scores.get(f"{metric}_stderr,{filtered}")
        spread = 100 * float(error) if isinstance(error, (int, float)) else None
        found.append(compare(task, key, 100 * float(value), spread, precision))
    return found
