"""A conversation: what was said, the system prompt, how much the model thinks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any, Literal

from trtnemo.chat.answer import Answer
from trtnemo.chat.piece import Piece
from trtnemo.chat.stop_key import Stopped
from trtnemo.chat.stream import ChatEndpoint
from trtnemo.chat.visible import whole

Thinking = Literal["on", "off", "low"]
SWITCHES: dict[Thinking, dict[str, bool]] = {
    "on": {"enable_thinking": True},
    "off": {"enable_thinking": False},
    "low": {"enable_thinking": True, "low_effort": True},
}


class Conversation:
    """Turns with one model; a turn that is not answered leaves no trace."""

    def __init__(
        self, endpoint: ChatEndpoint, model: str, thinking: Thinking, system: str | None, options: dict[str, Any]
    ) -> None:
        self.endpoint = endpoint
        self.model = model
        self.thinking = thinking
        self.system = system
        self.options = options
        self.messages: list[dict[str, str]] = []

    def ask(
        self, text: str, show: Callable[[Piece], None], stoppable: AbstractContextManager[None] | None = None
    ) -> Answer:
        """Return the answer to a turn; each piece is shown as it comes. Raises ServerError.

        stoppable: raises Stopped inside where the answer is to end; what came of it until then counts.
        """
        question, answer = {"role": "user", "content": whole(text)}, Answer()
        try:
            with (
                stoppable or nullcontext(),
                closing(self.endpoint.stream(self._body(question))) as pieces,
            ):
                for piece in pieces:
                    answer.add(piece)
                    show(piece)
        except Stopped:
            answer.was_stopped = True
        if answer.said:
            self.messages += [question, {"role": "assistant", "content": whole(answer.said)}]
        return answer

    def _body(self, question: dict[str, str]) -> dict[str, Any]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        return {
            "model": self.model,
            "messages": [*system, *self.messages, question],
            "chat_template_kwargs": SWITCHES[self.thinking],
            **self.options,
        }
