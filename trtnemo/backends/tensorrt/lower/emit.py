"""A network written down, with the record of it."""

from __future__ import annotations

from trtnemo.backends.tensorrt.lower.networks import NetworkSpec
from trtnemo.backends.tensorrt.lower.reading import count_weights
from trtnemo.backends.tensorrt.lower.record import PlanRecord
from trtnemo.backends.tensorrt.lower.settings import Settings
from trtnemo.errors import EngineError
from trtnemo.trt.build import PlanBuilder
from trtnemo.trt.digest import network_digest
from trtnemo.trt.writer import NetworkWriter


def emit(spec: NetworkSpec, settings: Settings, builder: PlanBuilder) -> tuple[NetworkWriter, PlanRecord]:
    """Write a network, and the record of it that lacks what only a build can say.

    The writer keeps alive the constants that its network points to. Raises EngineError where TensorRT refuses a layer.
    """
    network = builder.create_network()
    writer = NetworkWriter(builder.library, network)
    try:
        spec.emit(writer, settings)
    except EngineError as error:
        raise EngineError(error.what, where=f"{spec.paths[0]}.{error.where} ({spec.kind}, {spec.phase})") from None
    except RuntimeError as error:  # what the bindings raise when a shape is asked for that cannot be
        last = network.get_layer(network.num_layers - 1).name if network.num_layers else "its first layer"
        raise EngineError(f"cannot be written: {error}, near {last}", where=f"{spec.paths[0]} ({spec.kind})") from None
    reading = count_weights(spec, writer.inputs.values())
    record = PlanRecord(
        name=spec.name,
        kind=spec.kind,
        phase=spec.phase,
        paths=tuple(spec.paths),
        inputs=tuple(writer.inputs.values()),
        outputs=tuple(writer.outputs.values()),
        network_digest=network_digest(builder.library.module, network),
        dense_bytes=reading.dense_bytes,
        expert_bytes=reading.expert_bytes,
        experts=reading.experts,
        experts_per_token=reading.experts_per_token,
    )
    return writer, record
