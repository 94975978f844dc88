"""`trtnemo quantize`: a checkpoint in, a smaller one out, however often it is killed."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import trtnemo_here
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.cli.weights.formats import PRESET_NAMES

PROGRAM = [sys.executable, "-m", "trtnemo", "quantize"]


def digest(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


def test_weights_alone_are_quantized_and_what_stays_plain_is_told(make_checkpoint: Any, tmp_path: Path) -> None:
    result = trtnemo_here("quantize", str(make_checkpoint("bf16")), str(tmp_path / "new"), "--preset", "super",
                          "--weight-only")  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert "nvfp4_weight_only" in result.stdout
    assert "layers stay plain that the map has in FP8" in result.stdout
    assert audit(Checkpoint.open(tmp_path / "new")).passed


def test_json_has_stable_keys(make_checkpoint: Any, made_by_modelopt: Path, tmp_path: Path) -> None:
    formats = tmp_path / "map.yaml"
    formats.write_text("'backbone.layers.1.mixer.experts': nvfp4\n")
    result = trtnemo_here(
        "quantize", str(make_checkpoint("bf16")), str(tmp_path / "new"), "--map", str(formats),
        "--input-scales-from", str(made_by_modelopt / "quantized"), "--shard-gb", "0.001", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told.keys() == {
        "output", "directory", "tensors", "bytes", "formats", "producer", "remote_code", "values_read", "deep",
        "modelopt", "findings", "files", "files_kept", "fp8_left_plain", "cache_scales",
    }  # fmt: skip
    assert (told["files_kept"], told["fp8_left_plain"], told["cache_scales"], told["findings"]) == (0, 0, 2, [])
    assert told["files"] > 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "give one of --preset, --map and --modelopt-recipe"),
        (["--preset", "fp8", "--map", "m.yaml"], 2, "give one of"),
        (
            ["--preset", "fp8", "--weight-only", "--input-scales-from", "tiny"],
            2,
            "give one of --calibrate, --calibration",
        ),
        (["--preset", "super"], 2, "weights do not tell the scales of inputs"),
        (["--preset", "super-nvfp4", "--weight-only"], 2, "is for 88 layers of other kinds than these 7"),
        (["--preset", "super-nvfp4", "--calibration", "texts"], 2, "formats go by kind of layer"),
        (["--preset", "super", "--calibration", "no/such"], 2, "cannot be read"),
        (["--preset", "super", "--calibration", "texts", "--search", "mse"], 2, "--search is not ModelOpt's"),
        (["--map", "no/such", "--weight-only"], 2, "cannot be read"),
        (["--modelopt-recipe", "no/such", "--weight-only"], 2, "cannot be read"),
        (["--preset", "super", "--input-scales-from", "no/such/place"], 4, "there is no such directory"),
        (["--preset", "int4"], 2, "is not one of"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    make_checkpoint: Any, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    result = trtnemo_here("quantize", str(make_checkpoint("bf16")), str(tmp_path / "new"), *words)
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_presets_are_those_that_there_are() -> None:
    from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS
    from trtnemo.checkpoint.rewrite.maps.release import RELEASED

    assert set(PRESET_NAMES) == {*PRESETS, *RELEASED}


def test_a_full_disk_is_told_and_the_next_run_goes_on(make_checkpoint: Any, tmp_path: Path) -> None:
    """A limit of the size of a file stands for a disk that is full, which root would have to make."""
    command = [*PROGRAM, str(make_checkpoint("bf16")), str(tmp_path / "new"), "--preset", "nvfp4", "--weight-only"]

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    full = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert full.returncode == 4, full.stderr
    assert "cannot be written" in full.stderr
    assert "Traceback" not in full.stderr
    assert not (tmp_path / "new").exists()
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.slow
def test_thirty_kills_at_any_moment_change_no_byte(make_checkpoint: Any, tmp_path: Path) -> None:
    source = make_checkpoint("bf16", "small")
    words = ["--preset", "nvfp4", "--weight-only", "--shard-gb", "0.01"]

    def start(output: str) -> Any:
        return subprocess.Popen([*PROGRAM, str(source), str(tmp_path / output), *words], stdout=subprocess.DEVNULL)

    began = time.monotonic()
    assert start("whole").wait() == 0
    whole = time.monotonic() - began
    kills = 0
    for number in range(30):
        process = start("new")
        try:
            process.wait(timeout=whole * (0.3 + 0.7 * number / 30))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        process.wait()
        if (tmp_path / "new").exists():
            assert digest(tmp_path / "new") == digest(tmp_path / "whole")
            (tmp_path / "new").rename(tmp_path / f"done-{number}")
    assert kills > 10
    assert start("new").wait() == 0
    assert digest(tmp_path / "new") == digest(tmp_path / "whole")
