"""Recipes: one frozen typed object per YAML file, discriminated by `runtime`."""

from trtnemo.recipe.load import load_recipe, validate
from trtnemo.recipe.runtimes import (
    AnyRecipe,
    CpuRecipe,
    CudaRecipe,
    ExternalRecipe,
    OwnRecipe,
    TensorrtRecipe,
    json_schema,
)
from trtnemo.recipe.source import shipped_names

__all__ = [
    "AnyRecipe",
    "CpuRecipe",
    "CudaRecipe",
    "ExternalRecipe",
    "OwnRecipe",
    "TensorrtRecipe",
    "json_schema",
    "load_recipe",
    "shipped_names",
    "validate",
]
