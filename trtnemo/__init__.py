"""trtnemo: build and serve NVIDIA Nemotron-3 hybrids from one recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trtnemo.runtime import LLM, SamplingParams

__version__ = "0.1.0"
__all__ = ["LLM", "SamplingParams", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the LLM API on first use, so that `import trtnemo` stays light."""
    if name in ("LLM", "SamplingParams"):
        from trtnemo import runtime

        return getattr(runtime, name)
    raise AttributeError(f"module 'trtnemo' has no attribute '{name}'")
