"""The load generator: guidellm, in a process and, where that is kinder, an environment of its own.

guidellm runs on every Python that we do and is driven as a library, so that its start-up (seconds, for it imports
torch) is paid once for many runs. One worker process sends, and forkserver gives it to each run ready-made.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from trtnemo.bench.load.prompts import TOOLS, Prompt
from trtnemo.bench.load.record import RequestRecord, Status
from trtnemo.bench.load.shape import LoadShape
from trtnemo.endpoint import shown
from trtnemo.errors import MachineError, MeasurementError, ServerError

PYTHON_VARIABLE = "TRTNEMO_BENCH_PYTHON"
_DRIVER = Path(__file__).parent / "guidellm_driver.py"
_SETTINGS = {
    "HF_HUB_OFFLINE": "1",  # no tokenizer is needed, and none is looked for
    "GUIDELLM__MP_CONTEXT_TYPE": "forkserver",
    "GUIDELLM__MAX_WORKER_PROCESSES": "1",
    "GUIDELLM__SCHEDULER_START_DELAY_NON_DISTRIBUTED": "0.05",  # its default waits a second for workers
    "GUIDELLM__LOGGING__CONSOLE_LOG_LEVEL": "ERROR",
}
# A wall clock that moved by more falsifies what guidellm measured with it.
_CLOCK_TOLERANCE = 0.05
_STATUS: dict[str, Status] = {"successful": "ok", "errored": "failed", "incomplete": "unfinished"}


class Generator:
    """Sends one load after another; a context manager. Raises MachineError where guidellm is not installed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._log: Any = None
        self.name = "guidellm"

    def __enter__(self) -> Generator:
        python = generator_python()
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [python, str(_DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **_SETTINGS},
            start_new_session=True,  # it has children, which are ended with it
        )
        self.name = f"guidellm {self._read()['version']}"
        return self

    def __exit__(self, *failure: object) -> None:
        if self._process is None:
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if self._process.stdin is not None:
                self._process.stdin.close()
            if failure == (None, None, None):
                self._process.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # whatever is left of it and its children
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def run(self, shape: LoadShape, prompts: list[Prompt], url: str, model: str) -> list[RequestRecord]:
        """Send the prompts and return what became of each request, in the order in which they were sent.

        Raises ServerError when guidellm fails, MeasurementError when it loses a record or the clock jumps meanwhile.
        """
        with tempfile.TemporaryDirectory() as directory:
            data = Path(directory) / "prompts.jsonl"
            data.write_text("".join(json.dumps(_row(shape, prompt)) + "\n" for prompt in prompts), encoding="utf-8")
            answer = self._ask({"spec": _spec(shape, data, url, model)})
        if "error" in answer:
            raise ServerError(f"guidellm failed: {answer['error'][:500]}", where=shown(url))
        if abs(answer["clock"]) > _CLOCK_TOLERANCE:
            raise MeasurementError(
                f"the clock jumped by {answer['clock']:.2f} s during the run, so its times are worth nothing",
                remedy="Run it again",
            )
        # guidellm stops listening when it waits just then, and the last answer comes: more often on a busy machine
        if shape.seconds is None and len(answer["requests"]) < shape.total:
            raise MeasurementError(
                f"guidellm lost the record of {shape.total - len(answer['requests'])} of {shape.total} requests",
                remedy="Run it again",
            )
        return _records(answer["requests"], shape.warmup)

    def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        if self._process is None or self._process.stdin is None:
            raise ServerError("the load generator does not run")
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the missing answer is reported
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process and self._process.stdout else ""
        if line:
            try:
                return dict(json.loads(line))
            except ValueError:
                raise ServerError(f"the load generator's answer cannot be read: {line[:200]!r}") from None
        self._log.seek(0)
        last = (self._log.read().strip().splitlines() or ["it said nothing"])[-1]
        raise ServerError(f"the load generator ended: {last[:500]}")


