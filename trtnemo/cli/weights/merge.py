"""`trtnemo merge`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.cli.views.progress import byte_progress
from trtnemo.cli.weights.shards import read_shard_bytes, shard_option

_DIRECTORY = click.Path(path_type=Path)


@click.command()
@click.argument("base", type=_DIRECTORY)
@click.argument("output", type=_DIRECTORY)
@click.option("--adapter", "directories", type=_DIRECTORY, multiple=True, required=True,
              help="Directory of a LoRA adapter as PEFT saves it; may be given several times.")  # fmt: skip
@shard_option
@click.option("--force", is_flag=True, help="Overwrite OUTPUT if it holds a checkpoint.")
@json_option
def merge(base: Path, output: Path, directories: tuple[Path, ...], shard_gb: float, force: bool, as_json: bool) -> None:
    """Merge LoRA adapters into a BF16 checkpoint of any size.

    Adapters are as PEFT saves them: of linear layers, of experts one by one or fused, of the embedding; DoRA and
    modules_to_save too. Reads BASE tensor by tensor and writes OUTPUT in the hub's layout. The same command goes on
    where a run was killed. A quantized base is refused: merge first, then `trtnemo quantize`.
    """
    shard_bytes = read_shard_bytes(shard_gb)
    from trtnemo.checkpoint import Checkpoint
    from trtnemo.checkpoint.rewrite.merging.adapter import open_adapter
    from trtnemo.checkpoint.rewrite.merging.merge import merge_stream

    adapters = [open_adapter(directory) for directory in directories]
    with byte_progress() as report:
        done = merge_stream(Checkpoint.open(base), output, adapters, shard_bytes=shard_bytes, force=force,
                            report=report)  # fmt: skip
    if as_json:
        print_json({"output": str(output), **dataclasses.asdict(done)})
        return
    click.echo(f"Wrote {output}: {done.audit.tensors} tensors, {done.audit.bytes:,} bytes; adapters were added to "
               f"{done.merged} of the weights, and replaced {done.replaced}.")  # fmt: skip
    if done.files_kept:
        click.echo(f"{done.files_kept} of {done.files} files were there from an earlier run.")
    if done.unchanged:
        click.echo(f"{done.unchanged} weights kept all their bits: an adapter that was not trained, or changes too "
                   "little for the base's type.")  # fmt: skip
