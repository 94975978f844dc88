"""`trtnemo check --deep`: what was read, what was found, and what cannot be asked."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.damage import load, save
from tests.support.checkpoints.spoiled_values import EXPERT
from tests.support.commands import trtnemo_here
from trtnemo.checkpoint.hub.source import EMBEDDED


def test_all_of_tiny_is_read_and_nothing_found() -> None:
    result = trtnemo_here("check", "tiny", "--deep")
    assert (result.returncode, result.stderr) == (0, "")
    assert "every value was read: 6,705,392 bytes in " in result.stdout
    assert result.stdout.endswith("passed: 0 errors, 0 warnings, 0 notes\n")


def test_a_number_that_is_none_fails_the_check_and_is_named(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("bf16")
    content = load(directory)
    content[f"{EXPERT}.weight"][7, 5] = float("nan")
    save(directory, content)
    result = trtnemo_here("check", str(directory), "--deep")
    assert result.returncode == 1
    assert "up_proj.weight of expert 3 of layer 1 - 1 of 4,096 numbers are NaN, 0 infinite, the first in row 7" in (
        result.stdout
    )
    assert trtnemo_here("check", str(directory)).returncode == 0


def test_file_that_was_never_written_is_told_as_it_was_read(tmp_path: Path) -> None:
    """A download that ended early has its size and its header, and holes where the values belong."""
    weights = Path(shutil.copytree(EMBEDDED, tmp_path / "copy")) / "model.safetensors"
    data = weights.read_bytes()
    weights.unlink()  # written anew, it would keep its blocks
    with weights.open("wb") as file:
        file.write(data[: 8 + int.from_bytes(data[:8], "little")])
        file.truncate(len(data))
    shallow, deep = (trtnemo_here("check", weights.parent, *more) for more in ((), ("--deep",)))
    assert ("headers alone were read" in shallow.stdout, "every value was read" in shallow.stdout) == (True, False)
    assert ("headers alone were read" in deep.stdout, "every value was read" in deep.stdout) == (False, True)
    for told in (shallow, deep):
        assert "bytes are on the disk, the rest reads as zeros: scales are not judged [never-written]" in told.stdout


def test_json_says_how_much_was_read() -> None:
    told = json.loads(trtnemo_here("check", "tiny", "--deep", "--json").stdout)
    assert told["deep"].keys() == {"bytes", "seconds", "unjudged", "digests"}
    assert told["deep"]["bytes"] == 6_705_392
    assert json.loads(trtnemo_here("check", "tiny", "--json").stdout)["deep"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tiny", "--deep", "--headers-only"], "--deep reads weights: it goes neither with --headers-only nor"),
        (["tiny", "--deep", "--repair", "out"], "--deep reads weights"),
        (["--recipe", "tiny", "--deep"], "go with a CHECKPOINT"),
    ],
)
def test_what_does_not_go_together_is_told(words: list[str], message: str) -> None:
    result = trtnemo_here("check", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_file_with_one_other_bit_is_named_by_its_digest(make_checkpoint: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(make_checkpoint("bf16"), tmp_path / "copy"))
    weights, digests = copy / "model.safetensors", tmp_path / "sums"
    digests.write_text(f"{hashlib.sha256(weights.read_bytes()).hexdigest()}  model.safetensors\n")
    words = ("check", copy, "--deep", "--digests", digests)
    told = trtnemo_here(*words)
    assert (told.returncode, "1 files compared with their published sha256" in told.stdout) == (0, True)
    data = bytearray(weights.read_bytes())
    data[-1000] ^= 1  # the last bit of a mantissa, which no rule of values can see
    weights.write_bytes(data)
    assert trtnemo_here("check", copy, "--deep").returncode == 0
    told = trtnemo_here(*words)
    assert (told.returncode, "[file-changed]" in told.stdout) == (1, True)


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("", ["--deep"], "holds no digest"),
        ("12 model.safetensors\n", ["--deep"], "line 1 is no digest and file name"),
        (f"{'a' * 64}  other.safetensors\n", ["--deep"], "gives no digest of model.safetensors"),
        (f"{'a' * 64}  model.safetensors\n{'b' * 64} *model.safetensors\n", ["--deep"], "gives two digests"),
        (f"{'a' * 64}  model.safetensors\n", [], "--digests goes with --deep"),
    ],
)
def test_list_that_says_nothing_of_the_files_is_refused(
    make_checkpoint: Any, tmp_path: Path, content: str, words: list[str], message: str
) -> None:
    (tmp_path / "sums").write_text(content)
    result = trtnemo_here("check", make_checkpoint("bf16"), *words, "--digests", tmp_path / "sums")
    assert (result.returncode, message in result.stderr) == (2, True)
