"""lm-eval's local-completions model scores and generates against the running server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.lm_eval import CHOICE, ROWS, TASK

GENERATE = """doc_to_target: "{{right}}"
generation_kwargs: {until: ["."], max_gen_toks: 8, do_sample: false}
filter_list: [{name: trimmed, filter: [{function: remove_whitespace}, {function: take_first}]}]
metric_list: [{metric: exact_match}]
"""
KINDS = {
    "choose": ("multiple_choice", CHOICE, "acc,none"),
    "generate": ("generate_until", GENERATE, "exact_match,trimmed"),
}


@pytest.fixture(scope="module")
def results(tiny_url: Any, tiny_engine: Any, tmp_path_factory: Any) -> Any:
    """Return lm-eval's results of both kinds of tasks, in one process: it imports for ten seconds."""
    folder = tmp_path_factory.mktemp("lm-eval")
    data = folder / "capitals.jsonl"
    data.write_text("\n".join(json.dumps(dict(zip(("country", "right", "wrong"), row, strict=True))) for row in ROWS))
    for name, (kind, extra, _) in KINDS.items():
        (folder / f"{name}.yaml").write_text(TASK.format(name=name, data=data, kind=kind, extra=extra))
    endpoint, tokenizer = f"{tiny_url}/v1/completions", tiny_engine / "tokenizer"
    arguments = f"model=tiny,base_url={endpoint},tokenizer={tokenizer},num_concurrent=2,max_length=2048"
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "local-completions", "--model_args", arguments]
    command += ["--tasks", ",".join(KINDS), "--include_path", str(folder), "--output_path", str(folder / "out")]
    environment = {**os.environ, "HF_HOME": str(folder / "hf"), "HF_DATASETS_OFFLINE": "1", "OPENAI_API_KEY": "EMPTY"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(next((folder / "out").rglob("results*.json")).read_text())["results"]


@pytest.mark.parametrize("name", KINDS)
def test_lm_eval_scores_a_local_task(results: Any, name: str) -> None:
    assert results[name]["sample_len"] == len(ROWS)
    assert results[name][KINDS[name][2]] == 1.0
