"""The page's files as they are served: whole, strict in what a browser may do with them, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.support.speaker import Speaker, context_over
from trtnemo.front.page.routes import FOLDER, page_files, page_routes
from trtnemo.server.app import create_app

FILES = {file.path: file for file in page_files()}
NAMESPACE = "http://www.w3.org/2000/svg"  # a name, which nothing fetches
LARGEST, LONGEST = 16, 200


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=page_routes()))


@pytest.mark.parametrize("path", FILES)
def test_a_file_comes_with_strict_headers(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.content) == (200, FILES[path].data)
    policy = response.headers["content-security-policy"].split("; ")
    assert {
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    } <= set(policy)  # fmt: skip
    assert not any("unsafe" in part or "*" in part for part in policy)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
    assert response.headers["content-type"] == f"{kinds[Path(FILES[path].name).suffix]}; charset=utf-8"


def test_head_says_the_same_without_a_body(client: TestClient) -> None:
    whole, head = client.get("/"), client.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == whole.headers
    assert client.post("/").status_code == 405


def test_a_browser_that_has_the_file_is_told_so(client: TestClient) -> None:
    first = client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    for tags in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again = client.get("/", headers={"If-None-Match": tags})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert client.get("/", headers={"If-None-Match": '"other"'}).status_code == 200
    assert len({client.get(path).headers["etag"] for path in FILES}) == len(FILES)


@pytest.mark.parametrize(
    "path",
    ["/page/../routes.py", "/page/%2e%2e/routes.py", "/page/..%2froutes.py", "/page/%2fetc/passwd", "/page/",
     "/page//main.js", "/page/index.html%00.js", "/page/routes.py", "/page/MAIN.JS"],
)  # fmt: skip
def test_no_other_path_gives_a_file(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_servers_own_application_has_the_page_beside_its_endpoints() -> None:
    with context_over(Speaker("hello")) as context:
        paths = {getattr(route, "path", "") for route in create_app(context).routes}
    assert paths >= {*FILES, "/v1/chat/completions", "/health"}


@pytest.mark.parametrize("file", FILES.values(), ids=lambda file: file.name)
def test_what_a_file_refers_to_is_served(file: Any) -> None:
    text = file.data.decode()
    named = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', text) + re.findall(r'\bfrom "([^"]+)"', text)
    base = "/" if file.path == "/" else "/page/"
    assert [name for name in named if base + name.removeprefix("./") not in FILES] == []
    # relative, so that a proxy may put the server below a path of its own
    assert [name for name in named if name.startswith("/")] == []
    assert re.findall(r'(?:request|fetch)\("/', text) == []


def test_every_file_is_used() -> None:
    everything = "\n".join(file.data.decode() for file in FILES.values())
    assert [name for path in FILES if path != "/" and (name := Path(path).name) not in everything] == []


@pytest.mark.parametrize("file", FILES.values(), ids=lambda file: file.name)
def test_a_file_fetches_nothing_from_elsewhere_and_makes_no_markup_of_text(file: Any) -> None:
    text = file.data.decode().replace(NAMESPACE, "")
    assert re.findall(r"(?:https?:|wss?:)?//[\w.-]+\.\w+|url\((?!data:)|@import", text) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text) == []
    assert re.findall(r"\sstyle=|\son\w+=\"|<style|<script(?! [^>]*src=)", text) == []  # the policy forbids them


def test_files_are_short_and_few() -> None:
    assert len(FILES) == len(list(FOLDER.iterdir())) <= LARGEST
    assert {file.name: lines for file in FILES.values() if (lines := file.data.count(b"\n")) > LONGEST} == {}
