"""What people give where an engine is meant: each is said to be what it is, with the way to an engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import trtnemo_here
from trtnemo.recipe.source import SHIPPED_RECIPES


def gguf(place: Path) -> str:
    (place / "model.gguf").write_bytes(b"GGUF\3\0\0\0")
    return "model.gguf"


def below(place: Path, name: str) -> str:
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return name.partition("/")[0]


# what is given, what it is said to be, and what to do
GIVEN: dict[str, tuple[Callable[[Path], str], str, str]] = {
    # ggml-org/llama.cpp's llama-bench takes the file
    "a GGUF file": (gguf, "it is a GGUF file", "llama.cpp and programs built on it read it"),
    # containers/ramalama issue 599, EricLBuehler/mistral.rs issue 1713: the directory of one
    "a directory of GGUF": (lambda place: gguf(place) and ".", "it holds GGUF", "llama.cpp"),
    # NVIDIA/TensorRT-LLM issue 1247: --engine_dir of what convert_checkpoint wrote, and a KeyError
    "a checkpoint": (lambda place: below(place, "model/config.json"), "it is a checkpoint", "--checkpoint model"),
    "an engine of TensorRT-LLM": (lambda place: below(place, "trt/rank0.engine"), "or TensorRT-LLM", "builds its own"),
    "a file of weights": (lambda place: below(place, "model.safetensors"), "a file of weights", "--checkpoint"),
    # NVIDIA/TensorRT-LLM issue 182 and triton-inference-server/tensorrtllm_backend issue 207: a directory too high
    "a directory of engines": (lambda place: below(place, "e/tiny/engine.json"), "json is missing", "Give e/tiny"),
    # names that a format string would read as places
    "a directory with braces": (lambda place: below(place, "{a}/tiny/engine.json"), "json is missing", "Give {a}/tiny"),
    "a checkpoint with braces": (lambda place: below(place, "{0}/config.json"), "a checkpoint", "--checkpoint {0}"),
    "the file in an engine": (
        lambda place: below(place, "e/engine.json") + "/engine.json", "it is a file in one", "Give e"),
    "a recipe": (lambda _: "nano-cpu", "the name of a recipe", "--recipe nano-cpu"),
    "a recipe's file": (lambda _: str(SHIPPED_RECIPES / "tiny.yaml"), "a YAML file", "--recipe /"),
    # vllm's and SGLang's benchmarks take an id of the hub
    "a hub id": (lambda _: "nvidia/Nemotron-3-Nano", "there is no such directory", "--checkpoint takes a hub id"),
    "nothing": (lambda _: "engines/tiny", "there is no such directory", "`trtnemo build --output DIR`"),
    "an empty word": (lambda _: "", "engine.json is missing", "`trtnemo build"),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_place_that_is_no_engine_is_said_to_be_what_it_is(name: str, tmp_path: Path) -> None:
    make, what, remedy = GIVEN[name]
    word = make(tmp_path)
    for command in (("bench", "profile"), ("serve", "--engine"), ("inspect",)):
        told = trtnemo_here(*command, word, cwd=tmp_path)
        assert (told.returncode, told.stdout, told.stderr.count("\n")) == (5, "", 1)
        assert "is not an engine directory: " in told.stderr
        assert what in told.stderr
        assert remedy in told.stderr


def test_engine_that_may_not_be_read_is_not_to_be_built_again(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "read_text", refuse)
    told = trtnemo_here("bench", "profile", tmp_path)
    assert told.returncode == 5
    assert told.stderr.endswith("engine.json: cannot be read: Permission denied\n")
