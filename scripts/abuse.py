"""What clients may do to a server, tried one after the other while a second connection asks for /health.

Starts `tiny` on a free port. Prints, for each case, what it was answered, and the slowest /health meanwhile; exits 1
where /health took longer than --most milliseconds, or the server did not answer afterwards.

usage: python scripts/abuse.py [--most 100]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
LONG_TEXT = "The quick brown fox jumps over the lazy dog. " * 330_000  # 14 MiB
Case = Callable[[str], str]


@contextmanager
def server(*options: str, files: int | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yield the URL of a server of `tiny`, and its process."""
    trtnemo = [sys.executable, "-m", "trtnemo"]
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([*trtnemo, "build", "--recipe", "tiny", "--output", f"{directory}/e"], check=True, stdout=2)
        command = [*trtnemo, "serve", "--engine", f"{directory}/e", "--port", "0", *options]
        if files is not None:
            command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield line.split()[-1], process
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=40)
            process.kill()


class Health(threading.Thread):
    """Asks for /health on a connection of its own until it is told to stop, and keeps every time."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self._stopped = url, threading.Event()
        self.milliseconds: list[float] = []

    def run(self) -> None:
        """Ask."""
        with httpx.Client(timeout=60) as client:
            while not self._stopped.is_set():
                began = time.perf_counter()
                client.get(f"{self._url}/health")
                self.milliseconds.append((time.perf_counter() - began) * 1000)
                time.sleep(0.002)

    def stop(self) -> tuple[float, float]:
        """Return the 99.9th percentile and the longest time, in milliseconds."""
        self._stopped.set()
        self.join()
        ordered = sorted(self.milliseconds)
        return ordered[int(len(ordered) * 0.999)], ordered[-1]


def post(url: str, path: str, body: Any, timeout: float = 120) -> str:
    """Return the status and how long it took."""
    began = time.perf_counter()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        found = httpx.post(url + path, content=content, headers={"content-type": "application/json"}, timeout=timeout)
        status = str(found.status_code)
    except httpx.HTTPError as error:
        status = type(error).__name__
    return f"{status} in {time.perf_counter() - began:.2f} s"


def fitting(url: str) -> str:
    """Return the longest text that the server reads: as many characters as its body limit lets through."""
    return LONG_TEXT[: 1 << 20]


def chat(text: str, **more: Any) -> dict[str, Any]:
    """Return a chat request of one message."""
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": 4, **more}


CASES: dict[str, tuple[str, Case]] = {
    "A2 message of 14 MiB": ("15.9-21.6 s", lambda url: post(url, CHAT, chat(LONG_TEXT))),
    "A2 prompt of 14 MiB": ("15.9-21.6 s", lambda url: post(url, TEXT, {"model": "tiny", "prompt": LONG_TEXT})),
    "A2 tokenize of 14 MiB": ("15.9-21.6 s", lambda url: post(url, "/tokenize", {"prompt": LONG_TEXT})),
    "A2 message of 1 MiB": ("0.4-0.5 s", lambda url: post(url, CHAT, chat(LONG_TEXT[: 1 << 20]))),
    "A2 message of 300 KB": ("0.15 s", lambda url: post(url, CHAT, chat(LONG_TEXT[:300_000]))),
    "A2 tokenize of 300 KB": ("0.15 s", lambda url: post(url, "/tokenize", {"prompt": LONG_TEXT[:300_000]})),
    "A5 10,000 stop strings": (
        "2.5 s",
        lambda url: post(url, CHAT, chat("Hi", stop=[f"stop{n}" for n in range(10_000)])),
    ),
    "A5 one stop of 24 KiB": ("23.6 s of CPU", lambda url: post(url, CHAT, chat("Hi", stop="a" * 24_000 + "b"))),
    "A5 16 long stops, 2,000 tokens": (
        "-",
        lambda url: post(
            url,
            TEXT,
            {
                "model": "tiny",
                "prompt": "Hi",
                "max_tokens": 2000,
                "stop": ["a" * 255 + chr(97 + n) for n in range(1, 17)],
                "allowed_token_ids": [69],
                "ignore_eos": True,
            },
        ),
    ),
    "A6 100,000 messages": (
        "3.0 GiB kept",
        lambda url: post(url, CHAT, {"messages": [{"role": "user", "content": ""}] * 100_000}),
    ),
    "A7 logprobs of 2,000 tokens": (
        "-",
        lambda url: post(
            url, TEXT, {"prompt": "Hi", "max_tokens": 2000, "logprobs": 20, "ignore_eos": True, "model": "tiny"}
        ),
    ),
    "A7 echo of 3,000 tokens scored": (
        "-",
        lambda url: post(url, TEXT, {"prompt": [50] * 3000, "max_tokens": 0, "echo": True, "logprobs": 20}),
    ),
    "deep JSON": ("400", lambda url: post(url, CHAT, b'{"messages":' + b"[" * 100_000)),
    "deep schema": (
        "-",
        lambda url: post(url, CHAT, chat("Hi", response_format={"type": "json_schema", "json_schema": nested(300)})),
    ),
    "schema of 2,000 properties": (
        "-",
        lambda url: post(
            url,
            CHAT,
            chat(
                "Hi", guided_json={"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(2000)}}
            ),
        ),
    ),
    "multipleOf 99999989": ("-", lambda url: post(url, CHAT, chat("Hi", guided_json={"multipleOf": 99_999_989}))),
    "256 tools": (
        "-",
        lambda url: post(
            url,
            CHAT,
            chat("Hi", tools=[tool(n) for n in range(256)], tool_choice="required"),
        ),
    ),
    "400,000 lists for a prompt": (
        "20.8 s",
        lambda url: post(url, TEXT, b'{"prompt":[' + b",".join([b'["a"]'] * 400_000) + b'],"max_tokens":1}'),
    ),
    "400,000 tools": ("2.05 s", lambda url: post(url, CHAT, b'{"tools":[' + b",".join([b"{}"] * 400_000) + b"]}")),
    "60,000 parts of a message": ("0.73 s", lambda url: post(url, CHAT, parts(60_000))),
    "1,024 prompts, 128 times": (
        "11.6 s",
        lambda url: post(url, TEXT, {"prompt": ["a"] * 1024, "n": 128, "max_tokens": 1}),
    ),
    "a fault in a schema of 120 KB": ("14 s of CPU", lambda url: post(url, CHAT, chat("Hi", guided_json=faulty()))),
    "A8 200 uploads left": ("12,200 log lines", lambda url: leave(url, 200)),
    "A13 garbage, 200 connections": ("text/plain", lambda url: garbage(url, 200)),
}


def nested(depth: int) -> dict[str, Any]:
    """Return a schema so many levels deep."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return {"name": "n", "schema": schema}


