"""Clients are told the name, port and lengths of the very server, ours or another, and no key."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import httpx
import pytest

from tests.support.commands import trtnemo_here
from tests.support.launch.meaning import EXTERNAL
from tests.support.launch.rendering import rendered
from trtnemo.errors import RecipeError

CLIENTS = ("opencode", "codex", "claude-code")
OURS = ("tiny", "rtx-5090", "rtx-pro-6000", "dgx-spark-tensorrt")


def told(form: str, name: str, settings: Any = ()) -> dict[str, Any]:
    """Return what a client reads: address, model, context (where it takes one) and longest answer."""
    text = rendered(form, name, settings)
    if form == "codex":
        content = pytest.importorskip("tomllib").loads(text)
        context = content["model_context_window"]
        answer = context - content["model_auto_compact_token_limit"]
        base = content["model_providers"][content["model_provider"]]["base_url"].removesuffix("/v1")
        return {"base": base, "model": content["model"], "context": context, "answer": answer}
    content = json.loads(text)
    if form == "claude-code":
        env = content["env"]
        context, answer = int(env["CLAUDE_CODE_AUTO_COMPACT_WINDOW"]), int(env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"])
        return {
            "base": env["ANTHROPIC_BASE_URL"],
            "model": env["ANTHROPIC_MODEL"],
            "context": context,
            "answer": answer,
        }
    provider, _, key = content["model"].partition("/")
    local = content["provider"][provider]
    model = local["models"][key]
    return {
        "base": local["options"]["baseURL"].removesuffix("/v1"),
        "model": model["id"],
        "context": model["limit"]["context"],
        "answer": model["limit"]["output"],
    }


@pytest.mark.parametrize("form", CLIENTS)
@pytest.mark.parametrize("name", [*OURS, *EXTERNAL])
def test_every_recipe_is_written_for_every_client(name: str, form: str) -> None:
    found = told(form, name)
    assert found["model"]
    assert found["answer"] <= found["context"] // 4


@pytest.mark.parametrize("form", CLIENTS)
@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("tiny", [], ("http://127.0.0.1:8123", "tiny", 32768, 8192)),
        ("tiny", ["limits.max_seq_len=4096", "server.port=9000"], ("http://127.0.0.1:9000", "tiny", 4096, 1024)),
        ("tiny", ["cpu.kv_tokens=2000", 'server.host="::1"'], ("http://[::1]:8123", "tiny", 2000, 500)),
        ("tiny", ['server.host="0.0.0.0"'], ("http://localhost:8123", "tiny", 32768, 8192)),
        ("vllm-dgx-spark", [], ("http://localhost:8000", "nvidia/nemotron-3-super", 1_000_000, 32768)),
        ("vllm-b200", ['server.host="10.0.0.5"'], ("http://10.0.0.5:8000", "nvidia/nemotron-3-super", 262144, 32768)),
        # nothing is told of its length: the server takes what the model was trained on
        ("sglang-b200", [], ("http://localhost:30000", "nvidia/nemotron-3-super", 262144, 32768)),
        ("sglang-b200", ["sglang.args.context-length=65536"], (None, "nvidia/nemotron-3-super", 65536, 16384)),
        ("b200", ["trtllm.llm_args.max_seq_len=8192", "limits.max_seq_len=8192"], (None, None, 8192, 2048)),
    ],
)
def test_a_client_is_told_what_its_server_is(
    form: str, name: str, settings: list[str], expected: tuple[Any, ...]
) -> None:
    found = told(form, name, settings)
    for value, wanted in zip(found.values(), expected, strict=True):
        assert wanted is None or value == wanted


def test_opencode_sends_the_served_name_and_the_temperature() -> None:
    """It sends a model's key where there is no id, which may hold no slash, and no temperature unless told."""
    content = json.loads(rendered("opencode", "vllm-dgx-spark"))
    assert content["model"] == "local/nvidia-nemotron-3-super"
    model = content["provider"]["local"]["models"]["nvidia-nemotron-3-super"]
    assert (model["id"], model["temperature"]) == ("nvidia/nemotron-3-super", True)
    assert content["agent"]["build"] == {"temperature": 1.0, "top_p": 0.95, "max_tokens": 32_000}
    small = json.loads(rendered("opencode", "tiny", ["limits.max_seq_len=4096"]))
    assert small["agent"]["plan"]["max_tokens"] == 1024


