"""Checkpoints, engines and servers that tests share; the environment is cleaned around every test."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

from tests.support.paths import CHECKPOINTS, ROOT

if "PYTEST_XDIST_WORKER" in os.environ:
    # workers share the cores; torch's threads, two a worker, would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# the hub's client reads it when it is imported, which a test of another file may have done
os.environ["HF_HUB_OFFLINE"] = "1"

from tests.support.commands import interruptible
from trtnemo.engine import build_engine
from trtnemo.recipe import load_recipe

MAKE_CHECKPOINT = CHECKPOINTS / "make_checkpoint.py"
MakeCheckpoint = Callable[..., Path]
Share = Callable[[str, Callable[[Path], object]], Path]

# A test that is slow on a busy machine has found nothing. `fuzz` takes its number of examples from these profiles.
BUSY = [HealthCheck.too_slow]
settings.register_profile("trtnemo", deadline=None, max_examples=500, suppress_health_check=BUSY)
settings.register_profile("slow", deadline=None, max_examples=5000, suppress_health_check=BUSY)
settings.load_profile("trtnemo")

LONG_SECONDS = 600
# Files that take longest, the longest first, so that none is begun when the other worker has little left.
LONGEST = (
    "tests/cli/test_tensorrt_commands.py",
    "tests/runtime/comparison/test_compare.py",
    "tests/bench/load/test_run.py",
    "tests/runtime/test_speculation.py",
    "tests/backends/tensorrt/test_memory.py",
    "tests/backends/torch/test_oracle.py",
    "tests/training/test_tiny.py",
    "tests/backends/tensorrt/test_plans.py",
    "tests/launch/bundle/test_serve.py",
)


@pytest.hookimpl(tryfirst=True)  # before pytest takes out what `-m` does not ask for
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest files, give slow tests their time, and count fuzzing with many examples as slow."""
    rank = {ROOT / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
    many = config.getoption("hypothesis_profile", None) == "slow"
    for item in items:
        if many and item.get_closest_marker("fuzz"):
            item.add_marker("slow")
        patient = any(item.get_closest_marker(name) for name in ("slow", "long", "wheels"))
        if patient and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_SECONDS))


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach a hub or depend on the caller's settings."""
    for name in list(os.environ):
        if name.startswith(("TRTNEMO_", "HF_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Share:
    """Return a function of (name, make) that gives a directory, made once for all of xdist's workers."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    root.mkdir(exist_ok=True)

    def share(name: str, make: Callable[[Path], object]) -> Path:
        place, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(place, ignore_errors=True)  # of a worker that broke off
                make(place)
                done.touch()
        return place

    return share


def _digest(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()[:12]


@pytest.fixture(scope="session")
def make_checkpoint(shared: Share) -> MakeCheckpoint:
    """Return a function of (precision, size, seed) that gives a random checkpoint in the hub's layout."""

    def make(precision: str, size: str = "micro", seed: int = 0) -> Path:
        words = ["--precision", precision, "--size", size, "--seed", str(seed)]
        return shared(f"{size}-{precision}-{seed}", lambda place: _write_checkpoint([str(place), *words]))

    return make


def _write_checkpoint(words: list[str]) -> None:
    """Run make_checkpoint.py in this process, which has imported torch; the state of its generator stays."""
    import torch

    spec = importlib.util.spec_from_file_location("make_checkpoint", MAKE_CHECKPOINT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with (
        mock.patch.object(sys, "argv", [str(MAKE_CHECKPOINT), *words]),
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its json files to be closed
        module.main()


@pytest.fixture
def copy_checkpoint(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that gives a checkpoint of a test's own, to be spoiled."""

    def copy(precision: str = "nvfp4", size: str = "micro") -> Path:
        target = tmp_path / "checkpoint"
        shutil.copytree(make_checkpoint(precision, size), target)
        return target

    return copy


@pytest.fixture(scope="session")
def make_engine(make_checkpoint: MakeCheckpoint, shared: Share) -> Callable[..., Path]:
    """Return a function of (precision, *settings) that gives an engine of a micro checkpoint."""

    def make(precision: str, *settings: str) -> Path:
        recipe = load_recipe("tiny", [f"checkpoint={make_checkpoint(precision)}", *settings])
        name = f"engine-{precision}-{_digest(*settings)}"
        return shared(name, lambda place: build_engine(recipe, "tiny", place))

    return make


@pytest.fixture(scope="session")
def make_tiny(shared: Share) -> Callable[..., Path]:
    """Return a function of settings that gives an engine of the embedded, trained model."""

    def make(*settings: str) -> Path:
        recipe = load_recipe("tiny", settings)
        return shared(f"tiny-{_digest(*settings)}", lambda place: build_engine(recipe, "tiny", place))

    return make


@pytest.fixture(scope="session")
def tiny_engine(make_tiny: Callable[..., Path]) -> Path:
    """Return an engine of the embedded, trained model."""
    return make_tiny()


@pytest.fixture(scope="session")
def make_plans(make_checkpoint: MakeCheckpoint, shared: Share) -> Callable[..., Path]:
    """Return a function of (checkpoint, *settings) that gives an engine of TensorRT plans; float32 unless they say."""

    def make(checkpoint: str, *settings: str) -> Path:
        name = checkpoint if checkpoint == "tiny" else str(make_checkpoint(checkpoint))
        given = [f"checkpoint={name}", "limits.max_seq_len=2048", "tensorrt.matmul_dtype=float32", *settings]
        recipe = load_recipe("rtx-pro-6000", given)
        label = f"plans-{checkpoint}-{_digest(*settings)}"
        return shared(label, lambda place: build_engine(recipe, "rtx-pro-6000", place))

    return make


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return a function of (directory, flags) that gives a running hub with that directory as its one repository."""
    from tests.support.hub.process import Hub

    running: list[Hub] = []

    def start(directory: Any, *flags: Any) -> Hub:
        running.append(Hub(directory, tmp_path / "home", *flags))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.stop()


@pytest.fixture(scope="session")
def bf16_tiny(shared: Share) -> Path:
    """Return `tiny` decoded to BF16: a trained network that can be quantized."""
    from tests.support.checkpoints.decoded import write_decoded
    from trtnemo.checkpoint import Checkpoint

    return shared("bf16-tiny", lambda place: write_decoded(Checkpoint.open("tiny").directory, place))


# what is asked of ModelOpt for `made_by_modelopt / "quantized"`: formats by module pattern, and token ids of texts
@pytest.fixture(scope="session")
def made_by_modelopt(make_checkpoint: MakeCheckpoint, shared: Share) -> Path:
    """Return the directory of ModelOpt's exports and answers, which modelopt_session.py lists."""

    def make(place: Path) -> None:
        given: list[str | Path] = [make_checkpoint("bf16"), make_checkpoint("mixed"), place]
        command = [sys.executable, CHECKPOINTS / "modelopt_session.py", *given]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return shared("modelopt", make)


@pytest.fixture(scope="session")
def server_process() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Return a function that starts `trtnemo serve` as a real process and gives (process, base URL)."""
    running: list[subprocess.Popen[str]] = []

    def start(engine: Path, *options: str, program: Sequence[str] = ("-m", "trtnemo")) -> tuple[Any, str]:
        command = [sys.executable, *program, "serve", "--engine", str(engine), "--port", "0", *options]
        with interruptible():
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
