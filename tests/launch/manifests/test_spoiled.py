"""Each spoiled manifest is told from the good one that it was, by the rule that it breaks."""

from __future__ import annotations

import copy

import pytest
import yaml

from tests.support.launch.rendering import rendered
from tests.support.launch.spoiling import (
    EPP,
    FROM,
    GRAPH,
    GROUP,
    MAIN,
    POD,
    SOURCES,
    Spoil,
    documents,
    graph,
    leader,
    pod,
    put,
    rename,
)
from trtnemo.launch.manifests.validate import validate

SPOILED: list[tuple[str, str, Spoil, str]] = [
    (
        "deployment",
        "a misspelt key of a probe",
        rename(f"{MAIN}/startupProbe/failureThreshold", "failureTreshold"),
        "manifest-key startup-budget",
    ),
    ("deployment", "a port that is a text", put(f"{MAIN}/ports/0/containerPort", "8000"), "manifest-value"),
    ("deployment", "no selector", lambda o: o["Deployment"]["spec"].pop("selector"), "manifest-key"),
    (
        "deployment",
        "a selector that meets no label",
        put("Deployment/spec/selector/matchLabels/app", "other"),
        "selector",
    ),
    ("deployment", "a Service that selects nothing", put("Service/spec/selector/app", "other"), "selector"),
    ("deployment", "a mount of no volume", put(f"{MAIN}/volumeMounts/0/name", "wieghts"), "unknown-volume"),
    (
        "deployment",
        "two volumes of one name",
        put(f"{POD}/volumes/1/name", "weights"),
        "unknown-volume volume-twice",
    ),
    (
        "deployment",
        "a probe of a port without a name",
        put(f"{MAIN}/livenessProbe/httpGet/port", "htpp"),
        "unknown-port",
    ),
    ("deployment", "a Service to a port without a name", put("Service/spec/ports/0/targetPort", "web"), "unknown-port"),
    ("deployment", "GiB in memory", put(f"{MAIN}/resources/requests/memory", "128GiB"), "quantity"),
    ("deployment", "a size with a comma", put(f"{POD}/volumes/1/emptyDir/sizeLimit", "16,5Gi"), "quantity"),
    (
        "deployment",
        "storage in words",
        put("PersistentVolumeClaim/spec/resources/requests/storage", "200 Gi"),
        "quantity",
    ),
    ("deployment", "half a GPU", put(f"{MAIN}/resources/limits/nvidia.com|gpu", "1.5"), "gpu-limit gpu-part"),
    ("deployment", "two numbers of GPUs", put(f"{MAIN}/resources/requests/nvidia.com|gpu", "1"), "gpu-limit"),
    (
        "deployment",
        "shm above the limit",
        put(f"{MAIN}/resources/limits/memory", "8Gi"),
        "manifest-value shared-memory",
    ),
    ("deployment", "no shm for two GPUs", put(f"{MAIN}/volumeMounts/1/mountPath", "/shm"), "shared-memory"),
    ("deployment", "an early end of a start", put(f"{MAIN}/startupProbe/failureThreshold", 6), "startup-budget"),
    (
        "deployment",
        "liveness of a list of models",
        put(f"{MAIN}/livenessProbe/httpGet/path", "/v1/models"),
        "liveness-path",
    ),
    ("deployment", "too little grace", put(f"{POD}/terminationGracePeriodSeconds", 60), "grace-period"),
    ("deployment", "a surge of GPUs", put("Deployment/spec/strategy", {"type": "RollingUpdate"}), "surge"),
    ("deployment", "a name in capitals", put("Service/metadata/name", "VLLM_B200"), "object-name"),
    ("deployment", "no name", lambda o: o["Service"]["metadata"].pop("name"), "object-name"),
    (
        "deployment",
        "a token in clear",
        put(f"{MAIN}/env/0", {"name": "HF_TOKEN", "value": "hf_" + "a" * 34}),
        "secret-in-manifest",
    ),
    (
        "deployment",
        "a key in clear",
        put(f"{MAIN}/env/0", {"name": "VLLM_API_KEY", "value": "s3cret"}),
        "secret-in-manifest",
    ),
    ("deployment", "a kind that is none", put("Deployment/kind", "Deploymnt"), "unknown-kind"),
    ("deployment", "an old version", put("Deployment/apiVersion", "extensions/v1beta1"), "unknown-kind"),
    (
        "deployment",
        "a misspelt restart policy",
        put("Job/spec/template/spec/restartPolicy", "onFailure"),
        "manifest-value",
    ),
    ("deployment", "a misspelt pull policy", put(f"{MAIN}/imagePullPolicy", "ifNotPresent"), "manifest-value"),
    ("deployment", "a misspelt mode", put("PersistentVolumeClaim/spec/accessModes", ["RWX"]), "manifest-value"),
    ("deployment", "a misspelt medium", put(f"{POD}/volumes/1/emptyDir/medium", "memory"), "manifest-value"),
    ("deployment", "a misspelt effect", put(f"{POD}/tolerations/0/effect", "NoSchedul"), "manifest-value"),
    ("deployment", "a misspelt strategy", put("Deployment/spec/strategy/type", "Recreat"), "manifest-value"),
    ("deployment", "a value of env that is a number", put(f"{MAIN}/env/0/value", 1), "manifest-value"),
    (
        "deployment",
        "a monitor of a port by number",
        put("PodMonitor/spec/podMetricsEndpoints/0/port", 8000),
        "manifest-value",
    ),
    (
        "deployment",
        "a misspelt key of the monitor",
        rename("PodMonitor/spec/podMetricsEndpoints", "endpoints"),
        "manifest-key",
    ),
    ("deployment", "a container in capitals", put(f"{MAIN}/name", "Server_1"), "manifest-value"),
    ("deployment", "a variable with a blank", put(f"{MAIN}/env/0/name", "bad name"), "manifest-value"),
    ("deployment", "a value from two places", put(f"{MAIN}/env/0/valueFrom", FROM), "manifest-value"),
    ("deployment", "two mounts at one path", put(f"{MAIN}/volumeMounts/2/mountPath", "/models"), "manifest-value"),
    (
        "deployment",
        "a long name of a port",
        put(f"{MAIN}/ports/0/name", "a-very-long-name"),
        "manifest-value unknown-port",
    ),
    ("deployment", "a request above its limit", put(f"{MAIN}/resources/limits/memory", "64Gi"), "manifest-value"),
    (
        "deployment",
        "liveness that must be seen thrice",
        put(f"{MAIN}/livenessProbe/successThreshold", 3),
        "manifest-value",
    ),
    ("deployment", "a volume in capitals", put(f"{POD}/volumes/2/name", "Cache"), "manifest-value unknown-volume"),
    ("deployment", "two sources", put(f"{POD}/volumes/1/hostPath", {"path": "/x"}), "manifest-value"),
    (
        "deployment",
        "a path that leads up",
        put(f"{POD}/volumes/2", {"name": "cache", "hostPath": {"path": "/a/../b"}}),
        "manifest-value",
    ),
    ("deployment", "a label with blanks", put("Service/metadata/labels/x", "a b!"), "manifest-value"),
    ("deployment", "fewer than no replicas", put("Deployment/spec/replicas", -1), "manifest-value"),
    ("deployment", "two budgets", put("PodDisruptionBudget/spec/minAvailable", 1), "manifest-value"),
    (
        "deployment",
        "Recreate by steps",
        put("Deployment/spec/strategy/rollingUpdate", {"maxSurge": 0}),
        "manifest-value",
    ),
    (
        "deployment",
        "less than no storage",
        put("PersistentVolumeClaim/spec/resources/requests/storage", "-5Gi"),
        "manifest-value",
    ),
    ("deployment", "a Service elsewhere", put("Service/metadata/namespace", "other"), "namespace"),
    ("deployment", "shm above the request", put(f"{MAIN}/resources/requests/memory", "8Gi"), "shared-memory"),
    ("group", "the Service of the ranks taken", put("Service/metadata/name", "vllm-b200"), "group-service"),
    ("graph", "two of type epp", lambda o: graph(o)["components"].extend([EPP, {**EPP, "name": "b"}]), "graph"),
    ("deployment", "a Service called vllm", put("Service/metadata/name", "vllm"), ""),
    ("group", "a misspelt policy", put(f"{GROUP}/restartPolicy", "Always"), "manifest-value"),
    ("group", "ranks alone", put(f"{GROUP}/restartPolicy", "None"), "group-restart"),
    ("group", "a misspelt key", rename(f"{GROUP}/size", "sise"), "manifest-key"),
    (
        "group",
        "a misspelt medium",
        rename(f"{GROUP}/workerTemplate/spec/volumes/1/emptyDir/medium", "mediun"),
        "manifest-key",
    ),
    ("group", "a long name", put("LeaderWorkerSet/metadata/name", "a" * 60), "object-name"),
    ("group", "no worker", lambda o: leader(o).pop("workerTemplate"), "manifest-key"),
    ("graph", "services of the old version", rename(f"{GRAPH}/components", "services"), "manifest-key"),
    ("graph", "another backend", put(f"{GRAPH}/backendFramework", "tgi"), "manifest-value"),
    ("graph", "a type in the plural", put(f"{GRAPH}/components/1/type", "workers"), "manifest-value"),
    ("graph", "a misspelt size", rename(f"{GRAPH}/components/1/sharedMemorySize", "sharedMemory"), "manifest-key"),
    ("graph", "one node of many", put(f"{GRAPH}/components/1/multinode", {"nodeCount": 1}), "manifest-value"),
    (
        "graph",
        "no container called main",
        put(f"{GRAPH}/components/1/podTemplate/spec/containers/0/name", "server"),
        "graph-main",
    ),
    ("graph", "two of one name", put(f"{GRAPH}/components/1/name", "frontend"), "graph"),
    ("graph", "more available than there are", put(f"{GRAPH}/components/1/minAvailable", 5), "graph"),
    ("graph", "a restart at its creation", put(f"{GRAPH}/restart", {"id": "1"}), "graph"),
    ("graph", "eppConfig of a worker", put(f"{GRAPH}/components/1/eppConfig", {"configMapRef": {"key": "a"}}), "graph"),
    ("graph", "the old version", put("DynamoGraphDeployment/apiVersion", "nvidia.com/v1alpha1"), "kind-not-checked"),
]


