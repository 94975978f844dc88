"""build --interpret, inspect, check and serve of TensorRT plans, as a user on a machine without a GPU types them."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.commands import trtnemo_here
from trtnemo.runtime.comparison import compare as comparing


def trtnemo(*arguments: Any, **options: Any) -> Any:
    command = [sys.executable, "-m", "trtnemo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare two steps: the words are looked at here, the numbers in tests/runtime/tensorrt."""
    monkeypatch.setattr(comparing, "compare", functools.partial(comparing.compare, steps=2))


CAPABILITIES = {"rtx-pro-6000": "12.0", "dgx-spark-tensorrt": "12.1"}


def require_words(recipe: Any, built: Any, shown: Any, worst: Any = "backbone") -> None:
    """Assert what `build --interpret` and `inspect --verify` say; the worst block is of one of two graphs."""
    assert built.returncode == 0, built.stderr
    assert re.search(rf"the worst: {worst}\.layers\.\d", built.stdout), built.stdout
    assert built.stdout.splitlines()[-1] == "agrees"
    assert f"plans for compute capability {CAPABILITIES[recipe]}, by TensorRT for RTX" in built.stdout
    assert "runtime:     tensorrt, weights in layout hub-v1" in shown.stdout
    assert "mixer.mamba2.ssm_state" in shown.stdout
    assert "T: 1 to 32, built for 4" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize("recipe", CAPABILITIES)
def test_tiny_is_built_interpreted_and_inspected(recipe: Any, tmp_path: Path) -> None:
    """As a user types it, and whole: what the two recipes differ in says the smaller form below too."""
    engine = tmp_path / "engine"
    built = trtnemo("build", "--recipe", recipe, "--checkpoint", "tiny", "--output", engine, "--interpret")
    require_words(recipe, built, trtnemo("inspect", engine, "--verify"))


@pytest.mark.parametrize("recipe", CAPABILITIES)
def test_a_micro_checkpoint_is_built_interpreted_and_inspected(
    recipe: Any, make_checkpoint: Any, few_steps: Any, tmp_path: Path
) -> None:
    common = ("--recipe", recipe, "--checkpoint", make_checkpoint("nvfp4"), "--output", tmp_path / "engine")
    built = trtnemo_here("build", *common, "--interpret")
    require_words(recipe, built, trtnemo_here("inspect", tmp_path / "engine", "--verify"), "(backbone|mtp)")


def test_json_of_build_and_inspect_keeps_its_keys(make_checkpoint: Any, few_steps: Any, tmp_path: Path) -> None:
    common = ("--recipe", "rtx-pro-6000", "--checkpoint", make_checkpoint("mixed"), "--output", tmp_path / "e")
    built = json.loads(trtnemo_here("build", *common, "--interpret", "--json").stdout)
    assert {"engine", "seconds", "runtime", "versions", "files", "plans", "interpreted"} <= built.keys()
    assert built["interpreted"].keys() == {
        "blocks", "rows", "same_top", "draft_rows", "same_draft_top", "logits_difference", "largest_logit",
        "tolerance", "least_share", "passed",
    }  # fmt: skip
    assert built["interpreted"]["blocks"][0].keys() == {
        "path", "kind", "phase", "difference", "largest", "relative",
    }  # fmt: skip
    inspected = json.loads(trtnemo_here("inspect", tmp_path / "e", "--json").stdout)
    assert inspected["plans"] == built["plans"]
    assert inspected["plans"]["plans"][0].keys() == {
        "name", "kind", "phase", "paths", "inputs", "outputs", "network_digest", "dense_bytes", "expert_bytes",
        "experts", "experts_per_token", "plan_bytes", "activation_bytes", "constant_bytes", "seconds",
    }  # fmt: skip


def test_a_comparison_that_fails_is_exit_code_5(make_checkpoint: Any, tmp_path: Path) -> None:
    # only a process that computes wrongly can show it: lines in front of the command break the interpreter, and have
    # two steps compared
    program = (
        "from trtnemo.trt.interpreter import kinds, layers\n"
        "kinds.KINDS['EINSUM'] = lambda layer, inputs: [layers.einsum(layer, inputs)[0] * 2]\n"
        "import functools\n"
        "from trtnemo.runtime.comparison import compare\n"
        "compare.compare = functools.partial(compare.compare, steps=2)\n"
        "import sys\n"
        "from trtnemo.cli import main\n"
        "sys.exit(main())\n"
    )
    words = ["build", "--recipe", "rtx-pro-6000", "--checkpoint", str(make_checkpoint("mixed")), "--output", "e"]
    command = [sys.executable, "-c", program, *words, "--interpret"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert result.returncode == 5, result.stderr
    assert result.stdout.splitlines()[-1] == "differs"


def test_check_names_builder_device_and_memory() -> None:
    result = trtnemo("check", "--recipe", "rtx-pro-6000", "--json")
    assert result.returncode == 0, result.stderr
    checked = json.loads(result.stdout)["checked"]
    assert checked[1].startswith("TensorRT for RTX")
    assert checked[2].startswith("fits: 1x RTX PRO 6000")
    other = trtnemo_here("check", "--recipe", "rtx-pro-6000", "--set", "hardware.compute_capability=12.1")
    assert "note: RTX PRO 6000 Blackwell has 12.0, these plans run on 12.1 only" in other.stdout


def test_serving_plans_without_a_gpu_is_this_machines_lack(make_plans: Any) -> None:
    result = trtnemo("serve", "--engine", make_plans("mixed"), "--port", "0")
    assert result.returncode == 6
    assert "compiled and interpreted, never run" in result.stderr
    assert "--interpret" in result.stderr


def test_openais_client_gets_of_interpreted_plans_what_the_torch_runtime_says(
    make_plans: Any, tiny_url: Any, server_process: Any
) -> None:
    _, url = server_process(make_plans("tiny", "tensorrt.compute=weight_only"), "--interpret")
    question = [{"role": "user", "content": "What is the capital of Japan?"}]
    common: dict[str, Any] = {"model": "tiny", "messages": question, "temperature": 0, "max_tokens": 200}
    answers, details = [], []
    for base in (url, tiny_url):
        with openai.OpenAI(base_url=f"{base}/v1", api_key="none") as client:
            answer = client.chat.completions.create(**common)
            pieces = client.chat.completions.create(**common, stream=True)
            streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
        assert streamed == answer.choices[0].message.content
        answers.append(answer.choices[0].message)
        details.append(answer.usage.completion_tokens_details)
    assert details[0].accepted_prediction_tokens > 0
    assert "Tokyo" in answers[0].content
    assert answers[0] == answers[1]
