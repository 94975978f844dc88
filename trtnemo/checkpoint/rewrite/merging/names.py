"""Names of an adapter's tensors, and the weights of the base that they mean.

Source: what peft 0.21 writes over transformers' NemotronH and over the model code of the hub.
"""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.checkpoint.family.module_name import hub_name

_ROOTS = ("base_model.model.", "base_model.")
# what torch.compile, DistributedDataParallel and FSDP put in between
_OF_TRAINING = ("_orig_mod", "_fsdp_wrapped_module", "module")
_WRAPPERS = ("base_layer", "modules_to_save", "original_module", "default")
_MATRICES = ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector")


@dataclass(frozen=True)
class AdapterName:
    """What a tensor of an adapter is: matrix `kind` of a module, or, without a kind, a whole tensor of the base.

    trained: the module as the trained model calls it, which patterns of ranks are matched against; depth: how many
    wrappers stand around the module.
    """

    module: str
    trained: str
    kind: str | None
    tensor: str
    depth: int = 0


def read_name(name: str) -> AdapterName:
    """Return what a tensor's name means."""
    name = ".".join(part for part in name.split(".") if part not in _OF_TRAINING)
    for root in _ROOTS:
        name = name.removeprefix(root)
    name = name.removeprefix("model.") if name.startswith(("model.backbone.", "model.model.")) else name
    parts = name.split(".")
    depth = parts.count("base_layer")
    kind = next((part for part in parts if part in _MATRICES), None)
    if kind is None:
        trained = ".".join(part for part in parts if part not in _WRAPPERS)
        return AdapterName(trained.rpartition(".")[0], trained, None, hub_name(trained), depth)
    inner = [part for part in parts[: parts.index(kind)] if part not in _WRAPPERS]
    trained = ".".join(inner)
    module = hub_name(trained)
    return AdapterName(module, trained, kind, f"{module}.weight", depth)