def generator_python() -> str:
    """Return the interpreter that has guidellm: TRTNEMO_BENCH_PYTHON's, or this one; raises MachineError."""
    chosen = os.environ.get(PYTHON_VARIABLE)
    if chosen:
        if not Path(chosen).exists():
            raise MachineError(f"{PYTHON_VARIABLE} names {chosen}, which is not there")
        return chosen
    if importlib.util.find_spec("guidellm") is None:
        raise MachineError(
            "guidellm, the load generator, is not installed",
            remedy=f"pip install 'trtnemo[bench]', or install it elsewhere and set {PYTHON_VARIABLE} to that Python",
        )
    return sys.executable


def _declares_tools(shape: LoadShape) -> bool:
    return shape.prompts == "tools" and shape.api == "chat"


def _row(shape: LoadShape, prompt: Prompt) -> dict[str, Any]:
    row: dict[str, Any] = {"messages": prompt.messages} if shape.api == "chat" else {"prompt": prompt.text}
    if _declares_tools(shape):
        row["tools"] = "declared with every request"
    return row if shape.ends_free else {**row, "output_tokens_count": prompt.output_tokens}


def _spec(shape: LoadShape, data: Path, url: str, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {"temperature": shape.temperature}
    if shape.thinking is not None:
        body["chat_template_kwargs"] = {"enable_thinking": shape.thinking}
    if _declares_tools(shape):
        body["tools"] = TOOLS
    backend: dict[str, Any] = {
        "kind": "openai_http",
        "target": url,
        "model": model,
        "request_format": "/v1/chat/completions" if shape.api == "chat" else "/v1/completions",
        "validate_backend": False,  # asked already, and /health is not everywhere
        "http2": False,
        "timeout": shape.patience,
        "extras": {"body": body},
        "tool_call_missing_behavior": "ignore_continue",
    }
    if shape.ends_free:
        backend["max_tokens"] = shape.output_tokens.high
    if "OPENAI_API_KEY" in os.environ:
        backend["api_key"] = os.environ["OPENAI_API_KEY"]
    constraints: list[dict[str, Any]] = [{"kind": "max_requests", "count": shape.total}]
    if shape.seconds is not None:
        constraints.append({"kind": "max_duration", "seconds": shape.seconds})
    profile: dict[str, Any] = {"kind": "concurrent", "streams": [shape.concurrency]}
    if shape.rate is not None:
        profile = {"kind": "poisson", "rate": [shape.rate]}
    return {
        "backend": backend,
        "profile": profile,
        "constraints": constraints,
        "data": [{"kind": "json_file", "path": str(data)}],
        # its default, 4,096 rows ahead, never ends on a small file
        "data_loader": {"kind": "pytorch", "num_workers": 1, "prefetch_factor": 4},
        # `server` leaves tools and lengths as they are; `client` would answer the calls, and forget the lengths
        "data_finalizer": {"kind": "generative", "tool_call_mode": "server"},
        "seed": {"kind": "static", "value": shape.seed},
        "outputs": [],
    }


def _records(rows: list[dict[str, Any]], warmup: int) -> list[RequestRecord]:
    sent = [row for row in rows if row["info"]["timings"].get("request_start") is not None]
    sent.sort(key=lambda row: float(row["info"]["timings"]["request_start"]))
    start = float(sent[0]["info"]["timings"]["request_start"]) if sent else 0.0
    return [_record(row, number, number < warmup, start) for number, row in enumerate(sent)]


def _record(row: dict[str, Any], number: int, warmup: bool, start: float) -> RequestRecord:
    timings, usage = row["info"]["timings"], row["input_metrics"] or {}

    def at(name: str) -> float | None:
        value = timings.get(name)
        return None if value is None else float(value) - start

    reasoning, answer = row.get("reasoning_output"), row.get("output")
    return RequestRecord(
        number=number,
        warmup=warmup,
        status=_STATUS[row["status"]],
        sent=float(timings["request_start"]) - start,
        first=at("first_token_iteration"),
        answer_first=at("first_output_token_iteration"),
        last=at("last_token_iteration"),
        done=at("request_end"),
        prompt_tokens=usage.get("text_tokens"),
        cached_tokens=usage.get("cached_tokens"),
        output_tokens=(row["output_metrics"] or {}).get("text_tokens"),
        thinking_only=bool(reasoning) and not answer and not row.get("tool_calls"),
        error=row["info"].get("error"),
    )
