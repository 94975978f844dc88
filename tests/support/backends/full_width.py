"""Plans of Super NVFP4 at its full width, compiled without its weights."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from trtnemo.backends.tensorrt.lower.emit import emit
from trtnemo.backends.tensorrt.lower.networks import plan_networks
from trtnemo.backends.tensorrt.lower.settings import Settings
from trtnemo.network import NemotronH
from trtnemo.network.context import BuildContext
from trtnemo.plan.network import find_network
from trtnemo.recipe import TensorrtRecipe, load_recipe
from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.library import find_library

SUPER = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4"


@cache
def networks() -> Any:
    """Return (settings, networks by name) of the recipe for one RTX PRO 6000."""
    network = find_network(SUPER)
    model = NemotronH(BuildContext(network.config, network.quantization, "native"))
    settings = Settings.from_recipe(cast("TensorrtRecipe", load_recipe("rtx-pro-6000")))
    return settings, plan_networks([model.record_target(), model.record_mtp()], {}, settings)[0]


def compile_all(capability: Any, kinds: Any) -> Any:
    """Return the record of every plan of those kinds, with the builder's own activation_bytes."""
    settings, specs = networks()
    builder = PlanBuilder(find_library(), capability)
    found = []
    for spec in specs.values():
        if spec.kind in kinds:
            net, record = emit(spec, settings, builder)
            builder.build(net.network, spec.profile(net, settings))
            found.append(record.model_copy(update={"activation_bytes": builder.activation_bytes}))
    return found
