"""Accuracy of a running server by lm-eval, beside the card's table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import trtnemo, trtnemo_here
from tests.support.lm_eval import CHOICE, ROWS, TASK
from trtnemo.checkpoint.family.card import Comparison, card_suites, compare


@pytest.fixture
def task_folder(tmp_path: Path) -> Any:
    data = tmp_path / "capitals.jsonl"
    data.write_text("\n".join(json.dumps(dict(zip(("country", "right", "wrong"), row, strict=True))) for row in ROWS))
    (tmp_path / "capitals.yaml").write_text(
        TASK.format(name="capitals", data=data, kind="multiple_choice", extra=CHOICE)
    )
    return tmp_path


STAND_IN = """
import json, pathlib, sys
words = dict(zip(sys.argv[1:], sys.argv[2:]))
if words["--tasks"] != "capitals":
    sys.exit("Traceback (most recent call last):\\nValueError: Tasks not found: " + words["--tasks"])
assert words["--model"] == "local-completions", words
assert words["--model_args"].startswith("model=tiny,base_url=http://127.0.0.1:"), words
assert "/v1/completions,tokenizer=" in words["--model_args"], words
assert pathlib.Path(words["--include_path"], "capitals.yaml").is_file(), words
scores = {"alias": "capitals", "sample_len": 4, "acc,none": 0.75, "acc_stderr,none": 0.25, "acc_norm,none": "N/A"}
folder = pathlib.Path(words["--output_path"], "tiny")
folder.mkdir()
(folder / "results_2026.json").write_text(json.dumps({"results": {"capitals": scores}}))
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a module of lm-eval's name in front of the real one, which imports for ten seconds."""
    package = tmp_path / "stand-in" / "lm_eval"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


ROW = {"task", "metric", "score", "standard_error", "card", "suite", "allowed", "verdict"}


def test_what_lm_eval_found_stands_beside_the_card(
    stand_in: Any, tiny_url: Any, tiny_engine: Any, task_folder: Any
) -> None:
    where = ["--url", tiny_url, "--tokenizer", tiny_engine / "tokenizer", "--include-path", task_folder]
    result = trtnemo_here("eval", *where, "--task", "capitals", "--json")
    assert result.returncode == 0, result.stderr
    [row] = json.loads(result.stdout)
    assert row.keys() == ROW
    assert (row["metric"], row["score"], row["standard_error"]) == ("acc,none", 75.0, 25.0)
    assert row["verdict"] == "not on the card"


def test_what_lm_eval_does_not_know_is_told_in_one_line(stand_in: Any, tiny_url: Any, tiny_engine: Any) -> None:
    result = trtnemo_here("eval", "--url", tiny_url, "--tokenizer", tiny_engine / "tokenizer", "--task", "no_such_task")
    assert result.returncode == 7
    assert result.stderr.startswith("trtnemo: error: lm-eval failed: ValueError: Tasks not found: no_such_task")
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_task_is_measured_against_a_running_server(
    tiny_url: Any, tiny_engine: Any, task_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(task_folder / "hf"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    where = ["--url", tiny_url, "--tokenizer", tiny_engine / "tokenizer", "--include-path", task_folder]
    result = trtnemo("eval", *where, "--task", "capitals", "--json")
    assert result.returncode == 0, result.stderr
    [row] = [item for item in json.loads(result.stdout) if item["metric"] == "acc,none"]
    assert row["score"] == 100.0
    assert row["verdict"] == "not on the card"
    assert row.keys() == ROW


@pytest.mark.slow
def test_an_unknown_task_is_told_in_one_line(tiny_url: Any, tiny_engine: Any) -> None:
    result = trtnemo("eval", "--url", tiny_url, "--tokenizer", tiny_engine / "tokenizer", "--task", "no_such_task")
    assert result.returncode == 7
    assert result.stderr.startswith("trtnemo: error: lm-eval failed")
    assert "Traceback" not in result.stderr


def test_the_cards_table_is_whole() -> None:
    suites = card_suites()
    assert len(suites) == 19
    assert len({suite.name for suite in suites}) == 19
    tau = [suite for suite in suites if suite.name.startswith("TauBench")]
    # the card prints the average too
    assert [round(sum(s.score(p) for s in tau) / 3, 2) for p in ("bf16", "fp8", "nvfp4")] == [61.15, 61.08, 60.47]
    assert next(suite for suite in suites if suite.name == "MMLU-Pro").score("nvfp4") == 83.33


@pytest.mark.parametrize(
    ("score", "error", "verdict"),
    [
        (83.33, None, "as the card"),
        (82.34, None, "as the card"),
        (82.32, None, "below the card"),
        (82.32, 0.1, "as the card"),
        (84.4, None, "above the card"),
        (81.0, 0.5, "below the card"),
    ],
)
def test_a_score_is_as_the_cards_within_a_point_and_two_standard_errors(
    score: float, error: float | None, verdict: str
) -> None:
    assert compare("mmlu_pro", "exact_match,custom-extract", score, error, "nvfp4").verdict == verdict


def test_a_task_that_the_card_does_not_have_is_not_judged() -> None:
    assert compare("capitals", "acc,none", 1.0, None, "fp8") == Comparison(
        "capitals", "acc,none", 1.0, None, None, None
    )
