"""Two checkpoints of one network over the same texts: how far their predictions are apart, and which layers did it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trtnemo.backends.torch.rounding import project
from trtnemo.backends.torch.streamed.run import Texts, count_nodes, require_target, run_streamed
from trtnemo.backends.torch.streamed.weights import StreamedWeights
from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.comparing.compare import decibels
from trtnemo.errors import CheckpointError, UsageError
from trtnemo.graph import Graph, Node
from trtnemo.graph.ops import Linear
from trtnemo.network import NemotronH

_ROWS = 256  # of logits at once: half a megabyte each
Run = Generator[tuple[Node, Tensor], Tensor | None, None]


@dataclass(frozen=True)
class LayerError:
    """One layer: signal to noise in decibels of what it adds, both given the first's input, and of the stream after it.

    None where a number is none; infinite where nothing differs.
    """

    layer: str
    own_db: float | None
    stream_db: float | None


@dataclass(frozen=True)
class LogitsDifference:
    """Two predictions of each next token, in natural units.

    kl: Kullback-Leibler divergence of the second from the first, mean and largest; top_1: share of positions whose most
    probable token is the same; perplexities: over the texts' own next tokens; layers: in the order of the network.
    """

    tokens: int
    texts: int
    kl: float
    kl_largest: float
    top_1: float
    perplexities: tuple[float, float]
    layers: tuple[LayerError, ...]


def compare_logits(
    first: Checkpoint,
    second: Checkpoint,
    texts: Texts,
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
    counted: Sequence[Sequence[bool]] | None = None,
) -> LogitsDifference:
    """Return how two checkpoints differ over token ids of texts; report hears of (layer, nodes, nodes).

    counted: of each token of each text, whether its prediction counts, such as those of answers alone; all do by
    default.

    Each multiplies as its formats ask: where inputs have scales, they are rounded. Weights are read once, one at a
    time; the second runs over its own stream and over the first's, side by side. Raises CheckpointError for two
    networks, UsageError where no text has a next token.
    """
    require_comparable(first, second)
    predicted = _predicted(texts, counted)
    if not predicted:
        raise UsageError("no text has two tokens, so that nothing is predicted")
    graphs = [NemotronH.from_checkpoint(one, "native").record_target() for one in (first, second)]
    weights = [StreamedWeights(one, graph) for one, graph in zip((first, second), graphs, strict=True)]
    streams = _Streams(sum(map(len, texts)))
    total = count_nodes(graphs[0])
    theirs = run_streamed(graphs[1], weights[1], [*texts, *texts])
    sent = None
    for done, (node, value) in enumerate(run_streamed(graphs[0], weights[0], texts), 1):
        _, other = next(theirs) if sent is None else theirs.send(sent)
        sent = streams.take(node, value, other)
        report(".".join(node.name.split(".")[:3]), done, total)
    heads = [_head(graph, one) for graph, one in zip(graphs, weights, strict=True)]
    return _compare(streams, heads, texts, predicted)


def require_comparable(first: Checkpoint, second: Checkpoint) -> None:
    """Raise CheckpointError for two networks, and for a checkpoint that is not whole."""
    if not first.config.computes_like(second.config):
        raise CheckpointError("is of another network than the first", where=second.place)
    for checkpoint in (first, second):
        require_target(checkpoint)


@dataclass
class _Streams:
    """What both have computed so far: the stream before each layer, and the errors of those behind."""

    tokens: int
    before: Tensor | None = None
    layers: list[LayerError] = field(default_factory=list)
    hidden: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))

    def take(self, node: Node, value: Tensor, other: Tensor) -> Tensor | None:
        """Take a value of both, and return what the second goes on with where it is to be given the first's."""
        own, fed = other[: self.tokens], other[self.tokens :]
        self.hidden = value, own
        parts = node.name.split(".")
        if len(parts) == 4 and parts[1] == "layers" and parts[3] == "add":
            if self.before is not None:
                alone = _snr(value - self.before, fed - self.before)
                self.layers.append(LayerError(".".join(parts[:3]), alone, _snr(value, own)))
        elif node.name != "backbone.embeddings":
            return None
        self.before = value
        return torch.cat([own, value])


def _snr(signal: Tensor, other: Tensor) -> float | None:
    signal, other = signal.double(), other.double()
    return decibels(float(signal.square().sum()), float((signal - other).square().sum()))


Head = Callable[[Tensor], Tensor]


def _head(graph: Graph, weights: StreamedWeights) -> Head:
    """Return the function of hidden states [rows, hidden] that gives log probabilities [rows, vocabulary]."""
    node = next(node for node in graph.nodes if node.output == graph.outputs["logits"])
    if not isinstance(node.op, Linear):
        raise CheckpointError(f"ends in '{node.op.kind}', not in a head")
    weight, compute = weights.load(graph.parameters[node.parameters["weight"]]), node.op.compute
    return lambda hidden: project(hidden, weight, compute).log_softmax(-1)


def _predicted(texts: Texts, counted: Sequence[Sequence[bool]] | None) -> list[tuple[int, int]]:
    """Return (row of the token before, token) of every prediction that counts."""
    found, start = [], 0
    for number, text in enumerate(texts):
        for place in range(1, len(text)):
            if counted is None or counted[number][place]:
                found.append((start + place - 1, text[place]))
        start += len(text)
    return found


@torch.inference_mode()
def _compare(streams: _Streams, heads: list[Head], texts: Texts, predicted: list[tuple[int, int]]) -> LogitsDifference:
    rows, targets = [row for row, _ in predicted], [token for _, token in predicted]
    divergences, same, losses = [], 0, [0.0, 0.0]
    for begin in range(0, len(rows), _ROWS):
        part, wanted = torch.tensor(rows[begin : begin + _ROWS]), torch.tensor(targets[begin : begin + _ROWS])
        ours, theirs = (head(hidden[part]) for head, hidden in zip(heads, streams.hidden, strict=True))
        divergences.append((ours.exp() * (ours - theirs)).sum(-1).clamp_min(0))
        same += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        for place, one in enumerate((ours, theirs)):
            losses[place] -= float(one.gather(1, wanted[:, None]).double().sum())
    divergence = torch.cat(divergences)
    return LogitsDifference(
        tokens=sum(map(len, texts)),
        texts=len(texts),
        kl=float(divergence.double().mean()),
        kl_largest=float(divergence.max()),
        top_1=same / len(rows),
        perplexities=(_perplexity(losses[0], len(rows)), _perplexity(losses[1], len(rows))),
        layers=tuple(streams.layers),
    )


def _perplexity(loss: float, count: int) -> float:
    return math.exp(min(loss / count, 700.0)) if math.isfinite(loss) else math.nan
