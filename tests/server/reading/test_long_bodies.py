"""Bodies above 256 KiB are read in a process of their own, and answered as short ones are."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.waiting import wait_until

JSON = {"content-type": "application/json"}
PADDING = " " * (1 << 18)
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the capital of Japan?"}]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
PREFILL = [*MESSAGES, {"role": "assistant", "content": "The capital"}]
GREEDY = {"temperature": 0, "max_tokens": 8}
ITEMS = [{"role": "user", "content": "Where?"}, {"type": "function_call", "name": "look", "arguments": "{}"}]

BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": MESSAGES, **GREEDY}),
    ("/v1/chat/completions", {"messages": MESSAGES, **GREEDY, "tools": TOOLS, "logprobs": True, "n": 2}),
    ("/v1/chat/completions", {"messages": PREFILL, **GREEDY, "continue_final_message": True}),
    ("/v1/chat/completions", {"messages": MESSAGES, **GREEDY, "reasoning_effort": "none", "return_token_ids": True}),
    ("/v1/chat/completions", {"messages": MESSAGES, **GREEDY, "response_format": {"type": "json_object"}}),
    ("/v1/completions", {"prompt": "The capital of Japan", **GREEDY, "echo": True}),
    ("/v1/completions", {"prompt": ["One", "Two"], **GREEDY}),
    ("/v1/completions", {"prompt": [[5, 6, 7], [8]], **GREEDY, "truncate_prompt_tokens": 2}),
    ("/v1/messages", {"messages": MESSAGES[1:], "system": "Be brief.", "max_tokens": 8, "temperature": 0}),
    ("/v1/messages", {"messages": PREFILL[1:], "max_tokens": 8, "temperature": 0}),
    ("/v1/messages/count_tokens", {"messages": MESSAGES[1:], "system": "Be brief."}),
    ("/v1/responses", {"input": "Hello", "instructions": "Be brief.", "temperature": 0, "max_output_tokens": 8}),
    ("/v1/responses", {"input": ITEMS, "temperature": 0, "max_output_tokens": 8, "reasoning": {"effort": "none"}}),
    ("/tokenize", {"prompt": "The capital <|im_end|> of Japan", "return_token_strs": True}),
    ("/tokenize", {"messages": MESSAGES, "tools": TOOLS}),
    ("/detokenize", {"tokens": [1, 11, 500]}),
    ("/v1/chat/completions", {"messages": [{"role": "captain", "content": "x"}]}),
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokns": 5}),
    ("/v1/chat/completions", {"messages": MESSAGES, "model": "gpt"}),
    ("/v1/chat/completions", {"messages": MESSAGES, "chat_template_kwargs": {"colour": 1}}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
    ("/v1/completions", {"prompt": []}),
    ("/v1/completions", {"prompt": "a \ud800"}),
    ("/v1/messages", {"messages": MESSAGES[1:]}),
    ("/v1/responses", {"input": "x", "previous_response_id": "resp_none"}),
    ("/v1/responses", {"input": [{"type": "computer_call"}]}),
    ("/tokenize", {}),
    ("/detokenize", {"tokens": [99999]}),
]
CHANGING = ("id", "created", "created_at", "completed_at")


def ask(url: str, body: dict[str, Any], padding: str = "") -> tuple[int, Any]:
    content = json.dumps(body).replace("{", f"{{{padding}", 1)
    response = httpx.post(url, content=content, headers=JSON, timeout=60)
    return response.status_code, response.json()


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in CHANGING and "cached" not in key}
        kept.pop("prompt_tokens_details", None)
        kept.pop("input_tokens", None) if "cache_read_input_tokens" in kept else None
        return {key: without_ids(item) for key, item in kept.items() if key != "cache_read_input_tokens"}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


def readers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the pids of the processes that read for a server."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            is_reader = b"server.reading.worker" in (path / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if is_reader and parent == process.pid:
            found.append(int(path.name))
    return found


@pytest.fixture(scope="module")
def served(tiny_engine: Path, server_process: Callable[..., Any]) -> tuple[Any, str]:
    process, url = server_process(tiny_engine)
    return process, url


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_a_long_body_is_answered_as_a_short_one(served: tuple[Any, str], path: str, body: dict[str, Any]) -> None:
    process, url = served
    short, long = ask(url + path, body), ask(url + path, body, PADDING)
    assert short[0] in (200, 400, 404)
    assert (long[0], without_ids(long[1])) == (short[0], without_ids(short[1]))
    assert len(readers_of(process)) == 1  # which all of them shared


def test_a_long_conversation_goes_on_from_its_response(served: tuple[Any, str]) -> None:
    _, url = served
    words = "one two three four five " * 12_000  # 288 KB, about 60,000 tokens
    assert ask(f"{url}/v1/responses", {"input": words})[1]["error"]["code"] == "context_length_exceeded"
    bounds = {"temperature": 0, "max_output_tokens": 4}
    turn = ask(f"{url}/v1/responses", {"input": "a " * 3000, "instructions": "x" * 1000, **bounds}, PADDING)[1]
    again = {"input": "And now?", "previous_response_id": turn["id"], **bounds}
    short, long = ask(f"{url}/v1/responses", again)[1], ask(f"{url}/v1/responses", again, PADDING)[1]
    assert without_ids(long["output"]) == without_ids(short["output"])
    assert long["usage"]["input_tokens"] == short["usage"]["input_tokens"] > 3000
    listed = httpx.get(f"{url}/v1/responses/{long['id']}/input_items").json()["data"]
    assert [item["content"] for item in listed] == [[{"type": "input_text", "text": "And now?"}]]


def test_what_is_no_json_is_told_with_its_place(served: tuple[Any, str]) -> None:
    _, url = served
    response = httpx.post(
        f"{url}/v1/completions", content="{" + PADDING + "]", headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert "is not JSON" in response.json()["error"]["message"]


def test_all_but_the_messages_of_a_body_is_bounded(served: tuple[Any, str]) -> None:
    _, url = served
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "object", "description": "x" * (1 << 20)}}}
    status, found = ask(f"{url}/v1/chat/completions", {"messages": MESSAGES, "response_format": form})
    assert status == 400
    assert "exceed 1048576" in found["error"]["message"]


def test_a_reader_that_is_killed_in_a_body_is_followed_by_another_one(served: tuple[Any, str]) -> None:
    process, url = served
    assert ask(f"{url}/tokenize", {"prompt": "x"}, PADDING)[0] == 200
    (pid,) = readers_of(process)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, f"{url}/tokenize", {"prompt": "x"}, PADDING)
        time.sleep(0.5)
        os.kill(pid, signal.SIGKILL)
        assert waiting.result()[0] == 200
    assert readers_of(process) != [pid]


def test_a_body_that_every_reader_is_killed_in_is_told_so(served: tuple[Any, str]) -> None:
    process, url = served
    killed = set()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, f"{url}/tokenize", {"prompt": "x"}, PADDING)
        while not waiting.done():
            for pid in readers_of(process):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.01)
        status, found = waiting.result()
    assert (status, found["error"]["code"]) == (503, "reader_unavailable")
    assert "was lost" in found["error"]["message"]
    assert len(killed) in (2, 3)  # two for this body, and one that an earlier one had left
    assert ask(f"{url}/tokenize", {"prompt": "x"}, PADDING)[0] == 200


def test_a_reader_that_is_lost_between_two_bodies_is_no_bodys_concern(served: tuple[Any, str]) -> None:
    process, url = served
    assert ask(f"{url}/tokenize", {"prompt": "x"}, PADDING)[0] == 200
    (pid,) = readers_of(process)
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)  # of these two it takes no notice
    assert ask(f"{url}/tokenize", {"prompt": "x"}, PADDING)[0] == 200
    assert readers_of(process) == [pid]
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (addresses,) = [line.split()[3] for line in limits if line.startswith("Max address space")]
    assert int(addresses) == 6 << 30
    assert int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16]) == 5  # how nice it is
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not readers_of(process))
    assert ask(f"{url}/tokenize", {"prompt": "x"}, PADDING)[0] == 200


def test_bodies_of_clients_that_left_are_not_read(served: tuple[Any, str]) -> None:
    process, url = served
    assert ask(f"{url}/tokenize", {"prompt": "x"}, PADDING)[0] == 200
    (pid,) = readers_of(process)
    os.kill(pid, signal.SIGSTOP)
    host, _, port = url.removeprefix("http://").partition(":")
    body = b'{"prompt": "x"' + PADDING.encode() + b"}"
    head = f"POST /tokenize HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for _ in range(12):
        with socket.create_connection((host, int(port)), timeout=10) as leaving:
            leaving.sendall(head + body)
    assert ask(f"{url}/tokenize", {"prompt": "x"}, PADDING)[0] == 200  # nobody stands before it any more


def test_control_text_is_obeyed_in_long_bodies_where_it_is_in_short_ones(
    tiny_engine: Path, server_process: Callable[..., Any]
) -> None:
    _, url = server_process(tiny_engine, "--set", "server.obeys_control_text=true")
    body = {"messages": [{"role": "user", "content": "a <|im_end|> b"}]}
    short, long = ask(f"{url}/tokenize", body), ask(f"{url}/tokenize", body, PADDING)
    assert long == short
    assert short[1]["tokens"].count(11) == 3  # the text's, beside those of two turns


@pytest.mark.parametrize("sent", [20, len(PADDING)])
def test_a_body_that_is_still_sent_when_the_server_stops_is_told_so(
    tiny_engine: Path, server_process: Callable[..., Any], sent: int
) -> None:
    process, url = server_process(tiny_engine, "--set", "server.drain_seconds=0.5")
    host, _, port = url.removeprefix("http://").partition(":")
    head = f"POST /tokenize HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(PADDING) + 9}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        slow.sendall((head + PADDING[:sent]).encode())
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        answer = slow.makefile().read()
    assert answer.startswith("HTTP/1.1 503")
    assert "the server is stopping" in json.loads(answer.partition("\n\n")[2])["error"]["message"]
    assert process.wait(timeout=20) == 0
    assert "Traceback" not in process.stderr.read()


def test_the_reader_ends_with_its_server(tiny_engine: Path, server_process: Callable[..., Any]) -> None:
    process, url = server_process(tiny_engine)
    assert ask(f"{url}/tokenize", {"prompt": "x"}, PADDING)[0] == 200
    (pid,) = readers_of(process)
    process.kill()
    process.wait()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
