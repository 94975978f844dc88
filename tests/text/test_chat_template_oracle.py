"""The shipped chat template against an independent renderer of the family, byte for byte."""

from __future__ import annotations

import random
from typing import Any

import pytest

from trtnemo.text.chat_template import family_template
from trtnemo.text.template_engine import TemplateEngine

renderers = pytest.importorskip("renderers", reason="the oracle needs Python 3.11")

ENGINE = TemplateEngine(family_template())
TEXTS = (
    "Hi",
    "",
    " spaced ",
    "two\nlines\n",
    "日本語 🙂",
    "{{ not.a.template }}",
    "<b>&amp;</b>",
    "a</think>b",
    "<think>x</think>y",
)
CASES = 1500


class CharacterTokenizer:
    """Enough of a tokenizer for the oracle: special tokens and single characters, as ids that turn back into text."""

    name_or_path = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B"
    unk_token_id = None
    special = ("<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>",
               "</tool_response>", "</s>", "<|endoftext|>")  # fmt: skip

    def encode(self, text: Any, add_special_tokens: Any = False, **_: Any) -> Any:
        ids = []
        while text:
            token = next((token for token in self.special if text.startswith(token)), text[0])
            ids.append(self.special.index(token) if len(token) > 1 else 100 + ord(token))
            text = text[len(token) :]
        return ids

    def convert_tokens_to_ids(self, token: Any) -> Any:
        return self.special.index(token) if token in self.special else None

    def decode(self, ids: Any, **_: Any) -> Any:
        return "".join(self.special[i] if i < 100 else chr(i - 100) for i in ids)


def random_tools(source: Any) -> Any:
    def field() -> Any:
        kind = source.choice(("string", "integer", "number", "boolean", "array", "object"))
        extra = {"enum": ["a", "b"]} if source.random() < 0.2 else {}
        extra |= {"description": source.choice((" a field ", "b"))} if source.random() < 0.6 else {}
        extra |= {"default": source.choice((3, "x", [1], {"k": True}))} if source.random() < 0.2 else {}
        return {"type": kind, **extra}

    tools = []
    for number in range(source.choice((0, 0, 1, 2))):
        properties = {f"p{index}": field() for index in range(source.randrange(3))}
        parameters: dict[str, Any] = {"type": "object", "properties": properties}
        if source.random() < 0.5:
            parameters["required"] = list(properties)
        if source.random() < 0.3:
            parameters["additionalProperties"] = False
        function = {"name": f"tool_{number}", "parameters": parameters}
        if source.random() < 0.7:
            function["description"] = source.choice(("Does it. ", "x\ny"))
        tools.append({"type": "function", "function": function})
    return tools


def random_chat(source: Any) -> Any:
    messages = []
    if source.random() < 0.5:
        messages.append({"role": "system", "content": source.choice(TEXTS)})
    for _ in range(source.randrange(1, 4)):
        messages.append({"role": "user", "content": source.choice(TEXTS)})
        for _ in range(source.choice((0, 1, 1, 2))):
            messages += random_answer(source)
    return messages


def random_answer(source: Any) -> Any:
    message = {"role": "assistant", "content": source.choice(TEXTS)}
    if source.random() < 0.5:
        message["reasoning_content"] = source.choice(("hm", " why\n", "", "  "))
    if source.random() < 0.6:
        return [message]
    values = (1, 2.5, True, None, "text", "multi\nline", [1, 2], {"a": "ü"})
    names = [f"tool_{number}" for number in range(source.randrange(1, 3))]
    arguments = [{f"p{i}": source.choice(values) for i in range(source.randrange(3))} for _ in names]
    message["tool_calls"] = [
        {"type": "function", "id": str(n), "function": {"name": name, "arguments": item}}
        for n, (name, item) in enumerate(zip(names, arguments, strict=True))
    ]
    results = [{"role": "tool", "content": source.choice(TEXTS), "tool_call_id": str(n)} for n in range(len(names))]
    return [message, *results]


def test_random_chats_render_as_the_oracle_renders_them() -> None:
    from renderers.configs import Nemotron3RendererConfig
    from renderers.nemotron3 import Nemotron3Renderer

    tokenizer, source = CharacterTokenizer(), random.Random(4)
    for _ in range(CASES):
        messages, tools = random_chat(source), random_tools(source)
        options = {
            name: source.random() < 0.5 for name in ("enable_thinking", "low_effort", "truncate_history_thinking")
        }
        oracle = Nemotron3Renderer(tokenizer, Nemotron3RendererConfig(**options))
        expected = tokenizer.decode(oracle.render_ids(messages, tools=tools or None, add_generation_prompt=True))
        found = ENGINE.render({"messages": messages, "tools": tools, "add_generation_prompt": True, **options})
        assert found == expected, (messages, tools, options)
