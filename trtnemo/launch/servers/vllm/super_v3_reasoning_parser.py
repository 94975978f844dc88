"""super_v3 for vLLM: separates thinking from the answer in what Nemotron-3 Super writes.

    vllm serve MODEL --reasoning-parser-plugin super_v3_reasoning_parser.py --reasoning-parser super_v3

Everything up to `</think>` is reasoning, the rest is content; without the tag all is reasoning. Where the request says
`chat_template_kwargs` `enable_thinking: false`, or `force_nonempty_content: true`, an answer without content gets its
reasoning as content. Unlike the file of this name on the hub, an answer without thinking is content in streams too.

Written by trtnemo from the parser's described behaviour. Needs vLLM 0.20 or newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vllm.reasoning import ReasoningParserManager
from vllm.reasoning.deepseek_r1_reasoning_parser import DeepSeekR1ReasoningParser


@ReasoningParserManager.register_module("super_v3")
class SuperV3ReasoningParser(DeepSeekR1ReasoningParser):  # type: ignore[misc]
    """DeepSeek-R1's reading, with content for requests that must have some."""

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        settings = kwargs.get("chat_template_kwargs") or {}
        self._is_thinking_off = settings.get("enable_thinking") is False

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        """Return (reasoning, content) of a whole output."""
        reasoning, content = super().extract_reasoning(model_output, request)
        settings = getattr(request, "chat_template_kwargs", None) or {}
        wants_content = settings.get("enable_thinking") is False or settings.get("force_nonempty_content") is True
        if wants_content and not (content or "").strip():
            return None, reasoning
        return reasoning, content

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Return whether thinking is over; it never begins where the request switched it off."""
        return self._is_thinking_off or super().is_reasoning_end(input_ids)

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> Any:
        """Return the next message of a stream."""
        delta = super().extract_reasoning_streaming(
            previous_text, current_text, delta_text, previous_token_ids, current_token_ids, delta_token_ids
        )
        if self._is_thinking_off and delta is not None and delta.reasoning and not delta.content:
            return type(delta)(content=delta.reasoning)
        return delta
