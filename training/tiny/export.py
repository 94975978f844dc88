"""Write a finished run as a BF16 checkpoint in the hub's layout, then quantize it to tiny's mixed map.

usage: python -m training.tiny.export [RUN] --bf16 DIR [--output trtnemo/assets/tiny] [--fp8 DIR]

Without RUN the BF16 checkpoint is there already, such as training/run/bf16.
"""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import click
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer

from training.tiny.architecture import CONFIG
from training.tiny.chats.corpus import generate
from training.tiny.initial import spread_final_norm, to_hub
from training.tiny.tokenizer import render
from training.tiny.train import STATE
from trtnemo.checkpoint.rewrite.quantize import Format, quantize_checkpoint

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")
# Formats differ from layer to layer, as the released map's do: experts NVFP4, one shared matrix too, Mamba and the
# other shared matrices FP8 here and BF16 there, one latent projection and the attention output FP8.
FORMATS: dict[str, Format] = {
    "*.mixer.experts": "nvfp4",
    "backbone.layers.0.mixer.in_proj": "fp8",
    "backbone.layers.0.mixer.out_proj": "fp8",
    "backbone.layers.1.mixer.fc1_latent_proj": "fp8",
    "backbone.layers.1.mixer.shared_experts.up_proj": "fp8",
    "backbone.layers.1.mixer.shared_experts.down_proj": "nvfp4",
    "backbone.layers.2.mixer.out_proj": "fp8",
    "backbone.layers.3.mixer.o_proj": "fp8",
    "backbone.layers.4.mixer.shared_experts.down_proj": "fp8",
    "backbone.layers.5.mixer.in_proj": "fp8",
    "backbone.layers.6.mixer.shared_experts.up_proj": "fp8",
    "backbone.layers.6.mixer.shared_experts.down_proj": "fp8",
}
# Every matrix that the released FP8 checkpoint quantizes; for the report only, it is not shipped.
FP8_FORMATS: dict[str, Format] = {
    f"*.mixer.{name}": "fp8"
    for name in ("experts", "in_proj", "out_proj", "shared_experts.up_proj", "shared_experts.down_proj")
}
CALIBRATION_CHATS = 64


def write_bf16(run: Path, output: Path) -> None:
    """Write the run's weights, config and tokenizer to `output`, which is replaced."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    with safe_open(run / STATE, framework="pt") as file:
        names = [name for name in list(file.keys()) if name.startswith("weight/")]
        weights = {name.removeprefix("weight/"): file.get_tensor(name) for name in names}
    save_file(spread_final_norm(to_hub(weights)), output / "model.safetensors", metadata={"format": "pt"})
    (output / "config.json").write_text(json.dumps(CONFIG, indent=1), encoding="utf-8")
    for name in TOKENIZER_FILES:
        shutil.copyfile(run / name, output / name)


def calibration_chats(tokenizer: Tokenizer, count: int, seed: int = 99) -> list[list[int]]:
    """Return the token ids of some chats of the corpus."""
    chats = itertools.islice(generate(seed), count)
    return [tokenizer.encode(render(chat), add_special_tokens=False).ids for chat in chats]


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--bf16", type=click.Path(path_type=Path), required=True, help="directory of the BF16 checkpoint")
@click.option("--output", type=click.Path(path_type=Path), help="directory for tiny's mixed map")
@click.option("--fp8", type=click.Path(path_type=Path), help="directory for one in FP8, to compare with")
def main(run: Path | None, bf16: Path, output: Path | None, fp8: Path | None) -> None:
    """Export RUN, first to BF16, then through ModelOpt."""
    if run is not None:
        write_bf16(run, bf16)
    tokenizer = Tokenizer.from_file(str(bf16 / "tokenizer.json"))
    chats = calibration_chats(tokenizer, CALIBRATION_CHATS)
    for target, formats in ((output, FORMATS), (fp8, FP8_FORMATS)):
        if target is not None:
            report = quantize_checkpoint(bf16, target, formats, chats, force=True)
            click.echo(f"{target}: {report.bytes:,} bytes, {report.formats}")


if __name__ == "__main__":
    main()
