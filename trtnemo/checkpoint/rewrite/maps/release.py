"""The map of a released checkpoint, for another checkpoint of the same network."""

from __future__ import annotations

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.releases import RELEASES, find_release
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.rewrite.maps.patterns import linear_names
from trtnemo.errors import UsageError

_SHORT = {
    "super-nvfp4": "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4",
    "super-fp8": "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8",
    "nano-nvfp4": "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4",
    "ultra-nvfp4": "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-NVFP4",
    "lightning-nvfp4": "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4",
}
RELEASED = tuple(_SHORT)


def map_of_release(config: ModelConfig, name: str) -> QuantizationMap:
    """Return a release's map, by a short name or its hub id; raises UsageError where it is not for this network."""
    release = find_release(_SHORT.get(name, name))
    if release is None or (not release.quantization.layers and release.quantization.uniform is WeightFormat.PLAIN):
        known = ", ".join((*_SHORT, *(known for known in RELEASES if known not in _SHORT.values())))
        raise UsageError(f"no quantized release is called {name!r} here", remedy=f"Known: {known}")
    if not release.config.has_layers_of(config):
        raise UsageError(
            f"the map of {release.name} is for {len(release.config.layer_kinds)} layers of other kinds than these "
            f"{len(config.layer_kinds)}",
            remedy="Give formats by kind of layer (--preset super, nvfp4, fp8), or a file (--map)",
        )
    require_names(config, release.quantization, release.name)
    return release.quantization


def require_names(config: ModelConfig, chosen: QuantizationMap, where: str) -> None:
    """Raise UsageError where a map names a module that is no linear layer of the network."""
    strange = next(iter(chosen.layers.keys() - set(linear_names(config))), None)
    if strange is not None:
        raise UsageError(f"the map names {strange}, which is no linear layer of this network", where=where)
