"""What no cluster can do is refused, and what a form does not say is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.launch.rendering import rendered
from trtnemo.errors import RecipeError


@pytest.mark.parametrize(
    ("form", "name", "settings", "said"),
    [
        (
            "kubernetes",
            "vllm-b200",
            ["hardware.count=3", "parallel.tensor=2"],
            r"count' is 3, and the server uses 2 GPUs",
        ),
        ("dynamo", "h200", ["cluster.disaggregation={prefill: {gpus: 3}}"], r"prefill.gpus' is 3, and a server uses 2"),
        ("disaggregated", "h200", ["cluster.disaggregation={decode: {gpus: 3}}"], r"decode.gpus' is 3"),
        ("kubernetes", "vllm-b200", ["cluster.nodes=2"], r"a Deployment's pods know nothing of each other"),
        ("leaderworkerset", "vllm-b200", ["cluster.nodes=3"], r"over which 1 GPUs do not share out"),
        ("kubernetes", "vllm-b200", ["cluster.namespace=Big_Name"], r"namespace"),
        ("kubernetes", "vllm-b200", ["cluster.storage=16GiB"], r"storage"),
        ("kubernetes", "vllm-b200", ["cluster.node_selector={'a b': c}"], r"node_selector"),
        ("kubernetes", "vllm-b200", ["cluster.node_selector={a: 'x; rm'}"], r"node_selector"),
        ("kubernetes", "vllm-b200", ["checkpoint=./here"], r"is on this machine alone"),
        ("kubernetes", "vllm-b200", ["checkpoint=tiny"], r"is on this machine alone"),
        ("kubernetes", "vllm-b200", ["vllm.image=null"], r"names no image"),
        ("kubernetes", "tiny", [], r"is our own"),
        ("disaggregated", "vllm-b200", [], r"render --as dynamo"),
        (
            "disaggregated",
            "h200",
            ["cluster.disaggregation={decode: {addresses: ['http://a:1']}}"],
            r"is not host:port",
        ),
        (
            "disaggregated",
            "h200",
            ["cluster.disaggregation={decode: {addresses: ['a:1', 'b:1']}}"],
            r"2 addresses for 1",
        ),
        ("kubernetes", "vllm-b200", ["cluster.replica=2"], r"replica"),
    ],
)
def test_what_no_cluster_can_do_is_refused(form: str, name: str, settings: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        rendered(form, name, settings)


@pytest.mark.parametrize(("name", "becomes"), [("My Recipe_2", "my-recipe-2"), ("a" * 99, "a" * 40), ("Ünter", "nter")])
def test_a_recipes_name_becomes_one_of_an_object(name: str, becomes: str) -> None:
    from trtnemo.launch.render.manifest.workload import object_name

    assert object_name(name) == becomes


@pytest.mark.parametrize("name", ["", "---", "9lives", "模型"])
def test_a_name_of_which_nothing_is_left_is_refused(name: str) -> None:
    from trtnemo.launch.render.manifest.workload import object_name

    with pytest.raises(RecipeError, match="becomes no name of an object"):
        object_name(name)


@pytest.mark.parametrize("path", ["/", "/data/../etc", "/a//b", "/./a"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(RecipeError, match="is no plain path"):
        rendered("kubernetes", "vllm-b200", [f"checkpoint={path}"])


def test_what_a_form_does_not_say_is_told() -> None:
    apart = ["cluster.disaggregation={}"]
    assert "'cluster.disaggregation' is said by --as dynamo alone" in rendered("kubernetes", "vllm-b200", apart)
    assert "'cluster.disaggregation' is said by" not in rendered("dynamo", "vllm-b200", apart)
    assert "publishes" not in rendered("dynamo", "b200")
    for field in ("replicas", "nodes"):
        with pytest.raises(RecipeError, match=rf"'cluster.{field}' is not for this form"):
            rendered("disaggregated", "b200", [f"cluster.{field}=2"])
