"""`trtnemo plan`: verdict first, exit codes, stable JSON, one line for each bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.spoil import edit_config
from tests.support.commands import trtnemo, trtnemo_here
from trtnemo.plan import network as network_module

KEYS = {
    "verdict": {"kind", "sentence", "resident", "warnings"},
    "network": {"name", "source", "inferred"},
    "need": {
        "batch", "context", "weights", "kv_cache", "states", "draft_states", "workspace", "spare", "total",
    },
    "sequence": {"kv_per_token", "ssm_per_slot", "conv_per_slot", "mamba_layers", "attention_layers", "per_slot"},
    "reservation": {"slots", "draft_bytes", "page_tokens", "reason", "inferred"},
    "workspace": {"fixed", "activations", "logits", "total"},
    "roofline": {"acceptance", "decode", "prefill"},
}  # fmt: skip
SPEED = {
    "batch", "context", "experts_touched", "weight_bytes", "kv_bytes", "state_bytes", "seconds", "bound",
    "tokens_per_second", "tokens_per_second_each",
}  # fmt: skip


def test_the_plan_of_the_cards_recipe_says_its_verdict_first() -> None:
    result = trtnemo_here("plan", "--recipe", "b200")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("fits: 1x B200, batch 8 at 1,048,576 tokens, ")
    assert "80,297,329,824" in result.stdout
    assert "issue 13179" in result.stdout
    assert "upper bounds of speed (roofline, no forecast)" in result.stdout


def test_json_has_stable_keys_and_whole_bytes() -> None:
    result = trtnemo_here("plan", "--recipe", "b200", "--json")
    plan = json.loads(result.stdout)
    assert plan.keys() == {
        *KEYS, "advice", "deployment", "device", "weights", "stage", "weights_whole", "weights_replicated", "frontier",
    }  # fmt: skip
    for section, keys in KEYS.items():
        assert plan[section].keys() == keys, section
    assert {key for item in plan["weights"] for key in item} == {"kind", "whole", "by_stage"}
    assert {key for item in plan["frontier"] for key in item} == {"batch", "context"}
    assert plan["roofline"]["prefill"][0].keys() == plan["roofline"]["decode"][0].keys() == SPEED
    assert plan["weights_whole"] == plan["need"]["weights"] == 80_297_329_824
    numbers = [value for section in ("need", "sequence", "workspace") for value in plan[section].values()]
    assert all(isinstance(value, int) for value in numbers)


def test_a_deployment_that_starts_exits_0_and_one_that_does_not_1() -> None:
    starts = trtnemo("plan", "--recipe", "dgx-spark")
    assert (starts.returncode, starts.stdout.split(":")[0]) == (0, "starts")
    assert "\n  fits with: batch 7 at 1,048,576 tokens\n" in starts.stdout
    fails = trtnemo("plan", "--recipe", "h100", "--hardware", "rtx-5090x2")
    assert (fails.returncode, fails.stderr) == (1, "")
    assert fails.stdout.startswith("does not fit: 2x GeForce RTX 5090, weights alone take 60.2 of 31.8 GiB\n")
    assert "longest context by batch: not one token fits" in fails.stdout
    alone = ("--hardware", "1xh100", "--set", "parallel.tensor=1", "--set", "parallel.expert=1")
    told = json.loads(trtnemo_here("plan", "--recipe", "h100", *alone, "--json").stdout)
    assert told["verdict"]["kind"] == "no"


def test_a_checkpoint_in_a_directory_is_planned_without_its_weights(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint("mixed")
    (directory / "model.safetensors").unlink()
    result = trtnemo_here("plan", "--recipe", "tiny", "--checkpoint", directory, "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["network"]["source"] == str(directory)


def test_acceptance_and_plot(tmp_path: Path) -> None:
    picture = tmp_path / "frontier.svg"
    result = trtnemo_here("plan", "--recipe", "b200", "--acceptance", "1", "--plot", picture)
    assert result.returncode == 0
    assert "4.00 tokens a step (1 of drafts accepted)" in result.stdout
    assert picture.read_text().startswith("<?xml")


def test_devices_are_listed_with_their_sources() -> None:
    result = trtnemo_here("plan", "--list-hardware")
    assert result.returncode == 0
    assert "\nh200: H200, 143,771 MiB, 4,800 GB/s\n" in result.stdout
    listed = json.loads(trtnemo_here("plan", "--list-hardware", "--json").stdout)
    assert [device["name"] for device in listed][:2] == ["cpu", "b200"]
    assert all(device["source"] for device in listed)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give --recipe"),
        (["--recipe", "b200", "--hardware", "b2000"], 2, "did you mean 'b200'"),
        (["--recipe", "b200", "--hardware", "b200x0"], 2, "asks for 0 devices"),
        (["--recipe", "b200", "--hardware", ""], 2, "is not a known device"),
        (["--recipe", "b200", "--set", "hardware.name=abacus"], 2, "'abacus' is not a known device"),
        (["--recipe", "b200", "--acceptance", "1.5"], 2, "1.5"),
        (["--recipe", "tiny", "--plot", "x.txt"], 2, "is not a .png, .svg or .pdf file"),
        (["--recipe", "tiny", "--plot", "/nowhere/x.png"], 2, "cannot be written"),
        (["--recipe", "none-such"], 3, "there is no recipe 'none-such'"),
        (["--recipe", "b200", "--set", "limits.max_batch_size=0"], 3, "limits.max_batch_size"),
        (["--recipe", "b200", "--set", "limits.max_seq_len=99999999999"], 3, "max_seq_len must be less"),
        (["--recipe", "b200", "--set", "parallel.tensor=3", "--set", "hardware.count=3"], 3, "cannot be split over 3"),
        (["--recipe", "b200", "--set", "parallel.tensor=2"], 3, "hardware.count is 1"),
        (["--recipe", "b200", "--checkpoint", "nvidia/Nemotron-H-56B-Base-8K"], 3, "has no draft head"),
        (["--recipe", "tiny", "--checkpoint", "none-such"], 4, "there is no such directory"),
        (["--recipe", "tiny", "--checkpoint", ""], 4, "has no name"),
        (["--recipe", "tiny", "--checkpoint", "~nobody-here/x"], 4, "there is no such directory"),
        (["--recipe", "tiny", "--checkpoint", "owner/none-such"], 4, "offline"),
        (["--recipe", "tiny", "--checkpoint", "."], 4, "config.json"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(arguments: list[Any], code: int, words: str, tmp_path: Path) -> None:
    result = trtnemo_here("plan", *arguments, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("changes", [{"n_routed_experts": 0}, {"n_routed_experts": 1 << 31}, {"hidden_size": "wide"}])
def test_a_config_that_no_network_has_is_refused(copy_checkpoint: Any, changes: Any) -> None:
    directory = copy_checkpoint("bf16")
    edit_config(directory, **changes)
    result = trtnemo_here("plan", "--recipe", "tiny", "--checkpoint", directory)
    assert result.returncode == 4
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the (checkpoint, revision) of every network that is looked for; a released one is planned in its place."""
    found, names = network_module.find_network, []

    def find(name: Any, revision: Any) -> Any:
        names.append((name, revision))
        return found("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4")

    monkeypatch.setattr(network_module, "find_network", find)
    return names


