"""OpenAI-compatible endpoints: what one serves, and a server of our own for as long as a command needs one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from trtnemo.errors import ServerError, UsageError

# set for a server that is to stop when its stdin ends, as it does when who started it is no more
PARENT_WATCH = "TRTNEMO_STOP_WITH_STDIN"
# what a gateway is told by: to take no new requests, and to take them again
PAUSE, RESUME = signal.SIGUSR1, signal.SIGUSR2
_STOP_SECONDS = 90.0
_ANSWERS = re.compile(r" at (https?://\S+)$")


def base_url(url: str) -> str:
    """Return an endpoint's address without the `/v1` that clients are given; raises UsageError where it has no scheme.

    None is added: a key would go where nobody said, unencrypted.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise UsageError(
            "is no address of a server", where=f"'{shown(url)}'", remedy="Write it as http://HOST:PORT or https://HOST"
        )
    return url.rstrip("/").removesuffix("/v1")


def shown(url: str) -> str:
    """Return an address as it may stand in messages and files: a user and password before the host are left out."""
    scheme, found, rest = url.partition("://") if "://" in url else ("", "", url)
    return f"{scheme}{found}{rest.rpartition('@')[2]}"


def authorization() -> dict[str, str]:
    """Return the header that carries OPENAI_API_KEY, or none."""
    key = os.environ.get("OPENAI_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def served_models(base: str) -> list[str]:
    """Return the models that a server lists, one at least; raises ServerError."""
    import httpx

    try:
        response = httpx.get(f"{base}/v1/models", headers=authorization(), timeout=30)
        if response.status_code == 401:
            raise ServerError("needs an API key", where=shown(base), remedy="Put it into OPENAI_API_KEY")
        response.raise_for_status()
        names = [str(item["id"]) for item in response.json()["data"]]
        names[0]  # an empty list is not an answer
        return names
    except (httpx.HTTPError, ValueError, LookupError, TypeError, httpx.InvalidURL) as error:
        raise ServerError(
            f"no server answers: {error}", where=shown(base), remedy="Start one with `trtnemo serve`"
        ) from None


def summed_metrics(text: str) -> dict[str, float]:
    """Return the samples of Prometheus' text by name, summed over labels; raises ValueError where it is none."""
    from prometheus_client.parser import text_string_to_metric_families

    values: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values[sample.name] = values.get(sample.name, 0.0) + float(sample.value)
    return values


@contextmanager
def serving(arguments: Sequence[str], program: Sequence[str] = ()) -> Iterator[str]:
    """Run `trtnemo serve` with these arguments on a free port and yield its base URL; raises ServerError.

    `program` is another trtnemo than this. What the server says of itself goes to stderr, as from the command itself.
    It ends when this process does, however that ends.
    """
    command = [*(program or (sys.executable, "-m", "trtnemo")), "serve", "--port", str(free_port()), *arguments]
    env = {**os.environ, PARENT_WATCH: "1"}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    try:
        yield _wait_for_url(process)
    finally:
        leash, process.stdin = process.stdin, None  # `communicate` would close it, which is a second signal
        process.terminate()
        try:
            process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if leash is not None:
            leash.close()


def hold_leash() -> None:
    """Stop this process, as SIGTERM does, when its stdin ends, if who started it asks for that."""
    if os.environ.pop(PARENT_WATCH, None) is not None:
        threading.Thread(target=_stop_with_stdin, name="trtnemo-leash", daemon=True).start()


def _stop_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def free_port() -> int:
    """Return a port that nothing listens on now: external servers do not tell which they chose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_url(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if found := _ANSWERS.search(line.rstrip()):
            return found[1]
    raise ServerError(f"the server ended with exit code {process.wait()} before it answered")
