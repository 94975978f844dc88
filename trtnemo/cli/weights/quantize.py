"""`trtnemo quantize`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from trtnemo.cli.options import json_option, print_json
from trtnemo.errors import UsageError


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--preset", type=click.Choice(["nvfp4", "fp8", "super"]), help="Formats by kind of layer.")
@click.option("--map", "map_file", type=click.Path(path_type=Path), help="YAML file of `module pattern: format`.")
@click.option("--calibration", type=click.Path(path_type=Path), required=True, help="Text file, one text per line.")
@click.option("--fp8-kv-cache/--no-fp8-kv-cache", default=True, show_default=True, help="Write KV cache scales.")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT if it holds a checkpoint.")
@json_option
def quantize(
    source: Path,
    output: Path,
    preset: str | None,
    map_file: Path | None,
    calibration: Path,
    fp8_kv_cache: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Quantize a BF16 checkpoint with ModelOpt.

    Reads SOURCE, writes OUTPUT in the hub's layout: per-layer formats, the MTP head carried over, names clean.
    """
    from trtnemo.checkpoint.rewrite.quantize import PRESETS, quantize_checkpoint
    from trtnemo.text import TextTokenizer

    if (preset is None) == (map_file is None):
        raise UsageError("give either --preset or --map")
    formats: Any = PRESETS[preset] if preset is not None else _read_map(map_file)
    tokenizer = TextTokenizer(source)
    texts = [tokenizer.encode(line) for line in _read_text(calibration).splitlines() if line.strip()]
    report = quantize_checkpoint(source, output, formats, texts, fp8_kv_cache=fp8_kv_cache, force=force)
    if as_json:
        print_json({"output": str(output), **dataclasses.asdict(report)})
    else:
        counts = ", ".join(f"{count} {name}" for name, count in report.formats.items())
        click.echo(f"Wrote {output}: {report.tensors} tensors, {report.bytes:,} bytes; linear weights: {counts}")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from None


def _read_map(path: Path | None) -> dict[str, str]:
    import yaml

    if path is None:
        return {}
    try:
        content = yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        raise UsageError(f"is not YAML: {error}", where=str(path)) from None
    if not isinstance(content, dict) or not all(isinstance(item, str) for pair in content.items() for item in pair):
        raise UsageError("is not a mapping of module patterns to formats", where=str(path))
    return content
