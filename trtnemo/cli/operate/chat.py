"""`trtnemo chat`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from trtnemo.errors import ServerError

Message = dict[str, str]


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
def chat(
    prompt: str | None,
    url: str,
    model: str | None,
    thinking: bool,
    low_effort: bool,
    temperature: float | None,
    max_tokens: int | None,
    system: str | None,
) -> None:
    """Talk to a running server.

    With PROMPT, prints one answer and exits; without, reads lines until end of input. A key for the server is taken
    from OPENAI_API_KEY.
    """
    from trtnemo.endpoint import base_url, served_models

    base = base_url(url)
    options: dict[str, Any] = {
        "model": model or served_models(base)[0],
        "chat_template_kwargs": {"enable_thinking": thinking} | ({"low_effort": True} if low_effort else {}),
        "stream": True,
    }
    options |= {} if temperature is None else {"temperature": temperature}
    options |= {} if max_tokens is None else {"max_tokens": max_tokens}
    history: list[Message] = [{"role": "system", "content": system}] if system else []
    for line in [prompt] if prompt is not None else _lines():
        history.append({"role": "user", "content": line})
        history.append({"role": "assistant", "content": _answer(base, {**options, "messages": history})})


def _lines() -> Iterator[str]:
    interactive = sys.stdin.isatty()
    while True:
        if interactive:
            click.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


def _answer(base: str, body: dict[str, Any]) -> str:
    """Print an answer as it arrives, thinking dimmed on stderr, and return its content."""
    import httpx

    from trtnemo.endpoint import authorization

    printer, endpoint = _Printer(), f"{base}/v1/chat/completions"
    try:
        with httpx.stream("POST", endpoint, json=body, headers=authorization(), timeout=600) as response:
            if response.status_code != 200:
                response.read()
                raise ServerError(_message(response.text), where=base)
            for line in response.iter_lines():
                printer.show(line)
    except httpx.HTTPError as error:
        raise ServerError(f"the connection broke: {error}", where=base) from None
    click.echo()
    return printer.content


class _Printer:
    """Prints server-sent events; thinking goes to stderr, so that a pipe receives the answer alone."""

    def __init__(self) -> None:
        self.content = ""
        self._is_thinking = False

    def show(self, line: str) -> None:
        """Print what one line of the stream holds."""
        if not line.startswith("data: ") or line == "data: [DONE]":
            return
        event = json.loads(line.removeprefix("data: "))
        if "error" in event:
            raise ServerError(str(event["error"].get("message", event["error"])))
        delta = event["choices"][0]["delta"] if event.get("choices") else {}
        thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
        if thought:
            click.secho(thought, dim=True, nl=False, err=True)
            self._is_thinking = True
        text: str = delta.get("content") or ""
        if text and self._is_thinking:
            click.echo(err=True)
            self._is_thinking = False
        click.echo(text, nl=False)
        self.content += text


def _message(text: str) -> str:
    try:
        message: str = json.loads(text)["error"]["message"]
        return message
    except (ValueError, LookupError, TypeError):
        return text[:200]
