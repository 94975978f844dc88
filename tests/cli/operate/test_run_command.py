"""`trtnemo run` and `trtnemo cache`: a model's name and a question in, an answer out, and what it leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import run_command as run
from tests.support.hub.process import NAME
from trtnemo.checkpoint import Checkpoint


def test_question_is_answered_and_the_engine_is_built_once(tmp_path: Path) -> None:
    first = run(tmp_path, "run", "tiny", "What is the capital of Japan?", "--no-thinking")
    assert (first.returncode, first.stdout) == (0, "The capital of Japan is Tokyo.\n"), first.stderr
    for said in ("runtime cpu, recipe tiny", "fits: 1x CPU", "tokens/s for one answer here", "building tiny-"):
        assert said in first.stderr
    again = run(tmp_path, "run", "tiny", "--no-thinking", input="What is the capital of Kenya?\n")
    assert (again.returncode, again.stdout) == (0, "The capital of Kenya is Nairobi.\n"), again.stderr
    assert "building" not in again.stderr
    (kept,) = json.loads(run(tmp_path, "cache", "list", "--json").stdout)
    assert kept.keys() == {"kind", "name", "path", "bytes", "used", "partial"}
    assert (kept["kind"], kept["bytes"] > 4_000_000) == ("engine", True)
    assert "nobody can be asked here" in run(tmp_path, "cache", "remove", kept["name"], input="").stderr
    assert run(tmp_path, "cache", "remove", kept["name"], kept["name"], "--yes").returncode == 0
    assert run(tmp_path, "cache", "list").stdout.startswith("nothing is kept in ")
    assert not Path(kept["path"]).exists()


def test_damaged_engine_in_the_cache_is_built_again(tmp_path: Path) -> None:
    cut = run(tmp_path, "run", "tiny", "Hi", "--max-tokens", "1")
    assert cut.stdout == "\n"
    assert cut.stderr.endswith("The answer was cut at the limit of tokens, before it had begun.\n")
    (engine,) = (tmp_path / "trtnemo" / "engines").iterdir()
    (engine / "engine.json").write_text("{}")
    again = run(tmp_path, "run", "tiny", "What is the capital of Japan?", "--no-thinking")
    assert (again.returncode, again.stdout) == (0, "The capital of Japan is Tokyo.\n"), again.stderr
    assert "the engine in the cache is built again" in again.stderr


def test_model_of_a_hub_is_downloaded_audited_and_asked(hub: Any, tmp_path: Path) -> None:
    served = hub(Checkpoint.open("tiny").directory)
    done = served.run("run", NAME, "What is the capital of Japan?", "--no-thinking", XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "The capital of Japan is Tokyo.\n"), done.stderr
    assert f"downloading {NAME}" in done.stderr
    offline = served.run("run", NAME, "What is the capital of Kenya?", "--no-thinking", XDG_CACHE_HOME=str(tmp_path),
                         HF_HUB_OFFLINE="1")  # fmt: skip
    assert (offline.returncode, offline.stdout) == (0, "The capital of Kenya is Nairobi.\n"), offline.stderr
    listed = json.loads(served.run("cache", "list", "--json", XDG_CACHE_HOME=str(tmp_path)).stdout)
    assert {one["kind"]: one["name"] for one in listed}["checkpoint"] == NAME
    assert served.run("cache", "remove", NAME, "--yes", XDG_CACHE_HOME=str(tmp_path)).returncode == 0
    listed = json.loads(served.run("cache", "list", "--json", XDG_CACHE_HOME=str(tmp_path)).stdout)
    assert [one["kind"] for one in listed] == ["engine"]


def test_gated_model_needs_a_token_which_the_environment_gives(hub: Any, tmp_path: Path) -> None:
    served = hub(Checkpoint.open("tiny").directory, "--token", "secret")
    words = ("run", NAME, "What is the capital of Japan?", "--no-thinking")
    refused = served.run(*words, XDG_CACHE_HOME=str(tmp_path))
    assert (refused.returncode, "Traceback" in refused.stderr) == (4, False)
    done = served.run(*words, XDG_CACHE_HOME=str(tmp_path), HF_TOKEN="secret")  # noqa: S106 - of the hub above
    assert (done.returncode, done.stdout) == (0, "The capital of Japan is Tokyo.\n"), done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["tiny-er"], 4, "no such directory"),
        (["b200", "hi"], 3, "is another server's"),
        (["tiny", "hi", "--max-tokens", "0"], 2, "is not in the range"),
        (["tiny", "hi", "--set", "limits.nope=1"], 3, "nope"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_a_code(tmp_path: Path, words: list[str], code: int, told: str) -> None:
    done = run(tmp_path, "run", *words)
    assert (done.returncode, told in done.stderr, done.stdout) == (code, True, ""), done.stderr
    assert not (tmp_path / "trtnemo").exists()


def test_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "run", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4", "--dry-run",
               "--set", "limits.max_seq_len=1024")  # fmt: skip
    assert "Nano-30B" in done.stderr or "recipe nano-cpu" in done.stderr
    assert not (tmp_path / "trtnemo").exists()


def test_states_of_long_questions_outlive_the_run(tmp_path: Path) -> None:
    states = tmp_path / "states"
    question = "The river runs to the sea. " * 200
    words = (
        "run",
        "tiny",
        question,
        "--no-thinking",
        "--max-tokens",
        8,
        "--prefix-dir",
        states,
        "--set",
        "sampling.temperature=0",
    )
    first = run(tmp_path, *words)
    (written,) = states.glob("*/*.prefix")
    os.utime(written, (0, 0))
    again = run(tmp_path, *words)
    assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr
    assert written.stat().st_mtime > 0  # it was read
