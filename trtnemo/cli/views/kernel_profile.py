"""The profile of an engine of runtime 'cuda', for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trtnemo.bench.kernels import KernelProfile


def print_kernel_profile(found: KernelProfile) -> None:
    """Print kernels with their times, and the time of a captured step beside their sum."""
    if found.interpreted:
        click.echo("interpreted on this CPU: these times say nothing about a GPU")
    for what, costs in (("a decoded token", found.decode), ("a prompt", found.prefill)):
        total = sum(cost.seconds for cost in costs)
        click.echo(f"\n{what}: {total * 1e6:,.0f} us in kernels")
        click.echo(f"  {'kernel':<24}{'launches':>10}{'us':>12}{'share':>8}")
        for cost in costs:
            share = cost.seconds / total if total else 0.0
            click.echo(f"  {cost.name:<24}{cost.launches:>10.0f}{cost.seconds * 1e6:>12.1f}{share:>8.1%}")
    click.echo(f"\na decode step as it is served, captured: {found.captured * 1e6:,.0f} us")
