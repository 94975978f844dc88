"""`trtnemo convert`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.cli.views.progress import byte_progress
from trtnemo.cli.weights.shards import read_shard_bytes, shard_option

if TYPE_CHECKING:
    from trtnemo.checkpoint.rewrite.converting.convert import Layout

_DIRECTORY = click.Path(path_type=Path)


@click.command()
@click.argument("source", type=_DIRECTORY)
@click.argument("output", type=_DIRECTORY)
@click.option("--to", "layout", type=click.Choice(["hub", "fused"]), default="hub", show_default=True,
              help="hub: one tensor an expert, ModelOpt's scales, as the releases are; fused: as transformers 5 holds "
              "the experts of a layer.")  # fmt: skip
@shard_option
@click.option("--force", is_flag=True, help="Overwrite OUTPUT if it holds a checkpoint.")
@json_option
def convert(source: Path, output: Path, layout: Layout, shard_gb: float, force: bool, as_json: bool) -> None:
    """Convert a checkpoint to the layout of the hub, or to fused experts.

    Reads what transformers 5, axolotl and mlx-lm (unquantized) write, and NVFP4 or FP8 of compressed-tensors
    (llm-compressor), which become ModelOpt's. No number is changed, only names, shapes and how scales are stored. The
    same command goes on where a run was killed.
    """
    shard_bytes = read_shard_bytes(shard_gb)
    from trtnemo.checkpoint import Checkpoint
    from trtnemo.checkpoint.rewrite.converting.convert import convert_stream

    checkpoint = Checkpoint.open(source)
    with byte_progress() as report:
        done = convert_stream(checkpoint, output, layout, shard_bytes=shard_bytes, force=force, report=report)
    lacks_head = checkpoint.config.has_mtp and not done.has_head
    if as_json:
        print_json({"output": str(output), "lacks_head": lacks_head, **dataclasses.asdict(done)})
        return
    counts = ", ".join(f"{count} {what}" for what, count in sorted(done.done.items()))
    click.echo(f"Wrote {output}: {done.tensors} tensors, {done.bytes:,} bytes; {counts}.")
    if done.files_kept:
        click.echo(f"{done.files_kept} of {done.files} files were there from an earlier run.")
    if lacks_head:
        click.echo(f"config.json promises an MTP head, and there is none: `trtnemo check {output} --repair NEW "
                   "--source BF16` takes one from the BF16 release.")  # fmt: skip
