"""Run a graph over texts node by node, all texts at once, so that each weight is read once."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

import trtnemo.backends.torch.ops  # noqa: F401 - registers the graph's own ops
from trtnemo.backends.step import Segment
from trtnemo.backends.torch.forms import FORMS, StepContext
from trtnemo.backends.torch.state import SlotState
from trtnemo.backends.torch.streamed.weights import StreamedWeights
from trtnemo.checkpoint import Checkpoint, audit
from trtnemo.errors import CheckpointError
from trtnemo.graph import Graph, Node
from trtnemo.graph.ops import Embedding

Texts = Sequence[Sequence[int]]
HIDDEN = "hidden_states"


@torch.inference_mode()
def run_streamed(
    graph: Graph, weights: StreamedWeights, texts: Texts
) -> Generator[tuple[Node, Tensor], Tensor | None, None]:
    """Yield each node and its value [tokens, width], from the embedding to the hidden states; the head is not run.

    A value that is sent back takes the place of the node's own. Tokens of all texts lie behind each other. What a
    text's states would be after it is forgotten.
    """
    token_ids = torch.tensor([token for text in texts for token in text], dtype=torch.int64)
    values: dict[str, Tensor] = {"token_ids": token_ids}
    nodes = _up_to(graph, graph.outputs[HIDDEN])
    last_use = {name: index for index, node in enumerate(nodes) for name in node.inputs}
    for index, node in enumerate(nodes):
        if isinstance(node.op, Embedding):
            value = weights.embedding(node.parameters["weight"], values[node.inputs[0]])
        else:
            # a context for each node: nothing that it collects is kept
            context = StepContext(weights, _segments(texts), [SlotState() for _ in texts])
            value = FORMS.find(node).run(node.op, node, context, [values[name] for name in node.inputs])
        sent = yield node, value
        values[node.output] = value if sent is None else sent
        for name in node.inputs:
            if last_use[name] == index:
                values.pop(name, None)


def require_target(checkpoint: Checkpoint) -> None:
    """Raise CheckpointError where headers show that a checkpoint is not whole; its MTP head is not run."""
    checkpoint.require_decodable()
    report = audit(checkpoint, values=False)
    other = next((finding for finding in report.errors if finding.rule != "mtp-missing"), None)
    if other is not None:
        raise CheckpointError(f"{other.subject}: {other.message}", where=checkpoint.place,
                              remedy=f"`trtnemo check {checkpoint.place}` lists everything")  # fmt: skip


def count_nodes(graph: Graph) -> int:
    """Return how many nodes are run."""
    return len(_up_to(graph, graph.outputs[HIDDEN]))


def _up_to(graph: Graph, value: str) -> list[Node]:
    """Return the nodes, in their order, that a value needs."""
    needed, kept = {value}, []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _segments(texts: Texts) -> list[Segment]:
    segments, start = [], 0
    for slot, text in enumerate(texts):
        segments.append(Segment(slot, start, len(text), 0))
        start += len(text)
    return segments
