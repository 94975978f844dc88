"""`trtnemo merge`: a base and adapters in, a checkpoint out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.adapters import make_adapter
from tests.support.commands import trtnemo_here


@pytest.fixture
def adapter(make_checkpoint: Any, shared: Any) -> Path:
    base = make_checkpoint("bf16")
    place: Path = shared("adapter", lambda output: make_adapter(base, output, r=2, target_modules=["q_proj"]))
    return place


def test_what_was_merged_is_told(make_checkpoint: Any, adapter: Path, tmp_path: Path) -> None:
    base, output = make_checkpoint("bf16"), tmp_path / "new"
    result = trtnemo_here("merge", base, output, "--adapter", adapter)
    assert (result.returncode, result.stderr) == (0, "")
    assert "adapters were added to 1 of the weights, and replaced 0" in result.stdout
    again = trtnemo_here("merge", base, output, "--adapter", adapter)
    assert (again.returncode, "already exists" in again.stderr) == (4, True)
    told = json.loads(trtnemo_here("merge", base, output, "--adapter", adapter, "--force", "--json").stdout)
    assert told.keys() == {"output", "audit", "files", "files_kept", "merged", "replaced", "unchanged"}
    assert trtnemo_here("quantize", output, tmp_path / "q", "--preset", "nvfp4", "--weight-only").returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "Missing option '--adapter'"),
        (["--adapter", "nowhere"], 4, "has no adapter_config.json"),
        (["--adapter", "{base}"], 4, "has no adapter_config.json"),
        (["--adapter", "{adapter}", "--shard-gb", "nan"], 2, "no size of a file"),
        (["--adapter", "{adapter}", "--adapter", "{adapter}/adapter_config.json"], 4, "has no adapter_config.json"),
    ],
)
def test_what_cannot_be_merged_is_one_line_and_a_code(
    make_checkpoint: Any, adapter: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    base = make_checkpoint("bf16")
    filled = [word.format(base=base, adapter=adapter) for word in words]
    result = trtnemo_here("merge", base, tmp_path / "new", *filled)
    assert (result.returncode, message in result.stderr, "Traceback" in result.stderr) == (code, True, False)
    assert not (tmp_path / "new").exists()
