"""An external server as a child process: started, watched until it answers, and ended with us."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType

import httpx

from trtnemo.errors import ServerError
from trtnemo.launch.bundle.output import Output
from trtnemo.launch.bundle.stages import LogReader
from trtnemo.launch.servers.issue import KnownIssue

STOP_SECONDS = 60.0
POLL_SECONDS = 0.25


class SupervisedServer:
    """A server that is ours to end. Stages are reported with elapsed time; `reader` knows its stages and its issues."""

    def __init__(
        self, words: Sequence[str], env: Mapping[str, str], cwd: str, output: Output, reader: LogReader
    ) -> None:
        self._output, self._reader = output, reader
        self._started = time.monotonic()
        self._stopping = False
        try:
            self._process = subprocess.Popen(
                list(words),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"cannot be started: {error.strerror or error}", where=words[0]) from None
        self._pump = threading.Thread(target=self._read_log, name="trtnemo-log", daemon=True)
        self._pump.start()

    def wait_until_ready(self, url: str, model: str, timeout: float, health: str = "/health") -> None:
        """Return when the server is healthy and has given one real token; raises ServerError when it will not."""
        deadline = self._started + timeout
        while not _is_healthy(url + health):
            self._require_alive()
            if time.monotonic() > deadline:
                self._fail(f"is not healthy after {timeout:.0f} s (last stage: {self._reader.stage})")
            time.sleep(POLL_SECONDS)
        self._output.report(self._stamped("healthy"))
        problem = _one_token(url, model, max(5.0, deadline - time.monotonic()))
        if problem is not None:
            self._fail(f"is healthy but does not generate a token: {problem}")
        self._output.report(self._stamped("first token"))

    def wait(self) -> None:
        """Return when the server has ended because we were asked to; raises ServerError when it ends by itself."""
        code = self._process.wait()
        self._pump.join(5)
        if not self._stopping:
            self._fail(f"ended by itself with exit code {code}")

    def pass_signals(self) -> None:
        """Send SIGTERM and SIGINT on to the server's process group."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)

    def stop(self) -> None:
        """End the server: politely, then by force."""
        self._stopping = True
        self._send(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGKILL)
            self._process.wait()
        self._pump.join(5)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._send(signal.Signals(number))
        # one that does not listen is ended by force, without holding up this handler
        timer = threading.Timer(STOP_SECONDS, self._send, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def _send(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return

    def _read_log(self) -> None:
        for line in self._process.stdout or ():
            text = line.rstrip("\n")
            self._output.log(text)
            stage = self._reader.read(text)
            if stage is not None:
                self._output.report(self._stamped(stage))

    def _stamped(self, text: str) -> str:
        return f"[{time.monotonic() - self._started:7.1f} s] {text}"

    def _require_alive(self) -> None:
        code = self._process.poll()
        if code is None:
            return
        self._pump.join(5)
        if self._stopping:
            raise ServerError("was stopped before it was ready")
        self._fail(f"ended during start with exit code {code}")

    def _fail(self, what: str) -> None:
        """Stop the server and raise what happened, with its last lines and the known issue that they show."""
        self.stop()
        raise ServerDiedError(what, self._reader.last_lines(), self._reader.known_issue())


class ServerDiedError(ServerError):
    """The server ended, hung or gave nothing; `log` has its last lines, `issue` the known one that they match."""

    def __init__(self, what: str, log: str, issue: KnownIssue | None) -> None:
        self.log = log
        self.issue = issue
        remedy = f"Known issue {issue.name}: {issue.symptom} [{issue.source}]. {issue.remedy}" if issue else None
        super().__init__(what, where="the server", remedy=remedy)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _one_token(url: str, model: str, timeout: float) -> str | None:
    """Ask for one token; return what was wrong, or None."""
    body = {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    try:
        response = httpx.post(f"{url}/v1/completions", json=body, timeout=timeout)
    except httpx.HTTPError as error:
        return f"{type(error).__name__} {error}"
    if response.status_code != 200:
        return f"status {response.status_code}: {response.text[:200]}"
    try:
        text = response.json()["choices"][0]["text"]
    except (ValueError, LookupError, TypeError):
        return f"an answer without choices: {response.text[:200]}"
    return None if isinstance(text, str) and text else "an empty text"
