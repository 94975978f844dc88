"""The networks that an engine needs: one per kind of block and phase, however many layers share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trtnemo.backends.tensorrt.lower import ops
from trtnemo.backends.tensorrt.lower.blocks import GROUPED, Block, alone, split
from trtnemo.backends.tensorrt.lower.forms import FORMS
from trtnemo.backends.tensorrt.lower.index import Programs
from trtnemo.backends.tensorrt.lower.settings import PHASES, Phase, Settings
from trtnemo.backends.tensorrt.lower.site import Site
from trtnemo.errors import EngineError
from trtnemo.graph import Graph, Node
from trtnemo.graph.ops import Attention
from trtnemo.trt.build import Profile
from trtnemo.trt.element import Element
from trtnemo.trt.step_inputs import StepInputs
from trtnemo.trt.writer import ITensor, NetworkWriter

ADVANCE = "advance"
# A draft head drafts token by token: of many it only takes in what its cache keeps.
FED = ("mtp",)
Write = Callable[[Site], None]
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
        self.write(Site(net, self.block, settings, self.phase, StepInputs(net), self.plain))

    def profile(self, net: NetworkWriter, settings: Settings) -> Profile:
        """Return the shapes that the plan is built for, from the inputs that were written."""
        sizes = settings.sizes(self.phase)
        least, best, most = ({name: size[place] for name, size in sizes.items()} for place in range(3))
        specs = [spec for spec in net.inputs.values() if spec.is_dynamic]
        return {spec.name: (spec.shape(least), spec.shape(best), spec.shape(most)) for spec in specs}


def plan_networks(
    graphs: Sequence[Graph], plain: Mapping[str, Element], settings: Settings
) -> tuple[dict[str, NetworkSpec], Programs]:
    """Return every network by name, and the blocks that run of each graph in each phase, in order."""
    networks: dict[str, NetworkSpec] = {}
    programs: Programs = {graph.name: {} for graph in graphs}
    for graph in graphs:
        for phase in PHASES:
            runs = []
            for block, parts in _needed(graph, phase, settings):
                for kind, part, write in parts:
                    elements = "/".join(plain.get(name, settings.products).value for name in part.parameters)
                    name = f"{kind}-{phase}-{part.digest(kind, phase, elements, settings.model_dump_json())}"
                    spec = networks.setdefault(name, NetworkSpec(name, kind, phase, part, write, plain))
                    if block.path not in spec.paths:
                        spec.paths.append(block.path)
                    runs.append(part.model_copy(update={"plan": name}))
            programs[graph.name][phase] = tuple(runs)
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
    return any(node.op.states() for node in block.nodes)


def _writers(block: Block, phase: Phase, settings: Settings) -> Iterator[Part]:
    """Yield kind, block and writer of every network that a block needs, in the order they run."""
    if block.kind == GROUPED:
        yield from ((kind, block, write) for kind, write in FORMS.find(block.nodes[0]).grouped)
        return
    if block.kind == "attention":
        yield "cache", alone(block, block.nodes[0]), _write_cache
    yield block.kind, block, _write_block
    if block.kind == "attention" or phase != "decode" or not settings.keeps_rows:
        return
    for node in block.nodes:
        advance = FORMS.find(node).advance
        if advance is not None:
            yield ADVANCE, alone(block, node), advance


def _write_block(site: Site) -> None:
    block, net = site.block, site.net
    attention = block.nodes[0] if isinstance(block.nodes[0].op, Attention) else None
    values = {}
    for index, name in enumerate(block.inputs):
        if attention is None or name not in attention.inputs:
            values[name] = site.value(f"in.{index}", name)
    for node in block.nodes:
        with net.scope(block.local(node.name)):
            values[node.output] = _write_node(site, node, [values[name] for name in node.inputs if name in values])
    for index, name in enumerate(block.outputs):
        rows = "N" if block.kind == "logits" else "T"
        net.output(f"out.{index}", values[name], (rows, block.types[name].width))


def _write_node(site: Site, node: Node, inputs: list[ITensor]) -> ITensor:
    if isinstance(node.op, Attention):
        shape = ("B", node.op.query_heads, "R", node.op.head_dim)
        query = site.net.input("query", site.settings.cache, shape, "value")
        return ops.attention_back(node.op, node, site, query)
    return FORMS.find(node).emit(node.op, node, site, inputs)


def _write_cache(site: Site) -> None:
    node = site.block.nodes[0]
    op = node.op
    if not isinstance(op, Attention):
        raise EngineError(f"{node.name} has no KV cache")
    with site.net.scope(site.block.local(node.name)):
        inputs = [site.value(f"in.{index}", name) for index, name in enumerate(node.inputs)]
        query = ops.attention_front(op, node, site, inputs)
        site.net.output("query", query, ("B", op.query_heads, "R", op.head_dim))
