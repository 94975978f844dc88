"""A strict stand-in of an external server: takes exactly the recorded options, by argparse, then does what it is told
to.

usage: stand_in.py SERVER VERSION WORDS...; the behaviour stands in STAND_IN: ok, slow, crash, issue, hang, mute, late,
deaf.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SERVERS = Path(__file__).resolve().parents[3] / "trtnemo" / "launch" / "servers"


def parser_of(server: str, version: str) -> argparse.ArgumentParser:
    """Return a parser of the recorded options, none abbreviated."""
    surface = json.loads((SERVERS / server / f"surface-{version}.json").read_text(encoding="utf-8"))
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


class Handler(BaseHTTPRequestHandler):
    """Answers health and one-token completions."""

    def do_GET(self) -> None:
        """Healthy from the start."""
        self.reply(200, {})

    def do_POST(self) -> None:
        """Give one token, or an error where the stand-in is mute."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if os.environ["STAND_IN"] == "mute":
            self.reply(500, {"error": "no token today"})
        else:
            self.reply(200, {"choices": [{"text": " world"}]})

    def reply(self, status: int, body: object) -> None:
        """Send JSON."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def say(text: str) -> None:
    """Write a line of log."""
    print(text, flush=True)


def main() -> None:
    """Parse strictly, then behave."""
    server, version, *words = sys.argv[1:]
    options = parser_of(server, version).parse_args(words)
    config = getattr(options, "config", None) or getattr(options, "extra_llm_api_options", None)
    if config:
        say(f"read {len(Path(config).read_text(encoding='utf-8'))} characters of YAML")
    say(f"variables {sorted(name for name in os.environ if name.startswith(('TLLM_', 'VLLM_')))}")
    behaviour = os.environ["STAND_IN"]
    say("Loading weights: 10 safetensors shards")
    if behaviour == "crash":
        sys.exit("something broke")
    if behaviour == "issue":
        say("RuntimeError: run out of mamba cache blocks")
        sys.exit(3)
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "slow":
        time.sleep(1.5)
    say("Capturing CUDA graphs for batch sizes 1, 2, 4, 8")
    if behaviour == "late":
        threading.Timer(2, os._exit, (9,)).start()
    if behaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    httpd = ThreadingHTTPServer(("127.0.0.1", int(options.port)), Handler)
    say("Uvicorn running")
    httpd.serve_forever()


if __name__ == "__main__":
    main()
