"""kernels.json: what an engine's kernels were compiled for, by what, and what each takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from trtnemo.errors import EngineError

KERNELS = "cuda"
KERNEL_INDEX = f"{KERNELS}/kernels.json"


class KernelRecord(BaseModel):
    """One compiled kernel. registers and spilled bytes are a thread's, shared bytes a program's.

    phase: "prompt" where only steps with a prompt in them launch it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kernel: str
    phase: Literal["decode", "prompt"]
    digest: str
    nbytes: int
    registers: int
    spilled: int
    shared: int


class KernelIndex(BaseModel):
    """All kernels of an engine.

    triton: the version that compiled them, which alone takes them; launches: how many kernels a step launches, by what
    the step does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    triton: str
    compute_capability: str
    launches: dict[str, int]
    kernels: tuple[KernelRecord, ...]

    def summary(self) -> dict[str, Any]:
        """Return what commands print as JSON."""
        return self.model_dump(mode="json")


def read_kernels(directory: Path) -> KernelIndex:
    """Return the index of an engine's kernels; raises EngineError."""
    try:
        return KernelIndex.model_validate_json((directory / KERNEL_INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(f"its kernels have no index: {error}", where=KERNEL_INDEX, remedy="Rebuild it") from None
