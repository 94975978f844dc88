"""Quantize a BF16 checkpoint with ModelOpt, and write what its export leaves out or spoils.

ModelOpt 0.47's export of this family drops the MTP head and the tokenizer, spoils module names, and respells the
config; here the tensors are ModelOpt's, and all else is the source's.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trtnemo.checkpoint.auditing.audit import AuditReport, audit
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.family.weight_format import BLOCK_SIZE
from trtnemo.checkpoint.format.header import read_header
from trtnemo.checkpoint.format.headers import SINGLE
from trtnemo.checkpoint.format.writing import copy_text_files, write_safetensors
from trtnemo.checkpoint.rewrite.maps.patterns import FormatMap, fits
from trtnemo.checkpoint.rewrite.quantizing.quantization_files import write_quantization
from trtnemo.errors import CheckpointError, MachineError, UsageError
from trtnemo.files.staging import check_output, refuse_own_place, staged_directory

_NUMERICS: dict[str, dict[str, Any]] = {
    "nvfp4": {"num_bits": (2, 1), "block_sizes": {-1: BLOCK_SIZE, "type": "dynamic", "scale_bits": (4, 3)}},
    "fp8": {"num_bits": (4, 3), "axis": None},
}


def quantize_checkpoint(
    source: Path,
    output: Path,
    formats: FormatMap,
    calibration: Sequence[Sequence[int]],
    *,
    fp8_kv_cache: bool = True,
    force: bool = False,
) -> AuditReport:
    """Write a quantized copy of `source` to `output`, atomically, and return its audit.

    formats: module pattern in hub names (`backbone.layers.0.mixer.in_proj`, `*.mixer.experts`) to format, later ones
    win, what none names stays BF16. calibration: token ids of texts that set the activation scales. Raises
    CheckpointError, UsageError, or MachineError without ModelOpt.
    """
    check_output(output, force, "config.json", CheckpointError)
    refuse_own_place(output, [source], CheckpointError)
    checkpoint = Checkpoint.open(source)
    audit(checkpoint).require()
    _check_request(checkpoint, formats, calibration)
    with (
        tempfile.TemporaryDirectory() as exported,
        staged_directory(output, force, "config.json", CheckpointError) as new,
    ):
        _export(source, Path(exported), _quantizer_config(formats, fp8_kv_cache), calibration)
        _merge_tensors(checkpoint, Path(exported), new)
        _write_configs(checkpoint, new)
        copy_text_files(source, new)
        report = audit(Checkpoint.open(new))
        report.require()
    return report


def _check_request(checkpoint: Checkpoint, formats: FormatMap, calibration: Sequence[Sequence[int]]) -> None:
    checkpoint.require_plain()
    unknown = sorted(set(formats.values()) - {"nvfp4", "fp8", "bf16"})
    if unknown:
        raise UsageError(f"'{unknown[0]}' is not a known format (nvfp4, fp8, bf16)")
    modules = linear_modules(checkpoint.config)
    if not any(fits(module, pattern) for pattern in formats for module in modules):
        raise UsageError(f"no pattern fits a linear layer: {', '.join(formats)}", remedy=f"Such as {modules[0]}")
    if not calibration or not all(calibration):
        raise UsageError("calibration needs at least one text")
    size = checkpoint.config.vocab_size
    if any(not 0 <= token < size for text in calibration for token in text):
        raise UsageError(f"a calibration token lies outside the vocabulary of {size}")


def _quantizer_config(formats: FormatMap, fp8_kv_cache: bool) -> dict[str, Any]:
    rules: list[dict[str, Any]] = [{"quantizer_name": "*", "enable": False}]
    for pattern, chosen in formats.items():
        # transformers calls the backbone `model`
        module = pattern.replace("backbone.", "model.", 1)
        for quantizer in ("weight_quantizer", "input_quantizer"):
            for below in ("", "*"):  # the module's own, and those of what is in it
                name = f"{module}.{below}{quantizer}"
                rule: dict[str, Any] = {"quantizer_name": name, "enable": chosen != "bf16"}
                rules.append(rule | ({"cfg": _NUMERICS[chosen]} if chosen != "bf16" else {}))
    if fp8_kv_cache:
        rules.append({"quantizer_name": "*[kv]_bmm_quantizer", "enable": True, "cfg": _NUMERICS["fp8"]})
    return {"quant_cfg": rules, "algorithm": {"method": "max"}}


def _export(source: Path, target: Path, config: dict[str, Any], calibration: Sequence[Sequence[int]]) -> None:
    """Load with transformers, calibrate and export with ModelOpt."""
    try:
        import torch
        from modelopt.torch import quantization
        from modelopt.torch.export import export_hf_checkpoint
        from transformers import NemotronHForCausalLM
    except ImportError as error:
        raise MachineError(f"quantizing needs ModelOpt and transformers ({error.name} is missing)",
                           remedy="pip install 'trtnemo[modelopt]'") from None  # fmt: skip

    def calibrate(model: Any) -> None:
        for text in calibration:
            model(torch.tensor([list(text)]))

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # both libraries warn about kernels and options that do not matter here
        model = NemotronHForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
        model = quantization.quantize(model, config, calibrate)
        export_hf_checkpoint(model, export_dir=target)


def _merge_tensors(checkpoint: Checkpoint, exported: Path, new: Path) -> None:
    """Write ModelOpt's tensors together with the source's MTP head, bits unchanged."""
    headers = [read_header(path) for path in sorted(exported.glob("*.safetensors"))]
    tensors = {name: info for header in headers for name, info in header.items()}
    tensors.update({name: info for name, info in checkpoint.tensors.items() if name.startswith("mtp.")})
    write_safetensors(new / SINGLE, tensors)


def _write_configs(checkpoint: Checkpoint, new: Path) -> None:
    storages = {name: info.storage for name, info in read_header(new / SINGLE).items()}
    write_quantization(new, checkpoint.raw_config, storages, _modelopt_version())


def linear_modules(config: ModelConfig) -> list[str]:
    """Return the hub names that a format map may give, experts of a layer as one."""
    names = {"mamba": ("in_proj", "out_proj"), "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
             "mlp": ("up_proj", "down_proj"),
             "moe": ("experts", "shared_experts.up_proj", "shared_experts.down_proj", "fc1_latent_proj",
                     "fc2_latent_proj")}  # fmt: skip
    return [
        f"backbone.layers.{index}.mixer.{name}" for index, kind in enumerate(config.layer_kinds) for name in names[kind]
    ]


def _modelopt_version() -> str:
    from importlib.metadata import version

    return version("nvidia-modelopt")
