"""Checkpoints, engines and servers that tests share; the environment is cleaned around every test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.paths import CHECKPOINTS

if "PYTEST_XDIST_WORKER" in os.environ:
    # workers share the cores; torch's threads, two a worker, would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from trtnemo.engine import build_engine
from trtnemo.recipe import load_recipe

MAKE_CHECKPOINT = CHECKPOINTS / "make_checkpoint.py"
MakeCheckpoint = Callable[..., Path]


# A test that is slow on a busy machine has found nothing.
settings.register_profile("trtnemo", deadline=None)
settings.load_profile("trtnemo")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach a hub or depend on the caller's settings."""
    for name in list(os.environ):
        if name.startswith(("TRTNEMO_", "HF_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Return a function of (precision, size, seed) that gives a random checkpoint in the hub's layout."""
    made: dict[tuple[str, str, int], Path] = {}

    def make(precision: str, size: str = "micro", seed: int = 0) -> Path:
        key = (precision, size, seed)
        if key not in made:
            directory = tmp_path_factory.mktemp("checkpoint") / f"{size}-{precision}-{seed}"
            command = [sys.executable, str(MAKE_CHECKPOINT), str(directory), "--precision", precision, "--size", size]
            subprocess.run([*command, "--seed", str(seed)], check=True, capture_output=True)
            made[key] = directory
        return made[key]

    return make


@pytest.fixture
def copy_checkpoint(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that gives a checkpoint of a test's own, to be spoiled."""
    import shutil

    def copy(precision: str = "nvfp4") -> Path:
        target = tmp_path / "checkpoint"
        shutil.copytree(make_checkpoint(precision), target)
        return target

    return copy


@pytest.fixture(scope="session")
def make_engine(make_checkpoint: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function of (precision, *settings) that gives an engine of a micro checkpoint."""
    made: dict[tuple[str, ...], Path] = {}

    def make(precision: str, *settings: str) -> Path:
        key = (precision, *settings)
        if key not in made:
            output = tmp_path_factory.mktemp("engine") / precision
            recipe = load_recipe("tiny", [f"checkpoint={make_checkpoint(precision)}", *settings])
            build_engine(recipe, "tiny", output)
            made[key] = output
        return made[key]

    return make


@pytest.fixture(scope="session")
def tiny_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an engine of the embedded, trained model."""
    output = tmp_path_factory.mktemp("engine") / "tiny"
    build_engine(load_recipe("tiny"), "tiny", output)
    return output


@pytest.fixture(scope="session")
def make_plans(make_checkpoint: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function of (checkpoint, *settings) that gives an engine of TensorRT plans; float32 unless they say."""
    made: dict[tuple[str, ...], Path] = {}

    def make(checkpoint: str, *settings: str) -> Path:
        key = (checkpoint, *settings)
        if key not in made:
            output = tmp_path_factory.mktemp("plans") / checkpoint
            name = checkpoint if checkpoint == "tiny" else str(make_checkpoint(checkpoint))
            given = [f"checkpoint={name}", "limits.max_seq_len=2048", "tensorrt.products=float32", *settings]
            build_engine(load_recipe("rtx-pro-6000", given), "rtx-pro-6000", output)
            made[key] = output
        return made[key]

    return make


@pytest.fixture(scope="session")
def server_process() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Return a function that starts `trtnemo serve` as a real process and gives (process, base URL)."""
    running: list[subprocess.Popen[str]] = []

    def start(engine: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "trtnemo", "serve", "--engine", str(engine), "--port", "0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving"), f"{line}{process.stderr.read() if process.stderr else ''}"
        return process, line.split()[-1]

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture(scope="session")
def tiny_url(tiny_engine: Path, server_process: Callable[..., tuple[subprocess.Popen[str], str]]) -> str:
    """Return the base URL of a server of the embedded model."""
    return server_process(tiny_engine)[1]
