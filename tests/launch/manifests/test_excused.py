"""What looks like a fault of a manifest, and is none."""

from __future__ import annotations

import copy

import pytest
import yaml

from tests.support.launch.spoiling import (
    FROM,
    GRAPH,
    GROUP,
    MAIN,
    POD,
    Spoil,
    documents,
    pod,
    put,
)
from trtnemo.launch.manifests.validate import validate

# what looks like a fault, and is none
EXCUSED: list[tuple[str, str, Spoil]] = [
    ("deployment", "steps without a surge", put("Deployment/spec/strategy", {"rollingUpdate": {"maxSurge": 0}})),
    ("deployment", "a Service for other pods is no error", put("Service/spec/selector", {})),
    ("deployment", "health at another path", put(f"{MAIN}/livenessProbe/httpGet/path", "/health_generate")),
    ("deployment", "grace just above", put(f"{POD}/terminationGracePeriodSeconds", 561)),
    ("deployment", "no limit of memory", put(f"{MAIN}/resources/limits", {"nvidia.com/gpu": "2"})),
    ("deployment", "a token by reference", put(f"{MAIN}/env/0", {"name": "HF_TOKEN", "valueFrom": FROM})),
    ("deployment", "a token that a shell puts in", put(f"{MAIN}/env/0", {"name": "HF_TOKEN", "value": "$HF_TOKEN"})),
    ("deployment", "huge pages", put(f"{POD}/volumes/2/emptyDir", {"medium": "HugePages-2Mi"})),
    ("group", "one rank alone", put(f"{GROUP}/size", 1)),
    ("graph", "enough available", put(f"{GRAPH}/components/1/minAvailable", 1)),
]


@pytest.mark.parametrize(("source", "what", "spoil"), EXCUSED, ids=[f"{s}-{w}" for s, w, _ in EXCUSED])
def test_what_only_looks_like_a_fault_is_none(source: str, what: str, spoil: Spoil) -> None:
    objects = copy.deepcopy(documents(source))
    spoil(objects)
    assert validate(yaml.safe_dump_all(objects.values())) == [], what


def test_the_hosts_own_shared_memory_is_enough() -> None:
    objects = documents("deployment")
    put(f"{MAIN}/volumeMounts/1/mountPath", "/shm")(objects)
    pod(objects)["hostIPC"] = True
    assert validate(yaml.safe_dump_all(objects.values())) == []


def test_a_role_that_is_scaled_from_outside_counts_for_none() -> None:
    template = documents("group")["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    spec = {"replicas": 1, "leaderWorkerTemplate": template}
    roles = [
        {"name": "a", "spec": spec},
        {"name": "b", "scaling": {"mode": "External"}, "spec": {**spec, "replicas": 0}},
    ]
    apart = {"apiVersion": "disaggregatedset.x-k8s.io/v1", "kind": "DisaggregatedSet", "metadata": {"name": "a"}}
    assert validate(yaml.safe_dump({**apart, "spec": {"roles": roles}})) == []
