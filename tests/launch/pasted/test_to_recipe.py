"""A pasted command becomes a recipe that means the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.launch.machine import card
from tests.support.launch.meaning import EXTERNAL, meaning
from trtnemo.errors import UsageError
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.pasted.command import read_command
from trtnemo.launch.pasted.to_recipe import recipe_text
from trtnemo.launch.render.write import render
from trtnemo.recipe import load_recipe


def imported(text: Any, tmp_path: Path, version: Any = None) -> Any:
    written = recipe_text(read_command(text, version), "imported")
    path = tmp_path / "imported.yaml"
    path.write_text(written, encoding="utf-8")
    return written, to_invocation(load_recipe(path))


@pytest.mark.parametrize("block", ["vllm", "vllm-spark", "sglang", "trtllm"])
def test_the_cards_commands_come_back(block: str, tmp_path: Path) -> None:
    _, invocation = imported(card(block), tmp_path)
    assert meaning(invocation)[:5] == meaning(read_command(card(block)))[:5]
    assert meaning(invocation)[5:7] == meaning(read_command(card(block)))[5:7]


@pytest.mark.parametrize("name", EXTERNAL)
def test_every_shipped_recipe_survives_its_own_command(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    invocation = to_invocation(recipe)
    text = render("docker", name, recipe, invocation)
    _, again = imported(text, tmp_path)
    assert meaning(again)[:7] == meaning(invocation)[:7]


def test_neutral_fields_are_used_and_the_rest_stands_verbatim(tmp_path: Path) -> None:
    text, _ = imported(
        "vllm serve m --max-num-seqs 4 --moe-backend marlin --kv-cache-dtype fp8_e5m2", tmp_path, "0.20.0"
    )
    data = yaml.safe_load(text)
    assert data["limits"] == {"max_batch_size": 4}
    assert data["vllm"]["args"] == {"moe-backend": "marlin", "kv-cache-dtype": "fp8_e5m2"}


def test_what_the_server_has_not_is_left_out_with_a_comment(tmp_path: Path) -> None:
    text, invocation = imported(card("vllm"), tmp_path)
    assert text.startswith("# left out: --swap-space (vLLM 0.20.0 has no such option")
    assert invocation.findings == ()


def test_a_secret_never_reaches_the_recipe(tmp_path: Path) -> None:
    text, _ = imported("docker run -e HF_TOKEN=hf_abc -e MY_API_KEY=k vllm/vllm-openai:v0.20.0 m", tmp_path)
    assert "hf_abc" not in text
    assert yaml.safe_load(text)["vllm"]["env"] == {"MY_API_KEY": None}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("VLLM_API_KEY=sk-1 vllm serve m", "VLLM_API_KEY"),
        ("vllm serve m --api-key sk-1", "--api-key"),
        ("sglang serve --model-path m --api-key sk-1", "--api-key"),
        ("docker run -e VLLM_API_KEY=sk-1 vllm/vllm-openai:v0.20.0 m", "VLLM_API_KEY"),
    ],
)
def test_a_secret_is_said_to_be_left_out(text: str, name: str, tmp_path: Path) -> None:
    written, invocation = imported(text, tmp_path)
    assert f"# left out: the value of {name} (a secret" in written
    assert "sk-1" not in written + repr(invocation)


LOST = """docker run --rm -it --gpus '"device=0,1"' --ipc=host --network host --entrypoint bash --init -p 9000:8000
-p 127.0.0.1:8000:8000 -p 8000:8000 --shm-size 16g -v ~/.cache/huggingface:/root/.cache/huggingface
-v ./mine_reasoning_parser.py:/app/mine_reasoning_parser.py -v ./x.yaml:/x.yaml
vllm/vllm-openai:v0.20.0 -c 'vllm serve m --reasoning-parser mine --config /x.yaml
--reasoning-parser-plugin /app/mine_reasoning_parser.py'""".replace("\n", " ")


def test_what_a_recipe_cannot_carry_of_a_container_is_said(tmp_path: Path) -> None:
    text, invocation = imported(LOST, tmp_path)
    assert [line.removeprefix("# left out: ") for line in text.splitlines() if line.startswith("# left out")] == [
        "the mount ./mine_reasoning_parser.py:/app/mine_reasoning_parser.py",
        "the mount ./x.yaml:/x.yaml",
        'docker\'s --gpus "device=0,1"',
        "docker's --ipc host",
        "docker's --network host",
        "docker's --entrypoint bash",
        "docker's --init",
        "docker's --publish 9000:8000",
        "docker's --publish 127.0.0.1:8000:8000",
    ]
    assert invocation.options["--reasoning-parser-plugin"] == "/app/mine_reasoning_parser.py"


def test_a_plain_docker_line_loses_nothing(tmp_path: Path) -> None:
    for block in ("sglang", "trtllm", "vllm-spark"):
        assert "# left out" not in imported(card(block), tmp_path)[0]


def test_an_unknown_option_is_kept_where_the_record_is_another_versions(tmp_path: Path) -> None:
    for version, options in (("0.25.0", {"--new-flag": True, "--new-size": "3"}), ("0.20.0", {})):
        text, invocation = imported("vllm serve m --new-flag --new-size 3 --new-token sk-1", tmp_path, version)
        assert (dict(invocation.options), "sk-1" in text) == (options, False)
        assert text.count("# left out") == (1 if options else 3)


def test_a_file_that_was_not_read_is_said_to_be_left_out(tmp_path: Path) -> None:
    text, _ = imported("trtllm-serve m --config gone.yml", tmp_path)
    assert "# left out: --extra_llm_api_options (the file gone.yml is not in the pasted text" in text


def test_a_value_that_the_server_refuses_is_no_recipe() -> None:
    with pytest.raises(UsageError, match="--port: 'x' is not a whole number"):
        recipe_text(read_command("vllm serve m --port x", "0.20.0"), "")
