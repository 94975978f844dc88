"""How a server meets its clients, as one part of a recipe and of the command line."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from trtnemo.files.path_word import PathWord

LogForm = Literal["off", "text", "json"]


class FrontSection(BaseModel):
    """Keys, limits and bounds of our own server; none of them is part of an engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key_file: PathWord | None = Field(
        None, description="file of `name: key` lines, mode 0600; every request but /health and /ready needs one of them"
    )
    metrics_open: bool = Field(False, description="answer /metrics without a key")
    insecure: bool = Field(False, description="allow listening beyond this machine without keys")
    requests_per_minute: Annotated[int, Field(ge=1)] | None = Field(None, description="requests of one key a minute")
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = Field(
        None, description="tokens of one key a minute, prompts and answers together"
    )
    concurrency: Annotated[int, Field(ge=1)] | None = Field(None, description="requests of one key at a time")
    tls_certificate: PathWord | None = Field(None, description="PEM file of the certificate; serves HTTPS")
    tls_key: PathWord | None = Field(None, description="PEM file of the certificate's private key")
    cors_origins: tuple[str, ...] = Field((), description="origins whose pages may call this server; '*' for all")
    trusted_hosts: tuple[str, ...] = Field((), description="names that a Host header may hold; none allows all")
    root_path: Annotated[str, Field(pattern=r"^(/[\w.~-]+)*$")] = Field(
        "", description="path under which a proxy shows this server"
    )
    unix_socket: PathWord | None = Field(None, description="path of a socket to listen on, in place of host and port")
    max_connections: Annotated[int, Field(ge=1)] = Field(1024, description="connections at a time")
    header_seconds: Annotated[float, Field(gt=0)] = Field(10.0, description="time for a request's head to arrive")
    body_seconds: Annotated[float, Field(gt=0)] = Field(60.0, description="time for a request's body to arrive")
    idle_seconds: Annotated[float, Field(ge=1)] = Field(75.0, description="time until an idle connection is closed")
    drain_seconds: Annotated[float, Field(ge=0)] = Field(
        30.0, description="time that running requests have to end when the server is told to stop"
    )
    comment_seconds: Annotated[float, Field(gt=0)] = Field(
        15.0, description="silence of a stream after which a comment keeps its connection alive"
    )
    step_seconds: Annotated[float, Field(gt=0)] = Field(
        60.0, description="time for one step of the engine, after which it is started again"
    )
    access_log: LogForm = Field("off", description="a line for each request on stderr; never its text")
    obeys_control_text: bool = Field(
        False, description="take control tokens in messages for control tokens, where they are text otherwise"
    )
