"""Manifests as others publish them, told again in our own words: no error is found in what works."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.commands import trtnemo_here
from trtnemo.errors import MachineError, TrtnemoError
from trtnemo.findings import errors
from trtnemo.launch.check import check_invocation
from trtnemo.launch.manifests import schemas
from trtnemo.launch.manifests.quantity import quantity_value
from trtnemo.launch.manifests.validate import findings_of_text, validate
from trtnemo.launch.pasted.command import read_command

FOLDER = Path(__file__).parent / "published"
PUBLISHED = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml"))}
RAY, SGLANG, HALVES, OLD = (PUBLISHED[name] for name in ("ray", "sglang", "halves", "old"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_others_publish_has_no_error(name: str) -> None:
    assert errors(validate(PUBLISHED[name])) == []


def test_a_version_without_a_schema_is_said_to_be_unchecked_and_not_good() -> None:
    found = validate(OLD)
    assert errors(found) == []
    assert any(finding.rule == "kind-not-checked" and "v1beta1" in finding.text for finding in found)
    report = check_invocation(read_command(OLD, part="old/Decode"))
    assert report.passed
    done = trtnemo_here("check", "--command", OLD, "--part", "old/Decode")
    assert done.returncode == 1
    assert "kind-not-checked" in done.stdout


def test_a_kind_of_other_software_is_said_to_be_unchecked() -> None:
    text = yaml.safe_dump({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "a"}})
    assert [(one.severity, one.rule) for one in validate(text)] == [("warning", "kind-not-checked")]


@pytest.mark.parametrize(
    ("text", "part", "options"),
    [
        (RAY, None, {"--tensor-parallel-size": 8, "--pipeline-parallel-size": 2}),
        (SGLANG, None, {"--nnodes": 2, "--node-rank": 0, "--tensor-parallel-size": 2}),
        (
            HALVES,
            None,
            {"--tensor-parallel-size": 2, "--speculative-config": {"method": "mtp", "num_speculative_tokens": 5}},
        ),
        (OLD, "old/Prefill", {}),
        (OLD, "old/Decode", {"--tensor_parallel_size": 2}),
    ],
)
def test_servers_in_groups_and_graphs_are_read(text: str, part: str | None, options: dict[str, Any]) -> None:
    read = read_command(text, part=part)
    assert {name: read.options.get(name) for name in options} == options
    assert errors(check_invocation(read).findings) == []


@pytest.mark.parametrize(("part", "without_overlap"), [("old/Prefill", True), ("old/Decode", False)])
def test_each_half_has_its_own_file_of_the_same_name(part: str, without_overlap: bool) -> None:
    read = read_command(OLD, part=part)
    assert (read.llm_args or {})["disable_overlap_scheduler"] is without_overlap
    assert read.device_count == 2
    assert read.model == "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8"


def test_the_version_of_dynamo_is_not_taken_for_the_servers() -> None:
    assert read_command(HALVES).version == "0.31.0"
    assert read_command(HALVES.replace(":1.6.1", ":1.2.3")).version is None
    notes = [finding for finding in check_invocation(read_command(HALVES)).findings if finding.rule == "dynamo-worker"]
    assert "--dyn-tool-call-parser" in notes[0].message
    assert "--disaggregation-mode" in notes[0].message


def test_gpus_of_a_group_are_those_of_all_its_pods() -> None:
    assert read_command(RAY).device_count == 16
    report = check_invocation(read_command(RAY.replace("--tensor-parallel-size 8", "--tensor-parallel-size 16")))
    assert "too-parallel" in {finding.rule for finding in report.findings}
    report = check_invocation(read_command(RAY.replace("--tensor-parallel-size 8", "--tensor-parallel-size 4")))
    assert "idle-gpus" in {finding.rule for finding in report.findings}


def test_check_reads_a_manifest_as_objects_too() -> None:
    spoiled = RAY.replace("restartPolicy: Recreate", "restartPolcy: Recreate")
    done = trtnemo_here("check", "--command", spoiled, "--json")
    assert done.returncode == 1
    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["rule"] == "manifest-key"]
    assert (
        found[0]["message"] == "'restartPolcy' is no key here; did you mean 'restartPolicy'?: the API server refuses it"
    )
    assert trtnemo_here("check", "--command", RAY).returncode == 0


def test_render_validates_manifests_and_nothing_else() -> None:
    done = trtnemo_here("render", "--recipe", "vllm-b200", "--as", "kubernetes", "--validate")
    assert (done.returncode, done.stderr.strip()) == (0, "validated: 0 errors, 0 findings")
    refused = trtnemo_here("render", "--recipe", "vllm-b200", "--as", "docker", "--validate")
    assert (refused.returncode, "'docker' is no manifest" in refused.stderr) == (2, True)


def test_without_the_schemas_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes_validate", None)
    monkeypatch.setattr(schemas, "are_installed", lambda: False)
    monkeypatch.setattr("trtnemo.launch.manifests.validate.are_installed", lambda: False)
    monkeypatch.setattr("trtnemo.launch.manifests.rules.shape.are_installed", lambda: False)
    with pytest.raises(MachineError, match=r"trtnemo\[manifests\]"):
        validate(RAY)
    assert [finding.rule for finding in findings_of_text(RAY) if finding.severity == "note"] == ["no-schemas"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("16Gi", 16 * 2**30), ("500m", 0.5), ("2", 2), (2, 2), ("2e3", 2000), ("1.5G", 1.5e9), (".5", 0.5), ("20G", 2e10)],
)
def test_quantities_are_read(text: Any, value: float) -> None:
    assert quantity_value(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["16GiB", "16 Gi", "", "Gi", "1,5", "0x10", True, None, [], "1e", "--1", "16gi"])
def test_what_is_no_quantity_is_none(text: Any) -> None:
    assert quantity_value(text) is None


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
keys = st.sampled_from(["containers", "volumes", "ports", "env", "name", "items", "template", "labels", "image"])
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))
kinds = st.sampled_from(["Deployment", "Service", "LeaderWorkerSet", "DynamoGraphDeployment", "Pod", "List", "X"])
versions = st.sampled_from(["v1", "apps/v1", "nvidia.com/v1beta1", "leaderworkerset.x-k8s.io/v1", "../v1", "a b"])


@pytest.mark.fuzz
@given(anything, kinds, versions)
def test_no_object_however_strange_breaks_the_rules(content: Any, kind: str, version: str) -> None:
    whole = {**(content if isinstance(content, dict) else {"spec": content}), "kind": kind, "apiVersion": version}
    with contextlib.suppress(TrtnemoError):
        assert isinstance(validate(yaml.safe_dump(whole)), list)
