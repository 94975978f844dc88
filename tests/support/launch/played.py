"""What vLLM, SGLang and TensorRT-LLM say and do, well and when they fail, for the stand-in.

It is from cluster.md, whose sections the comments name. Limits of a server's own are counted in TRTNEMO_TIME_SCALE.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SCALE = float(os.environ.get("TRTNEMO_TIME_SCALE", "1"))
SERVED_SECONDS, BUSY_SECONDS = 1.0, 200.0


def say(text: str) -> None:
    """Write a line of log."""
    print(text, flush=True)


def pause(seconds: float) -> None:
    """Wait for so many seconds of the server's own."""
    time.sleep(seconds * SCALE)


def after(seconds: float, do: Callable[[], None]) -> None:
    """Do something later."""
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()


def kill_self() -> None:
    """End by SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Listening(ThreadingHTTPServer):
    """Says nothing of a client that leaves."""

    request_queue_size = 128

    def handle_error(self, *given: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*given)


class Server:
    """What every server has: an engine that makes tokens, requests that run, and a turn of its life."""

    # 1.3: real lines in order. The last two are of uvicorn.
    loading: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    graphs: tuple[str, ...] = ()
    ready: tuple[str, ...] = ("Application startup complete.", "Uvicorn running")
    metrics = "/metrics"

    def __init__(self, version: str, behaves: str, options: argparse.Namespace, config: str) -> None:
        self.version, self.behaves, self.options, self.config = version, behaves, options, config
        self.has_turned = threading.Event()
        self.is_silent = False
        self.began = time.monotonic()
        self.tokens, self.last_token, self.running = 0, 0.0, 0
        self._lock, self._turns = threading.Lock(), False
        self.httpd: ThreadingHTTPServer
        self.rank: subprocess.Popen[bytes] | None = None

    def listen(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        """Bind, start what else it consists of, and answer for ever. A rank has the port too."""
        self.httpd = _Listening(("127.0.0.1", port), handler)
        if self.behaves in ("rank", "orphaned"):
            sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
            self.rank = subprocess.Popen(sleeping, pass_fds=[self.httpd.fileno()])
            say(f"rank {self.rank.pid}")
        signal.signal(signal.SIGTERM, signal.SIG_IGN if self.behaves == "deaf" else lambda *_: self.asked_to_end())
        for line in self.ready:
            say(line)
        self.httpd.serve_forever(0.05)
        self.httpd.server_close()
        while self.running:
            time.sleep(0.02)
        Server.asked_to_end(self)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request that runs."""
        with self._lock:
            self.running += 1
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1

    def token(self) -> bool:
        """Make a token; return whether there is one. An engine that stands still returns never."""
        if self.has_turned.is_set() and self.behaves in ("stalled", "rank", "dead", "clean"):
            threading.Event().wait()
        if self.has_turned.is_set() and self.behaves == "busy":
            time.sleep(max(0.0, self.turned + BUSY_SECONDS * SCALE - time.monotonic()))
        if self.is_silent or self.behaves == "mute":
            return False
        with self._lock:
            self.tokens, self.last_token = self.tokens + 1, time.monotonic()
        return True

    def turn_soon(self) -> None:
        """Live for a second more as one that is well."""
        with self._lock:
            is_first, self._turns = not self._turns, True
        if is_first:
            after(SERVED_SECONDS, self._turn)

    def _turn(self) -> None:
        self.turned = time.monotonic()
        self.is_silent = self.behaves == "silent"
        self.has_turned.set()
        turns: dict[str, Callable[[], None]] = {
            "late": lambda: os._exit(9),
            "clean": self.lose_engine,
            "rank": self.lose_rank,
            "stalled": self.stand_still,
            "orphaned": kill_self,
        }
        turns.get(self.behaves, lambda: None)()

    def health(self) -> int:
        """Return what health says: a flag."""
        return 503 if self.has_turned.is_set() and self.behaves in ("dead", "rank", "clean") else 200

    def counters(self) -> dict[str, float] | None:
        """Return its metrics, None where they were not asked for."""
        raise NotImplementedError

    def running_now(self) -> float:
        """Return how many requests run; where it stands still, that is one."""
        return 1.0 if self.behaves == "stalled" and self.has_turned.is_set() else float(self.running)

    def steps(self) -> float:
        """Return what counts steps."""
        is_busy = self.behaves == "busy" and self.has_turned.is_set()
        return self.tokens + (time.monotonic() - self.began if is_busy else 0.0)

    def lose_engine(self) -> None:
        """End, as where the engine is dead."""

    def lose_rank(self) -> None:
        """Do what a killed rank makes it do."""

    def stand_still(self) -> None:
        """Do what it does when nothing moves: on one GPU nothing, where it has no limit (1.1, hang, one GPU)."""

    def asked_to_end(self) -> None:
        """End by SIGTERM: at once."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def kill_rank(self) -> int:
        """Kill the rank; return its exit code."""
        assert self.rank is not None
        self.rank.kill()
        return self.rank.wait()


class VLLM(Server):
    """vLLM on one GPU."""

    # 1.2: start failure
    failing = ("Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_0': 1}",)
    loading = ("Starting to load model", "Loading weights: 10 safetensors shards", "Model loading took 70 GiB memory")
    graphs = ("Available KV cache memory: 60 GiB", "Capturing CUDA graphs (decode, FULL): 100%")

    def counters(self) -> dict[str, float]:
        names = ("vllm:iteration_tokens_total_count", "vllm:generation_tokens_total")
        return {"vllm:num_requests_running": self.running_now(), **dict.fromkeys(names, self.steps())}

    def lose_engine(self) -> None:
        pause(5)  # 1.1: 503 for at most 5 s, then it ends by itself
        os._exit(0)  # 1.2: with code 0

    def lose_rank(self) -> None:
        self.kill_rank()
        say("Worker proc VllmWorker-0 died unexpectedly, shutting down executor.")  # 1.1, one rank dead
        self.lose_engine()

    def asked_to_end(self) -> None:
        if self.behaves != "stalled" or not self.has_turned.is_set():  # 1.2: a wedged worker can keep it alive for good
            super().asked_to_end()


class SGLang(Server):
    """SGLang."""

    loading = ("Load weight begin. avail mem=170 GB", "Load weight end.", "Running FlashInfer autotune")
    graphs = (
        "Mamba Cache is allocated.",
        "KV Cache is allocated.",
        "Memory pool end.",
        "max_total_num_tokens=900000",
        "Capture cuda graph begin",
        "Capture cuda graph end",
    )

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._is_warm, self._has_failed, self._drains = False, False, False
        after(6 * SCALE, self._fire_up)

    def _fire_up(self) -> None:
        self._is_warm = True
        say("The server is fired up and ready to roll!")  # 1.3, end

    def health(self) -> int:
        if self._drains or not self._is_warm:  # 1.1: 503 during warm-up, and at once after SIGTERM
            return 503
        asked = time.monotonic()
        if self.behaves != "silent":  # 1.1, old versions: health was open for an hour with a dead scheduler
            threading.Thread(target=self.token, daemon=True).start()  # 1.1, ready: it makes a token
        for _ in range(20):  # 1.1, busy with long prompts: 503 after 20 s without any output
            pause(1)  # 1.1, ready: polls each second
            if self.last_token >= asked or self.behaves == "silent":
                self._has_failed = False
                return 200
        self._has_failed = True
        return 503

    def counters(self) -> dict[str, float] | None:
        if not self.options.enable_metrics:  # 1.5: needs --enable-metrics
            return None
        step = "forward" if self.version == "0.5.23" else "gpu"  # metrics.json, step_heartbeat
        return {"sglang:num_running_reqs": self.running_now(), f"sglang:{step}_execution_seconds_total": self.steps()}

    def lose_rank(self) -> None:
        code = self.kill_rank()
        pause(1)  # 1.1, one rank dead: within 1 s
        say(f"Subprocess scheduler_0 (pid={os.getpid()}) crashed with exit code {code}. Triggering SIGQUIT")
        kill_self()  # 1.1, executor or engine dead: SIGQUIT, then SIGKILL of its tree

    def stand_still(self) -> None:
        limit = self.options.watchdog_timeout or 300  # 1.1, hang: looked at every half of it
        pause(1.5 * limit)
        say(f"Scheduler watchdog timeout (self.watchdog_timeout={limit}, self.soft=False)")
        kill_self()

    def asked_to_end(self) -> None:
        self._drains = True
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        while not self._has_failed:  # 1.2: if health had failed it exits at once, else it waits without limit
            pause(5)  # 1.2: looking every 5 s
            if not self.running:
                break
        kill_self() if self.version == "0.5.10" else os._exit(0)  # 1.2, after the drain


class TensorRT(Server):
    """trtllm-serve on one GPU."""

    loading = ("Prefetching 70.00GB checkpoint files.", "Loading weights: 10 safetensors shards")
    graphs = (
        "[Autotuner] Autotuning process starts ...",
        "[Autotuner] Autotuning process ends",
        "Max KV cache blocks per sequence: 32768",
        "Creating CUDA graph instances for 2 batch sizes.",
        "Run generation-only CUDA graph warmup for batch size=8, draft_len=3",
        "Run generation-only CUDA graph warmup for batch size=1, draft_len=3",
    )
    metrics = "/prometheus/metrics"

    def counters(self) -> dict[str, float] | None:
        if "return_perf_metrics: true" not in self.config:  # 1.5
            return None
        found = {"trtllm_generation_tokens_total": self.steps()}
        # 1.5: running gauges came after 1.3.0rc12; metrics.json: they need enable_iter_perf_stats too
        if self.version != "1.3.0rc12" and "enable_iter_perf_stats: true" in self.config:
            found["trtllm_num_requests_running"] = self.running_now()
        return found

    def lose_rank(self) -> None:
        say("Executor loop crashed on this rank; hard-killing all 1 ranks in 10s")  # 1.1, one rank dead
        pause(10)
        self.kill_rank()  # 1.1: the HTTP parent stays, 503 for ever

    def asked_to_end(self) -> None:
        # 1.2: closes the listener, waits for open streams without limit, then dies by the signal, as `listen` does
        threading.Thread(target=self.httpd.shutdown, daemon=True).start()


SERVERS: dict[str, type[Server]] = {"vllm": VLLM, "sglang": SGLang, "trtllm": TensorRT}
