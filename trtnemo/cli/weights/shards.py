"""The option that says how large the files of a new checkpoint are."""

from __future__ import annotations

import math

import click

from trtnemo.errors import UsageError

shard_option = click.option("--shard-gb", type=click.FloatRange(0.001), default=5.0, show_default=True,
                            help="GB of one new file.")  # fmt: skip


def read_shard_bytes(shard_gb: float) -> int:
    """Return bytes of a file; raises UsageError for what is no size."""
    if not math.isfinite(shard_gb):
        raise UsageError(f"{shard_gb} is no size of a file", where="--shard-gb")
    return int(shard_gb * 1e9)