def test_a_recipes_revision_is_asked_of_its_own_checkpoint_alone(asked: Any) -> None:
    given = ("plan", "--recipe", "b200", "--set", "revision=v7")
    assert trtnemo_here(*given, "--set", "checkpoint=owner/own").returncode == 0
    assert trtnemo_here(*given, "--checkpoint", "owner/other").returncode == 0
    assert asked == [("owner/own", "v7"), ("owner/other", None)]


@pytest.mark.parametrize(
    ("hardware", "name", "count"),
    [(None, "b200", 8), ("h200", "h200", 8), ("h200x4", "h200", 4), ("2xh200", "h200", 2)],
)
def test_hardware_takes_the_recipes_count_unless_it_gives_one(
    asked: Any, hardware: str | None, name: str, count: int
) -> None:
    """Tensor parallel groups follow the recipe, so that only what names as many is planned."""
    words = ["plan", "--recipe", "b200x8-throughput", "--json", "--set", "parallel.expert=1"]
    words += ["--set", f"parallel.tensor={count}"] if count != 8 else []
    words += ["--hardware", hardware] if hardware else []
    plan = json.loads(trtnemo_here(*words).stdout)
    assert plan["device"]["name"] == name
    assert plan["deployment"]["devices"] == count


@pytest.mark.parametrize(("acceptance", "told"), [("0", "1.00 tokens a step (0 of"), (None, "(0.735 of")])
def test_no_acceptance_at_all_is_an_acceptance(asked: Any, acceptance: str | None, told: str) -> None:
    words = ["--acceptance", acceptance] if acceptance else []
    assert told in trtnemo_here("plan", "--recipe", "b200", *words).stdout


@pytest.mark.parametrize("value", ["nan", "-0.1", "1.01", "much"])
def test_an_acceptance_is_a_share(asked: Any, value: str) -> None:
    done = trtnemo_here("plan", "--recipe", "b200", "--acceptance", value)
    assert (done.returncode, done.stdout, asked) == (2, "", [])


def test_what_does_not_fit_exits_1_as_json_too() -> None:
    words = ["plan", "--recipe", "b200", "--hardware", "rtx-5090"]
    assert [trtnemo_here(*words, *more).returncode for more in ((), ("--json",))] == [1, 1]


def test_a_device_of_no_catalogue_is_planned_by_what_is_stated() -> None:
    words = ["plan", "--recipe", "b200", "--hardware", "my-gpu", "--set", "hardware.memory_mib=143771", "--json"]
    plan = json.loads(trtnemo_here(*words).stdout)
    assert plan["device"]["title"] == "my-gpu"
    assert (plan["device"]["memory_mib"], plan["device"]["compute_capability"]) == (143771, None)
    assert plan["roofline"]["decode"] == plan["roofline"]["prefill"] == []
    known = json.loads(trtnemo_here("plan", "--recipe", "b200", "--hardware", "h200", "--json").stdout)
    assert plan["need"] == known["need"]
    faster = json.loads(trtnemo_here(*words, "--set", "hardware.bandwidth_gbs=4800").stdout)["roofline"]["decode"]
    assert [speed["seconds"] for speed in faster][:3] == [speed["seconds"] for speed in known["roofline"]["decode"]][:3]


def test_a_plan_without_bandwidth_says_that_speed_has_no_bound() -> None:
    words = ["--set", "hardware.name=my-gpu", "--set", "hardware.memory_mib=183359"]
    said = trtnemo_here("plan", "--recipe", "b200", *words).stdout
    assert said.startswith("fits: 1x my-gpu")
    assert "no bound of speed: the recipe states no hardware.bandwidth_gbs" in said


def test_what_a_recipe_states_of_its_own_device_is_not_the_others(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("runtime: trtllm\nhardware: {name: h100, memory_mib: 1000}\ncheckpoint: tiny\n")
    given = json.loads(trtnemo_here("plan", "--recipe", recipe, "--hardware", "l40s", "--json").stdout)
    assert (given["device"]["memory_mib"], given["device"]["compute_capability"]) == (46068, "8.9")
    own = json.loads(trtnemo_here("plan", "--recipe", recipe, "--json").stdout)
    assert own["device"]["memory_mib"] == 1000
