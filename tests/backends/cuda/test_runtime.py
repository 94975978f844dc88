"""What the CUDA runtime honours of a recipe, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from trtnemo.backends.cuda.runtime import read_capability
from trtnemo.engine.own import check_own
from trtnemo.errors import RecipeError
from trtnemo.recipe import CudaRecipe, load_recipe, shipped_names

RECIPES = [name for name in shipped_names() if name.endswith("-cuda")]


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_fits_its_device(name: str) -> None:
    checked = check_own(load_recipe(name))
    assert any(sentence.startswith("fits: 1x") for sentence in checked), checked


def test_seven_devices_have_a_recipe() -> None:
    assert len(RECIPES) == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("hardware.compute_capability=7.5",), "has no bfloat16 products"),
        (("hardware.count=2",), "uses one device"),
        (("cuda.kv_tokens=1000",), "less than one sequence"),
        (("cuda.native_fp4=true",), "no FP4 products"),
        (("cuda.native_fp8=true", "hardware.compute_capability=8.0"), "no FP8 products"),
        (("parallel.tensor=2",), "does not do yet"),
        (("hardware.name=h100", "limits.max_batch_size=64"), "does not fit|do not fit|spare|over"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_built(settings: Any, message: str) -> None:
    recipe = load_recipe("h200-cuda", settings)
    with pytest.raises(RecipeError, match=message):
        check_own(recipe)


def test_the_capability_of_a_known_device_need_not_be_said() -> None:
    recipe = load_recipe("h200-cuda", ("hardware.compute_capability=null",))
    assert isinstance(recipe, CudaRecipe)
    assert read_capability(recipe) == (9, 0)


def test_a_device_that_nobody_knows_must_say_its_capability() -> None:
    own = ("hardware.name=own", "hardware.memory_mib=90000", "hardware.compute_capability=null")
    recipe = load_recipe("h200-cuda", own)
    assert isinstance(recipe, CudaRecipe)
    with pytest.raises(RecipeError, match="compute_capability"):
        read_capability(recipe)
