"""The catalogue of devices, how they are named, and this machine."""

from __future__ import annotations

import os
from typing import Any

import pytest

from trtnemo.errors import UsageError
from trtnemo.plan.hardware import catalogue_names, find_device, parse_hardware
from trtnemo.recipe import load_recipe, shipped_names

# gigabytes as NVIDIA sells them, and gigabytes a second of its data sheets
SOLD = {
    "b200": (192, 8000),
    "gb200": (192, 8000),
    "b300": (288, 8000),
    "a100": (80, 2039),
    "h100": (80, 3350),
    "h200": (141, 4800),
    "dgx-spark": (128, 273),
    "rtx-pro-6000": (96, 1792),
    "rtx-5090": (32, 1792),
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


def test_every_device_of_the_catalogue_is_held_here_and_every_recipes_is_in_it() -> None:
    assert set(catalogue_names()) == {"cpu", *SOLD}
    recipes = [load_recipe(name).hardware for name in shipped_names()]
    for hardware in recipes:
        device = find_device(hardware.name)
        assert hardware.compute_capability == device.compute_capability


def test_this_machine_is_measured() -> None:
    device = find_device("cpu")
    assert device.memory_mib == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert device.bandwidth_gbs > 0.1
    assert device.peak("fp4") == device.peak("bf16") > 1e8
