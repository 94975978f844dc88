"""How the body of each endpoint is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trtnemo.errors import RequestError
from trtnemo.runtime.checked_prompt import prompt_too_long
from trtnemo.server.anthropic.request import MessagesRequest
from trtnemo.server.prompt.conversation import encode_conversation
from trtnemo.server.prompt.encoding import encode_within
from trtnemo.server.prompt.history import render_messages
from trtnemo.server.prompt.text_side import TextSide
from trtnemo.server.reading.reading import MOST_REST, Reading, pack
from trtnemo.server.requests.body import parse_body, refusing
from trtnemo.server.requests.chat import ChatRequest
from trtnemo.server.requests.completion import CompletionRequest
from trtnemo.server.requests.tokenize import DetokenizeRequest, TokenizeRequest
from trtnemo.server.requests.tools import check_tools
from trtnemo.server.responses.items import items_of, messages_of
from trtnemo.server.responses.request import ResponsesRequest

MOST_PROMPTS = 1024
Read = Callable[[TextSide, bytes, bytes | None], Reading]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode


def read_chat(side: TextSide, content: bytes, earlier: bytes | None = None) -> Reading:
    """Return what a body of /v1/chat/completions asks; raises RequestError, as all of these do."""
    request, given = parse_body(content, ChatRequest)
    tokens, thinks = encode_conversation(side, request)
    stand_in = {"role": request.messages[-1].role, "content": ""}
    return Reading(_rest(given, messages=[stand_in]), _packed(side, [tokens]), thinks)


def read_completion(side: TextSide, content: bytes, earlier: bytes | None = None) -> Reading:
    """Return what a body of /v1/completions asks."""
    request, given = parse_body(content, CompletionRequest)
    return Reading(_rest(given, prompt=""), _packed(side, _prompts(side, request)))


def read_messages(side: TextSide, content: bytes, earlier: bytes | None = None) -> Reading:
    """Return what a body of /v1/messages asks."""
    request, given = parse_body(content, MessagesRequest)
    tokens, thinks = encode_conversation(side, refusing(MessagesRequest, request.chat_request))
    stand_in = {"role": request.messages[-1].role, "content": ""}
    return Reading(_rest(given, messages=[stand_in], system=None), _packed(side, [tokens]), thinks)


def read_count(side: TextSide, content: bytes, earlier: bytes | None = None) -> Reading:
    """Return the answer of /v1/messages/count_tokens, of prompts too that do not fit."""
    request, given = parse_body(content, MessagesRequest)
    tokens, _ = encode_conversation(side, refusing(MessagesRequest, request.chat_request))
    return Reading(_encode({"model": given.get("model")}), whole=_encode({"input_tokens": len(tokens)}))


def read_response(side: TextSide, content: bytes, earlier: bytes | None = None) -> Reading:
    """Return what a body of /v1/responses asks; one that goes on from another needs the messages of that."""
    request, given = parse_body(content, ResponsesRequest)
    if request.previous_response_id is not None and earlier is None:
        return Reading(needs=request.previous_response_id)
    items = items_of(request.input)
    if not items:
        raise RequestError("'input' is empty", parameter="input")
    messages = [*(_decode(earlier) if earlier is not None else ()), *messages_of(items)]
    said = [{"role": "system", "content": request.instructions}] if request.instructions else []
    chat = refusing(ResponsesRequest, lambda: request.chat_request([*said, *messages]))
    tokens, thinks = encode_conversation(side, chat)
    # a later response has instructions of its own
    return Reading(_rest(given, input=""), _packed(side, [tokens]), thinks, _encode(messages), _encode(items))


def read_tokenize(side: TextSide, content: bytes, earlier: bytes | None = None) -> Reading:
    """Return the answer of /tokenize."""
    body, given = parse_body(content, TokenizeRequest)
    if (body.prompt is None) == (body.messages is None):
        raise RequestError("give either 'prompt' or 'messages'", parameter="prompt")
    text = body.prompt
    if text is None:
        check_tools(body.tools)
        text = render_messages(
            side,
            body.messages or [],
            body.chat_template_kwargs,
            body.tools,
            opens_answer=body.add_generation_prompt,
            continues=body.continue_final_message,
        )
    tokens = encode_within(side, text)
    found: dict[str, Any] = {"count": len(tokens), "max_model_len": side.max_seq_len, "tokens": tokens}
    if body.return_token_strs:
        found["token_strs"] = [side.tokenizer.token_text(token) for token in tokens]
    return Reading(_encode({"model": given.get("model")}), whole=_encode(found))


def read_detokenize(side: TextSide, content: bytes, earlier: bytes | None = None) -> Reading:
    """Return the answer of /detokenize."""
    body, given = parse_body(content, DetokenizeRequest)
    if any(token >= side.vocab_size for token in body.tokens):
        raise RequestError(f"a token id is outside the vocabulary of {side.vocab_size}", parameter="tokens")
    text = side.tokenizer.decode(body.tokens, skip_special_tokens=False)
    return Reading(_encode({"model": given.get("model")}), whole=_encode({"prompt": text}))


READS: Mapping[str, Read] = {
    "chat": read_chat,
    "completion": read_completion,
    "messages": read_messages,
    "count": read_count,
    "response": read_response,
    "tokenize": read_tokenize,
    "detokenize": read_detokenize,
}


def _rest(given: Mapping[str, Any], **instead: Any) -> bytes:
    """Return a body as JSON with other values in place of what became tokens; raises RequestError where it is long."""
    rest = _encode({**given, **instead})
    if len(rest) > MOST_REST:
        beside = " and ".join(f"'{name}'" for name in instead)
        raise RequestError(f"beside {beside} the body has {len(rest)} bytes, which exceed {MOST_REST}")
    return rest


def _packed(side: TextSide, prompts: list[list[int]]) -> list[bytes]:
    """Return prompts packed; raises PromptTooLongError, so that none too long goes on to anybody."""
    longest = max(map(len, prompts))
    if longest > side.max_seq_len:
        raise prompt_too_long(longest, side.max_seq_len)
    return pack(prompts)


def _prompts(side: TextSide, request: CompletionRequest) -> list[list[int]]:
    prompt, most = request.prompt, request.truncate_prompt_tokens
    if isinstance(prompt, str):
        return [encode_within(side, prompt, most)]
    if not prompt:
        raise RequestError("the prompt is empty", parameter="prompt")
    items: list[Any] = [prompt] if isinstance(prompt[0], int) else list(prompt)
    if len(items) > MOST_PROMPTS:
        raise RequestError(f"{len(items)} prompts exceed {MOST_PROMPTS}", parameter="prompt")
    found = [encode_within(side, item, most) if isinstance(item, str) else list(item) for item in items]
    return found if most is None else [ids[-most:] for ids in found]
