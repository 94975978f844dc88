"""The map of a checkpoint that another tool than ModelOpt quantized."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from trtnemo.checkpoint.family.layout import Layout


@dataclass(frozen=True)
class ToolMap(ABC):
    """`title` says in few words what the weights are, `servers` which external servers read them.

    `readers` says the same for people. Where the tensors are audited, `layouts` are those that modules can have beside
    the plain one, and `stored` those that an audit found in their stead.
    """

    title: str
    readers: str
    servers: frozenset[str] = frozenset({"vllm", "sglang"})
    layouts: tuple[Layout, ...] = ()
    stored: dict[str, Layout] = field(default_factory=dict)
    fp8_kv_cache: bool = False

    @property
    def is_audited(self) -> bool:
        """Whether `check` compares the tensors with the map; the others are sized alone."""
        return bool(self.layouts)

    @abstractmethod
    def layout_of(self, module: str) -> Layout:
        """Return in which tensors a linear module, or the embedding, is stored."""
