"""Where the values of a graph lie: as few buffers as their lifetimes allow."""

from __future__ import annotations

from trtnemo.graph import Graph

# inputs that are lists of numbers, not rows of floats
LISTS = ("token_ids", "logit_rows")


def assign_buffers(graph: Graph) -> dict[str, int]:
    """Return a buffer number for each value; no two values that are needed at one time share one.

    Outputs of the graph are needed to its end, so that the executor finds them there.
    """
    last_use = {name: index for index, node in enumerate(graph.nodes) for name in (*node.inputs, node.output)}
    last_use |= {name: len(graph.nodes) for name in graph.outputs.values()}
    held: dict[str, int] = {}
    free: list[int] = []
    buffers: dict[str, int] = {}

    def place(name: str) -> None:
        number = free.pop() if free else len(held)
        held[name] = buffers[name] = number

    for name in graph.inputs:
        if name not in LISTS:
            place(name)
    for index, node in enumerate(graph.nodes):
        # The output is placed while the inputs are still held: ops do not work in place.
        place(node.output)
        for name in [name for name in held if last_use.get(name, -1) <= index]:
            free.append(held.pop(name))
    return buffers
