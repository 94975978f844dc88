"""Sampled weights decoded by ModelOpt's classes too; a codec that is wrong in one bit is told."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.auditing import modelopt as oracle
from trtnemo.checkpoint.format.codecs import decode_nvfp4
from trtnemo.errors import MachineError


@pytest.mark.parametrize("name", ["tiny", "mixed"])
def test_both_decoders_agree_and_the_version_is_named(made_by_modelopt: Any, make_checkpoint: Any, name: str) -> None:
    directory = make_checkpoint(name) if name == "mixed" else name
    code, said = json.loads((made_by_modelopt / f"check-{name}.json").read_text())
    compared = json.loads(said)["modelopt"]
    assert (code, compared["modelopt"], compared["findings"]) == (0, "0.47.0", [])
    formats = {Checkpoint.open(directory).tensors[tensor].storage.value for tensor in compared["tensors"]}
    assert formats == {"U8", "F8_E4M3"}


def test_a_wrong_codec_is_found(make_checkpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two low bits of a thousand values, as an approximate scale would spoil them."""
    right = decode_nvfp4

    def wrong(*arguments: Any) -> Any:
        values = np.array(right(*arguments))
        values[0, 0] = np.nextafter(values[0, 0], np.float32(9))
        return values

    monkeypatch.setattr(oracle, "decode_nvfp4", wrong)
    compared = oracle.compare_with_modelopt(Checkpoint.open(make_checkpoint("nvfp4")), samples=2)
    assert [finding.rule for finding in compared.findings] == ["codec-disagrees"] * 2
    assert "1 of" in compared.findings[0].message


def test_without_modelopt_the_remedy_is_told(make_checkpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelopt", None)
    with pytest.raises(MachineError, match=r"pip install 'trtnemo\[modelopt\]'"):
        oracle.compare_with_modelopt(Checkpoint.open(make_checkpoint("nvfp4")))
