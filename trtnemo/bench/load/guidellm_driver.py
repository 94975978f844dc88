"""Run guidellm scenarios, one a line of stdin, in an environment that holds guidellm and need not hold trtnemo.

A line is {"spec": guidellm's own arguments}. The answer is a line on stdout: {"requests": [...], "clock": seconds by
which the wall clock, which guidellm reads, moved against the steady one} or {"error": text}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import sys
import threading
import time
from importlib.metadata import version
from multiprocessing import forkserver
from typing import Any, TextIO

# what a spawned worker would import anew for every run
_PRELOADED = ["guidellm.scheduler.worker", "guidellm.backends", "guidellm.benchmark.entrypoints"]


class ClockWatch:
    """How far the wall clock has moved against the steady one, at its worst, while it was watched."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._start = time.time() - time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ClockWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            self._look()

    def _look(self) -> None:
        moved = time.time() - time.monotonic() - self._start
        self.worst = moved if abs(moved) > abs(self.worst) else self.worst


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Run one scenario; return its requests and what the clock did."""
    from guidellm.benchmark.entrypoints import benchmark_generative_text
    from guidellm.schemas.benchmark import BenchmarkScenario

    scenario = BenchmarkScenario.create(scenario=None, spec=spec)
    with ClockWatch() as clock:
        report, _ = asyncio.run(benchmark_generative_text(args=scenario, progress=False))
    requests = [request for benchmark in report.benchmarks for request in rows(benchmark.requests)]
    return {"requests": requests, "clock": clock.worst}


def rows(groups: Any) -> list[dict[str, Any]]:
    """Return one plain row a request, whatever became of it."""
    result = []
    for status in ("successful", "errored", "incomplete"):
        for request in getattr(groups, status):
            data = request.model_dump(mode="json")
            result.append({"status": status, **{name: data.get(name) for name in _KEPT}})
    return result


_KEPT = ("info", "output", "reasoning_output", "input_metrics", "output_metrics", "tool_calls")


def main() -> None:
    """Answer lines until stdin ends."""
    answers = private_stdout()
    print(json.dumps({"version": version("guidellm")}), file=answers, flush=True)
    preload()
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = run(job["spec"])
        except Exception as error:  # raised by the caller, who knows what was asked
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def preload() -> None:
    """Import guidellm here and where workers come from, both at once, while the caller starts a server."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOADED)
    forkserver.ensure_running()
    with contextlib.suppress(ImportError):  # reported by the first run
        import guidellm.benchmark.entrypoints  # noqa: F401


def private_stdout() -> TextIO:
    """Return stdout for answers alone: whatever else is printed, here or in a child process, goes to stderr.

    An answer is longer than a pipe takes at once, so a child's line would land in the middle of it.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")  # a copy that children do not inherit
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
