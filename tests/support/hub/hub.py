"""A hub on this machine: one repository over HTTP, as huggingface_hub asks for it, with ranges and resume.

usage: python hub.py DIRECTORY NAME [--no-ranges] [--cut BYTES] [--lie] [--shift N] [--token T]

Prints its address, then one line of JSON for each answer: method, path, range, bytes sent. `--cut` ends every answer
about weights after so many bytes; `--lie` sends more than it announces, `--shift` names other bytes than it sends;
`--token` asks for one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Answers for one repository."""

    protocol_version = "HTTP/1.1"
    options: argparse.Namespace

    def do_HEAD(self) -> None:
        """Answer with headers alone."""
        self.answer(False)

    def do_GET(self) -> None:
        """Answer with content."""
        self.answer(True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; `tell` does."""

    def answer(self, with_body: bool) -> None:
        """Find what is asked for."""
        path = self.path.partition("?")[0]
        if self.options.token and self.headers.get("Authorization") != f"Bearer {self.options.token}":
            self.send(401, b'{"error": "a token is needed"}', with_body, {"X-Error-Code": "GatedRepo"})
            return
        api = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(?:/(revision|tree)/([^/?]+))?", path)
        if api and api[1] == self.options.name and api[3] in (None, COMMIT, "main"):
            self.send_json(self.tree() if api[2] == "tree" else self.info(), with_body)
            return
        file = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path)
        if file and file[1] == self.options.name and file[2] in (COMMIT, "main"):
            target = self.options.directory / file[3]
            if target.is_file() and ".." not in file[3]:
                self.send_file(target, with_body)
            else:
                self.send(404, b"", with_body, {"X-Error-Code": "EntryNotFound"})
            return
        self.send(404, b'{"error": "no such repository"}', with_body, {"X-Error-Code": "RepoNotFound"})

    def files(self) -> list[Path]:
        """Return the repository's files."""
        return sorted(path for path in self.options.directory.iterdir() if path.is_file())

    def info(self) -> object:
        """Return what the hub says of a repository."""
        siblings = [{"rfilename": path.name, "size": path.stat().st_size} for path in self.files()]
        return {"id": self.options.name, "modelId": self.options.name, "sha": COMMIT, "siblings": siblings,
                "private": False, "tags": [], "downloads": 0, "likes": 0}  # fmt: skip

    def tree(self) -> object:
        """Return the list of files."""
        return [
            {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": tag(path)} for path in self.files()
        ]

    def send_json(self, value: object, with_body: bool) -> None:
        """Send a JSON value."""
        self.send(200, json.dumps(value).encode(), with_body, {"Content-Type": "application/json"})

    def send_file(self, path: Path, with_body: bool) -> None:
        """Send a file or a range of it."""
        size = path.stat().st_size
        start, end, status = 0, size - 1, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and not self.options.no_ranges:
            start, end, status = int(asked[1]), min(int(asked[2] or size - 1), size - 1), 206
            if start >= size:
                self.send(416, b"", with_body, {"Content-Range": f"bytes */{size}"})
                return
        headers = {"ETag": f'"{tag(path)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if status == 206:
            shift = self.options.shift
            headers["Content-Range"] = f"bytes {start + shift}-{end + shift}/{size}"
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(end - start + 1) if with_body else b""
        self.send(status, data, with_body, headers, length=end - start + 1, is_weight=path.suffix == ".safetensors")

    def send(
        self,
        status: int,
        data: bytes,
        with_body: bool,
        headers: dict[str, str],
        length: int | None = None,
        is_weight: bool = False,
    ) -> None:
        """Send an answer, spoiled where the options say so, and tell it."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        spoiled = is_weight and with_body and (self.options.cut is not None or self.options.lie)
        if spoiled and self.options.lie:
            data, length = data + b"\0" * 1000, None
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if spoiled and self.options.cut is not None:
            data = data[: self.options.cut]
            self.close_connection = True
        if with_body:
            self.wfile.write(data)
        with _LOCK:
            told = {"method": self.command, "path": self.path, "range": self.headers.get("Range"), "sent": len(data)}
            print(json.dumps(told), flush=True)


def tag(path: Path) -> str:
    """Return a file's entity tag."""
    return hashlib.sha1(f"{path.name}:{path.stat().st_size}".encode(), usedforsecurity=False).hexdigest()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("directory", type=Path)
    parser.add_argument("name")
    parser.add_argument("--no-ranges", action="store_true")
    parser.add_argument("--cut", type=int)
    parser.add_argument("--lie", action="store_true")
    parser.add_argument("--shift", type=int, default=0)
    parser.add_argument("--token")
    Handler.options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
