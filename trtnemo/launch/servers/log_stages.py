"""What a server is doing while it starts: stages, and the words by which its log shows each."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage of a start; `pattern` is searched for in each line, in any case."""

    name: str
    pattern: str

    def begins_with(self, line: str) -> bool:
        """Return whether a line of the log shows the stage."""
        return re.search(self.pattern, line, re.IGNORECASE) is not None


# Words that the servers known so far share; a server may name stages of its own.
DOWNLOADING = Stage("downloading", r"download\w*.*(shard|safetensors|checkpoint|file)|Fetching \d+ files")
STAGES: tuple[Stage, ...] = (
    DOWNLOADING,
    Stage("loading weights", r"load(ing)?\b.*(weights|checkpoint|safetensors|shard)"),
    Stage("allotting caches", r"(kv.?cache|mamba|state).*(alloc|block|size|tokens)|memory pool"),
    Stage("compiling", r"torch\.?compile|autotun\w+|compiling|warm(ing)?.?up"),
    Stage("capturing CUDA graphs", r"captur\w+.*(graph|batch)|cuda graph.*captur"),
    Stage("listening", r"uvicorn running|application startup complete|server (is )?started|ready to roll"),
)
