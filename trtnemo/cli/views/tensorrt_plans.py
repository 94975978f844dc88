"""How plans, and a comparison of their interpretation with torch, are printed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trtnemo.backends.tensorrt.lower.index import PlanIndex
    from trtnemo.runtime.comparison.result import Comparison


def print_plans(index: PlanIndex) -> None:
    """Print a row per plan: what it runs, how many layers share it, time and bytes of its build."""
    click.echo(
        f"{len(index.plans)} plans for compute capability {index.compute_capability}, by {product(index)} "
        f"on {index.host}; compiled, never run"
    )
    click.echo(f"  {'kind':<13}{'phase':<9}{'layers':>6}{'seconds':>9}{'plan bytes':>12}{'activation bytes':>18}")
    for plan in index.plans:
        click.echo(
            f"  {plan.kind:<13}{plan.phase:<9}{len(plan.paths):>6}{plan.seconds:>9.2f}{plan.plan_bytes:>12,}"
            f"{plan.activation_bytes:>18,}"
        )


def product(index: PlanIndex) -> str:
    """Return the builder's name and version."""
    name = "TensorRT for RTX" if index.flavor == "rtx" else "TensorRT"
    return f"{name} {index.version}"


def print_comparison(comparison: Comparison) -> None:
    """Print the worst block first, then how often the most probable token agrees."""
    worst = comparison.worst
    click.echo(
        f"Interpreted beside torch, {len(comparison.blocks)} blocks; the worst: {worst.path} ({worst.kind}, "
        f"{worst.phase}) differs by {worst.difference:.2e}, {worst.relative:.1e} of its largest number "
        f"(allowed {comparison.tolerance:g})"
    )
    click.echo(
        f"  most probable token equal in {comparison.same_top} of {comparison.rows} rows, "
        f"of drafts in {comparison.same_draft_top} of {comparison.draft_rows}; logits differ by at most "
        f"{comparison.logits_difference:.2e} of {comparison.largest_logit:.3g}"
    )
    click.secho("agrees" if comparison.passed else "differs", bold=True)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data, blocks from the worst down."""
    data = dataclasses.asdict(comparison)
    blocks = [{**dataclasses.asdict(block), "relative": block.relative} for block in comparison.blocks]
    return {**data, "blocks": blocks, "passed": comparison.passed}
