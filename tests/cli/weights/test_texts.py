"""Texts for `quantize --calibrate` and `diff --logits`: what people give, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import trtnemo_here
from tests.support.paths import ROOT
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.cli.weights.texts import read_texts, tokenize
from trtnemo.errors import UsageError

LINES = "The first text.\n\nAnother one, somewhat longer than the first.\n"


def test_lines_and_objects_are_texts(tmp_path: Path) -> None:
    plain, objects = tmp_path / "a.txt", tmp_path / "b.jsonl"
    plain.write_text(LINES)
    objects.write_text('{"text": "one", "id": 3}\n"two"\n\n')
    assert read_texts(plain) == ["The first text.", "Another one, somewhat longer than the first."]
    assert read_texts(objects) == ["one", "two"]
    # ends of lines that are none in JSON lines, and a mark at the beginning
    objects.write_text('\ufeff{"text": "a\u2028b\x85c"}\n"d\u2029e"\r\n', encoding="utf-8")
    assert read_texts(objects) == ["a\u2028b\x85c", "d\u2029e"]
    plain.write_text("one\x0ctext\u2028here\nand another", encoding="utf-8")
    assert len(read_texts(plain)) == 2


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"", "holds no text"),
        ("a.txt", b" \n\t\n", "holds no text"),
        ("a.txt", b"\xff\xfe\x00", "cannot be read"),
        ("a.jsonl", b'{"prompt": "x"}\n', "line 1 is no text and no object with a `text`"),
        ("a.jsonl", b'"fine"\n{"text": 3}\n', "line 2 is no text"),
        ("a.jsonl", b"[" * 100_000, "line 1 is no text"),
    ],
)
def test_what_holds_no_text_is_refused(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=told):
        read_texts(tmp_path / name)
    with pytest.raises(UsageError, match="cannot be read"):
        read_texts(tmp_path / "nowhere.txt")


def test_half_of_a_surrogate_pair_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('"half \\ud800"\n')
    with pytest.raises(UsageError, match="lone surrogate"):
        tokenize(Checkpoint.open("tiny").directory, read_texts(tmp_path / "a.jsonl"), 4096, 10)


def test_tokens_end_where_there_are_enough_and_another_vocabulary_is_refused() -> None:
    directory = Checkpoint.open("tiny").directory
    texts = ["some words here"] * 5
    whole = tokenize(directory, texts, 1 << 20, 1000)
    assert len(whole) == 5
    few = tokenize(directory, texts, 1 << 20, len(whole[0]) + 2)
    assert few == [whole[0], whole[0][:2]]
    with pytest.raises(UsageError, match="and the network knows 3"):
        tokenize(directory, texts, 3, 1000)


def test_tiny_is_quantized_with_scales_that_it_was_calibrated_for(bf16_tiny: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text((ROOT / "README.md").read_text())
    result = trtnemo_here("quantize", bf16_tiny, tmp_path / "new", "--preset", "super", "--calibrate", texts,
                          "--calibrate-tokens", "600")  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert "Calibrated on 600 tokens of" in result.stdout
    assert audit(Checkpoint.open(tmp_path / "new")).passed
    assert "calibrated on 600 tokens" in (tmp_path / "new" / "README.md").read_text()
    words = ["diff", bf16_tiny, tmp_path / "new", "--logits", texts, "--logits-tokens", "300"]
    told = trtnemo_here(*words)
    assert "the same most probable token" in told.stdout
    found = json.loads(trtnemo_here(*words, "--json").stdout)["logits"]
    assert found.keys() == {"tokens", "texts", "kl", "kl_largest", "top_1", "perplexities", "layers"}
    assert found["tokens"] == 300
    assert found["layers"][0].keys() == {"layer", "own_db", "stream_db"}
    assert found["top_1"] > 0.8


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--preset", "super", "--calibrate", "{empty}"], 2, "holds no text"),
        (["--preset", "super", "--calibrate", "{empty}", "--weight-only"], 2, "give one of --calibrate"),
        (["--preset", "super", "--calibrate", "{texts}", "--calibrate-tokens", "0"], 2, "is not in the range"),
    ],
)
def test_bad_texts_leave_nothing_behind(
    make_checkpoint: Any, tmp_path: Path, words: list[str], code: int, told: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "texts").write_text(LINES)
    filled = [word.format(empty=tmp_path / "empty", texts=tmp_path / "texts") for word in words]
    result = trtnemo_here("quantize", make_checkpoint("bf16"), tmp_path / "new", *filled)
    assert (result.returncode, told in result.stderr) == (code, True)
    assert not (tmp_path / "new").exists()


def test_logits_of_engines_and_of_other_networks_are_refused(make_checkpoint: Any, tmp_path: Path) -> None:
    (tmp_path / "texts").write_text(LINES)
    result = trtnemo_here("diff", "tiny", make_checkpoint("bf16"), "--logits", tmp_path / "texts")
    assert (result.returncode, "of another network" in result.stderr) == (4, True)
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "engine.json").write_text("{}")
    result = trtnemo_here("diff", tmp_path / "engine", tmp_path / "engine", "--logits", tmp_path / "texts")
    assert (result.returncode, "--logits runs the networks of two checkpoints" in result.stderr) == (2, True)


def test_what_keeps_networks_from_running_is_told_before_all_is_read(make_checkpoint: Any, tmp_path: Path) -> None:
    fused = tmp_path / "fused"
    assert trtnemo_here("convert", make_checkpoint("bf16"), fused, "--to", "fused").returncode == 0
    (tmp_path / "texts").write_text(LINES)
    result = trtnemo_here("diff", make_checkpoint("bf16"), fused, "--logits", tmp_path / "texts")
    assert (result.returncode, result.stdout) == (4, "")
    assert "another layout's name" in result.stderr
    result = trtnemo_here("quantize", fused, tmp_path / "q", "--preset", "super", "--calibrate", tmp_path / "texts")
    assert (result.returncode, "another layout's name" in result.stderr) == (4, True)


def test_preset_of_a_release_says_that_its_recipe_searches_scales(make_checkpoint: Any, tmp_path: Path) -> None:
    words = ["quantize", make_checkpoint("bf16"), tmp_path / "q", "--preset", "nvfp4", "--weight-only", "--stream"]
    assert "the recipe of that release" not in trtnemo_here(*words).stdout
    told = trtnemo_here("quantize", make_checkpoint("bf16"), tmp_path / "r", "--preset", "nvfp4", "--calibration",
                        tmp_path / "texts", "--stream")  # fmt: skip
    assert (told.returncode, "does not go with --stream" in told.stderr) == (2, True)
