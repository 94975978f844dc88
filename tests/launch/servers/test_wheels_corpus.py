"""The corpus and the recipes through the servers' own configuration stages: the independent judge of our verdicts."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.launch.corpus import ENTRIES, verdict_of
from tests.support.paths import ROOT
from trtnemo.launch.check import check_recipe
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.installed.model_directory import model_directory
from trtnemo.launch.installed.second_opinion import ask_installed, case_of
from trtnemo.launch.installed.stated import stated_by_capability, stated_for_recipe
from trtnemo.launch.servers.registry import find_server
from trtnemo.recipe import load_recipe, shipped_names

sys.path.insert(0, str(ROOT / "scripts" / "surfaces"))
import record  # type: ignore[import-not-found]

pytestmark = pytest.mark.wheels
# what no configuration stage sees: faults of the text around it, of the container, of memory, and of what comes
# later; vLLM's own check of stochastic rounding is passed by where the option sets it
UNSEEN = {
    "broken-line", "command-one-word", "compose-backslash", "line-dropped", "probe-port", "too-parallel",
    "sglang-heads", "vllm-draft-head-moe", "vllm-unified-memory", "vllm-moved-plugin",
    "vllm-stochastic-rounding", "image-starts-it", "kubernetes-key", "compose-key", "typographic-mark",
}  # fmt: skip
RECIPES = [name for name in shipped_names() if load_recipe(name).runtime in ("vllm", "sglang")]


def answers(name: Any, cases: Any) -> Any:
    """Return what one wheel says of many cases."""
    script = find_server(name.partition("-")[0]).probe
    result = subprocess.run(
        [str(record.python_of(name)), str(script)], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout.splitlines()[-1])["answers"]


@pytest.mark.parametrize("wheel", record.recorded())
def test_the_servers_own_configuration_agrees_with_the_corpus(wheel: Any) -> None:
    server, _, version = wheel.partition("-")
    asked, expected = [], []
    with ExitStack() as stack:
        for name, entry in ENTRIES:
            verdict, found = verdict_of(entry)
            if verdict not in ("passed", "failed") or entry.get("unseen"):
                continue
            invocation, rules = found
            if (invocation.server, invocation.version or invocation.surface.version) != (server, version):
                continue
            model = stack.enter_context(model_directory(invocation.model))
            device, _ = stated_by_capability(entry.get("capability"), invocation)
            asked.append(case_of(invocation, device, model))
            expected.append((name, verdict, rules))
        told = answers(wheel, asked) if asked else []
    differing = [
        (name, verdict, sorted(rules), answer)
        for (name, verdict, rules), answer in zip(expected, told, strict=True)
        if (verdict == "failed") != bool(answer["error"]) and not (verdict == "failed" and rules & UNSEEN)
    ]
    assert differing == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_passes_the_configuration_of_its_own_server(name: Any) -> None:
    recipe = load_recipe(name)
    invocation = to_invocation(recipe)
    device, _ = stated_for_recipe(recipe, invocation)
    wheel = f"{invocation.server}-{invocation.surface.version}"
    opinion = ask_installed(invocation, device, str(record.python_of(wheel)))
    assert opinion.error == ""
    assert opinion.reached in ("engine configuration", "server arguments")
    assert check_recipe(invocation, recipe).passed
