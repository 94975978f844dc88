"""Run the model card's API examples and other clients against `tiny`, with and without streaming.

Starts its own server on a free port; each example runs with that port in place of 8123 and no other change. Exits 1
when an answer is wrong.

usage: python -m scripts.clients [--drafts N]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from openai import OpenAI

from scripts.typed_clients import typed_checks

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
BASE_URL = "http://localhost:8123/v1"
MODEL = "nvidia/nemotron-3-super"
JAPAN = "What is the capital of Japan?"
MODES: dict[str, dict[str, Any]] = {
    "reasoning on": {"enable_thinking": True},
    "reasoning off": {"enable_thinking": False},
    "low effort": {"enable_thinking": True, "low_effort": True},
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@contextmanager
def server(drafts: int) -> Iterator[str]:
    """Yield the base URL of a server of `tiny`."""
    trtnemo = [sys.executable, "-m", "trtnemo"]
    with tempfile.TemporaryDirectory() as directory:
        engine = f"{directory}/engine"
        setting = f"speculation.draft_tokens={drafts}"
        subprocess.run([*trtnemo, "build", "--recipe", "tiny", "--output", engine, "--set", setting], check=True)
        process = subprocess.Popen(
            [*trtnemo, "serve", "--engine", engine, "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise SystemExit("the server did not start")
            yield line.split()[-1] + "/v1"
        finally:
            process.terminate()
            process.communicate(timeout=60)


def run_example(name: str, url: str) -> str:
    """Return what an example prints when only its base_url is changed."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    if BASE_URL not in text:
        raise SystemExit(f"{name} does not name {BASE_URL}")
    command = [sys.executable, "-c", text.replace(BASE_URL, url)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def ask(
    client: OpenAI, stream: bool, question: str, variables: dict[str, Any], **more: Any
) -> tuple[str, str, list[str]]:
    """Return (reasoning, content, calls as text) of one answer, whole or put together from its stream."""
    request: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 16000,
        "temperature": 0,
        "extra_body": {"chat_template_kwargs": variables},
        **more,
    }
    if not stream:
        message = client.chat.completions.create(**request).choices[0].message
        return _texts(message)
    reasoning, content, calls = "", "", []
    for chunk in client.chat.completions.create(**request, stream=True):
        for choice in chunk.choices:
            more_reasoning, more_content, more_calls = _texts(choice.delta)
            reasoning, content, calls = reasoning + more_reasoning, content + more_content, calls + more_calls
    return reasoning, content, calls


def _texts(part: Any) -> tuple[str, str, list[str]]:
    calls = [f"{call.function.name}({call.function.arguments})" for call in part.tool_calls or []]
    return getattr(part, "reasoning_content", None) or "", part.content or "", calls


def checks(url: str) -> Iterator[tuple[str, str, bool]]:
    """Yield (what was asked, what came, whether it is right)."""
    examples: dict[str, Callable[[str], bool]] = {
        "reasoning_on.py": lambda text: len(text.splitlines()) == 3,
        "reasoning_off.py": lambda text: "Tokyo" in text and "think" not in text,
        "low_effort.py": lambda text: "Tokyo" in text,
        "tool_round_trip.py": lambda text: bool(re.search(r'get_weather\(\{"city": "Osaka"\}\)\n.*21.*Osaka', text)),
    }
    for name, is_right in examples.items():
        text = run_example(name, url)
        yield f"examples/{name}", text, is_right(text)
    client = OpenAI(base_url=url, api_key="EMPTY")
    for stream in (False, True):
        how = "streamed" if stream else "in one piece"
        thoughts = {}
        for mode, variables in MODES.items():
            reasoning, content, _ = ask(client, stream, JAPAN, variables)
            thoughts[mode] = len(reasoning)
            is_thinking = mode != "reasoning off"
            yield f"{mode}, {how}", f"[{reasoning}] {content}", "Tokyo" in content and bool(reasoning) == is_thinking
        yield f"lengths of thought, {how}", str(thoughts), 0 < thoughts["low effort"] < thoughts["reasoning on"]
        for mode, variables in MODES.items():
            question = "What is the weather in Seattle?"
            reasoning, content, calls = ask(client, stream, question, variables, tools=[WEATHER])
            is_right = calls == ['get_weather({"city": "Seattle"})'] and not content
            yield f"a tool call, {mode}, {how}", f"[{reasoning}] {content}{calls}", is_right


def main() -> None:
    """Run all checks, print them, and exit 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--drafts", type=int, default=3, help="tokens drafted by the MTP head [default: 3]")
    failed = 0
    with server(parser.parse_args().drafts) as url:
        for what, text, is_right in chain(checks(url), typed_checks(url)):
            print(f"{'ok   ' if is_right else 'WRONG'} {what}\n      " + text.replace("\n", "\n      "))
            failed += not is_right
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
