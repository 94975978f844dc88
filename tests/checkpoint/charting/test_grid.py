"""Which tensor stands where: every weight of a network once, layers in network order, experts under their number."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.auditing.tensors import settle_formats
from trtnemo.checkpoint.charting import grid as module
from trtnemo.checkpoint.charting.grid import Row, grids_of, owners


def made(directory: Any) -> Any:
    checkpoint = Checkpoint.open(directory)
    expected, _ = settle_formats(checkpoint)
    return grids_of(checkpoint.config, expected.values()), checkpoint


@pytest.mark.parametrize("precision", ["bf16", "nvfp4", "mixed"])
def test_every_tensor_but_scales_stands_in_one_cell(make_checkpoint: Any, precision: str) -> None:
    grids, checkpoint = made(make_checkpoint(precision))
    names = [name for grid in grids for name in grid.names.values()]
    scales = (".weight_scale", ".weight_scale_2", ".input_scale", ".k_scale", ".v_scale")
    assert sorted(names) == sorted(name for name in checkpoint.tensors if not name.endswith(scales))


def test_rows_are_layers_in_network_order_with_their_kind(make_checkpoint: Any) -> None:
    matrices, vectors, up, down = made(make_checkpoint("nvfp4"))[0]
    kinds = ["mamba", "moe", "mamba", "attention", "moe", "mamba", "moe"]
    layers = [Row(str(number), kind) for number, kind in enumerate(kinds)]
    drafts = [Row("mtp 0", "attention"), Row("mtp 1", "moe")]
    assert list(matrices.rows) == [Row("embeddings", ""), *layers, Row("lm_head", ""), *drafts]
    assert [row for row in vectors.rows if row.kind] == [*layers, *drafts]
    assert list(up.rows) == list(down.rows) == [row for row in (*layers, *drafts) if row.kind == "moe"]
    assert up.columns == tuple("01234567")


def test_a_cell_is_the_tensor_of_its_row_and_column(make_checkpoint: Any) -> None:
    matrices, vectors, up, _ = made(make_checkpoint("nvfp4"))[0]
    at = matrices.names[matrices.rows.index(Row("5", "mamba")), matrices.columns.index("in_proj")]
    assert at == "backbone.layers.5.mixer.in_proj.weight"
    norms = {vectors.names[2, vectors.columns.index(name)] for name in ("norm", "mixer.norm")}
    assert norms == {"backbone.layers.2.norm.weight", "backbone.layers.2.mixer.norm.weight"}
    assert up.names[1, 6] == "backbone.layers.4.mixer.experts.6.up_proj.weight"
    assert up.names[3, 0] == "mtp.layers.1.mixer.experts.0.up_proj.weight"
    assert (0, 0) in matrices.names
    assert (1, 0) not in matrices.names


def test_what_is_beyond_the_largest_number_is_counted(make_checkpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EXPERTS", 5)
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    _, _, up, _ = made(make_checkpoint("nvfp4"))[0]
    assert (len(up.rows), len(up.columns), len(up.names), up.left_out) == (3, 5, 15, 4 * 8 - 15)


def test_a_scale_is_owned_by_its_weight(make_checkpoint: Any) -> None:
    expected, _ = settle_formats(Checkpoint.open(make_checkpoint("nvfp4")))
    owned = owners(expected.values())
    module_name = "backbone.layers.1.mixer.experts.3.up_proj"
    for ending in ("weight", "weight_scale", "weight_scale_2", "input_scale"):
        assert owned[f"{module_name}.{ending}"] == f"{module_name}.weight"
    assert owned["backbone.layers.0.mixer.A_log"] == "backbone.layers.0.mixer.A_log"
