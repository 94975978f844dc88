"""Parts of an answer as the chat API carries them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from trtnemo.formats.format import CallBegun, CallGrown
from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.text import Answer, Part, TextTokenizer, ToolCall


def message_of(answer: Answer) -> dict[str, Any]:
    """Return a whole answer as a message; its content is null where there is only thinking, or calls."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.content, **thoughts(answer.reasoning)}
    if not answer.content and (answer.reasoning or answer.tool_calls):
        message["content"] = None
    if answer.tool_calls:
        message["tool_calls"] = [_call(call) for call in answer.tool_calls]
    return message


def delta_of(part: Part, number: int) -> dict[str, Any] | None:
    """Return a part as a delta of a stream, None for the end of a call; `number` is that of the call, if it is one."""
    if isinstance(part, CallBegun):
        function = {"name": part.name, "arguments": ""}
        return {"tool_calls": [{"index": number, "id": call_id(), "type": "function", "function": function}]}
    if isinstance(part, CallGrown):
        return {"tool_calls": [{"index": number, "function": {"arguments": part.text}}]}
    if isinstance(part, ToolCall):
        return None
    return thoughts(part.text) if part.channel == "reasoning" else {"content": part.text}


def call_id() -> str:
    """Return a new id of a call."""
    return f"call_{uuid.uuid4().hex[:24]}"


def thoughts(text: str) -> dict[str, Any]:
    """Return thinking under both names that clients read."""
    return {"reasoning_content": text, "reasoning": text} if text else {}


def score_of(tokenizer: TextTokenizer, score: TokenLogprob) -> dict[str, Any]:
    """Return a token's log probability, with its alternatives."""

    def entry(token_id: int, logprob: float) -> dict[str, Any]:
        found = tokenizer.bytes_of(token_id)
        return {"token": tokenizer.token_text(token_id), "logprob": logprob, "bytes": list(found)}

    return {**entry(score.token_id, score.logprob), "top_logprobs": [entry(*item) for item in score.top]}


def prompt_scores(
    tokenizer: TextTokenizer, tokens: Sequence[int], scores: Sequence[TokenLogprob | None] | None
) -> list[Any] | None:
    """Return a prompt's log probabilities in vLLM's form: by token id, the prompt's own among the alternatives."""
    if scores is None:
        return None

    def entry(token_id: int, logprob: float) -> dict[str, Any]:
        return {"logprob": logprob, "decoded_token": tokenizer.token_text(token_id)}

    return [
        None
        if score is None
        else {str(token): entry(token, value) for token, value in (*score.top, (score.token_id, score.logprob))}
        for _, score in zip(tokens, scores, strict=True)
    ]


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments_json}
    return {"id": call_id(), "type": "function", "function": function}
