"""`trtnemo quantize`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.cli.views.progress import byte_progress
from trtnemo.cli.weights.formats import PRESET_NAMES, RECIPE_SEARCHES, read_formats_of, read_map_of
from trtnemo.cli.weights.shards import read_shard_bytes, shard_option
from trtnemo.cli.weights.texts import read_texts
from trtnemo.errors import UsageError

if TYPE_CHECKING:
    from trtnemo.checkpoint import AuditReport
    from trtnemo.checkpoint.format.encoder import Search

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--preset", type=click.Choice(PRESET_NAMES), help="Formats by kind of layer, or as a release has them.")
@click.option("--map", "map_file", type=_FILE, help="YAML file of `module pattern: format`.")
@click.option("--modelopt-recipe", "recipe_file", type=_FILE, help="Recipe file of ModelOpt (recipe_type: ptq).")
@click.option("--input-scales-from", metavar="CHECKPOINT", help="Quantized checkpoint of the same network, whose "
              "scales of inputs, keys and values are taken.")  # fmt: skip
@click.option("--calibrate", type=_FILE, metavar="TEXTS", help="Text file, one text per line (or .jsonl): trtnemo runs "
              "the network over it, layer after layer, for the scales of inputs, keys and values.")  # fmt: skip
@click.option("--calibrate-tokens", type=click.IntRange(1, 1 << 17), default=8192, show_default=True,
              help="With --calibrate: how many tokens; memory and time grow with them.")  # fmt: skip
@click.option("--weight-only", is_flag=True, help="NVFP4 weights, inputs in BF16; what would be FP8 stays plain.")
@click.option("--search", type=click.Choice(["max", "four-over-six", "mse"]), help="How scales of NVFP4 blocks are "
              "chosen: by the largest number, or by the error left.  [default: the recipe's, else max]")  # fmt: skip
@click.option("--calibration", type=_FILE, help="Text file, one text per line: ModelOpt runs the model, in memory, "
              "for the scales of inputs.")  # fmt: skip
@click.option("--stream", is_flag=True, help="Write tensor by tensor: always so, but with --calibration.")
@click.option("--fp8-kv-cache/--no-fp8-kv-cache", default=True, show_default=True, help="Write KV cache scales, where "
              "there are some.")  # fmt: skip
@shard_option
@click.option("--force", is_flag=True, help="Overwrite OUTPUT if it holds a checkpoint.")
@json_option
def quantize(
    source: Path,
    output: Path,
    preset: str | None,
    map_file: Path | None,
    recipe_file: Path | None,
    input_scales_from: str | None,
    calibrate: Path | None,
    calibrate_tokens: int,
    weight_only: bool,
    search: Search | None,
    calibration: Path | None,
    stream: bool,
    fp8_kv_cache: bool,
    shard_gb: float,
    force: bool,
    as_json: bool,
) -> None:
    """Quantize a BF16 checkpoint of any size.

    Reads SOURCE tensor by tensor and writes OUTPUT in the hub's layout, in bounded memory, with the bits that ModelOpt
    writes for max calibration; the MTP head is carried over. The same command goes on where a run was killed. The
    scales of inputs come from --input-scales-from, or from --calibrate, or there are none with --weight-only. With
    --calibration, ModelOpt itself runs the model, which must fit in memory.
    """
    shard_bytes = read_shard_bytes(shard_gb)
    if sum(given is not None for given in (preset, map_file, recipe_file)) != 1:
        raise UsageError("give one of --preset, --map and --modelopt-recipe")
    if sum(given is not None for given in (calibration, calibrate, input_scales_from)) + weight_only > 1:
        raise UsageError("give one of --calibrate, --calibration, --input-scales-from and --weight-only")
    if calibration is not None and stream:
        raise UsageError("--calibration has ModelOpt hold the model in memory: it does not go with --stream",
                         remedy="Give --calibrate")  # fmt: skip
    if calibration is not None and search is not None:
        raise UsageError("--search is not ModelOpt's: it does not go with --calibration")
    if calibration is not None:
        formats = read_formats_of(preset, map_file)
        _print(output, _calibrated(source, output, formats, calibration, fp8_kv_cache, force), {}, as_json)
        return
    from trtnemo.checkpoint import Checkpoint
    from trtnemo.checkpoint.rewrite.maps.weight_only import weight_only as without_inputs
    from trtnemo.checkpoint.rewrite.quantizing.quantize import quantize_stream
    from trtnemo.checkpoint.rewrite.stream.run import require_place

    checkpoint = Checkpoint.open(source)
    target, of_recipe = read_map_of(checkpoint.config, preset, map_file, recipe_file, fp8_kv_cache)
    plain = 0
    if weight_only:
        target, plain = without_inputs(target)
    scalars, calibrated = None, ""
    require_place(output, {checkpoint.directory}, force)
    if calibrate is not None:
        from trtnemo.cli.weights.calibrate import calibrated_scalars

        scalars, calibrated = calibrated_scalars(checkpoint, target, calibrate, calibrate_tokens)
    if input_scales_from is not None:
        from trtnemo.checkpoint.rewrite.quantizing.scalars import read_scalars

        scalars = read_scalars(checkpoint.config, target, Checkpoint.open(input_scales_from))
    with byte_progress() as report:
        done = quantize_stream(checkpoint, output, target, scalars=scalars, search=search or of_recipe,
                               shard_bytes=shard_bytes,
                               force=force, report=report)  # fmt: skip
    told = {"files": done.files, "files_kept": done.files_kept, "fp8_left_plain": plain,
            "cache_scales": done.cache_scales}  # fmt: skip
    notes = [
        calibrated,
        f"Scales of blocks are set by the largest number; the recipe of that release searches them: --search "
        f"{RECIPE_SEARCHES[preset]}."
        if preset in RECIPE_SEARCHES and search is None
        else "",
        f"{done.files_kept} of {done.files} files were there from an earlier run." if done.files_kept else "",
        f"{plain} layers stay plain that the map has in FP8, which needs scales of inputs." if plain else "",
        "No scales of keys and values were found: the KV cache is not said to be FP8."
        if target.fp8_kv_cache and not done.cache_scales
        else "",
    ]
    _print(output, done.audit, told, as_json, notes)


def _calibrated(
    source: Path, output: Path, formats: Any, calibration: Path, fp8_kv_cache: bool, force: bool
) -> AuditReport:
    from trtnemo.checkpoint.rewrite.quantize import quantize_checkpoint
    from trtnemo.text import TextTokenizer

    tokenizer = TextTokenizer(source)
    texts = [tokenizer.encode(text) for text in read_texts(calibration)]
    return quantize_checkpoint(source, output, formats, texts, fp8_kv_cache=fp8_kv_cache, force=force)


def _print(output: Path, report: AuditReport, told: dict[str, int], as_json: bool, notes: Sequence[str] = ()) -> None:
    if as_json:
        print_json({"output": str(output), **dataclasses.asdict(report), **told})
        return
    counts = ", ".join(f"{count} {name}" for name, count in report.formats.items())
    click.echo(f"Wrote {output}: {report.tensors} tensors, {report.bytes:,} bytes; linear weights: {counts}")
    for note in notes:
        if note:
            click.echo(note)
