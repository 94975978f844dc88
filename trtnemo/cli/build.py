"""`trtnemo build`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trtnemo.cli.options import default_engine, json_option, print_json, require_interpreted, set_option
from trtnemo.cli.views.cuda_kernels import print_kernels, read_kernel_index
from trtnemo.cli.views.progress import byte_progress
from trtnemo.cli.views.tensorrt_plans import comparison_json, print_comparison, print_plans
from trtnemo.errors import EngineError

if TYPE_CHECKING:
    from trtnemo.backends.tensorrt.lower.index import PlanIndex
    from trtnemo.engine.manifest import AnyManifest
    from trtnemo.runtime.comparison.result import Comparison


@click.command()
@click.option("--recipe", default="tiny", show_default=True, help="Name or path of a recipe.")
@click.option("--checkpoint", help="Directory or hub id, instead of the recipe's checkpoint.")
@click.option("--output", type=click.Path(path_type=Path), help="Engine directory.  [default: engines/RECIPE]")
@click.option("--force", is_flag=True, help="Overwrite --output if it holds an engine.")
@click.option(
    "--interpret",
    is_flag=True,
    help="Then compute on the CPU what was made for a device (TensorRT networks layer by layer, CUDA kernels in "
    "numpy) and compare it with torch: seconds to minutes for `tiny`. Exits 5 where they differ.",
)
@set_option
@json_option
@click.pass_context
def build(
    context: click.Context,
    recipe: str,
    checkpoint: str | None,
    output: Path | None,
    force: bool,
    interpret: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Build the engine of a recipe.

    For our own runtimes that is a directory of weights, graph and (tensorrt) serialized plans or (cuda) kernels, which
    need no GPU to compile; for trtllm, vLLM and SGLang a sealed bundle: audited checkpoint reference, rendered files,
    command and environment. The recipe and the checkpoint are checked first. The engine is written atomically; plans
    that an interrupted build had finished are reused.
    """
    from trtnemo.launch.build import build_from_recipe

    started = time.monotonic()
    directory = output or default_engine(recipe)
    if interpret:
        _require_interpreted(recipe, settings)
    with byte_progress() as progress:
        manifest = build_from_recipe(
            recipe, directory, settings=settings, checkpoint=checkpoint, force=force, progress=progress
        )
    seconds = time.monotonic() - started
    report: dict[str, Any] = {
        "engine": str(directory),
        "seconds": round(seconds, 3),
        **manifest.model_dump(mode="json"),
    }
    plans = _read_plans(directory, manifest)
    if plans is not None:
        report["plans"] = plans.summary()
    kernels = read_kernel_index(directory)
    if kernels is not None:
        report["kernels"] = kernels.summary()
    if not as_json:
        click.echo(f"Built {directory} in {seconds:.1f} s {_summary(manifest)}")
        if plans is not None:
            print_plans(plans)
        if kernels is not None:
            print_kernels(kernels)
    passed = True
    if interpret:
        comparison = _interpret(directory)
        report["interpreted"] = comparison_json(comparison)
        passed = comparison.passed
        if not as_json:
            print_comparison(comparison)
    if as_json:
        print_json(report)
    if not passed:
        context.exit(EngineError.exit_code)


def _read_plans(directory: Path, manifest: AnyManifest) -> PlanIndex | None:
    if manifest.runtime != "tensorrt":
        return None
    from trtnemo.backends.tensorrt.plans import read_index

    return read_index(directory)


def _interpret(directory: Path) -> Comparison:
    from trtnemo.engine import Engine
    from trtnemo.runtime.comparison.compare import compare

    with byte_progress() as report:
        report("interpreting beside torch", 0, 0)
        return compare(Engine.open(directory))


def _require_interpreted(recipe: str, settings: tuple[str, ...]) -> None:
    from trtnemo.recipe import load_recipe

    require_interpreted(load_recipe(recipe, settings).runtime)


def _summary(manifest: AnyManifest) -> str:
    from trtnemo.engine.manifest import Manifest

    checkpoint = manifest.checkpoint
    if isinstance(manifest, Manifest):
        record = manifest.checkpoint
        return f"from {record.name}: {record.tensors} tensors, {record.bytes:,} bytes"
    reference = manifest.checkpoint
    audited = "audited" if reference.audited else f"not audited: {reference.reason}"
    warnings = sum(finding["severity"] == "warning" for finding in manifest.findings)
    issues = f"; {warnings} known issue{'s' if warnings > 1 else ''}: see `trtnemo check`" if warnings else ""
    return f"for {manifest.checked_against}, checkpoint {checkpoint.name} ({audited}){issues}"
