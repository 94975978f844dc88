"""A strict stand-in of an external server: takes exactly the recorded options, by argparse, then does what it is told
to, as that server would. What it says and does is from cluster.md, whose sections the comments name.

usage: stand_in.py SERVER VERSION WORDS...; the behaviour stands in STAND_IN, several with commas are those of one life
after the other, counted in the file STAND_IN_LIVES. TRTNEMO_TIME_SCALE shortens the server's own limits.

From the start: ok, slow, crash, refused (by its parser), issue, hang, mute, deaf, babbling (one character again and
again). A second after the first token, for which the supervisor asks: late and clean (it ends, with 9 and 0), dead
(health is 503 for ever, and no request ends), rank (a rank is killed), orphaned (the first process is killed, a rank is
left with its port), stalled (a request runs, and there is no step), silent (health is open, and there is no token),
busy (long prompts: steps, and no output for 200 seconds).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.support.launch.played import SERVERS, Server, say

SURFACES = Path(__file__).resolve().parents[3] / "trtnemo" / "launch" / "servers"
PIECES, BETWEEN_PIECES = 10, 0.02


def parser_of(server: str, version: str) -> argparse.ArgumentParser:
    """Return a parser of the recorded options, none abbreviated."""
    surface = json.loads((SURFACES / server / f"surface-{version}.json").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(prog=server, allow_abbrev=False)
    for option in surface["options"]:
        if option.get("positional"):
            continue
        settings: dict[str, Any] = {}
        if option["kind"] in ("flag", "switch"):
            settings["action"] = "store_true"
        else:
            settings["nargs"] = {"optional": "?", "list": "+"}.get(option["kind"])
            settings["type"] = {"int": int, "float": float}.get(option["type"], str)
            choices = option.get("choices")
            settings["choices"] = (
                [settings["type"](choice) for choice in choices if choice is not None] if choices else None
            )
        parser.add_argument(*option["names"], **settings)
    if server != "sglang":
        parser.add_argument("model")
    return parser


def behaviour() -> str:
    """Return what this life does: the last one named goes for all after it."""
    names = os.environ["STAND_IN"].split(",")
    if len(names) == 1:
        return names[0]
    path = Path(os.environ["STAND_IN_LIVES"])
    lived = len(path.read_text(encoding="utf-8")) if path.exists() else 0
    path.write_text("x" * (lived + 1), encoding="utf-8")
    return names[min(lived, len(names) - 1)]


class Handler(BaseHTTPRequestHandler):
    """Answers health, metrics and completions, in streams too."""

    played: ClassVar[Server]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Say how it is."""
        if self.path == "/health":
            self.reply(self.played.health(), {})
            return
        if self.path == "/v1/models":
            self.reply(200, {"data": [{"id": self.served_name()}]})
            return
        counters = self.played.counters() if self.path == self.played.metrics else None
        if counters is None:
            self.reply(404, {})
        else:
            self.reply(200, "".join(f'{name}{{engine="0"}} {value}\n' for name, value in counters.items()))

    def do_POST(self) -> None:
        """Give a token, or many, or an error where there is none."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = os.environ.get("VLLM_API_KEY")
        if key is not None and self.headers["Authorization"] != f"Bearer {key}":
            self.reply(401, {"error": "Unauthorized"})
            return
        with self.played.request():
            if not self.played.token():
                self.reply(500, {"error": "no token today"})
            elif asked.get("stream"):
                self.stream()
            else:
                said = "!!!!!!!!!!!!!!!!" if self.played.behaves == "babbling" else "Tokyo"
                choice = {"text": " world", "message": {"content": said}, "finish_reason": "stop"}
                self.reply(200, {"choices": [choice]})
        if self.path == "/v1/completions":  # which the supervisor alone asks
            self.played.turn_soon()

    def served_name(self) -> str:
        """Return the name that it was told to answer to."""
        given = getattr(self.played.options, "served_model_name", None) or "model"
        return given[0] if isinstance(given, list) else str(given)

    def stream(self) -> None:
        """Send events in chunks, as uvicorn does: a client knows one that breaks off from one that ends."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in self.events():
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def events(self) -> Iterator[str]:
        """Yield pieces and the end, or an error."""
        for _ in range(PIECES):
            if not self.played.token():
                yield json.dumps({"error": {"message": "no token today", "code": 500}})
                return
            yield json.dumps({"choices": [{"delta": {"content": "Tokyo "}}]})
            time.sleep(BETWEEN_PIECES)
        yield "[DONE]"

    def reply(self, status: int, body: object) -> None:
        """Send JSON, or a text as it is."""
        text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def load(behaves: str, server: type[Server]) -> None:
    """Say what it says while it loads, or fail then."""
    for line in server.loading:
        say(line)
    if behaves == "crash":
        for line in server.failing:
            say(line)
        sys.exit("something broke")  # cluster.md, 1.2: 1 is a Python error
    if behaves == "refused":
        sys.exit(2)  # cluster.md, 1.2: the parsers of vLLM and SGLang
    if behaves == "issue":
        say("RuntimeError: run out of mamba cache blocks")
        sys.exit(3)
    if behaves == "hang":
        time.sleep(600)
    if behaves == "slow":
        time.sleep(1.5)
    for line in server.graphs:
        say(line)


def main() -> None:
    """Parse strictly, then behave."""
    name, version, *words = sys.argv[1:]
    options, behaves, server = parser_of(name, version).parse_args(words), behaviour(), SERVERS[name]
    config = getattr(options, "config", None) or getattr(options, "extra_llm_api_options", None)
    text = Path(config).read_text(encoding="utf-8") if config else ""
    if config:
        say(f"read {len(text)} characters of YAML")
    say(f"variables {sorted(name for name in os.environ if name.startswith(('TLLM_', 'VLLM_')))}")
    load(behaves, server)
    Handler.played = server(version, behaves, options, text)
    Handler.played.listen(int(options.port), Handler)


if __name__ == "__main__":
    main()
