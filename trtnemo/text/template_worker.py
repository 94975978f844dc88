"""The process that renders a foreign template: `python -m trtnemo.text.template_worker DESCRIPTOR SECONDS`.

Messages are JSON over a socket whose descriptor is the argument: first the template's text, then variables to render,
one by one; each is answered by `{"ok": ...}` or `{"error": ...}`. Memory is capped here. Time is capped by the parent,
who kills; the cap on processor time is for the case that the parent is gone.
"""

from __future__ import annotations

import json
import resource
import sys
from multiprocessing.connection import Connection
from typing import Any

from trtnemo.text.template_engine import TemplateEngine, TemplateError

MEMORY_BYTES = 1 << 30


def main() -> None:
    """Serve one template until the parent closes the socket."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    engine: TemplateEngine | None = None
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        _allow_seconds(int(sys.argv[2]))
        reply: dict[str, Any]
        try:
            if engine is None:
                engine = TemplateEngine(request)
                reply = {"ok": sorted(engine.variables)}
            else:
                reply = {"ok": engine.render(request)}
        except TemplateError as error:
            reply = {"error": str(error)}
        connection.send_bytes(json.dumps(reply).encode())


def _allow_seconds(seconds: int) -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + seconds + 1, hard))


if __name__ == "__main__":
    main()
