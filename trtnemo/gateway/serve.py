"""From options to a gateway that listens."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from trtnemo import __version__
from trtnemo.endpoint import PAUSE, RESUME, base_url, shown
from trtnemo.errors import UsageError
from trtnemo.front.serving import Behind, FrontServer
from trtnemo.gateway.app import create_gateway
from trtnemo.gateway.options import GatewayOptions
from trtnemo.gateway.upstream import Pool, Upstream

_OWN_SERVERS = {"comment_seconds", "step_seconds", "obeys_control_text"}


def serve_gateway(options: GatewayOptions, ready: Callable[[str], None], tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let what runs end; raises UsageError, ServerError before it listens."""
    unkept = sorted(options.model_fields_set & _OWN_SERVERS)
    if unkept:
        raise UsageError(f"'{unkept[0]}' is for our own server; a gateway knows no steps and no prompts")
    key = None
    if options.upstream_key is not None:
        key = os.environ.get(options.upstream_key)
        if not key:
            raise UsageError(f"the variable {options.upstream_key} is not set", remedy="It holds the upstreams' key")
    bases = [_plain(url) for url in options.upstreams]
    if len(set(bases)) < len(bases):
        raise UsageError("an upstream is given twice")
    front = FrontServer(options, options.host, options.port, tell)
    pool = Pool([Upstream(base) for base in bases])
    for number, is_paused in ((PAUSE, True), (RESUME, False)):
        signal.signal(number, partial(_pause, pool, is_paused))
    app, forward, metrics = create_gateway(pool, options, key, lambda: front.is_draining)
    behind = Behind(
        options.largest_body, __version__, count=lambda status: metrics.requests.labels("refused", str(status)).inc()
    )
    with front.bound() as listener:
        front.run(app, behind, listener, ready, lambda: forward.cut("the gateway is stopping"))


def _pause(pool: Pool, is_paused: bool, *_: Any) -> None:
    pool.is_paused = is_paused


def _plain(url: str) -> str:
    """Return an upstream's address; raises UsageError where it holds more than a scheme, a host, a port and a path."""
    parts = urlsplit(url)
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            "an upstream's address holds a password, a query or a fragment",
            where=shown(url),
            remedy="Name the variable of its key with --upstream-key",
        )
    return base_url(url)
