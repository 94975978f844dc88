"""What is rendered is taken by the real tools it is written for, and no text of a recipe ever becomes shell."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.launch.meaning import EXTERNAL, meaning
from tests.support.launch.rendering import BIN, FORMS, SCRIPTS, recipe_image, rendered
from tests.support.launch.starts import start_of
from trtnemo.checkpoint.family.card import card_suites
from trtnemo.errors import RecipeError
from trtnemo.launch.check import check_invocation
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.pasted.command import read_command
from trtnemo.recipe import load_recipe


@pytest.mark.parametrize("form", SCRIPTS)
@pytest.mark.parametrize("name", EXTERNAL)
def test_scripts_pass_shellcheck(form: Any, name: str, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text(rendered(form, name), encoding="utf-8")
    done = subprocess.run([BIN / "shellcheck", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", EXTERNAL)
def test_compose_takes_the_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(rendered("compose", name), encoding="utf-8")
    command: list[str | Path] = [BIN / "docker-compose", "-f", tmp_path / "compose.yaml", "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_TOKEN": ""})
    assert done.returncode == 0, done.stderr
    service = json.loads(done.stdout)["services"]["server"]
    recipe = load_recipe(name)
    line = shlex.join(["docker", "run", recipe_image(recipe), *service["command"]])
    assert read_command(line).options == read_command(rendered("docker", name)).options


@pytest.mark.parametrize("name", EXTERNAL)
def test_opencode_takes_the_file(name: str) -> None:
    """The schema was made from the types of @opencode-ai/sdk 1.19.3."""
    schema = json.loads((Path(__file__).parent / "opencode.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(rendered("opencode", name)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"modle": "x"}, schema)


def test_the_evaluators_file_names_the_cards_suites_and_no_secret() -> None:
    content = yaml.safe_load(rendered("evaluator"))
    named = [task["name"] for task in content["evaluation"]["tasks"]]
    assert named == [suite.task for suite in card_suites() if suite.task]
    assert content["target"]["api_endpoint"]["url"] == "http://localhost:8123/v1/chat/completions"
    assert content["evaluation"]["nemo_evaluator_config"]["config"]["params"]["temperature"] == 1.0
    assert content["evaluation"]["env_vars"] == {"HF_TOKEN": "host:HF_TOKEN"}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_recipe_gives_the_same_text_in_any_process(form: Any) -> None:
    name = "b200" if form == "disaggregated" else "vllm-dgx-spark"
    code = (
        "import sys\nfrom trtnemo.recipe import load_recipe\nfrom trtnemo.launch.render.write import render\n"
        f"from trtnemo.launch.from_recipe import to_invocation\nrecipe = load_recipe({name!r})\n"
        f"sys.stdout.write(render({form!r}, {name!r}, recipe, to_invocation(recipe)))"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        assert done.stdout == rendered(form, name)


def test_secrets_are_named_and_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    for form in FORMS:
        name = "b200" if form == "disaggregated" else "vllm-b200"
        server = "trtllm" if form == "disaggregated" else "vllm"
        assert "hf_secret" not in rendered(form, name, [f"{server}.env.MY_API_KEY=null"])
    assert "  -e HF_TOKEN \\\n" in rendered("docker")
    assert "  -e MY_API_KEY \\\n" in rendered("docker", "vllm-b200", ["vllm.env.MY_API_KEY=null"])


@pytest.mark.parametrize(
    ("name", "per_node", "lines"),
    [
        ("b200x8-throughput", 8, ["--nodes=1", "--ntasks=1", "--gpus-per-node=8"]),
        ("b200x8-throughput", 4, ["--nodes=2", "--ntasks=8", "--ntasks-per-node=4", "--gpus-per-node=4"]),
        ("gb200", 2, ["--nodes=2", "--ntasks=4", "--ntasks-per-node=2", "--gpus-per-node=2"]),
    ],
)
def test_slurm_asks_for_the_nodes_that_the_devices_need(name: str, per_node: int, lines: list[Any]) -> None:
    text = rendered("slurm", name, devices_per_node=per_node)
    directives = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]
    assert set(lines) <= set(directives)
    assert ("trtllm-llmapi-launch" in text) == ("--nodes=2" in lines)
    assert ("srun --mpi=pmix trtllm-llmapi-launch" in text) == ("--nodes=2" in lines)


def test_what_has_no_slurm_form_or_no_image_is_refused() -> None:
    with pytest.raises(RecipeError, match="do not fill 3 nodes of 3"):
        rendered("slurm", "b200x8-throughput", devices_per_node=3)
    with pytest.raises(RecipeError, match="vllm over 2 nodes has no launcher here"):
        rendered("slurm", "vllm-b200", ["hardware.count=2"], devices_per_node=1)
    for form in ("docker", "compose"):
        with pytest.raises(RecipeError, match=r"names no image under 'trtllm\.image'"):
            rendered(form, "b200", ["trtllm.image=null"])


@pytest.mark.parametrize(
    "setting", ["checkpoint=--trust-remote-code", "served_model_names=[--port]", "vllm.args.middleware=[--x]"]
)
def test_a_word_that_the_server_would_take_for_an_option_is_refused(setting: str) -> None:
    with pytest.raises(RecipeError, match="begins with a dash"):
        rendered("command", "vllm-b200", [setting])


def test_a_value_that_begins_with_a_dash_is_read_back_as_a_value() -> None:
    text = rendered("command", "vllm-b200", ["vllm.args.chat-template=-x"])
    assert "  --chat-template=-x\n" in text
    again = read_command(text, "0.20.0")
    assert (again.options["--chat-template"], again.findings) == ("-x", ())


@pytest.mark.parametrize("form", ["command", "docker", "compose", "slurm"])
@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [
        ("sglang-b200", ['sglang.version="0.5.24"'], "--disable-piecewise-cuda-graph"),
        ("sglang-b200", ["sglang.args.some-new-flag=true"], "--some-new-flag"),
        ("vllm-b200", ['vllm.version="0.25.0"', "vllm.args.some_new=1"], "--some_new"),
    ],
)
def test_an_option_that_another_versions_record_does_not_know_is_kept_as_written(
    form: str, name: str, settings: list[Any], line: str
) -> None:
    assert line in rendered(form, name, settings)
    invocation = to_invocation(load_recipe(name, settings))
    assert ("warning", "unknown-option", line) in [
        (finding.severity, finding.rule, finding.subject) for finding in check_invocation(invocation).findings
    ]


def test_an_unknown_option_with_a_secret_is_refused() -> None:
    for key in ("api-key", "new-password"):
        with pytest.raises(RecipeError, match=f"holds a secret .--{key}.") as caught:
            rendered("command", "b200", [f"trtllm.args.{key}=sk-1"])
        assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("b200", "trtllm.args.custom_module_dirs=[/a, /b]", ["--custom_module_dirs /a", "--custom_module_dirs /b"]),
        ("sglang-b200", "sglang.args.forward-hooks=[1, 2]", ["--forward-hooks '[1,2]'"]),
        ("sglang-b200", "sglang.args.cuda-graph-bs=[1, 2]", ["--cuda-graph-bs 1 2"]),
    ],
)
def test_a_list_is_written_as_its_option_takes_it(name: str, setting: str, words: list[Any]) -> None:
    lines = [line.strip(" \\") for line in rendered("command", name, [setting]).splitlines()]
    assert set(words) <= set(lines)


@pytest.mark.parametrize(
    ("version", "argument", "word"),
    [
        ("0.33.0", "enable-prefix-caching=true", "--enable-prefix-caching"),
        ("0.33.0", "enable-prefix-caching=false", "--disable-prefix-caching"),
        ("0.33.0", "disable-prefix-caching=true", "--disable-prefix-caching"),
        ("0.33.0", "no_enable_prefix_caching=true", "--disable-prefix-caching"),
        ("0.20.0", "enable-prefix-caching=false", "--no-enable-prefix-caching"),
    ],
)
def test_a_switch_is_written_as_its_version_takes_it(version: str, argument: str, word: str) -> None:
    lines = rendered("command", "vllm-b200", [f"vllm.version={version}", f"vllm.args.{argument}"]).splitlines()
    assert [line.strip(" \\") for line in lines if "prefix-caching" in line] == [word]


@pytest.mark.parametrize(
    ("recipe", "argument", "name"),
    [
        ("sglang-b200", "sglang.args.disable-radix-cache", "radix-cache"),
        ("b200", "trtllm.args.trust_remote_code", "trust_remote_code"),
        ("vllm-b200", "vllm.args.headless", "headless"),
    ],
)
def test_a_flag_that_nothing_switches_off_is_left_out_where_it_is_off(recipe: str, argument: str, name: str) -> None:
    assert name not in rendered("command", recipe, [f"{argument}=false"])
    assert f"--{argument.rpartition('.')[2]}" in rendered("command", recipe, [f"{argument}=true"])


def test_a_switch_that_is_said_twice_is_refused() -> None:
    twice = ["vllm.version=0.33.0", "vllm.args.enable-eplb=true", "vllm.args.disable-eplb=true"]
    with pytest.raises(RecipeError, match="says --enable-eplb twice"):
        to_invocation(load_recipe("vllm-b200", twice))


def test_a_server_without_a_given_port_is_asked_at_its_own_default() -> None:
    assert start_of("sglang", "0.5.10", "m", {}).port == 30000
    assert start_of("vllm", "0.20.0", "m", {}).port == 8000
    assert start_of("vllm", "0.20.0", "m", {"--port": 1234}).port == 1234


@pytest.mark.parametrize(
    ("name", "host", "port", "inside"),
    [
        ("b200", "127.0.0.1", "127.0.0.1:8123:8123", True),
        ("b200", "0.0.0.0", "8123:8123", True),  # noqa: S104
        ("sglang-b200", "::1", "[::1]:30000:30000", True),
        ("vllm-b200", None, "8000:8000", False),
    ],
)
def test_a_container_listens_everywhere_and_its_port_is_published_where_the_recipe_says(
    name: str, host: str | None, port: str, inside: bool
) -> None:
    settings = [] if host is None else [f'server.host="{host}"']
    lines = [line.strip(" \\") for line in rendered("docker", name, settings).splitlines()]
    assert shlex.join(["-p", port]) in lines
    assert ("--host 0.0.0.0" in lines) == inside
    assert yaml.safe_load(rendered("compose", name, settings))["services"]["server"]["ports"] == [port]
    assert ("--host 127.0.0.1" in rendered("command", name, settings)) == (host == "127.0.0.1")


def test_a_local_checkpoint_is_mounted_where_it_is() -> None:
    for form, line in (
        ("docker", "-v '/data/my model:/data/my model:ro'"),
        ("compose", "- /data/my model:/data/my model:ro"),
    ):
        assert line in rendered(form, "b200", ["checkpoint=/data/my model"])
        with pytest.raises(RecipeError, match="is a relative path"):
            rendered(form, "b200", ["checkpoint=./model"])
    assert "/data/my model:" not in rendered("command", "b200", ["checkpoint=/data/my model"])


@pytest.mark.parametrize("name", EXTERNAL)
@pytest.mark.parametrize("form", ["command", "docker"])
def test_a_rendered_line_is_read_back_as_what_it_was_made_from(form: str, name: str) -> None:
    invocation = to_invocation(load_recipe(name))
    again = read_command(rendered(form, name), invocation.version)
    assert meaning(again)[:4] == meaning(invocation)[:4]
    assert meaning(again)[5:7] == meaning(invocation)[5:7]
    assert again.findings == ()
