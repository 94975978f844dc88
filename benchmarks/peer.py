"""llama.cpp on the same checkpoint: built once, converted, measured by its own programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

SCRIPT = Path(__file__).with_name("peer.sh")


class Peer:
    """llama.cpp in a directory of its own; `files` holds what it was given to run."""

    def __init__(self, directory: Path, threads: int) -> None:
        self.directory = directory
        self.threads = threads
        self._environment = {**os.environ, "PEER_PYTHON": sys.executable}
        self._run(["bash", str(SCRIPT), "build", str(directory)])

    def convert(self, checkpoint: Path) -> Path:
        """Return the checkpoint as the peer reads it."""
        output = self.directory / f"{checkpoint.name}.gguf"
        if not output.exists():
            self._run(["bash", str(SCRIPT), "convert", str(self.directory), str(checkpoint), str(output)])
        return output

    def quantize(self, model: Path, kind: str) -> Path:
        """Return a 16-bit model in one of the peer's own formats."""
        output = model.with_suffix(f".{kind.lower()}.gguf")
        if not output.exists():
            self._run([self._program("llama-quantize"), str(model), str(output), kind])
        return output

    def rates(self, model: Path, prompt: int, tokens: int) -> tuple[float, float]:
        """Return (prefill, decode) in tokens a second, by llama-bench."""
        lengths = ["-p", str(prompt), "-n", str(tokens), "-r", "2", "-t", str(self.threads), "-o", "json"]
        found = json.loads(self._run([self._program("llama-bench"), "-m", str(model), *lengths]))
        by_kind = {bool(item["n_prompt"]): float(item["avg_ts"]) for item in found}
        return by_kind[True], by_kind[False]

    @contextmanager
    def serving(self, model: Path, streams: int, port: int = 8199) -> Iterator[str]:
        """Yield the base URL of llama-server with room for so many streams."""
        options = ["-t", str(self.threads), "-np", str(streams), "-c", str(1024 * streams), "--port", str(port)]
        command = [self._program("llama-server"), "-m", str(model), *options, "--no-webui"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_healthy(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=60)

    def _program(self, name: str) -> str:
        return str(self.directory / "build" / "bin" / name)

    def _run(self, command: list[str]) -> str:
        result = subprocess.run(command, capture_output=True, text=True, env=self._environment)
        if result.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
        return result.stdout


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError("llama-server ended before it answered")
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError("llama-server did not answer within a minute")
