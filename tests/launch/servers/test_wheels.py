"""The published wheels of vLLM and SGLang, asked themselves: `make test-parsers`, in an environment of its own."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import pytest

from tests.support.formats import split_reasoning
from tests.support.paths import ROOT, SUPPORT
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.options.arguments import parse_arguments
from trtnemo.launch.render.words import server_words
from trtnemo.launch.servers.surface import load_surface
from trtnemo.launch.servers.vllm.server import PLUGIN
from trtnemo.recipe import load_recipe, shipped_names

SCRIPTS = ROOT / "scripts" / "surfaces"
PHANTOM = SUPPORT / "launch" / "phantom"
sys.path.insert(0, str(SCRIPTS))
import record  # type: ignore[import-not-found]  # noqa: E402

pytestmark = pytest.mark.wheels
VLLM = [name for name in shipped_names() if load_recipe(name).runtime == "vllm"]
SGLANG = [name for name in shipped_names() if load_recipe(name).runtime == "sglang"]
SETTINGS: tuple[dict[str, bool], ...] = (
    {},
    {"enable_thinking": False},
    {"force_nonempty_content": True},
    {"enable_thinking": True},
)


def case(name: Any, recipe: Any, *words: Any, without: Any = ()) -> Any:
    invocation = to_invocation(load_recipe(recipe))
    given = server_words(invocation, lambda file: str(file.source), with_program=False)
    env = {key: value for key, value in invocation.env.items() if value is not None and key not in without}
    return {"name": name, "words": [*given, *words], "env": env}


# (words, the name under which the server keeps what they say)
LINES = [
    (["-tp=2"], "tensor_parallel_size"),
    (["-n4"], "nnodes"),
    (["-q", "fp8"], "quantization"),
    (["--max_num_seqs", "4"], "max_num_seqs"),
    (["--max-num-se", "4"], "max_num_seqs"),
    (["--port=1", "--port", "2"], "port"),
    (["--served-model-name", "a", "b", "--port", "1"], "served_model_name"),
    (["--hf-overrides.a.b+", "x,y", "--hf-overrides.c", "80k", "--hf-overrides.a.b+=z"], "hf_overrides"),
    (["--hf-overrides.a", "1", "--hf-overrides", '{"z": 1}'], "hf_overrides"),
]


def ask(wheel: Any, cases: Any, texts: Any = (), lines: Any = ()) -> Any:
    question = {"cases": cases, "model": str(PHANTOM), "plugin": str(PLUGIN), "texts": texts, "lines": lines}
    return record.run_inside(wheel, "parse.py", wheel.partition("-")[0], text=json.dumps(question))


@pytest.mark.parametrize("name", record.recorded())
def test_the_record_equals_the_wheel(name: str) -> None:
    recorded = record.record_of(name).read_text(encoding="utf-8")
    assert record.write(record.dump(name)) == recorded


def test_vllm_recipes_come_as_far_as_a_model_configuration() -> None:
    results = ask("vllm-0.20.0", [case(name, name) for name in VLLM])["cases"]
    assert {name: result["error"] for name, result in results.items()} == dict.fromkeys(VLLM, "")
    assert {result["reached"] for result in results.values()} == {"model config"}
    assert {result["quantization"] for result in results.values()} == {"modelopt_mixed"}


def test_vllm_refuses_what_our_rules_say_it_refuses() -> None:
    cases = [
        case("swap", "vllm-b200", "--swap-space", "0"),
        case("fp4", "vllm-b200", "--quantization", "fp4"),
        case("long", "vllm-b200-1m", without=("VLLM_ALLOW_LONG_MAX_MODEL_LEN",)),
        case("parser", "vllm-b200", "--reasoning-parser", "nano_v9"),
        case("tool", "vllm-b200", "--tool-call-parser", "qwen"),
    ]
    results = ask("vllm-0.20.0", cases)["cases"]
    assert results["swap"] == {"reached": "nothing", "error": "the parser exits 2"}
    # the card's Spark line: taken, and without effect
    assert (results["fp4"]["reached"], results["fp4"]["quantization"]) == ("model config", "modelopt_mixed")
    assert "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1" in results["long"]["error"]
    assert "invalid reasoning parser: nano_v9" in results["parser"]["error"]
    assert "invalid tool call parser: qwen" in results["tool"]["error"]


def test_sglang_recipes_are_taken_by_the_old_parser_and_their_flag_refused_by_the_new() -> None:
    cases = [case(name, name) for name in SGLANG]
    assert {r["reached"] for r in ask("sglang-0.5.10", cases)["cases"].values()} == {"parsed"}
    assert {r["reached"] for r in ask("sglang-0.5.23", cases)["cases"].values()} == {"nothing"}


@pytest.mark.parametrize("wheel", ["vllm-0.20.0", "vllm-0.33.0"])
def test_our_reasoning_plug_in_reads_as_super_v3_whole_and_streamed(wheel: str) -> None:
    """Against our own splitter, which was compared with the family's other readers; texts as a tokenizer cuts them."""
    source = random.Random(5)
    texts: list[Any] = []
    for _ in range(200):
        thought = [source.choice(("a", "b ", "c.")) for _ in range(source.randrange(4))]
        answer = [source.choice(("x", "y ", "z.")) for _ in range(source.randrange(4))]
        tokens = [*(["<think>"] if source.random() < 0.3 else []), *thought]
        tokens += ["</think>", *answer] if source.random() < 0.7 else []
        texts.append([tokens, source.choice(SETTINGS)])
    for (tokens, settings), result in zip(texts, ask(wheel, [], texts)["texts"], strict=True):
        text = "".join(tokens).removeprefix("<think>")
        reasoning, content = split_reasoning(text, open_at_start=True)
        wants = settings.get("enable_thinking") is False or settings.get("force_nonempty_content") is True
        expected = ("", reasoning) if wants and not content.strip() else (reasoning, content)
        assert tuple(part or "" for part in result["whole"]) == expected
        # a stream cannot take back what it sent: with thinking off all of it is content
        streamed = ("", reasoning + content) if settings.get("enable_thinking") is False else (reasoning, content)
        assert tuple(result["streamed"]) == streamed


@pytest.mark.parametrize("wheel", ["vllm-0.20.0", "vllm-0.22.0", "vllm-0.33.0", "sglang-0.5.10", "sglang-0.5.23"])
def test_every_spelling_of_a_switch_means_to_us_what_it_means_to_the_server(wheel: str) -> None:
    server, _, version = wheel.partition("-")
    surface = load_surface(server, version)
    switches = [(option, name) for option in surface.options if not option.takes_value for name in option.names]
    required = ["--model-path", "m"] if server == "sglang" else []
    lines = [([*required, name], option.names[0].lstrip("-").replace("-", "_")) for option, name in switches]
    values = ask(wheel, [], lines=[*lines, *(LINES if server == "vllm" else ())])["values"]
    compared = 0
    for (option, name), value in zip(switches, values[: len(switches)], strict=True):
        if value not in ("nothing", None):  # kept under another name; taken and ignored
            compared += 1
            assert parse_arguments(surface, [name]).values == {option.name: value}, name
    assert compared > 0.9 * len(switches)
    for (words, _), value in zip(LINES, values[len(switches) :], strict=server == "vllm"):
        assert next(iter(parse_arguments(surface, words).values.values())) == value, words
