"""The map of a checkpoint that another tool than ModelOpt quantized."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from trtnemo.checkpoint.family.layout import Layout
from trtnemo.checkpoint.family.tools.tool import listed_tools


@dataclass(frozen=True)
class ToolMap(ABC):
    """What the weights are, in few words, and the `method` of tools.json that says what reads them.

    Where the tensors are audited, `layouts` are those that modules can have beside
    the plain one, and `stored` those that an audit found in their stead.
    """

    title: str
    method: str
    layouts: tuple[Layout, ...] = ()
    stored: dict[str, Layout] = field(default_factory=dict)
    fp8_kv_cache: bool = False

    @property
    def readers(self) -> str:
        """A sentence on what reads the weights."""
        return listed_tools()[self.method].readers

    @property
    def servers(self) -> frozenset[str]:
        """The external servers that read the weights."""
        return listed_tools()[self.method].servers

    @property
    def is_audited(self) -> bool:
        """Whether `check` compares the tensors with the map; the others are sized alone."""
        return bool(self.layouts)

    @abstractmethod
    def layout_of(self, module: str) -> Layout:
        """Return in which tensors a linear module, or the embedding, is stored."""
