"""How an engine's CUDA kernels are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from trtnemo.backends.cuda.kernel_index import KernelIndex


def read_kernel_index(directory: Path) -> KernelIndex | None:
    """Return the index of an engine's kernels, or None where they are left to the device; raises EngineError."""
    from trtnemo.backends.cuda.kernel_index import KERNEL_INDEX, read_kernels

    return read_kernels(directory) if (directory / KERNEL_INDEX).is_file() else None


def print_kernels(index: KernelIndex) -> None:
    """Print a row per kernel: its forms, what the worst of them takes, and the launches of steps."""
    click.echo(
        f"{len(index.kernels)} kernels for compute capability {index.compute_capability}, by Triton {index.triton}; "
        "compiled, never run"
    )
    click.echo(f"  {'kernel':<20}{'forms':>6}{'registers':>11}{'spilled':>9}{'shared bytes':>14}{'cubin bytes':>13}")
    for name in sorted({record.kernel for record in index.kernels}):
        forms = [record for record in index.kernels if record.kernel == name]
        most = [max(getattr(record, key) for record in forms) for key in ("registers", "spilled", "shared")]
        size = sum(record.nbytes for record in forms)
        click.echo(f"  {name:<20}{len(forms):>6}{most[0]:>11}{most[1]:>9}{most[2]:>14,}{size:>13,}")
    click.echo(f"  launches: {', '.join(f'{step}: {count}' for step, count in index.launches.items())}")
