"""A run that is killed goes on where it was, and leaves alone what is not its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.format.encoder import Search
from trtnemo.checkpoint.rewrite.maps.patterns import PRESETS, map_of_patterns
from trtnemo.checkpoint.rewrite.maps.weight_only import weight_only
from trtnemo.checkpoint.rewrite.quantizing.quantize import quantize_stream
from trtnemo.checkpoint.rewrite.stream.staging import open_staging
from trtnemo.errors import CheckpointError


@pytest.fixture
def source(make_checkpoint: Any) -> Checkpoint:
    return Checkpoint.open(make_checkpoint("bf16"))


def weights_alone(checkpoint: Checkpoint) -> QuantizationMap:
    return weight_only(map_of_patterns(checkpoint.config, PRESETS["nvfp4"], every=False))[0]


def test_a_run_goes_on_behind_the_files_that_are_whole(
    source: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = quantize_stream(source, tmp_path / "whole", weights_alone(source), shard_bytes=200_000)
    assert whole.files > 5
    assert whole.files_kept == 0
    heard: list[str] = []

    def stop(what: str, done: int, total: int) -> None:
        heard.append(what)
        if what.startswith("model-00004"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_stream(source, tmp_path / "new", weights_alone(source), shard_bytes=200_000, report=stop)
    assert not (tmp_path / "new").exists()
    again: list[tuple[str, int, int]] = []
    done = quantize_stream(
        source, tmp_path / "new", weights_alone(source), shard_bytes=200_000, report=lambda *told: again.append(told)
    )
    assert (done.files, done.files_kept) == (whole.files, 3)
    assert again[0][0].startswith("model-00004")
    assert again[-1][1] == again[-1][2] == sum(info.size for info in source.tensors.values())
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "whole"]


@pytest.mark.parametrize("changed", ["size", "source", "version", "search", "nothing"])
def test_another_plan_keeps_nothing_of_an_earlier_run(
    source: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    shutil.copytree(source.directory, tmp_path / "copy")
    copy = Checkpoint.open(tmp_path / "copy")

    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("model-00004"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_stream(copy, tmp_path / "new", weights_alone(source), shard_bytes=200_000, report=stop)
    if changed == "source":
        copy.shards[0].touch()
    elif changed == "version":
        monkeypatch.setattr("trtnemo.checkpoint.rewrite.stream.run.version", lambda package: "9.9")
    size = 250_000 if changed == "size" else 200_000
    search: Search = "four-over-six" if changed == "search" else "max"
    done = quantize_stream(copy, tmp_path / "new", weights_alone(source), shard_bytes=size, search=search)
    assert done.files_kept == (3 if changed == "nothing" else 0)


def test_half_a_file_of_a_run_that_was_killed_is_written_again(source: Checkpoint, tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("model-00004"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_stream(source, tmp_path / "new", weights_alone(source), shard_bytes=200_000, report=stop)
    staging = tmp_path / ".new.quantizing"
    (staging / "tokenizer.json").write_text('{"ha')
    (staging / "stray").mkdir()
    quantize_stream(source, tmp_path / "new", weights_alone(source), shard_bytes=200_000)
    new = tmp_path / "new"
    assert (new / "tokenizer.json").read_bytes() == (source.directory / "tokenizer.json").read_bytes()
    assert not {path.name for path in new.iterdir()} & {"stray", "plan.json", "lock"}


def test_what_appears_at_the_output_meanwhile_is_left_alone(source: Checkpoint, tmp_path: Path) -> None:
    def appear(what: str, done: int, total: int) -> None:
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / "new" / "thesis.txt").write_text("mine")

    with pytest.raises(CheckpointError, match="already exists"):
        quantize_stream(source, tmp_path / "new", weights_alone(source), report=appear)
    assert (tmp_path / "new" / "thesis.txt").read_text() == "mine"


def test_one_output_is_written_by_one_process(source: Checkpoint, tmp_path: Path) -> None:
    with open_staging(tmp_path / "new"), pytest.raises(CheckpointError, match="being written by another process"):
        quantize_stream(source, tmp_path / "new", weights_alone(source))


def test_file_that_lost_its_end_is_written_again(source: Checkpoint, tmp_path: Path) -> None:
    quantize_stream(source, tmp_path / "whole", weights_alone(source), shard_bytes=200_000)

    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("model-00004"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_stream(source, tmp_path / "new", weights_alone(source), shard_bytes=200_000, report=stop)
    (kept,) = (tmp_path / ".new.quantizing").glob("model-00002-*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-5])
    done = quantize_stream(source, tmp_path / "new", weights_alone(source), shard_bytes=200_000)
    assert done.files_kept == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()
    }
