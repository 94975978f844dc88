"""What a server says of itself: its version, its counters, and whether it is still the one that it was."""

from __future__ import annotations

from typing import Any

from trtnemo.bench.load.record import Counters, Server
from trtnemo.endpoint import authorization, served_models, shown, summed_metrics
from trtnemo.errors import ServerError
from trtnemo.launch.servers.registry import all_servers

_BEGAN = "process_start_time_seconds"
# Our names of counters; in our own server's metrics each is trtnemo_NAME_total.
_COUNTERS = (
    "drafted_tokens", "accepted_tokens", "verifications", "cached_tokens", "prompt_tokens", "preemptions",
)  # fmt: skip
# uniform names of counters that are called otherwise here
_UNIFORM = {"cached_tokens": "cached_prompt_tokens"}
# What llama.cpp's server, which no recipe starts, calls them.
_LLAMACPP = {"prompt_tokens": "llamacpp:prompt_tokens_total"}


class Observation:
    """A server's counters when this was made; later ones are reported as differences."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._before = read_metrics(url)

    def difference(self) -> Counters:
        """Return what was counted since; raises ServerError when it is another server, or the same started anew."""
        after, before = read_metrics(self._url), self._before
        fell = [name for name, value in before.items() if name.endswith("_total") and after.get(name, 0.0) < value]
        if fell or before.get(_BEGAN) != after.get(_BEGAN):
            raise ServerError(
                "was restarted during the run, so the run mixes two servers",
                where=shown(self._url),
                remedy="Run it again",
            )
        found: dict[str, int] = {}
        for counter in _COUNTERS:
            name = next((name for name in _spellings(counter) if name in after), None)
            if name is not None:
                found[counter] = round(after[name] - before.get(name, 0.0))
        if "trtnemo_prompt_tokens_total" in after:  # ours counts what was run, others what was sent
            found["prompt_tokens"] += found["cached_tokens"]
        return Counters(**found)


def _spellings(counter: str) -> list[str]:
    """Return what servers call a counter of ours."""
    tables = [server.metrics for server in all_servers().values()]
    uniform = f"{_UNIFORM.get(counter, counter)}_total"
    theirs = [table[uniform] for table in tables if uniform in table]
    return [f"trtnemo_{counter}_total", *theirs, *([_LLAMACPP[counter]] if counter in _LLAMACPP else [])]


def describe(url: str, model: str | None) -> Server:
    """Return what serves at an address; raises ServerError when nothing does, or not the model that is asked for."""
    names = served_models(url)
    if model is not None and model not in names:
        raise ServerError(f"serves {', '.join(names)}, not {model}", where=shown(url), remedy="Give --model NAME")
    reported = _get(url, "/version") or {}
    props = {} if reported else _get(url, "/props") or {}
    software, version = reported.get("software"), reported.get("version")
    if "build_info" in props:
        software, version = "llama.cpp", props["build_info"]
    return Server(
        url=shown(url),
        model=model or names[0],
        software=_text(software),
        version=_text(version),
        recipe=_text(reported.get("recipe")),
        engine_digest=_text(reported.get("engine_digest")),
        code_digest=_text(reported.get("code_digest")),
    )


def read_metrics(url: str) -> dict[str, float]:
    """Return a server's Prometheus metrics, summed over labels; empty where it has none."""
    import httpx

    try:
        response = httpx.get(f"{url}/metrics", headers=authorization(), timeout=30, verify=_is_tls(url))
    except httpx.HTTPError as error:
        raise ServerError(f"no server answers: {error}", where=shown(url)) from None
    if response.status_code != 200:
        return {}
    try:
        return summed_metrics(response.text)
    except ValueError as error:
        raise ServerError(f"its /metrics cannot be read: {error}", where=shown(url)) from None


def _get(url: str, path: str) -> dict[str, Any] | None:
    """Return a JSON object, or None where there is no such thing."""
    import httpx

    try:
        response = httpx.get(url + path, headers=authorization(), timeout=30, verify=_is_tls(url))
        data = response.json() if response.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _is_tls(url: str) -> bool:
    """Return whether certificates matter: reading them takes longer than a plain request."""
    return url.startswith("https://")


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:200]
