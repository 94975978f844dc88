"""One request of a batch, sent until it has an answer that will not change."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from trtnemo.batch.lines import BatchLine
from trtnemo.errors import ServerError

if TYPE_CHECKING:
    import httpx

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_TRIES = 6  # answers that may still change; 429 is asked again without end
_LONGEST_PAUSE = 20.0


async def send(client: httpx.AsyncClient, line: BatchLine, model: str | None, patience: float) -> dict[str, Any]:
    """Return OpenAI's `response` object; raises ServerError when nothing answers for `patience` seconds."""
    import httpx

    body = {**line.body, "model": model} if model is not None else line.body
    tries, pause = 0, 0.25
    silent_since: float | None = None
    while True:
        try:
            response = await client.post(line.url, json=body)
        except (httpx.ReadTimeout, httpx.WriteTimeout):
            return _silent(client.timeout.read)
        except httpx.TransportError as error:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > patience:
                what = f"no answer for {patience:.0f} s: {str(error) or type(error).__name__}"
                raise ServerError(what, remedy="Results so far are kept: run the command again to go on") from None
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
        else:
            tries += response.status_code != 429
            if response.status_code not in _AGAIN or tries == _TRIES:
                return _row(response)
            silent_since = None
            await asyncio.sleep(max(_retry_after(response), pause * random.uniform(0.5, 1)))  # noqa: S311
        pause = min(2 * pause, _LONGEST_PAUSE)


def _row(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:  # a proxy's page
        body = {"error": {"message": response.text[:2000], "type": "invalid_response"}}
    request_id = response.headers.get("x-request-id", "")
    return {"status_code": response.status_code, "request_id": request_id, "body": body}


def _silent(seconds: float | None) -> dict[str, Any]:
    """Return what stands for an answer that did not come: asked again, a server that hangs would hang again."""
    message = f"no byte of an answer for {seconds:.0f} s"
    return {"status_code": 504, "request_id": "", "body": {"error": {"message": message, "type": "timeout"}}}


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(_LONGEST_PAUSE, max(0.0, float(response.headers.get("retry-after", 0))))
    except ValueError:  # a date
        return 1.0
