"""What strangers bring to `trtnemo run`: questions, places that are none, hubs that refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import run_command
from tests.support.hub.process import NAME
from trtnemo.checkpoint import Checkpoint

QUESTION = "What is the capital of Japan?"


@pytest.mark.parametrize(
    ("words", "stdin", "told"),
    [
        (["tiny", ""], None, "the question is empty"),
        (["tiny", "  "], None, "the question is empty"),
        # ollama/ollama pull 1126: a prompt that comes by stdin, here none
        (["tiny"], "\n \n", "stdin held no question"),
        (["tiny", "-"], "", "stdin held no question"),
        # macanderson/stella issue 1261: a question that begins with a dash
        (["tiny", "-5 plus 3?"], None, "goes last, after --"),
        (["tiny", "What", "is", "it"], None, "Put the question in quotes"),
    ],
)
def test_question_that_is_none_says_so(tmp_path: Path, words: list[str], stdin: str | None, told: str) -> None:
    done = run_command(tmp_path, "run", *words, input=stdin or "")
    assert (done.returncode, told in done.stderr, done.stdout) == (2, True, ""), done.stderr


def test_dash_asks_for_stdin(tmp_path: Path) -> None:
    # RyderFreeman4Logos/cli-sub-agent issue 993: the dash was taken for the question, and stdin dropped
    done = run_command(tmp_path, "run", "tiny", "-", "--no-thinking", input=f"{QUESTION}\n")
    assert (done.returncode, done.stdout) == (0, "The capital of Japan is Tokyo.\n"), done.stderr


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("empty", "holds no config.json"),
        # OpenCSGs/llm-inference issue 116, ollama issue 7207: GGUF as a file and in a directory
        ("gguf", "holds GGUF"),
        ("gguf/model.gguf", "holds GGUF"),
        ("weights.safetensors", "is a file, not a checkpoint directory"),
        # vllm-project/vllm issue 3719: a model's folder in the cache in place of its snapshot
        ("models--a--b", "models--a--b/snapshots/c0"),
    ],
)
def test_place_without_a_checkpoint_is_refused_with_what_to_give(tmp_path: Path, place: str, told: str) -> None:
    for folder in ("empty", "gguf", "models--a--b/snapshots/c0"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "gguf" / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "weights.safetensors").write_bytes(b"")
    (tmp_path / "models--a--b" / "snapshots" / "c0" / "config.json").write_text("{}")
    done = run_command(tmp_path, "run", tmp_path / place, "hi")
    assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (4, True, False), done.stderr


def test_engines_that_cannot_be_kept_are_told_before_a_download(tmp_path: Path, hub: Any) -> None:
    # av/harbor issue 262: a cache that the container's user cannot write, found at the first file
    (tmp_path / "file").write_text("")
    served = hub(Checkpoint.open("tiny").directory)
    done = served.run("run", NAME, QUESTION, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert (done.returncode, "Set XDG_CACHE_HOME" in done.stderr) == (6, True), done.stderr
    assert not any(".safetensors" in answer["path"] for answer in served.stop())


def test_relative_cache_of_the_environment_is_left_alone(tmp_path: Path) -> None:
    # The XDG base directory specification: paths that are not absolute are invalid and to be ignored
    home = tmp_path / "home"
    done = run_command(tmp_path, "run", "tiny", QUESTION, XDG_CACHE_HOME="relative", HOME=str(home), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (home / ".cache" / "trtnemo" / "engines").is_dir()
    assert not (tmp_path / "relative").exists()


@pytest.mark.parametrize(
    ("name", "environment", "told"),
    [
        # llama-stack and vLLM threads on gated models: 401 says nothing of terms and tokens
        (NAME, {"gated": "1"}, "accepted its terms"),
        ("owner/nothing", {}, "has no such model, or it is private"),
        (NAME.upper(), {}, "upper and lower case too"),
        # unslothai/unsloth pull 4989: endpoints without a scheme, and hosts that are none
        (NAME, {"HF_ENDPOINT": "127.0.0.1:9"}, "HF_ENDPOINT: is '127.0.0.1:9', which is no address"),
        (NAME, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be had from http://127.0.0.1:9"),
        # av/harbor issue 262: the hub's cache cannot be written
        (NAME, {"HF_HUB_CACHE": "/proc/none"}, "Set HF_HOME, or HF_HUB_CACHE"),
        # vllm-project/vllm issue 1986: no network, and no model
        (NAME, {"HF_HUB_OFFLINE": "1"}, "the hub is offline (HF_HUB_OFFLINE is set)"),
    ],
)
def test_hub_that_gives_nothing_is_told_by_kind(
    hub: Any, tmp_path: Path, name: str, environment: dict[str, str], told: str
) -> None:
    environment = dict(environment)
    flags = ["--token", "secret"] if environment.pop("gated", None) else []
    served = hub(Checkpoint.open("tiny").directory, *flags)
    done = served.run("run", name, "hi", **{"XDG_CACHE_HOME": str(tmp_path), **environment})
    assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (4, True, False), done.stderr
    assert done.stdout == ""


def test_repository_of_gguf_is_refused_by_its_files(hub: Any, tmp_path: Path) -> None:
    # vllm-project/vllm pull 29137: GGUF repositories by the name alone
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    done = hub(repository).run("run", NAME, "hi", XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, "holds GGUF (model-Q4_K_M.gguf)" in done.stderr) == (4, True), done.stderr


def test_repository_without_a_model_is_refused(hub: Any, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "README.md").write_text("nothing")
    done = hub(repository).run("run", NAME, "hi", XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, "the hub has no config.json of it" in done.stderr) == (4, True), done.stderr


def test_relative_home_of_the_hub_works(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # huggingface/huggingface_hub issues 1388 and 4292: links that broke where the cache's path was not absolute
    monkeypatch.chdir(tmp_path)
    served = hub(Checkpoint.open("tiny").directory)
    done = served.run("run", NAME, QUESTION, "--no-thinking", XDG_CACHE_HOME=str(tmp_path), HF_HOME="relative")
    assert (done.returncode, done.stdout) == (0, "The capital of Japan is Tokyo.\n"), done.stderr
