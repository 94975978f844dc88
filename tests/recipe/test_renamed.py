"""A recipe key under its old name is read for one release, with one warning that says where it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import trtnemo_here
from trtnemo.errors import RecipeError, RenamedKeyWarning
from trtnemo.recipe import TensorrtRecipe, load_recipe
from trtnemo.recipe.load import load_recorded
from trtnemo.recipe.renamed import RENAMED, with_new_names
from trtnemo.recipe.runtimes import RECIPE_TYPES
from trtnemo.recipe.source import locate

OLD, NEW = "tensorrt.products=float32", "tensorrt.matmul_dtype=float32"


def test_an_old_name_gives_the_recipe_of_the_new_one_and_warns() -> None:
    with pytest.warns(RenamedKeyWarning, match=r"^--set: 'tensorrt\.products' is now called 'tensorrt\.matmul_dtype'"):
        old = load_recipe("rtx-pro-6000", [OLD])
    assert old == load_recipe("rtx-pro-6000", [NEW])
    assert isinstance(old, TensorrtRecipe)
    assert old.tensorrt.matmul_dtype == "float32"


def test_the_warning_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    lines = locate("rtx-pro-6000").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("tensorrt:")]
    path.write_text("\n".join([*kept, "tensorrt:", "  flavor: auto", "  products: float16", ""]))
    with pytest.warns(RenamedKeyWarning, match=rf"mine\.yaml:{len(kept) + 3}: 'tensorrt\.products'"):
        recipe = load_recipe(path)
    assert isinstance(recipe, TensorrtRecipe)
    assert recipe.tensorrt.matmul_dtype == "float16"


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(RecipeError, match="and both are given"):
        load_recipe("rtx-pro-6000", [OLD, NEW])


def test_a_wrong_value_under_an_old_name_is_told_under_the_new_one() -> None:
    with (
        pytest.warns(RenamedKeyWarning),
        pytest.raises(RecipeError, match=r"--set: 'tensorrt\.matmul_dtype' .*not 'int3'"),
    ):
        load_recipe("rtx-pro-6000", ["tensorrt.products=int3"])


def test_what_an_engine_recorded_under_an_old_name_is_read_without_a_warning() -> None:
    recorded = json.loads(load_recipe("rtx-pro-6000").model_dump_json())
    recorded["tensorrt"]["products"] = recorded["tensorrt"].pop("matmul_dtype")
    assert load_recorded(recorded) == load_recipe("rtx-pro-6000")


@pytest.mark.parametrize("data", [{}, {"tensorrt": None}, {"tensorrt": "products"}, {"tensorrt": ["products"]}])
def test_a_section_that_is_none_is_left_to_validation(data: dict[str, Any]) -> None:
    assert with_new_names(data) == data


def test_every_new_name_is_a_key_and_no_old_one_is() -> None:
    for (section, old), new in RENAMED.items():
        sections: list[Any] = [
            model.model_fields[section] for model in RECIPE_TYPES.values() if section in model.model_fields
        ]
        keys = [found.annotation.model_fields.keys() for found in sections]
        assert keys
        assert all(new in found and old not in found for found in keys)


def test_a_command_writes_the_warning_as_one_line_on_stderr() -> None:
    shown = trtnemo_here("recipes", "show", "rtx-pro-6000", "--set", OLD, "--json")
    lines = [line for line in shown.stderr.splitlines() if "products" in line]
    assert lines == [
        "trtnemo: warning: --set: 'tensorrt.products' is now called 'tensorrt.matmul_dtype'; the next release drops "
        "the old name"
    ]
    json.loads(shown.stdout)
