"""`trtnemo chat`."""

from __future__ import annotations

import sys
from typing import Any

import click


@click.command()
@click.argument("prompt", required=False)
@click.option(
    "--url", default="http://127.0.0.1:8123", show_default=True, help="Base URL of an OpenAI-compatible server."
)
@click.option("--model", help="Model name.  [default: the server's first]")
@click.option("--thinking/--no-thinking", default=True, show_default=True, help="Whether the model thinks first.")
@click.option("--low-effort", is_flag=True, help="Think briefly.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="0 is greedy.  [default: the server's]")
@click.option("--max-tokens", type=click.IntRange(1), help="Longest answer, in tokens.")
@click.option("--system", help="System prompt.")
@click.option(
    "--history/--no-history", default=True, show_default=True, help="Whether to keep what you type in a file."
)
def chat(
    prompt: str | None,
    url: str,
    model: str | None,
    thinking: bool,
    low_effort: bool,
    temperature: float | None,
    max_tokens: int | None,
    system: str | None,
    history: bool,
) -> None:
    """Talk to a running server.

    With PROMPT, prints one answer and exits. Without, asks for turns: Ctrl-C stops an answer, Ctrl-D leaves, /help
    lists commands. Where stdin is no terminal, each line of it is a turn, and the first that fails is the last. A key
    for the server is taken from OPENAI_API_KEY.
    """
    from trtnemo.chat.conversation import Conversation
    from trtnemo.chat.stream import ChatEndpoint
    from trtnemo.chat.talk import answer_all, converse, script_lines
    from trtnemo.endpoint import base_url, served_models, shown

    for name, text in {"PROMPT": prompt, "--model": model, "--system": system}.items():
        _require_text(name, text)
    base = base_url(url)
    options: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    options |= {} if max_tokens is None else {"max_tokens": max_tokens}
    conversation = Conversation(
        ChatEndpoint(base),
        model or served_models(base)[0],
        ("low" if low_effort else "on") if thinking else "off",
        system,
        options,
    )
    if prompt is not None:
        answer_all(conversation, [prompt])
    elif sys.stdin.isatty() and (sys.stdout.isatty() or sys.stderr.isatty()):
        converse(conversation, shown(base), keep_lines=history)
    else:
        answer_all(conversation, script_lines())


def _require_text(name: str, text: str | None) -> None:
    """Raise UsageError for bytes that are no text: Python hands them on as halves of surrogate pairs."""
    from trtnemo.errors import UsageError

    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise UsageError("is not valid UTF-8", where=name) from None
