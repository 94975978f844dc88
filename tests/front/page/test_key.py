"""The page before a server that wants a key, below a path of a proxy: asked for, kept in the tab, sent as a header."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from tests.support.front.chromium import browser, tab
from tests.support.waiting import wait_until
from trtnemo.front.page import page_routes

pytestmark = pytest.mark.long
KEY = "sesame"


class Guarded:
    """A server that answers with one word, to those who have the key; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        routes = [
            *page_routes(),
            Route("/v1/models", self._models),
            Route("/metrics", self._metrics),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        self.app = Starlette(routes=[Mount("/below/a/path", routes=routes)])

    def _refuses(self, request: Request) -> Response | None:
        self.asked.append(f"{request.url} {request.headers.get('referer', '')}")
        if request.headers.get("authorization") == f"Bearer {KEY}":
            return None
        return JSONResponse({"error": {"message": "a key is needed"}}, status_code=401)

    async def _models(self, request: Request) -> Response:
        return self._refuses(request) or JSONResponse({"data": [{"id": "guarded"}]})

    async def _metrics(self, request: Request) -> Response:
        return self._refuses(request) or PlainTextResponse("trtnemo_running_requests 3\n")

    async def _chat(self, request: Request) -> Response:
        refused = self._refuses(request)
        event = 'data: {"choices": [{"index": 0, "delta": {"content": "opened"}, "finish_reason": "stop"}]}\n\n'
        return refused or Response(f": a comment\r\n\r\n{event}data: [DONE]\n\n", media_type="text/event-stream")


@pytest.fixture
def guarded() -> Iterator[tuple[Guarded, str]]:
    served = Guarded()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(served.app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: server.started)
        yield served, f"http://127.0.0.1:{listener.getsockname()[1]}/below/a/path/"
        server.should_exit = True
        thread.join()


def give(page: Any, key: str) -> None:
    page.locator("#key-dialog[open]").wait_for()
    page.keyboard.type(key)
    page.keyboard.press("Enter")


def test_a_key_is_asked_for_until_it_is_right_and_kept_in_this_tab_only(guarded: tuple[Guarded, str]) -> None:
    served, url = guarded
    with browser() as opened:
        with tab(opened) as page:
            page.goto(url)
            give(page, "wrong")
            page.get_by_text("The server refused the key.").wait_for()
            give(page, KEY)
            page.locator("#model option", has_text="guarded").wait_for(state="attached")
            page.fill("#prompt", "Open")
            page.press("#prompt", "Enter")
            page.locator(".text", has_text="opened").wait_for()
            page.locator(".gauge", has_text="3 running").wait_for()
            assert page.evaluate("[sessionStorage.length, localStorage.length]") == [1, 0]
            page.reload()
            page.locator("#model option", has_text="guarded").wait_for(state="attached")
            assert not page.locator("#key-dialog").is_visible()
        with tab(opened) as other:
            other.goto(url)
            other.locator("#key-dialog[open]").wait_for()
    assert [asked for asked in served.asked if KEY in asked] == []


def test_who_gives_no_key_is_told_and_can_give_it_later(guarded: tuple[Guarded, str]) -> None:
    with browser() as opened, tab(opened) as page:
        page.goto(guarded[1])
        page.locator("#key-dialog[open]").wait_for()
        page.keyboard.press("Escape")
        page.get_by_text("Its numbers need the API key.").wait_for()
        page.fill("#prompt", "Open")
        page.press("#prompt", "Enter")
        page.locator("#key-cancel").click()
        page.get_by_text("a key is needed").wait_for()
        page.get_by_text("Try again").click()
        give(page, KEY)
        page.locator(".text", has_text="opened").wait_for()
        page.locator("#model option", has_text="guarded").wait_for(state="attached")
