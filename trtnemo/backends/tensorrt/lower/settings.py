"""What a lowering to TensorRT is done for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trtnemo.graph import DType
from trtnemo.recipe import TensorrtRecipe
from trtnemo.trt.element import Element

# decode: a few rows of every slot, drafts under verification too; prefill: many rows of one slot
Phase = Literal["decode", "prefill"]
PHASES: tuple[Phase, ...] = ("decode", "prefill")
DECODE_ROWS = 8  # most rows of a slot in the decode phase: the token and seven drafts
CHUNK = 64  # rows of a prefill are padded to a multiple of this
MOST_CELLS = 64  # rows that an expert takes in one round of a prefill
MOST_EXPERTS = 64  # experts in one part of a bank


class Settings(BaseModel):
    """Sizes and types that a plan is built for.

    slots: sequences with state; capacity: rows of each slot's KV cache; prefill_rows: rows of one prefill run;
    activations: element type of values between products; products: of what is multiplied as matrices; cache: of keys,
    values and conv_state; keeps_rows: whether decode plans give out what a Mamba layer read, for `commit`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slots: int
    capacity: int
    prefill_rows: int
    activations: Element
    products: Element
    cache: Element
    keeps_rows: bool

    @classmethod
    def from_recipe(cls, recipe: TensorrtRecipe) -> Settings:
        """Return what a recipe asks for; a grid's empty cells may write up to CHUNK rows behind a sequence's end."""
        section, limits = recipe.tensorrt, recipe.limits
        products = Element(section.matmul_dtype)
        return cls(
            slots=limits.max_batch_size,
            capacity=limits.max_seq_len + CHUNK,
            prefill_rows=min(section.prefill_rows, limits.max_num_tokens),
            # 16 bits here cost accuracy and save nothing: the builder's activation memory is the same
            activations=Element.FLOAT32,
            products=products,
            cache=products if recipe.kv_cache.dtype == "auto" else Element(recipe.kv_cache.dtype),
            keeps_rows=recipe.speculation.draft_tokens > 0,
        )

    def element(self, dtype: DType) -> Element:
        """Return the element type of a value of the graph; float32 stays float32."""
        return Element.FLOAT32 if dtype is DType.FLOAT32 else self.activations

    def sizes(self, phase: Phase) -> Mapping[str, tuple[int, int, int]]:
        """Return (least, best, most) of every length known at run time."""
        if phase == "decode":
            # A best of one row would make the builder choose matrix products, which expand the weights, and an
            # attention that is not fused.
            most = self.slots * DECODE_ROWS
            rows = (1, min(4, most), most)
            return {"T": rows, "B": (1, self.slots, self.slots), "R": (1, 4, DECODE_ROWS), "N": rows}
        padded = -(-self.prefill_rows // CHUNK) * CHUNK
        rows = (1, self.prefill_rows, self.prefill_rows)
        cells = min(MOST_CELLS, self.prefill_rows)
        return {"T": rows, "B": (1, 1, 1), "R": (CHUNK, padded, padded), "N": rows, "C": (1, min(32, cells), cells)}


def experts_per_part(experts: int) -> int:
    """Return how many experts one run of the grouped form takes: the largest divisor within the limit."""
    return max(size for size in range(1, min(experts, MOST_EXPERTS) + 1) if experts % size == 0)
