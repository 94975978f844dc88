"""Export a checkpoint with ModelOpt as its own documentation says, with nothing repaired.

usage: python tests/support/checkpoints/plain_export.py SOURCE OUT [--mixed]

`--mixed` quantizes the experts alone to NVFP4 and the Mamba projections to FP8, instead of ModelOpt's default NVFP4.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from pathlib import Path
from typing import Any


def quantizer_config(mixed: bool) -> dict[str, Any]:
    """Return ModelOpt's default NVFP4 configuration, or a mixed one."""
    from modelopt.torch import quantization

    if not mixed:
        return copy.deepcopy(quantization.NVFP4_DEFAULT_CFG)
    nvfp4 = {"num_bits": (2, 1), "block_sizes": {-1: 16, "type": "dynamic", "scale_bits": (4, 3)}}
    fp8 = {"num_bits": (4, 3), "axis": None}
    rules: list[dict[str, Any]] = [{"quantizer_name": "*", "enable": False}]
    for module, numerics in (("*.mixer.experts", nvfp4), ("*.mixer.in_proj", fp8), ("*.mixer.out_proj", fp8)):
        for quantizer in ("weight_quantizer", "input_quantizer"):
            rules.append({"quantizer_name": f"{module}*{quantizer}", "enable": True, "cfg": numerics})
    return {"quant_cfg": rules, "algorithm": {"method": "max"}}


def export(source: Path, output: Path, mixed: bool) -> None:
    """Load with transformers, calibrate on random tokens, export."""
    import torch
    from modelopt.torch import quantization
    from modelopt.torch.export import export_hf_checkpoint
    from transformers import NemotronHForCausalLM

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    with torch.no_grad():
        model = NemotronHForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
        tokens = torch.randint(0, model.config.vocab_size, (2, 64))
        model = quantization.quantize(model, quantizer_config(mixed), lambda network: network(tokens))
        export_hf_checkpoint(model, export_dir=output)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--mixed", action="store_true")
    options = parser.parse_args()
    export(options.source, options.output, options.mixed)


if __name__ == "__main__":
    main()
