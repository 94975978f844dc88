"""From an engine to what its endpoints share, and the address that a client is told."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from trtnemo.engine import Engine
from trtnemo.engine.build import hash_all
from trtnemo.engine.manifest import Manifest
from trtnemo.errors import ServerError
from trtnemo.formats.registry import reasoning_formats, tool_formats
from trtnemo.front.listen import bind, listen, url_of
from trtnemo.launch.bundle import keeper
from trtnemo.recipe.shared import Sampling
from trtnemo.runtime import load_executor, loop_options
from trtnemo.runtime.engine_loop import EngineLoop
from trtnemo.server.serve import load_context


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80"), ("::", "http://[::]:80"), ("h", "http://h:80")],
)
def test_an_address_is_one_that_a_client_can_open(host: str, url: str) -> None:
    assert url_of(host, 80) == url


@pytest.mark.parametrize(
    ("host", "reachable"),
    [("0.0.0.0", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::", "[::]"), ("10.0.0.7", "10.0.0.7")],  # noqa: S104
)
def test_a_server_that_listens_everywhere_is_reached_here(host: str, reachable: str) -> None:
    assert keeper.reachable(host) == reachable


def test_an_address_is_bound_once_and_free_again_when_it_is_closed() -> None:
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    listen(listener)
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
        bind("127.0.0.1", port)
    listener.close()
    bind("127.0.0.1", port).close()
    with pytest.raises(ServerError, match="Choose another --port"):
        bind("192.0.2.1", 0)


def has_ipv6() -> bool:
    """Return whether this machine has an address of version 6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
def test_an_ipv6_address_is_bound() -> None:
    with bind("::1", 0) as listener:
        assert listener.family == socket.AF_INET6


@pytest.fixture
def opened(make_engine: Any) -> Iterator[Any]:
    """Return a function of settings that gives the context of an engine, closed at the end."""
    contexts = []

    def load(*settings: Any, engine: Any = None) -> Any:
        opened = engine or Engine.open(make_engine("bf16", *settings))
        contexts.append(load_context(opened, EngineLoop(load_executor(opened), loop_options(opened))))
        return contexts[-1]

    yield load
    for context in contexts:
        context.client.close()


def test_what_a_recipe_says_reaches_the_endpoints(opened: Any) -> None:
    said = ["sampling.temperature=0.25", "sampling.top_p=0.5", "sampling.top_k=7", "limits.max_batch_size=3"]
    context = opened(*said, "limits.max_seq_len=300", "cpu.max_waiting=4")
    assert context.sampling == Sampling(temperature=0.25, top_p=0.5, top_k=7)
    assert context.admission.most == 3 + 4
    assert (context.client.budget.slots, context.client.budget.max_seq_len) == (3, 300)
    assert context.model_names == ("micro-bf16-0",)
    assert context.reasoning is reasoning_formats()["super_v3"]
    assert context.tools is tool_formats()["qwen3_coder"]
    assert context.identity["recipe"] == "tiny"
    assert {"recipe", "engine_digest", "code_digest"} == context.identity.keys()
    assert context.client.stop_token_ids == context.tokenizer.stop_token_ids


def test_a_recipe_without_parsers_leaves_answers_as_they_are(opened: Any) -> None:
    context = opened("parsers.reasoning=null", "parsers.tool=null")
    assert (context.reasoning, context.tools) == (None, None)


def test_a_template_that_is_none_is_refused_before_anything_is_loaded(make_engine: Any, tmp_path: Path) -> None:
    directory = shutil.copytree(make_engine("bf16"), tmp_path / "engine")
    (directory / "tokenizer" / "chat_template.jinja").write_text("{% if %}")
    data = json.loads((directory / "engine.json").read_text())
    data["files"] = {name: item.model_dump() for name, item in hash_all(directory).items() if name != "engine.json"}
    (directory / "engine.json").write_text(Manifest.model_validate(data).sealed().model_dump_json())
    with pytest.raises(ServerError, match="not a Jinja template"):
        load_context(Engine.open(directory), cast("EngineLoop", None))
