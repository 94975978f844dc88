"""The networks that an engine needs: one per kind of block and phase, however many layers share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trtnemo.backends.tensorrt.lower import ops
from trtnemo.backends.tensorrt.lower.blocks import Block, alone, split
from trtnemo.backends.tensorrt.lower.settings import PHASES, Phase, Settings, experts_per_part
from trtnemo.errors import EngineError
from trtnemo.graph import Graph, Node
from trtnemo.graph.ops import Attention
from trtnemo.plugins.latent_moe import tensorrt as moe_layers
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.mamba2 import tensorrt as mamba_layers
from trtnemo.plugins.mamba2.op import Mamba2
from trtnemo.trt.build import Profile
from trtnemo.trt.element import Element
from trtnemo.trt.step_inputs import StepInputs
from trtnemo.trt.writer import ITensor, NetworkWriter

ADVANCE = "advance"
# A draft head drafts token by token: of many it only takes in what its cache keeps.
FED = ("mtp",)
Write = Callable[[ops.Site], None]
Part = tuple[str, Block, Write]


@dataclass(frozen=True)
class NetworkSpec:
    """One network to write: its name, phase, and the block it is written from; `paths` are all layers that share it."""

    name: str
    kind: str
    phase: Phase
    block: Block
    write: Write
    plain: Mapping[str, Element]
    paths: list[str] = field(default_factory=list)

    def emit(self, net: NetworkWriter, settings: Settings) -> None:
        """Write the network; layers are named after the nodes they come from."""
        self.write(ops.Site(net, self.block, settings, self.phase, StepInputs(net), self.plain))

    def profile(self, net: NetworkWriter, settings: Settings) -> Profile:
        """Return the shapes that the plan is built for."""
        sizes = settings.sizes(self.phase)
        least, best, most = ({name: size[place] for name, size in sizes.items()} for place in range(3))
        specs = [spec for spec in net.inputs.values() if spec.is_dynamic]
        return {spec.name: (spec.shape(least), spec.shape(best), spec.shape(most)) for spec in specs}


@dataclass(frozen=True)
class PlannedBlock:
    """A block of a graph in one phase, and what runs it in order: a network's name and the nodes that it stands for."""

    block: Block
    runs: tuple[tuple[str, Block], ...]


# the blocks of each graph, by its name, in each phase
Programs = dict[tuple[str, Phase], list[PlannedBlock]]


def plan_networks(
    graphs: Sequence[Graph], plain: Mapping[str, Element], settings: Settings
) -> tuple[dict[str, NetworkSpec], Programs]:
    """Return every network by name, and what runs them."""
    networks: dict[str, NetworkSpec] = {}
    programs: Programs = {}
    for graph in graphs:
        for phase in PHASES:
            planned = []
            for block, parts in _needed(graph, phase, settings):
                runs = []
                for kind, part, write in parts:
                    elements = "/".join(plain.get(name, settings.products).value for name in part.parameters)
                    name = f"{kind}-{phase}-{part.digest(kind, phase, elements, settings.model_dump_json())}"
                    spec = networks.setdefault(name, NetworkSpec(name, kind, phase, part, write, plain))
                    if block.path not in spec.paths:
                        spec.paths.append(block.path)
                    runs.append((name, part))
                planned.append(PlannedBlock(block, tuple(runs)))
            programs[graph.name, phase] = planned
    return networks, programs


def _needed(graph: Graph, phase: Phase, settings: Settings) -> Iterator[tuple[Block, list[Part]]]:
    """Yield blocks with what is written for each.

    A prefill has no logits: those of many rows are runs of the decode phase's form, which reads the head as it is.
    """
    blocks = split(graph, phase)
    if phase == "decode":
        yield from ((block, list(_writers(block, phase, settings))) for block in blocks)
        return
    blocks = [block for block in blocks if block.kind != "logits"]
    if graph.name in FED:
        stateful = [index for index, block in enumerate(blocks) if _has_state(block)]
        blocks = blocks[: stateful[-1] + 1] if stateful else []
    for block in blocks:
        parts = list(_writers(block, phase, settings))
        ends_with_cache = graph.name in FED and block is blocks[-1] and block.kind == "attention"
        yield block, parts[:1] if ends_with_cache else parts  # nobody reads what comes after


def _has_state(block: Block) -> bool:
    return any(isinstance(node.op, Attention | Mamba2) for node in block.nodes)


