"""What a gateway is started with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from trtnemo.front.options import FrontSection


class GatewayOptions(FrontSection):
    """Where a gateway listens, what stands behind it, and its bounds beside those of every front. Times are seconds.

    upstream_key: the variable whose value upstreams are given as their key, in place of the client's. repairs: of
    streams with the known fault of a parser; `auto` where the server's version has it, `always` for parsers of the hub.
    metrics_beside: addresses whose text for Prometheus is told with the gateway's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    upstreams: Annotated[tuple[str, ...], Field(min_length=1)]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    upstream_key: str | None = None
    most_requests: Annotated[int, Field(ge=1)] = 256
    largest_body: Annotated[int, Field(ge=1)] = 1 << 24
    health_seconds: Annotated[float, Field(gt=0)] = 5.0
    token_seconds: Annotated[float, Field(gt=0)] = 60.0
    first_byte_seconds: Annotated[float, Field(gt=0)] = 600.0
    silence_seconds: Annotated[float, Field(gt=0)] = 300.0
    metrics_beside: tuple[str, ...] = ()
    repairs: Literal["auto", "always", "never"] = "auto"
