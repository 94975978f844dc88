"""Checks of what clients ask for by type: schemas, forced calls, OpenAI's Responses API, Anthropic's Messages API."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import anthropic
from openai import OpenAI
from pydantic import BaseModel

JAPAN = "What is the capital of Japan?"
SEATTLE = "What is the weather in Seattle?"
PACKAGES = ("ai@6", "@ai-sdk/openai-compatible@2", "@ai-sdk/openai@3", "zod@4")
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
Check = tuple[str, str, bool]


class Capital(BaseModel):
    """A typed answer; its texts are listed, for `tiny` never saw JSON and would not end one."""

    city: Literal["Tokyo", "Paris", "Rome"]
    continent: Literal["Asia", "Europe"]


def typed_checks(url: str) -> Iterator[Check]:
    """Yield (what was asked, what came, whether it is right); `url` ends in /v1."""
    client = OpenAI(base_url=url, api_key="EMPTY")
    yield from chat_checks(client)
    yield from responses_checks(client)
    yield from anthropic_checks(anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key="EMPTY"))
    yield from pydantic_ai_checks(url)
    yield from javascript_checks(url)


def chat_checks(client: OpenAI) -> Iterator[Check]:
    """Check typed output and forced calls of chat completions."""
    ask: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": JAPAN}], "temperature": 0}
    parsed = client.chat.completions.parse(**ask, response_format=Capital).choices[0].message.parsed
    yield "openai: parse", str(parsed), parsed is not None
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS, "strict": True}}
    named = {"type": "function", "function": {"name": "get_weather"}}
    for choice in ("required", named):
        message = client.chat.completions.create(**ask, tools=[tool], tool_choice=choice).choices[0].message
        names = [call.function.name for call in message.tool_calls or [] if call.type == "function"]
        yield f"openai: tool_choice {choice}", str(names), set(names) == {"get_weather"}


def responses_checks(client: OpenAI) -> Iterator[Check]:
    """Check the Responses API: text, conversation, a streamed call, typed output."""
    made = client.responses.create(model="tiny", input=JAPAN, temperature=0)
    yield "openai: responses", made.output_text, "Tokyo" in made.output_text
    kept = client.responses.retrieve(made.id)
    yield "openai: responses.retrieve", kept.output_text, kept.output_text == made.output_text
    tool: Any = {"type": "function", "name": "get_weather", "description": "Get the weather", "parameters": PARAMETERS}
    with client.responses.stream(model="tiny", input=SEATTLE, tools=[tool], temperature=0) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    calls = [item.arguments for item in final.output if item.type == "function_call"]
    yield "openai: responses.stream", f"{len(kinds)} events, {calls}", calls == ['{"city": "Seattle"}']
    parsed = client.responses.parse(model="tiny", input=JAPAN, text_format=Capital, temperature=0).output_parsed
    yield "openai: responses.parse", str(parsed), parsed is not None


def anthropic_checks(client: anthropic.Anthropic) -> Iterator[Check]:
    """Check the Messages API: text, thinking, a tool loop, counting."""
    ask: dict[str, Any] = {"model": "tiny", "max_tokens": 2000, "extra_body": {"temperature": 0}}
    japan: list[Any] = [{"role": "user", "content": JAPAN}]
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    for how, more in (("plain", {}), ("thinking", {"thinking": thinking})):
        said = client.messages.create(**ask, messages=japan, **more)
        kinds = [block.type for block in said.content]
        right = kinds == (["thinking", "text"] if more else ["text"]) and "Tokyo" in str(said.content[-1])
        yield f"anthropic: {how}", f"{kinds} {said.stop_reason}", right
    tool: Any = {"name": "get_weather", "description": "Get the weather", "input_schema": PARAMETERS}
    with client.messages.stream(**ask, messages=[{"role": "user", "content": SEATTLE}], tools=[tool]) as stream:
        final = stream.get_final_message()
    (use,) = [block for block in final.content if block.type == "tool_use"]
    yield "anthropic: streamed tool", str(use.input), use.input == {"city": "Seattle"}
    result: Any = {"type": "tool_result", "tool_use_id": use.id, "content": '{"temperature": 21, "sky": "sunny"}'}
    messages: list[Any] = [
        {"role": "user", "content": SEATTLE},
        {"role": "assistant", "content": final.content},
        {"role": "user", "content": [result]},
    ]
    told = client.messages.create(**ask, messages=messages, tools=[tool])
    yield "anthropic: tool result", str(told.content[-1]), "21" in str(told.content[-1])
    counted = client.messages.count_tokens(model="tiny", messages=japan)
    yield "anthropic: count_tokens", str(counted.input_tokens), counted.input_tokens > 0


def pydantic_ai_checks(url: str) -> Iterator[Check]:
    """Check typed output of pydantic-ai, by a tool and by a schema, where it is installed."""
    try:
        from pydantic_ai import Agent, NativeOutput
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider
    except ImportError:
        yield "pydantic-ai", "not run: it is not installed", True
        return
    model = OpenAIChatModel("tiny", provider=OpenAIProvider(base_url=url, api_key="EMPTY"))
    plain = Agent(model).run_sync(JAPAN).output
    yield "pydantic-ai: text", plain, bool(plain)
    for how, kind in (("by a tool", Capital), ("by a schema", NativeOutput(Capital))):
        output = Agent(model, output_type=kind).run_sync(JAPAN).output
        yield f"pydantic-ai: {how}", str(output), isinstance(output, Capital)


def javascript_checks(url: str) -> Iterator[Check]:
    """Check the AI SDK's two providers, where npm is there."""
    if shutil.which("npm") is None:
        yield "npm ai", "not run: there is no npm", True
        return
    with tempfile.TemporaryDirectory() as directory:
        script = Path(__file__).with_name("typed_clients.mjs").read_text(encoding="utf-8")
        (Path(directory) / "check.mjs").write_text(script, encoding="utf-8")
        subprocess.run(["npm", "install", "--silent", *PACKAGES], cwd=directory, check=True, stdout=2)
        found = subprocess.run(
            ["node", "check.mjs", url], cwd=directory, capture_output=True, text=True, timeout=300, check=False
        )
    for line in found.stdout.splitlines():
        what, text, is_right = json.loads(line)
        yield what, text, is_right
    if found.returncode:
        yield "npm ai", found.stderr[-500:], False
