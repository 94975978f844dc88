"""What a comparison of an interpreted engine with the torch lowering found."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trtnemo.backends.tensorrt.lower.settings import Phase


@dataclass(frozen=True)
class BlockError:
    """The largest difference of a block's outputs, and the largest number among the expected ones."""

    path: str
    kind: str
    phase: Phase
    difference: float
    largest: float

    @property
    def relative(self) -> float:
        """The difference in parts of the largest number."""
        return self.difference / self.largest if self.largest else self.difference


@dataclass(frozen=True)
class Comparison:
    """Blocks from the worst down; rows of logits compared, those with the same most probable token, their numbers.

    `rows` counts the target's logits, `draft_rows` the MTP head's. A block that differs by more than `tolerance` of its
    largest number fails the comparison, and so does a smaller share of equal tokens than `least_share`.
    """

    blocks: tuple[BlockError, ...]
    rows: int
    same_top: int
    draft_rows: int
    same_draft_top: int
    logits_difference: float
    largest_logit: float
    tolerance: float
    least_share: float

    @property
    def worst(self) -> BlockError:
        """The block with the largest relative difference."""
        return self.blocks[0]

    @property
    def passed(self) -> bool:
        """Whether every block and enough tokens agree; what is not a number does not."""
        is_near = all(block.relative <= self.tolerance for block in self.blocks)
        is_same = self.same_top >= self.least_share * self.rows and (
            self.same_draft_top >= self.least_share * self.draft_rows
        )
        return is_near and is_same and math.isfinite(self.logits_difference)
