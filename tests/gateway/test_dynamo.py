"""A graph of NVIDIA Dynamo behind a gateway: its real frontend and its mock engines, started as our manifest says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from tests.support.launch.rendering import rendered
from tests.support.upstream import Gateway, ready
from tests.support.waiting import wait_until

PYTHON = Path(__file__).parents[2] / ".venv-dynamo" / "bin" / "python"
TINY = Path(__file__).parents[2] / "trtnemo" / "assets" / "tiny"
pytestmark = pytest.mark.dynamo


def free_port() -> int:
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        port: int = given.getsockname()[1]
        return port


def main(component: Any) -> Any:
    return component["podTemplate"]["spec"]["containers"][0]


def words_of(component: Any, port: int) -> list[str]:
    """Return the words of a component, a mock engine in the place of the server that no machine here can run.

    It takes what Dynamo itself reads: the model, its name, the half. The weights are those of `tiny`.
    """
    container = main(component)
    module, args = container["command"][2], list(container["args"])
    if component["type"] == "frontend":
        args[args.index("--http-port") + 1] = str(port)
        return [module, *args, "--discovery-backend", "file"]
    name = args[args.index("--served-model-name") + 1]
    half = args[args.index("--disaggregation-mode") : args.index("--disaggregation-mode") + 2]
    engine = module.removeprefix("dynamo.")
    given = ["--model-path", str(TINY), "--model-name", name, "--engine-type", engine, *half]
    # a half of SGLang asks the other by a port, as in a pod
    ports = ["--bootstrap-ports", str(free_port())] if half[1] == "prefill" and engine == "sglang" else []
    return ["dynamo.mocker", *given, *ports, "--discovery-backend", "file"]


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Any]:
    """Return a function that starts the graph of a recipe, and gives its address and its processes by component."""
    if not PYTHON.exists():
        pytest.fail("there is no .venv-dynamo: `make test-dynamo` makes it")
    running: dict[str, subprocess.Popen[bytes]] = {}

    def start(recipe: str) -> tuple[str, dict[str, subprocess.Popen[bytes]]]:
        text = rendered("dynamo", recipe, ["cluster.disaggregation={}"])
        found = next(item for item in yaml.safe_load_all(text) if item["kind"] == "DynamoGraphDeployment")
        port = free_port()
        for component in found["spec"]["components"]:
            env = {item["name"]: item["value"] for item in main(component)["env"] if "value" in item}
            kept = {name: value for name, value in env.items() if name.startswith("DYN_")}
            environment = {**os.environ, **kept, "DYN_FILE_KV": str(tmp_path / "found")}
            command = [str(PYTHON), "-m", *words_of(component, port)]
            with (tmp_path / f"{component['name']}.log").open("wb") as log:
                running[component["name"]] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return f"http://127.0.0.1:{port}", running

    yield start
    for process in running.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("recipe", ["h200", "vllm-b200", "sglang-b200"])
def test_a_graph_from_our_manifest_answers_through_our_gateway_with_a_key(
    graph: Any, gateway: Gateway, tmp_path: Path, recipe: str
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("alice: key-of-alice\n")
    keys.chmod(0o600)
    base, processes = graph(recipe)
    _, url = gateway(base, options=("--api-key-file", str(keys)), token_seconds=5)
    wait_until(lambda: ready(url), 60)
    assert httpx.post(f"{url}/v1/chat/completions", json={"model": "x"}).status_code == 401
    with openai.OpenAI(base_url=f"{url}/v1", api_key="key-of-alice", max_retries=0) as client:
        model = client.models.list().data[0].id
        assert model == "nvidia/nemotron-3-super"
        ask: Any = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
        whole = client.chat.completions.create(**ask)
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 8
        pieces = [chunk for chunk in client.chat.completions.create(stream=True, **ask) if chunk.choices]
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces)
    processes["DecodeWorker"].kill()
    wait_until(lambda: not ready(url), 60)
    refused = httpx.post(f"{url}/v1/chat/completions", json={}, headers={"authorization": "Bearer key-of-alice"})
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)


def test_a_stream_ends_where_the_frontend_is_told_to_stop(graph: Any, gateway: Gateway) -> None:
    """With DYN_HTTP_GRACEFUL_SHUTDOWN_TIMEOUT_SECS of our manifest, what runs is finished."""
    base, processes = graph("h200")
    _, url = gateway(base)
    wait_until(lambda: ready(url), 60)
    ask = {"model": "nvidia/nemotron-3-super", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    body = {**ask, "max_tokens": 1200, "ignore_eos": True}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=120) as response:
        lines = response.iter_lines()
        first = next(line for line in lines if line.startswith("data:"))
        processes["Frontend"].send_signal(signal.SIGTERM)
        rest = [line for line in lines if line.startswith("data:")]
    assert "error" not in json.loads(first[5:])
    assert rest[-1] == "data: [DONE]"
    assert processes["Frontend"].wait(60) == 0
