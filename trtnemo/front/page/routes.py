"""The page's files as routes of an application."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).with_name("static")
INDEX = "index.html"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    # nothing that a model wrote can become markup, not even by a mistake of ours
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # kept, and asked for anew: an update shows at once
}


@dataclass(frozen=True)
class PageFile:
    """One file, held in memory: no path of a request ever reaches the disk."""

    name: str
    data: bytes

    @property
    def path(self) -> str:
        """Where it is served."""
        return "/" if self.name == INDEX else f"/page/{self.name}"

    @property
    def headers(self) -> dict[str, str]:
        """Its headers, with a digest of its bytes as ETag."""
        digest = hashlib.sha256(self.data).hexdigest()[:32]
        return {**HEADERS, "ETag": f'"{digest}"', "Content-Type": f"{TYPES[Path(self.name).suffix]}; charset=utf-8"}


def page_files() -> list[PageFile]:
    """Return the files of the page."""
    found = sorted(path for path in FOLDER.iterdir() if path.suffix in TYPES)
    return [PageFile(path.name, path.read_bytes()) for path in found]


def page_routes() -> list[BaseRoute]:
    """Return a route for each file: the page at `/`, what it needs below `/page/`."""
    return [_route(file) for file in page_files()]


def _route(file: PageFile) -> Route:
    headers = file.headers

    async def answer(request: Request) -> Response:
        if _names(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(file.data, headers=headers)

    return Route(file.path, answer, methods=["GET"])  # and HEAD, which Starlette adds


def _names(asked: str, etag: str) -> bool:
    """Return whether a list of ETags, weak ones too, has this one."""
    return etag in {tag.strip().removeprefix("W/") for tag in asked.split(",")}
