"""The catalogue of devices, how they are named, and this machine."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from trtnemo.errors import UsageError
from trtnemo.memory import usable_memory
from trtnemo.plan.hardware import catalogue_names, find_device, parse_hardware, recipe_device
from trtnemo.recipe import load_recipe, shipped_names
from trtnemo.recipe.shared import Hardware

# gigabytes as NVIDIA sells them, and gigabytes a second of its data sheets
SOLD = {
    "b200": (192, 8000),
    "gb200": (192, 8000),
    "b300": (288, 8000),
    "gb300": (288, 8000),
    "a100": (80, 2039),
    "h100": (80, 3350),
    "h200": (141, 4800),
    "dgx-spark": (128, 273),
    "rtx-pro-6000": (96, 1792),
    "rtx-5090": (32, 1792),
    "rtx-4090": (24, 1008),
    "rtx-4090-laptop": (16, 576),
    "rtx-6000-ada": (48, 960),
    "l40s": (48, 864),
    "l4": (24, 300),
    "a10": (24, 600),
    "jetson-thor": (128, 273),
}
# as users paste them of each device: nvidia-smi's total, or what vLLM calls the total where nvidia-smi shows none
SEEN_MIB = {
    "gb300": 284208,
    "l40s": 46068,
    "l4": 23034,
    "a10": 23028,
    "rtx-6000-ada": 49140,
    "rtx-4090": 24564,
    "rtx-4090-laptop": 16376,
    "jetson-thor": int(122.82 * 1024),
}
# NVIDIA's table of compute capabilities
CAPABILITIES = {
    "8.6": ("a10",),
    "8.9": ("l40s", "l4", "rtx-4090", "rtx-4090-laptop", "rtx-6000-ada"),
    "10.3": ("b300", "gb300"),
    "11.0": ("jetson-thor",),
}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("b200", ("b200", None)),
        ("b200x2", ("b200", 2)),
        ("2xb200", ("b200", 2)),
        ("rtx-pro-6000", ("rtx-pro-6000", None)),
        ("rtx-5090x4", ("rtx-5090", 4)),
        ("2xb200x2", ("2xb200x2", None)),
    ],
)
def test_a_count_stands_before_or_after_the_name(text: str, meaning: Any) -> None:
    assert parse_hardware(text) == meaning


@pytest.mark.parametrize("text", ["b200x0", "0xb200", "b200x99999999999999", "b200x65537"])
def test_a_count_that_nobody_has_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="devices"):
        parse_hardware(text)


@pytest.mark.parametrize("name", ["b2000", "_", "", "B200", "cpux2"])
def test_an_unknown_device_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="Known: cpu, b200"):
        find_device(name)


@pytest.mark.parametrize("name", SOLD)
def test_devices_have_the_memory_and_bandwidth_that_is_sold(name: str) -> None:
    device, (gigabytes, bandwidth) = find_device(name), SOLD[name]
    # what nvidia-smi shows is a little less or more than the round number in GB or GiB
    assert 0.93 * gigabytes * 1e9 <= device.memory_bytes <= 1.075 * gigabytes * 1e9
    assert device.bandwidth_gbs == bandwidth
    assert len(device.source) > 40
    wider = [peak for peak in (device.bf16, device.fp8, device.fp4) if peak is not None]
    assert wider == sorted(wider)


@pytest.mark.parametrize("name", SEEN_MIB)
def test_a_device_has_the_memory_that_users_see_of_it(name: str) -> None:
    assert find_device(name).memory_mib == SEEN_MIB[name]


@pytest.mark.parametrize(("capability", "names"), CAPABILITIES.items())
def test_a_device_has_its_compute_capability(capability: str, names: tuple[str, ...]) -> None:
    assert {find_device(name).compute_capability for name in names} == {capability}


def test_devices_that_share_their_memory_with_the_cpu_say_so() -> None:
    assert {name for name in SOLD if find_device(name).unified} == {"dgx-spark", "jetson-thor"}


def test_a_device_of_no_catalogue_is_what_the_recipe_states() -> None:
    stated = {"memory_mib": 49140, "bandwidth_gbs": 864.0, "compute_capability": "8.9"}
    device = recipe_device(Hardware(name="my-gpu", **stated))
    assert (device.name, device.title) == ("my-gpu", "my-gpu")
    assert device.model_dump(include=set(stated)) == stated
    assert device.memory_bytes == 49140 << 20
    assert device.bandwidth == 864e9
    assert device.peak("fp8") == device.peak("bf16") == math.inf


def test_a_device_of_no_catalogue_without_memory_is_refused_with_how_to_state_it() -> None:
    with pytest.raises(UsageError, match=r"'my-gpu' is not a known device.*hardware\.memory_mib"):
        recipe_device(Hardware(name="my-gpu", bandwidth_gbs=864))


def test_what_a_recipe_states_stands_over_the_catalogue_and_the_source_says_so() -> None:
    plain, changed = find_device("h100"), recipe_device(Hardware(name="h100", memory_mib=95830))
    assert changed.memory_mib == 95830
    assert changed.model_dump(exclude={"memory_mib", "source"}) == plain.model_dump(exclude={"memory_mib", "source"})
    assert changed.source == f"{plain.source}; memory_mib 95830 as the recipe states it"
    assert recipe_device(Hardware(name="h100", compute_capability="9.0")) == plain


@pytest.mark.parametrize("field", ["memory_mib", "bandwidth_gbs"])
@pytest.mark.parametrize("value", [0, -1, 1e30])
def test_memory_and_bandwidth_that_no_device_has_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        Hardware(name="my-gpu", **{field: value})


def test_every_device_of_the_catalogue_is_held_here_and_every_recipes_is_in_it() -> None:
    assert set(catalogue_names()) == {"cpu", *SOLD}
    recipes = [load_recipe(name).hardware for name in shipped_names()]
    for hardware in recipes:
        device = find_device(hardware.name)
        assert hardware.compute_capability == device.compute_capability


def test_this_machine_is_measured() -> None:
    device = find_device("cpu")
    assert device.memory_mib == usable_memory() >> 20
    assert device.bandwidth > 0.1e9
    assert device.peak("fp4") == device.peak("bf16") > 1e8