@pytest.mark.parametrize("source", SOURCES)
def test_the_good_ones_have_no_fault(source: str) -> None:
    assert validate(rendered(*SOURCES[source])) == []


@pytest.mark.parametrize(("source", "what", "spoil", "rule"), SPOILED, ids=[f"{s}-{w}" for s, w, _, _ in SPOILED])
def test_a_spoiled_one_is_told_by_the_rule_that_it_breaks(source: str, what: str, spoil: Spoil, rule: str) -> None:
    objects = copy.deepcopy(documents(source))
    spoil(objects)
    findings = validate(yaml.safe_dump_all(objects.values()))
    assert {finding.rule for finding in findings} == set(rule.split()), what
    assert all(finding.message and finding.subject for finding in findings)


def test_objects_that_stand_twice_are_told() -> None:
    service = documents("deployment")["Service"]
    assert "object-twice" in {finding.rule for finding in validate(yaml.safe_dump_all([service, service]))}


def test_a_service_called_vllm_breaks_a_pod_that_takes_its_variables() -> None:
    objects = documents("deployment")
    objects["Service"]["metadata"]["name"] = "vllm"
    pod(objects).pop("enableServiceLinks")
    assert [finding.rule for finding in validate(yaml.safe_dump_all(objects.values()))] == ["service-links"]


def test_roles_are_all_on_or_all_off() -> None:
    template = documents("group")["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    roles = [
        {"name": name, "spec": {"replicas": count, "leaderWorkerTemplate": template}}
        for name, count in (("prefill", 1), ("decode", 0))
    ]
    apart = {"apiVersion": "disaggregatedset.x-k8s.io/v1", "kind": "DisaggregatedSet", "metadata": {"name": "a"}}
    text = yaml.safe_dump({**apart, "spec": {"roles": roles}})
    assert [finding.rule for finding in validate(text)] == ["roles"]
    roles[1]["spec"]["replicas"] = 2  # type: ignore[index]
    assert validate(yaml.safe_dump({**apart, "spec": {"roles": roles}})) == []
