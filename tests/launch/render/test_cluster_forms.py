"""Forms for clusters: a cluster would take them, and what they start is what the recipe means."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.launch.meaning import EXTERNAL
from tests.support.launch.rendering import BIN, rendered
from trtnemo.errors import RecipeError
from trtnemo.findings import errors
from trtnemo.launch.check import check_invocation
from trtnemo.launch.manifests.validate import validate
from trtnemo.launch.pasted.command import read_command
from trtnemo.recipe import load_recipe

APART = "cluster.disaggregation={prefill: {replicas: 2}, decode: {}}"
TRTLLM = [name for name in EXTERNAL if load_recipe(name).runtime == "trtllm"]
OTHERS = [name for name in EXTERNAL if name not in TRTLLM]


def objects(form: str, name: str, settings: Any = ()) -> dict[str, Any]:
    """Return the objects of a manifest by kind."""
    return {item["kind"]: item for item in yaml.safe_load_all(rendered(form, name, settings))}


def container(item: Any) -> Any:
    return item["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("name", EXTERNAL)
@pytest.mark.parametrize(("form", "settings"), [("kubernetes", ()), ("dynamo", ()), ("dynamo", (APART,))])
def test_every_packaged_recipe_is_a_manifest_without_a_fault(form: str, settings: Any, name: str) -> None:
    assert validate(rendered(form, name, settings)) == []


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("nodes", [1, 2])
def test_every_recipe_that_spans_nodes_is_a_group(name: str, nodes: int) -> None:
    count = [f"hardware.count={nodes}", f"parallel.tensor={nodes}"]
    assert validate(rendered("leaderworkerset", name, [f"cluster.nodes={nodes}", *count])) == []


@pytest.mark.parametrize("name", TRTLLM)
def test_trtllm_serve_in_a_group_is_refused_with_what_does_it(name: str) -> None:
    with pytest.raises(RecipeError, match=r"--as dynamo sets that up, --as slurm"):
        rendered("leaderworkerset", name)


@pytest.mark.parametrize("name", EXTERNAL)
def test_a_deployment_starts_what_the_recipe_means(name: str) -> None:
    read = read_command(rendered("kubernetes", name))
    meant = read_command(rendered("docker", name))
    ours = {"--shutdown-timeout", "--host"}
    assert {key: value for key, value in read.options.items() if key not in ours} == {
        key: value for key, value in meant.options.items() if key not in ours
    }
    assert (read.llm_args or {}) == (meant.llm_args or {})
    assert meant.env.items() <= {**read.env, "HF_TOKEN": None}.items()
    assert read.device_count == load_recipe(name).hardware.count
    assert read.model.startswith("/models/")
    assert read.model.endswith(f"{load_recipe(name).checkpoint}/newest")


def test_the_weights_are_fetched_once_at_the_pinned_revision_and_waited_for() -> None:
    found = objects("kubernetes", "vllm-b200", ["revision=abc123", "cluster.storage_class=fast"])
    env = {item["name"]: item.get("value") for item in container(found["Job"])["env"]}
    assert env["MODEL_REVISION"] == "abc123"
    assert "hf-token-secret" in json.dumps(found["Job"])
    pod = found["Deployment"]["spec"]["template"]["spec"]
    waiting = pod["initContainers"][0]
    assert waiting["env"] == [{"name": "MODEL_DIRECTORY", "value": env["MODEL_DIRECTORY"]}]
    assert container(found["Deployment"])["args"][0] == env["MODEL_DIRECTORY"]
    assert all(mount["readOnly"] for mount in waiting["volumeMounts"])
    assert found["PersistentVolumeClaim"]["spec"]["storageClassName"] == "fast"
    assert "--revision" not in container(found["Deployment"])["args"]


def test_the_download_and_the_wait_work_as_they_are_written(tmp_path: Path) -> None:
    """The words of both containers, run here; the hub is a module that writes one file."""
    found = objects("kubernetes", "vllm-b200")
    (tmp_path / "huggingface_hub.py").write_text(
        "def snapshot_download(repo_id, revision, local_dir):\n"
        "    local_dir.mkdir(parents=True)\n    (local_dir / 'config.json').write_text(f'{repo_id} {revision}')\n"
    )
    directory = tmp_path / "models" / "there"
    env = {"MODEL": "a/b", "MODEL_REVISION": "r1", "MODEL_DIRECTORY": str(directory), "PYTHONPATH": str(tmp_path)}
    download = container(found["Job"])["command"]
    wait = found["Deployment"]["spec"]["template"]["spec"]["initContainers"][0]["command"]
    environment = {**env, "PATH": f"{BIN}:/usr/bin:/bin"}
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(wait, env=environment, timeout=0.5, capture_output=True)
    for _ in range(2):  # a Job may run its pod again
        subprocess.run(download, env=environment, check=True)
    assert (directory / "config.json").read_text() == "a/b r1"
    subprocess.run(wait, env=environment, timeout=10, check=True)


def test_what_a_pod_needs_is_there() -> None:
    found = objects("kubernetes", "b200x8-throughput", ["cluster.replicas=2", "cluster.namespace=llm"])
    deployment = found["Deployment"]
    pod, main = deployment["spec"]["template"]["spec"], container(deployment)
    assert {item["metadata"]["namespace"] for item in found.values()} == {"llm"}
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["replicas"] == 2
    assert pod["enableServiceLinks"] is False
    assert pod["terminationGracePeriodSeconds"] == 600
    assert main["resources"] == {
        "requests": {"memory": "256Gi", "nvidia.com/gpu": "8"},
        "limits": {"nvidia.com/gpu": "8"},
    }
    assert main["securityContext"]["capabilities"]["add"] == ["IPC_LOCK"]
    assert main["startupProbe"]["periodSeconds"] * main["startupProbe"]["failureThreshold"] >= 1800
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-B200"}
    assert {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}} in pod["volumes"]


def test_sglang_is_asked_patiently_since_its_health_makes_a_token() -> None:
    main = container(objects("kubernetes", "sglang-b200")["Deployment"])
    assert main["livenessProbe"]["timeoutSeconds"] >= 25
    assert main["readinessProbe"]["periodSeconds"] >= 10


def test_vllm_ends_its_requests_before_it_is_killed() -> None:
    found = objects("kubernetes", "vllm-b200")["Deployment"]
    args = container(found)["args"]
    assert int(args[args.index("--shutdown-timeout") + 1]) < 600 - 10


def test_who_collects_metrics_is_there_where_the_server_counts() -> None:
    assert objects("kubernetes", "vllm-b200")["PodMonitor"]["spec"]["podMetricsEndpoints"][0]["path"] == "/metrics"
    assert "PodMonitor" not in objects("kubernetes", "sglang-b200")
    assert "enable-metrics: true" in rendered("kubernetes", "sglang-b200")
    counted = objects("kubernetes", "b200", ["trtllm.llm_args.return_perf_metrics=true"])["PodMonitor"]
    assert counted["spec"]["podMetricsEndpoints"][0]["path"] == "/prometheus/metrics"


def test_a_secret_is_taken_from_a_secret() -> None:
    text = rendered("kubernetes", "vllm-b200", ["vllm.env.VLLM_API_KEY=null"])
    env = container(next(item for item in yaml.safe_load_all(text) if item["kind"] == "Deployment"))["env"]
    key = next(item for item in env if item["name"] == "VLLM_API_KEY")
    assert key["valueFrom"]["secretKeyRef"] == {"name": "vllm-b200-env", "key": "VLLM_API_KEY"}
    assert "Make a Secret vllm-b200-env with VLLM_API_KEY" in text


@pytest.mark.parametrize("value", ["$(HOSTNAME)", "1e3", "0o17", "yes", "a: b", "'", "\u202e", "line\nline", "- x", ""])
def test_a_value_of_the_recipe_reaches_the_server_as_it_is(value: str) -> None:
    """Kubernetes puts variables into words, and Go reads 1e3 as a number."""
    text = rendered("kubernetes", "vllm-b200", [f"vllm.env.MINE={json.dumps(value)}"])
    env = container(next(item for item in yaml.safe_load_all(text) if item["kind"] == "Deployment"))["env"]
    mine = next(item for item in env if item["name"] == "MINE")["value"]
    assert mine.replace("$$(", "$(") == value
    assert ("$(" not in mine) or "$$(" in mine
    assert validate(text) == []
    assert "MINE\n              value: 1e3" not in text


@pytest.mark.parametrize("word", ["$(LWS_GROUP_SIZE)", "# x", "{{ x }}", "*x"])
def test_a_word_of_the_recipe_is_no_variable_and_no_yaml(word: str) -> None:
    args = container(objects("kubernetes", "vllm-b200", [f"served_model_names=[{json.dumps(word)}]"])["Deployment"])[
        "args"
    ]
    assert args[args.index("--served-model-name") + 1] == word.replace("$(", "$$(")


def test_a_group_gives_every_rank_its_place_and_the_followers_no_front() -> None:
    four = ["hardware.count=4", "parallel.tensor=4", "cluster.nodes=2"]
    template = objects("leaderworkerset", "vllm-b200", four)["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    leader, worker = (template[name]["spec"]["containers"][0] for name in ("leaderTemplate", "workerTemplate"))
    for words in (leader["args"], worker["args"]):
        assert words[words.index("--nnodes") + 1] == "$(LWS_GROUP_SIZE)"
        assert words[words.index("--node-rank") + 1] == "$(LWS_WORKER_INDEX)"
        assert words[words.index("--master-addr") + 1] == "$(LWS_LEADER_ADDRESS)"
    assert "--headless" in worker["args"]
    assert "--headless" not in leader["args"]
    assert "livenessProbe" not in worker  # followers of vLLM have no front
    assert leader["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert template["restartPolicy"] == "RecreateGroupOnPodRestart"
    service = objects("leaderworkerset", "vllm-b200", four)["Service"]["spec"]["selector"]
    assert service.items() <= template["leaderTemplate"]["metadata"]["labels"].items()
    assert not service.items() <= template["workerTemplate"]["metadata"]["labels"].items()


def test_a_group_reads_back_as_the_start_that_it_is() -> None:
    four = ["hardware.count=4", "parallel.tensor=4", "cluster.nodes=2"]
    text = rendered("leaderworkerset", "vllm-b200", four)
    leader, worker = (read_command(text, part=f"vllm-b200/{role}") for role in ("leader", "worker"))
    assert (leader.options["--nnodes"], leader.options["--node-rank"]) == (2, 0)
    assert worker.options["--node-rank"] == 1
    assert leader.device_count == worker.device_count == 4
    assert errors(check_invocation(leader).findings) == []


def test_a_checkpoint_of_every_node_is_mounted_and_nothing_is_fetched() -> None:
    found = objects("kubernetes", "vllm-b200", ["checkpoint=/data/nemotron-3-super-nvfp4"])
    assert "Job" not in found
    volumes = found["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "weights", "hostPath": {"path": "/data/nemotron-3-super-nvfp4", "type": "Directory"}} in volumes


FIELDS = [
    ("kubernetes", "h200", "spec/template/spec/nodeSelector", {"nvidia.com/gpu.product": "NVIDIA-H200"}),
    ("kubernetes", "gb200", "spec/template/spec/nodeSelector/kubernetes.io|arch", "arm64"),
    ("kubernetes", "b200", "spec/template/spec/containers/0/lifecycle/preStop/exec/command", ["sleep", "10"]),
    ("kubernetes", "b200", "spec/template/spec/containers/0/livenessProbe/failureThreshold", 6),
    ("kubernetes", "b200", "spec/template/spec/containers/0/readinessProbe/failureThreshold", 3),
    ("kubernetes", "b200", "spec/template/spec/containers/0/ports/0/containerPort", 8123),
    ("leaderworkerset", "vllm-b200", "spec/rolloutStrategy/rollingUpdateConfiguration/maxSurge", 0),
    ("leaderworkerset", "vllm-b200", "spec/leaderWorkerTemplate/size", 1),
    ("dynamo", "vllm-b200", "spec/components/0/podTemplate/spec/containers/0/env/1/value", "3"),
    ("dynamo", "vllm-b200", "spec/components/1/podTemplate/spec/containers/0/securityContext/runAsUser", 0),
    ("dynamo", "vllm-b200", "spec/components/1/podTemplate/spec/terminationGracePeriodSeconds", 600),
]
KINDS = {"kubernetes": "Deployment", "leaderworkerset": "LeaderWorkerSet", "dynamo": "DynamoGraphDeployment"}


@pytest.mark.parametrize(("form", "name", "path", "value"), FIELDS)
def test_a_field_has_the_value_that_it_is_to_have(form: str, name: str, path: str, value: Any) -> None:
    place: Any = objects(form, name)[KINDS[form]]
    for part in path.split("/"):
        place = place[int(part) if part.isdecimal() else part.replace("|", "/")]
    assert place == value


def test_the_ranks_of_a_group_keep_the_name_by_which_they_find_each_other() -> None:
    found = objects("leaderworkerset", "vllm-b200", ["cluster.nodes=1"])
    assert found["Service"]["metadata"]["name"] != found["LeaderWorkerSet"]["metadata"]["name"]


def test_another_revision_or_image_is_another_job() -> None:
    names = {
        objects("kubernetes", "vllm-b200", settings)["Job"]["metadata"]["name"]
        for settings in ([], ["revision=a"], ["revision=b"], ["vllm.image=vllm/vllm-openai:v0.20.1"])
    }
    assert len(names) == 4
