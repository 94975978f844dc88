"""The family's chat formats, and an output read whole."""

from __future__ import annotations

from trtnemo.formats.registry import reasoning_formats, tool_formats

REASONING = reasoning_formats()["super_v3"]
TOOLS = tool_formats()["qwen3_coder"]


def split_reasoning(text: str, open_at_start: bool) -> tuple[str, str]:
    """Return (reasoning, content) of a whole text."""
    reader = REASONING.reader(open_at_start)
    pieces = [*reader.push(text), *reader.finish()]
    joined = {channel: "".join(p.text for p in pieces if p.channel == channel) for channel in ("reasoning", "content")}
    return joined["reasoning"], joined["content"]
