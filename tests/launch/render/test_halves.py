"""Servers in halves, and workers of NVIDIA Dynamo: what they start is what the recipe means."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.launch.meaning import EXTERNAL
from tests.support.launch.rendering import BIN, rendered
from trtnemo.findings import errors
from trtnemo.launch.pasted.command import between_halves, read_command
from trtnemo.launch.pasted.text import read_text
from trtnemo.launch.servers.surface import load_surface
from trtnemo.recipe import load_recipe

APART = "cluster.disaggregation={prefill: {replicas: 2}, decode: {}}"
TRTLLM = [name for name in EXTERNAL if load_recipe(name).runtime == "trtllm"]
OTHERS = [name for name in EXTERNAL if name not in TRTLLM]


def objects(form: str, name: str, settings: Any = ()) -> dict[str, Any]:
    """Return the objects of a manifest by kind."""
    return {item["kind"]: item for item in yaml.safe_load_all(rendered(form, name, settings))}


def components(name: str, settings: Any = ()) -> dict[str, Any]:
    graph = objects("dynamo", name, settings)["DynamoGraphDeployment"]
    return {component["name"]: component for component in graph["spec"]["components"]}


@pytest.mark.parametrize("name", EXTERNAL)
def test_a_worker_of_dynamo_reads_back_as_what_the_recipe_means(name: str) -> None:
    read, meant = read_command(rendered("dynamo", name)), read_command(rendered("docker", name))
    assert read.server == meant.server
    kept = {"--max-model-len", "--tensor-parallel-size", "--mamba-ssm-cache-dtype", "--tp-size", "--context-length"}
    for option in kept & meant.options.keys():
        assert read.options[option] == meant.options[option]
    if meant.llm_args is not None:
        assert meant.llm_args.items() <= (read.llm_args or {}).items()
        assert (read.llm_args or {})["max_seq_len"] == meant.options["--max_seq_len"]


def test_a_graph_says_that_another_version_runs() -> None:
    text = rendered("dynamo", "vllm-b200")
    assert "# Dynamo 1.6.1 brings vLLM 0.31.0; the recipe is written for 0.20.0" in text
    told = rendered("dynamo", "vllm-b200", ["vllm.args.swap-space=4"])
    assert "Dynamo's worker takes no" not in text
    assert "swap-space" in told.partition("apiVersion")[0]
    unknown = rendered("dynamo", "vllm-b200", ["cluster.dynamo=9.9.9"])
    assert "Which vLLM Dynamo 9.9.9 brings is not known here" in unknown


@pytest.mark.parametrize(("name", "module"), [("vllm-b200", "vllm"), ("sglang-b200", "sglang"), ("h200", "trtllm")])
def test_halves_are_workers_of_the_three_servers(name: str, module: str) -> None:
    found = components(name, [APART])
    assert {key: value["type"] for key, value in found.items()} == {
        "Frontend": "frontend",
        "PrefillWorker": "prefill",
        "DecodeWorker": "decode",
    }
    assert found["PrefillWorker"]["replicas"] == 2
    for half in ("prefill", "decode"):
        main = found[f"{half.title()}Worker"]["podTemplate"]["spec"]["containers"][0]
        assert main["name"] == "main"
        assert main["command"] == ["python3", "-m", f"dynamo.{module}"]
        assert main["args"][main["args"].index("--disaggregation-mode") + 1] == half
        assert {"name": "DYN_HEALTH_CHECK_ENABLED", "value": "true"} in main["env"]
        assert main["livenessProbe"]["failureThreshold"] >= 3


def test_halves_pass_mamba_states_on_as_each_server_can() -> None:
    vllm = components("vllm-b200", [APART])["DecodeWorker"]["podTemplate"]["spec"]["containers"][0]
    assert {"name": "VLLM_SSM_CONV_STATE_LAYOUT", "value": "DS"} in vllm["env"]
    assert "--no-disable-hybrid-kv-cache-manager" in vllm["args"]
    sglang = components("sglang-b200", [APART])["DecodeWorker"]["podTemplate"]["spec"]["containers"][0]
    assert sglang["args"][sglang["args"].index("--disaggregation-transfer-backend") + 1] == "nixl"
    text = rendered("dynamo", "h200", [APART])
    maps = {item["metadata"]["name"]: item for item in yaml.safe_load_all(text) if item["kind"] == "ConfigMap"}
    prefill, decode = (
        yaml.safe_load(maps[f"h200-{half}-config"]["data"]["engine.yaml"]) for half in ("prefill", "decode")
    )
    assert prefill["cache_transceiver_config"] == decode["cache_transceiver_config"] == {"backend": "UCX"}
    assert prefill["kv_cache_config"]["enable_block_reuse"] is False
    assert (prefill["disable_overlap_scheduler"], decode["disable_overlap_scheduler"]) == (True, False)


@pytest.mark.parametrize("name", TRTLLM)
def test_the_script_of_halves_passes_shellcheck_and_its_parts_are_starts(name: str, tmp_path: Path) -> None:
    script = tmp_path / "disaggregated.sh"
    script.write_text(rendered("disaggregated", name, [APART]), encoding="utf-8")
    done = subprocess.run([BIN / "shellcheck", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    (tmp_path / "trtllm-serve").write_text('#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES $*"\n')
    (tmp_path / "trtllm-serve").chmod(0o755)
    gpus = load_recipe(name).hardware.count
    seen, ports = [], []
    for part in ("context-0", "context-1", "generation-0", "front"):
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HF_TOKEN": "x", "TLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}
        done = subprocess.run(
            [shutil.which("sh") or "sh", script, part], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        visible, _, words = done.stdout.partition(" ")
        if part == "front":
            assert words.split() == ["disaggregated", "-c", "disaggregated.yml"]
            continue
        seen += visible.split(",")
        start = read_command(f"trtllm-serve {words}", load_recipe(name).section.version)  # type: ignore[union-attr]
        ports.append(start.port)
        file = yaml.safe_load((tmp_path / f"{part.partition('-')[0]}.yml").read_text())
        assert file["cache_transceiver_config"] == {"backend": "UCX"}
    assert len(set(seen)) == len(seen) == 3 * gpus
    front = yaml.safe_load((tmp_path / "disaggregated.yml").read_text())
    urls = [*front["context_servers"]["urls"], *front["generation_servers"]["urls"]]
    assert urls == [f"localhost:{port}" for port in ports]
    assert front.keys() == {"hostname", "port", "context_servers", "generation_servers"}
    refused = subprocess.run(["sh", script, "no-part"], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert (refused.returncode, "usage:" in refused.stderr) == (2, True)


def test_the_file_of_the_front_is_taken_by_our_own_reader() -> None:
    text = rendered("disaggregated", "h200", [APART])
    file = text.partition("cat > disaggregated.yml << 'EOF'\n")[2].partition("EOF\n")[0]
    assert errors(read_text(file).findings) == []


def test_options_of_fronts_that_a_worker_has_not_are_options_of_vllm() -> None:
    from trtnemo.launch.servers.vllm.in_cluster import _FRONT

    known = {
        name
        for version in ("0.20.0", "0.33.0")
        for option in load_surface("vllm", version).options
        for name in option.names
    }
    assert sorted(_FRONT - known) == []


def told(text: str) -> set[str]:
    return {finding.rule for finding in between_halves(text)}


@pytest.mark.parametrize(
    ("name", "right", "wrong", "rule"),
    [
        ("h200", "disable_overlap_scheduler: true", "disable_overlap_scheduler: false", "disaggregated-overlap"),
        ("h200", "backend: UCX", "backend: MPI", "disaggregated-layout"),
        ("h200", "mamba_ssm_cache_dtype: float16", "mamba_ssm_cache_dtype: float32", "disaggregated-layout"),
        ("sglang-b200", "nixl", "nixl\n                - --tp-size\n                - '2'", "sglang-unequal-halves"),
    ],
)
def test_halves_that_do_not_go_together_are_told(name: str, right: str, wrong: str, rule: str) -> None:
    settings = [APART, "cluster.dynamo=9.9.9"] if name == "sglang-b200" else [APART]
    text = rendered("dynamo", name, settings)
    assert told(text) == set()
    assert told(text.replace(right, wrong, 1)) == {rule}


def test_unequal_halves_of_a_newer_sglang_go_together() -> None:
    text = rendered("dynamo", "sglang-b200", [APART])  # Dynamo 1.6.1 brings 0.5.21
    assert told(text.replace("nixl", "nixl\n                - --tp-size\n                - '2'", 1)) == set()


def test_the_file_of_halves_is_held_together_too() -> None:
    half = "num_instances: 1, urls: ['a:1'], cache_transceiver_config: {backend: UCX}"
    good = f"context_servers: {{{half}, disable_overlap_scheduler: true}}\ngeneration_servers: {{{half}}}\n"
    good = good.replace("'a:1'", "'b:1'", 1)
    assert {finding.rule for finding in read_text(good).findings} == set()
    spoiled = good.replace("UCX", "MPI", 1).replace("disable_overlap_scheduler: true", "max_batch_size: 4")
    assert {finding.rule for finding in read_text(spoiled).findings} == {
        "disaggregated-layout",
        "disaggregated-overlap",
    }
