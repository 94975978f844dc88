"""One life of an external server: started, watched until it answers, and ended with every process of it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import httpx

from trtnemo.errors import ServerError
from trtnemo.launch.bundle.output import Output
from trtnemo.launch.bundle.stages import LogReader
from trtnemo.launch.keep.failure import Failure, Kind
from trtnemo.launch.keep.probes import ask_health
from trtnemo.launch.servers.issue import KnownIssue

STOP_SECONDS, START_STOP_SECONDS, KILL_SECONDS = 60.0, 10.0, 30.0
POLL_SECONDS, HEALTH_SECONDS = 0.25, 5.0


class SupervisedServer:
    """A server that is ours to end, with every process that it started.

    Stages are reported with elapsed time; `reader` knows its stages and its issues. stop_seconds: that it has to end
    when it is asked to, STOP_SECONDS where None. `kill_words` are a command that ends what a signal does not reach, a
    container. `over` is set when its first process has ended; `start_seconds` is what it took to the first token, and
    `stage_seconds` each stage of that.
    """

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        output: Output,
        reader: LogReader,
        *,
        stop_seconds: float | None = None,
        kill_words: Sequence[str] = (),
    ) -> None:
        self._output, self._reader = output, reader
        self._stop_seconds, self._kill_words = stop_seconds, list(kill_words)
        self._is_gone = False
        self.start_seconds, self.stage_seconds = 0.0, dict[str, float]()
        self.over = threading.Event()
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
        threading.Thread(target=self._note_end, name="trtnemo-end", daemon=True).start()

    @property
    def pid(self) -> int:
        """The first process, whose number its group has."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def _note_end(self) -> None:
        self._process.wait()
        self.over.set()

    def wait_until_ready(
        self,
        url: str,
        model: str,
        timeout: float,
        health: str = "/health",
        budget: Callable[[str], float | None] = lambda stage: None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Return when the server is healthy and has given one real token; raises ServerError when it will not.

        budget: the seconds that a stage may take, None where it is not known. headers: for a server that has a key.
        """
        deadline = self._started + timeout
        while ask_health(url + health, HEALTH_SECONDS) is not None:
            self._require_alive()
            if time.monotonic() > deadline:
                self._fail(f"is not healthy after {timeout:.0f} s (last stage: {self._reader.stage})")
            most = budget(self._reader.stage)
            if most is not None and self._reader.in_stage > most:
                self._fail(f"is {self._reader.stage} for {most:.0f} s, far longer than in the starts before")
            time.sleep(POLL_SECONDS)
        self._output.report(self._stamped("healthy"))
        problem = _one_token(url, model, max(5.0, deadline - time.monotonic()), headers)
        if problem is not None:
            self._fail(f"is healthy but does not generate a token: {problem}")
        self._output.report(self._stamped("first token"))
        self.start_seconds, self.stage_seconds = time.monotonic() - self._started, self._reader.whole()

    def ask_to_stop(self) -> None:
        """Ask it to end, and kill it when its time is over, without waiting."""
        self._stopping = True
        self._send(signal.SIGTERM)
        timer = threading.Timer(self._patience, self.kill)
        timer.daemon = True
        timer.start()

    def kill(self) -> None:
        """End all of its processes by force."""
        self._stopping = True
        if self._kill_words and not self._is_gone:
            subprocess.run(self._kill_words, capture_output=True, timeout=KILL_SECONDS, check=False)
        self._send(signal.SIGKILL)

    def stop(self, seconds: float | None = None) -> None:
        """End the server: politely, then by force, and what its first process left behind.

        seconds: that it has in place of what a server that is well has.
        """
        self._stopping = True
        if self._is_gone:
            return
        self._send(signal.SIGTERM)
        try:
            self._process.wait(self._patience if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._send(signal.SIGKILL)  # ranks whose parent died hold their GPUs
        self._is_gone = True  # the number may be another's from now on
        self._pump.join(5)

    @property
    def _patience(self) -> float:
        """The seconds that it has to end: what it runs is waited for, and before it serves there is nothing."""
        whole = STOP_SECONDS if self._stop_seconds is None else self._stop_seconds
        return whole if self.start_seconds else min(whole, START_STOP_SECONDS)

    def died(self, failure: Failure) -> ServerDiedError:
        """Return the error of a server that is lost, with its last lines and the known issue that they show."""
        if self.over.is_set():
            self._pump.join(5)
        return ServerDiedError(failure.text, self._reader.last_lines(), self._reader.known_issue(), failure.kind)

    def _send(self, number: signal.Signals) -> None:
        if not self._is_gone:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

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
            raise self.died(Failure("start", "was stopped before it was ready"))
        self._fail(f"ended during start with exit code {code}")

    def _fail(self, what: str) -> None:
        """Stop the server and raise what happened, with its last lines and the known issue that they show."""
        self.stop()
        raise self.died(Failure("start", what))


class ServerDiedError(ServerError):
    """The server ended, hung or gave nothing; `log` has its last lines, `issue` the known one that they match."""

    def __init__(self, what: str, log: str, issue: KnownIssue | None, kind: Kind) -> None:
        self.log, self.issue, self.kind = log, issue, kind
        remedy = f"Known issue {issue.name}: {issue.symptom} [{issue.source}]. {issue.remedy}" if issue else None
        super().__init__(what, where="the server", remedy=remedy)


def _one_token(url: str, model: str, timeout: float, headers: Mapping[str, str] | None) -> str | None:
    """Ask for one token; return what was wrong, or None."""
    body = {"model": model, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    try:
        response = httpx.post(f"{url}/v1/completions", json=body, timeout=timeout, headers=headers)
    except httpx.HTTPError as error:
        return f"{type(error).__name__} {error}"
    if response.status_code == 401:
        return "it asks for a key: name the variable that holds it under 'env' of the recipe, with null, and set it"
    if response.status_code != 200:
        return f"status {response.status_code}: {response.text[:200]}"
    try:
        text = response.json()["choices"][0]["text"]
    except (ValueError, LookupError, TypeError):
        return f"an answer without choices: {response.text[:200]}"
    return None if isinstance(text, str) and text else "an empty text"