def parts(count: int) -> dict[str, Any]:
    """Return a request whose one message has so many parts."""
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * count}]}


def faulty() -> dict[str, Any]:
    """Return a schema with large definitions, and a fault in the last of many references."""
    shared = {
        f"d{n}": {"type": "object", "properties": {f"p{m}": {"type": "string"} for m in range(40)}} for n in range(60)
    }
    wanted: dict[str, Any] = {f"q{n}": {"$ref": f"#/$defs/d{n % 60}"} for n in range(400)}
    return {"type": "object", "$defs": shared, "properties": {**wanted, "last": {"type": "string", "format": "none"}}}


def tool(number: int) -> dict[str, Any]:
    """Return a declaration."""
    parameters = {"type": "object", "properties": {"a": {"type": "string"}}}
    return {"type": "function", "function": {"name": f"f{number}", "parameters": parameters}}


def connect(url: str) -> socket.socket:
    """Return a connection to the server."""
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def leave(url: str, count: int) -> str:
    """Begin uploads and leave."""
    for _ in range(count):
        with connect(url) as connection:
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
    return f"{count} left"


def garbage(url: str, count: int) -> str:
    """Send bytes that are no HTTP."""
    kinds = set()
    for _ in range(count):
        with connect(url) as connection:
            connection.sendall(b"\x16\x03\x01\x00\xff" * 9)
            kinds.add(connection.recv(4096).partition(b"content-type: ")[2].partition(b"\r")[0].decode())
    return ", ".join(sorted(kinds))


def resident(process: subprocess.Popen[str]) -> int:
    """Return MiB that a process holds."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


def descriptors() -> None:
    """Hold more connections than a process may open files (A3), and say what that costs."""
    with server(files=64) as (url, process):
        held = []
        for _ in range(80):
            with suppress(OSError):
                held.append(connect(url))
        pid = process.pid
        before = os.times(), Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[13:15]
        time.sleep(5)
        after = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[13:15]
        spent = (sum(map(int, after)) - sum(map(int, before[1]))) / os.sysconf("SC_CLK_TCK")
        for connection in held:
            connection.close()
        time.sleep(0.5)
        found = post(url, CHAT, chat("Hi"))
        process.send_signal(signal.SIGTERM)
        logged = len(process.communicate(timeout=40)[1].splitlines())
        print(f"A3 80 connections, 64 files: {spent / 5:.0%} of a core, {logged} log lines, then {found}")
        print("   before: 100 % of a core, 1,136,119 log lines in 15 s")


def main() -> int:
    """Run all cases; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=float, default=100.0)
    most, is_well = parser.parse_args().most, True
    with server() as (url, process):
        print(f"{'case':<34} {'answer':<18} {'health 99.9 %':>14} {'longest':>9}   before: longest, or else")
        for name, (earlier, case) in CASES.items():
            health = Health(url)
            health.start()
            time.sleep(0.3)
            told = case(url)
            time.sleep(0.2)
            usual, longest = health.stop()
            print(f"{name:<34} {told:<18} {usual:>11.1f} ms {longest:>6.1f} ms   {earlier}", flush=True)
            is_well = is_well and usual <= most
        kept = resident(process)
        time.sleep(30)
        print(f"A6 memory: {kept} MiB after all, {resident(process)} MiB after 30 s; before: 3.0 GiB kept")
        is_well = is_well and post(url, CHAT, chat("Hi")).startswith("200")
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=60)[1]
        print(f"log: {len(errors.splitlines())} lines")
    descriptors()
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
