"""The chat endpoint of a server: a request goes out, an answer comes back piece by piece."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from trtnemo.chat.piece import Piece, message_of, read_piece
from trtnemo.endpoint import authorization, shown
from trtnemo.errors import ServerError

if TYPE_CHECKING:
    import httpx

_LONGEST_LINE = 16 << 20
_LONGEST_MESSAGE = 500
_USAGE = {"stream_options": {"include_usage": True}}


class ChatEndpoint:
    """The chat endpoint below a base URL; connections are closed with each answer, which also stops it."""

    def __init__(self, base: str) -> None:
        import httpx

        self._url, self._where = f"{base}/v1/chat/completions", shown(base)
        self._counts_tokens = True  # until the server refuses to
        # a connection that idles between two turns may be closed by the server just as the next one is sent
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(timeout=httpx.Timeout(600, connect=30), limits=limits)

    def stream(self, body: dict[str, Any]) -> Generator[Piece, None, None]:
        """Yield the pieces of an answer; raises ServerError where it is refused or breaks off."""
        import httpx

        try:
            with closing(self._begin(body)) as response:
                yield from _pieces(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            what = str(error) or type(error).__name__
            raise ServerError(f"the connection broke: {what}", where=self._where) from None
        except ServerError as error:
            raise ServerError(error.what, where=self._where) from None

    def _begin(self, body: dict[str, Any]) -> httpx.Response:
        """Return a response that is to be read; a server that does not know `stream_options` is asked without."""
        given = {**body, "stream": True, **(_USAGE if self._counts_tokens else {})}
        request = self._client.build_request("POST", self._url, json=given, headers=authorization())
        response = self._client.send(request, stream=True)
        if response.status_code == 200:
            return response
        with closing(response):
            text = response.read().decode("utf-8", "replace")
        if self._counts_tokens and response.status_code in (400, 422) and "stream_options" in text:
            self._counts_tokens = False
            return self._begin(body)
        raise ServerError(_refusal(response, text))


def _refusal(response: httpx.Response, text: str) -> str:
    try:
        message = message_of(json.loads(text))
    except (ValueError, RecursionError):  # a proxy's page
        message = ""
    said = (message or text.strip() or response.headers.get("location", ""))[:_LONGEST_MESSAGE]
    status = f"HTTP {response.status_code} {response.reason_phrase}".strip()
    return f"{said} ({status})" if said else status


def _pieces(response: httpx.Response) -> Iterator[Piece]:
    is_whole, any_event = False, False
    for line in _lines(response.iter_bytes()):
        if not line.startswith(b"data:"):
            continue
        data, any_event = line.removeprefix(b"data:").strip(), True
        if data == b"[DONE]":
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            raise ServerError("the stream holds an event that is not JSON") from None
        piece = read_piece(event)
        is_whole = is_whole or bool(piece.finish_reason)
        yield piece
    if not any_event:
        kind = response.headers.get("content-type", "nothing")
        raise ServerError(f"answers with {kind}, not with a stream of events")
    if not is_whole:
        raise ServerError("the answer broke off")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines that end in a newline; text may hold what Python otherwise takes for the end of a line."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise ServerError(f"the stream holds a line of more than {_LONGEST_LINE} bytes")
        yield from lines
    yield rest
