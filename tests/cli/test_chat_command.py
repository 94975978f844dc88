"""`trtnemo chat` in pipes and scripts: the answer alone, byte for byte, and failures of one line."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.support.chat.server import breaks_off, chat_server, delta, says
from tests.support.commands import trtnemo

CALLS = [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]


def chat(*arguments: str | bytes, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "trtnemo", "chat", *arguments]
    return subprocess.run(command, capture_output=True, input=given, timeout=60)


def test_a_pipe_receives_the_bytes_of_the_answer() -> None:
    text = "\x1b[1mbold\x1b[0m\r\n\ttab \x9b \u202e é\x00"
    with chat_server(says(delta(reasoning_content="\x1b[2mhm"), text)) as server:
        done = chat("hi", "--url", server.url)
    assert done.stdout == f"{text}\n".encode()
    assert done.stderr == b"\x1b[2mhm\n"


def test_a_call_in_an_answer_is_told_beside_it() -> None:
    with chat_server(says("So: ", delta(tool_calls=CALLS))) as server:
        done = chat("hi", "--url", server.url)
    assert (done.stdout, done.stderr) == (b"So: \n", b"[calls f({})]\n")


@pytest.mark.parametrize(
    ("events", "end", "told"),
    [
        (["Tok"], "length", b"The answer was cut at the limit of tokens.\n"),
        ([], "length", b"The answer was cut at the limit of tokens, before it had begun.\n"),
        (
            [delta(reasoning_content="hm")],
            "length",
            b"hm\nThe answer was cut at the limit of tokens, before it had begun.\n",
        ),
        (["\n\n"], "length", b"The answer was cut at the limit of tokens, before it had begun.\n"),
        ([], "stop", b"Nothing was answered.\n"),
        (["Tok"], "content_filter", b"The answer was ended by its server: content_filter.\n"),
        ([delta(refusal="Tok")], "stop", b""),
        ([delta(tool_calls=CALLS)], "tool_calls", b"[calls f({})]\n"),
        ([delta(tool_calls=CALLS)], "length", b"[calls f({})]\nThe answer was cut at the limit of tokens.\n"),
    ],
)
def test_an_answer_that_falls_short_is_told_beside_it(events: list[Any], end: str, told: bytes) -> None:
    with chat_server(says(*events, end={"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})) as server:
        done = chat("hi", "--url", server.url)
    assert (done.returncode, done.stderr) == (0, told)
    assert done.stdout.strip() == (b"Tok" if "Tok" in str(events) else b"")


def test_each_line_of_a_script_is_a_turn_whatever_it_begins_with() -> None:
    with chat_server(says("One."), says("Two.")) as server:
        done = chat("--url", server.url, given="/help\n\n  café\r\n".encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"One.\nTwo.\n", b"")
    assert server.said() == [("user", "/help"), ("assistant", "One."), ("user", "café")]


def test_a_script_ends_with_the_first_turn_that_fails() -> None:
    with chat_server(says("One."), breaks_off("Tw")) as server:
        done = chat("--url", server.url, given=b"1\n2\n3\n")
    assert (done.returncode, done.stdout) == (7, b"One.\nTw")
    assert done.stderr == f"trtnemo: error: {server.url}: the answer broke off\n".encode()
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("words", "given", "told"),
    [
        ([b"caf\xe9"], b"", b"PROMPT: is not valid UTF-8"),
        ([b"--system", b"\xff", b"hi"], b"", b"--system: is not valid UTF-8"),
        ([], b"hello\ncaf\xe9\n", b"line 2 of the input: is not valid UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_refused(words: list[bytes], given: bytes, told: bytes) -> None:
    with chat_server(says("One.")) as server:
        done = chat("--url", server.url, *words, given=given)
    assert done.returncode == 2
    assert done.stderr == b"trtnemo: error: " + told + b"\n"


@pytest.mark.parametrize("url", ["localhost:8123", "me:secret@example.com/v1", "ftp://host"])
def test_an_address_without_http_is_told_so(url: str) -> None:
    done = trtnemo("chat", "hi", "--url", url)
    assert done.returncode == 2
    assert "is no address of a server. Write it as http://HOST:PORT or https://HOST" in done.stderr
    assert "secret" not in done.stderr


def test_the_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    with chat_server(says("One.")) as server:
        assert chat("hi", "--url", server.url).returncode == 0
    assert server.headers[0]["Authorization"] == "Bearer sk-1"


def test_help_of_chat_loads_no_prompt(tiny_url: Any) -> None:
    code = (
        "import sys\nfrom trtnemo.cli import cli\nfrom trtnemo.cli.group import run\nrun(cli, sys.argv[1:])\n"
        "print('prompt_toolkit' in sys.modules)"
    )
    for words in (["chat", "--help"], ["chat", "hi", "--url", tiny_url]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "False"
