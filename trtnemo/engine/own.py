"""What our own runtimes honour of a recipe, checked before anything is built."""

from __future__ import annotations

from trtnemo.errors import MachineError, RecipeError
from trtnemo.recipe import AnyRecipe, CpuRecipe, TensorrtRecipe

OwnRecipe = CpuRecipe | TensorrtRecipe
_CACHES: dict[str, tuple[str, ...]] = {
    "cpu": ("auto", "float16", "float32"),
    "tensorrt": ("auto", "bfloat16", "float16", "float32"),
}
_REASONS = {
    # KVCacheUpdate of TensorRT 11 and TensorRT for RTX 1.7 takes float, half and bfloat16
    ("tensorrt", "fp8"): "TensorRT updates no FP8 cache in place",
}


def require_own(recipe: AnyRecipe) -> OwnRecipe:
    """Return the recipe if one of our own runtimes honours every field; raises MachineError or RecipeError."""
    if not isinstance(recipe, CpuRecipe | TensorrtRecipe):
        raise MachineError(
            f"this version builds no engine for runtime '{recipe.runtime}'",
            remedy="`trtnemo doctor` lists what works here",
        )
    runtime, dtype = recipe.runtime, recipe.kv_cache.dtype
    if dtype not in _CACHES[runtime]:
        reason = _REASONS.get((runtime, dtype), f"runtime '{runtime}' does not do that yet")
        raise RecipeError(f"'kv_cache.dtype' asks for {dtype}: {reason}", remedy="Leave it at its default")
    if any(size > 1 for size in recipe.parallel.model_dump().values()):
        raise RecipeError(
            f"'parallel' asks for what runtime '{runtime}' does not do yet", remedy="Leave it at its default"
        )
    return recipe


def require_torch_fields(recipe: CpuRecipe) -> None:
    """Raise RecipeError where a recipe asks the torch lowering for what only the native one does."""
    asked = {
        "kv_cache.dtype": recipe.kv_cache.dtype == "float16",
        "cpu.activations": recipe.cpu.activations == "int8",
        "cpu.ssm_state": recipe.cpu.ssm_state == "float16",
        "cpu.kv_tokens": recipe.cpu.kv_tokens is not None,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise RecipeError(
                f"'{name}' asks for what the torch lowering does not do",
                remedy="Leave it at its default, or set 'cpu.lowering' to native",
            )
