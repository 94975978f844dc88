"""`trtnemo convert`: another layout in, the hub's out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.commands import trtnemo_here


def test_checkpoint_goes_to_fused_experts_and_back(make_checkpoint: Any, tmp_path: Path) -> None:
    source = make_checkpoint("bf16")
    result = trtnemo_here("convert", source, tmp_path / "fused", "--to", "fused")
    assert (result.returncode, result.stderr) == (0, "")
    assert "48 joined" in result.stdout
    check = trtnemo_here("check", tmp_path / "fused")
    assert (check.returncode, "[layout-other]" in check.stdout, "tensor-missing" in check.stdout) == (1, True, False)
    told = json.loads(trtnemo_here("convert", tmp_path / "fused", tmp_path / "back", "--json").stdout)
    assert told.keys() == {"output", "lacks_head", "done", "tensors", "bytes", "files", "files_kept", "has_head",
                           "audit"}  # fmt: skip
    assert (told["lacks_head"], told["audit"]["findings"], told["done"]["cut"]) == (False, [], 48)
    assert trtnemo_here("diff", source, tmp_path / "back").returncode == 0


def test_what_cannot_be_converted_is_one_line_and_a_code(make_checkpoint: Any, tmp_path: Path) -> None:
    source = make_checkpoint("bf16")
    for words, code, message in (
        ([source, tmp_path / "new"], 2, "in the layout 'hub' already"),
        ([tmp_path / "nowhere", tmp_path / "new"], 4, "nowhere"),
        ([source, source, "--to", "fused", "--force"], 4, "is or holds what the copy is made of"),
        ([source, tmp_path / "new", "--to", "gguf"], 2, "'gguf' is not one of"),
        ([source, tmp_path / "new", "--to", "fused", "--shard-gb", "0"], 2, "0.0 is not in the range"),
    ):
        result = trtnemo_here("convert", *words)
        assert (result.returncode, message in result.stderr, "Traceback" in result.stderr) == (code, True, False)
    assert list(tmp_path.iterdir()) == []