@pytest.mark.parametrize("form", CLIENTS)
def test_a_name_that_no_file_expects_is_read_back_as_it_is(form: str) -> None:
    name = 'a/"b"\\c\n\x7f\x1f é {env:HOME} $(id)'
    assert told(form, "tiny", [f"served_model_names=[{json.dumps(name)}]"])["model"] == name


def test_opencode_puts_in_no_variable_and_no_file_that_a_recipe_names() -> None:
    text = rendered("opencode", "tiny", ['served_model_names=["{env:HF_TOKEN}{file:~/.ssh/id_rsa}"]'])
    assert [text.count(word) for word in ("{env:", "{file:")] == [1, 0]


@pytest.mark.parametrize("form", CLIENTS)
def test_a_port_that_the_system_chooses_is_told_to_no_client(form: str) -> None:
    with pytest.raises(RecipeError, match="no client can be told"):
        rendered(form, "tiny", ["server.port=0"])


def test_keys_are_named_by_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "sk-secret")
    texts = {form: rendered(form, "tiny") for form in CLIENTS}
    assert [form for form, text in texts.items() if "sk-secret" in text] == []
    assert '"apiKey": "{env:OPENAI_API_KEY}"' in texts["opencode"]
    assert 'env_key = "OPENAI_API_KEY"' in texts["codex"]


@pytest.mark.parametrize(("key", "given"), [("sk-1 %s", "sk-1 %s"), (None, "EMPTY")])
def test_claude_codes_helper_prints_the_key_alone(key: str | None, given: str) -> None:
    helper = json.loads(rendered("claude-code", "tiny"))["apiKeyHelper"]
    environment = {} if key is None else {"ANTHROPIC_AUTH_TOKEN": key}
    assert subprocess.run(["/bin/sh", "-c", helper], env=environment, capture_output=True, text=True).stdout == given


def test_codex_is_given_no_tool_that_only_its_maker_runs() -> None:
    content = pytest.importorskip("tomllib").loads(rendered("codex", "tiny"))
    assert (content["web_search"], content["agents"]["enabled"]) == ("disabled", False)
    assert content["model_providers"]["local"]["wire_api"] == "responses"


def test_our_server_answers_to_what_its_clients_are_told(tiny_url: str) -> None:
    port = tiny_url.rpartition(":")[2]
    done = trtnemo_here("render", "--recipe", "tiny", "--as", "opencode", "--set", f"server.port={port}")
    assert done.returncode == 0
    local = json.loads(done.stdout)["provider"]["local"]
    (model,) = local["models"].values()
    listed = httpx.get(f"{local['options']['baseURL']}/models").json()["data"]
    assert {"id": model["id"], "max_model_len": model["limit"]["context"]}.items() <= listed[0].items()


@pytest.mark.parametrize("form", ["command", "docker", "compose", "slurm", "evaluator"])
def test_our_own_runtimes_have_no_start_of_another_server(form: str) -> None:
    done = trtnemo_here("render", "--recipe", "tiny", "--as", form)
    assert done.returncode == 3
    assert "runtime 'cpu' is our own" in done.stderr


@pytest.mark.parametrize("form", CLIENTS)
def test_a_server_of_ours_that_speaks_tls_is_named_so_and_a_socket_has_no_address(form: str) -> None:
    if form == "nemo-evaluator":
        pytest.skip("it is for external servers")
    files = ["server.tls_certificate=/c.pem", "server.tls_key=/k.pem"]
    assert "https://127.0.0.1:8123" in rendered(form, "tiny", files)
    with pytest.raises(RecipeError, match="has no address that a client could be told"):
        rendered(form, "tiny", ["server.unix_socket=/run/s"])
