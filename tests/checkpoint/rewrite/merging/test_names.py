"""A name of an adapter's tensor means one weight of the base, whoever wrote it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtnemo.checkpoint.rewrite.merging.names import read_name


@pytest.mark.parametrize(
    ("name", "tensor", "kind", "depth"),
    [
        ("base_model.model.model.layers.0.mixer.in_proj.lora_A.weight", "backbone.layers.0.mixer.in_proj.weight",
         "lora_A", 0),
        ("base_model.model.backbone.layers.1.mixer.experts.5.up_proj.lora_B.weight",
         "backbone.layers.1.mixer.experts.5.up_proj.weight", "lora_B", 0),
        ("base_model.model.model.layers.1.mixer.experts.base_layer.lora_A.weight",
         "backbone.layers.1.mixer.experts.weight", "lora_A", 1),
        ("base_model.model.model.embeddings.lora_embedding_A", "backbone.embeddings.weight", "lora_embedding_A", 0),
        ("base_model.model.model.layers.2.mixer.q_proj.lora_magnitude_vector",
         "backbone.layers.2.mixer.q_proj.weight", "lora_magnitude_vector", 0),
        ("base_model.model.lm_head.base_layer.weight", "lm_head.weight", None, 1),
        ("base_model.model.lm_head.modules_to_save.default.weight", "lm_head.weight", None, 0),
        ("base_model.model.mtp.layers.0.eh_proj.lora_A.weight", "mtp.layers.0.eh_proj.weight", "lora_A", 0),
        ("backbone.embedding.weight", "backbone.embeddings.weight", None, 0),  # axolotl #3508
        ("model.embed_tokens.weight", "backbone.embeddings.weight", None, 0),
        ("backbone.embeddings.weight", "backbone.embeddings.weight", None, 0),
    ],
)  # fmt: skip
def test_names_of_trainers_are_read(name: str, tensor: str, kind: str | None, depth: int) -> None:
    found = read_name(name)
    assert (found.tensor, found.kind, found.depth) == (tensor, kind, depth)


@given(
    st.lists(st.sampled_from(["base_model", "model", "base_layer", "lora_A", "weight", "", "default", "x", "layers"]))
)
def test_any_name_is_read_and_keeps_no_wrapper(parts: list[str]) -> None:
    found = read_name(".".join(parts))
    assert "base_layer" not in found.tensor.split(".")
