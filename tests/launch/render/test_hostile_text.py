"""Text that a shell or a reader of YAML could take for more than text."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.launch.rendering import BIN, SCRIPTS
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.render.write import render
from trtnemo.recipe import load_recipe
from trtnemo.recipe.runtimes import ADAPTER


def hostile_recipe(texts: Any) -> Any:
    """Return a recipe with hostile texts in its fields, and the texts as they must arrive."""
    model, served, template, value, description = texts
    model, served = f"m{model}", f"s{served}"
    data = load_recipe("vllm-b200").model_dump(mode="json", exclude_unset=True)
    data |= {"checkpoint": model, "served_model_names": [served], "description": description}
    data["vllm"]["args"]["chat-template"] = template
    data["vllm"]["env"] = {"PLAIN": value}
    return ADAPTER.validate_python(data), (model, served, template, value, description)


HOSTILE = st.text(alphabet="ab $`\"'\\;&|<>(){}*?~#!\n\t-=EOF", min_size=1, max_size=20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(HOSTILE, min_size=5, max_size=5))
def test_shell_characters_in_any_text_field_stay_text(texts: Any, tmp_path: Path) -> None:
    """A real shell runs the script with stand-ins that print their words; nothing else may happen."""
    recipe, (model, served, template, value, description) = hostile_recipe(texts)
    invocation = to_invocation(recipe)
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("vllm", "docker", "srun"):
        program = programs / name
        program.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$RECORD"\nprintf "%s" "$PLAIN" > "$RECORD.env"\n')
        program.chmod(0o755)
    record = tmp_path / "record"
    for form in SCRIPTS:
        text = render(form, description, recipe, invocation)
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "RECORD": str(record), "HOME": "/nowhere"}
        done = subprocess.run(["sh", "-c", text], cwd=work, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        words = record.read_text().split("\0")
        assert {model, served} <= set(words)
        assert template in words or f"--chat-template={template}" in words
        assert (f"PLAIN={value}" in words) if form == "docker" else (Path(f"{record}.env").read_text() == value)
        assert list(work.iterdir()) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(HOSTILE, min_size=5, max_size=5))
def test_text_in_the_yaml_file_and_in_every_other_field_stays_text(texts: Any, tmp_path: Path) -> None:
    """The file that the shell writes holds the very text, and the server gets the other fields word by word."""
    endpoint, host, revision, name, path = texts
    data = load_recipe("b200").model_dump(mode="json", exclude_unset=True)
    data |= {"revision": revision, "server": {"host": host, "port": 8123}, "hardware": {"name": name}}
    data["trtllm"]["llm_args"] |= {"otlp_traces_endpoint": endpoint, "env_overrides": {path: endpoint}}
    recipe = ADAPTER.validate_python(data)
    work, programs, record = tmp_path / "yaml", tmp_path / "programs", tmp_path / "words"
    for folder in (work, programs):
        folder.mkdir(exist_ok=True)
    (programs / "trtllm-serve").write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$RECORD"\n')
    (programs / "trtllm-serve").chmod(0o755)
    text = render("command", name, recipe, to_invocation(recipe))
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "RECORD": str(record)}
    done = subprocess.run(["sh", "-c", text], cwd=work, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [file.name for file in work.iterdir()] == ["extra-llm-api-config.yml"]
    written = yaml.safe_load((work / "extra-llm-api-config.yml").read_text(encoding="utf-8"))
    assert written["otlp_traces_endpoint"] == endpoint
    assert written["env_overrides"] == {path: endpoint}
    words = record.read_text().split("\0")
    for option, value in (("--hf_revision", revision), ("--host", host)):
        assert f"{option}={value}" in words or words[words.index(option) + 1] == value


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(HOSTILE, min_size=5, max_size=5))
def test_compose_reads_hostile_text_as_it_was(texts: Any, tmp_path: Path) -> None:
    recipe, (model, served, template, value, description) = hostile_recipe(texts)
    file = tmp_path / "compose.yaml"
    file.write_text(render("compose", description, recipe, to_invocation(recipe)), encoding="utf-8")
    command: list[str | Path] = [BIN / "docker-compose", "-f", file, "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HF_TOKEN": ""})
    assert done.returncode == 0, done.stderr
    # what Compose prints is a Compose file again, in which a dollar is written twice
    service = json.loads(done.stdout.replace("$$", "$"))["services"]["server"]
    assert service["command"][0] == model
    assert served in service["command"]
    assert template in service["command"] or f"--chat-template={template}" in service["command"]
    assert service["environment"]["PLAIN"] == value
