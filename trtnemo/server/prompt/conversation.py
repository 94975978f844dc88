"""A conversation as tokens."""

from __future__ import annotations

from trtnemo.server.prompt.encoding import encode_within
from trtnemo.server.prompt.history import render_messages
from trtnemo.server.prompt.text_side import TextSide
from trtnemo.server.requests.chat import ChatRequest
from trtnemo.server.requests.tools import check_tools


def encode_conversation(side: TextSide, request: ChatRequest) -> tuple[list[int], bool]:
    """Return the tokens of a conversation, and whether they end inside a thought; raises RequestError."""
    check_tools(request.tools)
    text = render_messages(
        side,
        request.messages,
        request.template_switches(side.template_variables),
        [] if request.tool_choice == "none" else request.tools,
        opens_answer=request.add_generation_prompt,
        continues=request.continue_final_message,
    )
    thinks = side.reasoning is not None and side.reasoning.opens(text)
    return encode_within(side, text, request.truncate_prompt_tokens), thinks
