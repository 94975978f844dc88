"""Write a checkpoint with every weight decoded to float32 by ModelOpt and torch, for a peer that cannot read it itself.

usage: PYTHONPATH=.:tests python scripts/decode.py CHECKPOINT_DIRECTORY OUTPUT
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import save_file

from tests.support.oracle import decoded_tensors
from training.tiny.export import TOKENIZER_FILES


def main() -> None:
    """Decode the checkpoint; the output directory must be new."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path, help="a directory with one model.safetensors")
    parser.add_argument("output", type=Path, help="a directory that does not exist yet")
    options = parser.parse_args()
    tensors = decoded_tensors(options.checkpoint)
    options.output.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, options.output / "model.safetensors")
    config = json.loads((options.checkpoint / "config.json").read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
    config["torch_dtype"] = "float32"
    (options.output / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    for name in TOKENIZER_FILES:
        shutil.copyfile(options.checkpoint / name, options.output / name)
    print(f"{options.output}: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
