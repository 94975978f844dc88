"""A strict stand-in of an external server: takes exactly the recorded options, by argparse, then does what it is told
to.

usage: stand_in.py SERVER VERSION WORDS...; the behaviour stands in STAND_IN: ok, slow, crash, refused (by its parser),
issue, hang, mute, late, deaf; several with commas are those of one life after the other, counted in the file
STAND_IN_LIVES. Of a server that serves for a second before (cluster.md, 1.1 and 1.2): clean (vLLM ends with code 0 when
its engine is dead), dead (TensorRT-LLM says 503 for ever), stalled (vLLM on one GPU: health is open, a request runs, no
step is counted), silent (health is open, and no token comes), orphaned (the first process is killed, a rank is left).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
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


def behaviour() -> str:
    """Return what this life does: the last one named goes for all after it."""
    names = os.environ["STAND_IN"].split(",")
    if len(names) == 1:
        return names[0]
    path = Path(os.environ["STAND_IN_LIVES"])
    lived = len(path.read_text(encoding="utf-8")) if path.exists() else 0
    path.write_text("x" * (lived + 1), encoding="utf-8")
    return names[min(lived, len(names) - 1)]


BEGAN = time.monotonic()
BEHAVIOUR = behaviour()
ANSWER = {"message": {"content": "Tokyo"}, "finish_reason": "stop"}


def has_turned() -> bool:
    """Return whether it has served for its second."""
    return time.monotonic() - BEGAN > 1.5


class Handler(BaseHTTPRequestHandler):
    """Answers health, metrics of vLLM, and completions."""

    def do_GET(self) -> None:
        """Healthy from the start."""
        is_stalled = BEHAVIOUR == "stalled" and has_turned()
        if self.path == "/metrics":
            steps = 100 if is_stalled or BEHAVIOUR == "silent" else int((time.monotonic() - BEGAN) * 1000)
            running = f'vllm:num_requests_running{{engine="0"}} {int(is_stalled)}.0'
            counted = ("vllm:iteration_tokens_total_count", "vllm:generation_tokens_total")
            self.reply(200, "\n".join([running, *(f'{name}{{engine="0"}} {steps}' for name in counted), ""]))
        else:
            self.reply(503 if BEHAVIOUR == "dead" and has_turned() else 200, {})

    def do_POST(self) -> None:
        """Give one token, or an error where the stand-in is mute."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if BEHAVIOUR == "mute" or (BEHAVIOUR in ("silent", "dead") and has_turned()):
            self.reply(500, {"error": "no token today"})
        elif BEHAVIOUR == "stalled" and has_turned():
            time.sleep(600)
        else:
            self.reply(200, {"choices": [{"text": " world", **ANSWER}]})

    def reply(self, status: int, body: object) -> None:
        """Send JSON, or a text as it is."""
        text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
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
    say("Loading weights: 10 safetensors shards")
    if BEHAVIOUR == "crash":
        sys.exit("something broke")
    if BEHAVIOUR == "refused":
        sys.exit(2)
    if BEHAVIOUR == "issue":
        say("RuntimeError: run out of mamba cache blocks")
        sys.exit(3)
    if BEHAVIOUR == "hang":
        time.sleep(600)
    if BEHAVIOUR == "slow":
        time.sleep(1.5)
    say("Capturing CUDA graphs for batch sizes 1, 2, 4, 8")
    if BEHAVIOUR == "late":
        threading.Timer(2, os._exit, (9,)).start()
    if BEHAVIOUR == "clean":
        threading.Timer(1.5, os._exit, (0,)).start()
    if BEHAVIOUR == "orphaned":
        rank = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        say(f"rank {rank.pid}")
        threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
    if BEHAVIOUR == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    httpd = ThreadingHTTPServer(("127.0.0.1", int(options.port)), Handler)
    say("Uvicorn running")
    httpd.serve_forever()


if __name__ == "__main__":
    main()