def _writers(block: Block, phase: Phase, settings: Settings) -> Iterator[Part]:
    """Yield kind, block and writer of every network that a block needs, in the order they run."""
    if block.kind == "experts":
        yield "route", block, _write_route
        yield "experts", block, _write_experts
        return
    if block.kind == "attention":
        yield "cache", alone(block, block.nodes[0]), _write_cache
    yield block.kind, block, _write_block
    mamba = next((node for node in block.nodes if isinstance(node.op, Mamba2)), None)
    if mamba is not None and phase == "decode" and settings.keeps_rows:
        yield ADVANCE, alone(block, mamba), _write_advance


def _write_block(site: ops.Site) -> None:
    block, net = site.block, site.net
    attention = block.nodes[0] if isinstance(block.nodes[0].op, Attention) else None
    values = {}
    for index, name in enumerate(block.inputs):
        if attention is None or name not in attention.inputs:
            values[name] = _value(site, f"in.{index}", name)
    for node in block.nodes:
        with net.scope(block.local(node.name)):
            values[node.output] = _write_node(site, node, [values[name] for name in node.inputs if name in values])
    for index, name in enumerate(block.outputs):
        rows = "N" if block.kind == "logits" else "T"
        net.output(f"out.{index}", values[name], (rows, block.types[name].width))


def _write_node(site: ops.Site, node: Node, inputs: list[ITensor]) -> ITensor:
    if isinstance(node.op, Attention):
        shape = ("B", node.op.query_heads, "R", node.op.head_dim)
        query = site.net.input("query", site.settings.cache, shape, "value")
        return ops.attention_back(node.op, node, site, query)
    function = ops.OPS.get(node.op.kind)
    if function is None:
        raise EngineError(f"op '{node.op.kind}' has no TensorRT form", where=node.name)
    return function(node.op, node, site, inputs)


def _value(site: ops.Site, tensor: str, name: str) -> ITensor:
    type = site.block.types[name]
    return site.net.input(tensor, site.settings.element(type.dtype), ("T", type.width), "value")


def _write_cache(site: ops.Site) -> None:
    node = site.block.nodes[0]
    op = node.op
    if not isinstance(op, Attention):
        raise EngineError(f"{node.name} has no KV cache")
    with site.net.scope(site.block.local(node.name)):
        inputs = [_value(site, f"in.{index}", name) for index, name in enumerate(node.inputs)]
        query = ops.attention_front(op, node, site, inputs)
        site.net.output("query", query, ("B", op.query_heads, "R", op.head_dim))


def _moe_node(block: Block) -> tuple[Node, LatentMoe]:
    node = block.nodes[0]
    if not isinstance(node.op, LatentMoe):
        raise EngineError(f"{node.name} has no experts to route to")
    return node, node.op


def _write_route(site: ops.Site) -> None:
    node, op = _moe_node(site.block)
    net = site.net
    with net.scope(site.block.local(node.name)):
        logits = _value(site, "in.0", node.inputs[0])
        picked, weights = moe_layers.route(net, op, logits, site.vector(node, "correction_bias"))
        net.output("picked", picked, ("T", op.top_k))
        net.output("weights", weights, ("T", op.top_k))


def _write_experts(site: ops.Site) -> None:
    """Some experts' part of the routed sum: cells, weights and the sum so far come in, the new sum goes out."""
    node, op = _moe_node(site.block)
    net, part = site.net, experts_per_part(op.experts)
    native = op.compute != "weight_only"
    with net.scope(site.block.local(node.name)):
        rows = _value(site, "in.1", node.inputs[1])
        tokens = net.input("token_of_cell", Element.INT32, (part, "C"), "value")
        cells = net.input("cell_of_pick", Element.INT32, ("T", op.top_k), "value")
        weights = net.input("weights", Element.FLOAT32, ("T", op.top_k), "value")
        before = net.input("sum", Element.FLOAT32, ("T", op.width), "value")
        up = site.weight(node, "up", scales_input=native, experts=part)
        down = site.weight(node, "down", scales_input=native, experts=part)
        made = moe_layers.many_rows(net, op.compute, site.settings.products, rows, tokens, up, down)
        total = net.add(before, moe_layers.collect(net, made, op.width, cells, weights))
        net.output("sum.after", total, ("T", op.width))


def _write_advance(site: ops.Site) -> None:
    node = site.block.nodes[0]
    op = node.op
    if not isinstance(op, Mamba2):
        raise EngineError(f"{node.name} has no recurrent state")
    net = site.net
    with net.scope(site.block.local(node.name)):
        read = net.input("read", site.settings.activations, ("B", "R", op.input_width), "value")
        roles = [role for role in node.parameters if role not in ("D", "norm_weight")]
        parameters = {role: site.vector(node, role) for role in roles}
        states = ops.mamba_states(site, op, node)
        after = mamba_layers.advance(net, op, read, parameters, states, site.step)
        ops.keep_mamba_states(site, op, node, after)
