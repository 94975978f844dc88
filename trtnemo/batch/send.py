"""One request of a batch, sent until it has an answer that will not change."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import TYPE_CHECKING, Any

from trtnemo.batch.lines import BatchLine
from trtnemo.errors import ServerError

if TYPE_CHECKING:
    import httpx

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_TRIES = 6  # answers that may still change, 429 not counted
_LONGEST_PAUSE = 20.0
_KEPT = "Results so far are kept: run the command again to go on"


class Sender:
    """Sends the requests of a batch, many at once, and knows when any of them was last answered.

    model: sent in place of what the lines name; patience: seconds that the server may be away, or refuse everything.
    """

    def __init__(self, client: httpx.AsyncClient, model: str | None, patience: float) -> None:
        self._client, self._model, self._patience = client, model, patience
        self._answered = time.monotonic()

    async def send(self, line: BatchLine) -> dict[str, Any]:
        """Return OpenAI's `response` object; raises ServerError when nothing answers, or all is 429, for too long."""
        import httpx

        body = {**line.body, "model": self._model} if self._model is not None else line.body
        tries, pause = 0, 0.25
        silent_since: float | None = None
        while True:
            try:
                response = await self._client.post(line.url, json=body)
            except (httpx.ReadTimeout, httpx.WriteTimeout):  # a server that hangs would hang again
                return failure(504, "timeout", f"no byte of an answer for {self._client.timeout.read:.0f} s")
            except httpx.DecodingError as error:
                return failure(502, "invalid_response", f"the answer cannot be decoded: {error}")
            except httpx.TransportError as error:
                silent_since = silent_since or time.monotonic()
                self._require_patience(silent_since, "no answer", str(error) or type(error).__name__)
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            else:
                silent_since = None
                tries += response.status_code != 429
                if response.status_code == 429:
                    self._require_patience(self._answered, "nothing but 429", "too many requests")
                else:
                    self._answered = time.monotonic()
                if response.status_code not in _AGAIN or tries == _TRIES:
                    return _row(response)
                await asyncio.sleep(max(_retry_after(response), pause * random.uniform(0.5, 1)))  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _require_patience(self, since: float, what: str, why: str) -> None:
        if time.monotonic() - since > self._patience:
            raise ServerError(f"{what} for {self._patience:.0f} s: {why}", remedy=_KEPT) from None


def failure(status: int, kind: str, message: str) -> dict[str, Any]:
    """Return what stands for an answer that did not come."""
    return {"status_code": status, "request_id": "", "body": {"error": {"message": message, "type": kind}}}


def _row(response: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content, parse_constant=_refuse)
    except (ValueError, RecursionError):  # a proxy's page
        body = None
    request_id = response.headers.get("x-request-id", "")
    if isinstance(body, dict):
        return {"status_code": response.status_code, "request_id": request_id, "body": body}
    status = 502 if response.is_success else response.status_code
    found = failure(status, "invalid_response", f"no JSON object: {response.text[:2000]}")
    return {**found, "request_id": request_id}


def _refuse(name: str) -> None:
    """Raise on NaN and the infinities, which Python reads and JSON does not know."""
    raise ValueError(name)


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(_LONGEST_PAUSE, max(0.0, float(response.headers.get("retry-after", 0))))
    except ValueError:  # a date
        return 1.0
