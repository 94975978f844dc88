"""latent_moe on a GPU."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from trtnemo.backends.cuda.forms import Step, register
from trtnemo.backends.cuda.values import Later, Summed, Value
from trtnemo.graph import Node
from trtnemo.kernels.launch import Grid
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.latent_moe.triton.run import Routes, RowNorm
from trtnemo.plugins.latent_moe.triton.run import run as run_kernels


class Routing:
    """The routes of a step, found beside a product that does not wait for them, or when the experts ask for them."""

    def __init__(self, step: Step, op: LatentMoe, logits: Value, bias: Tensor) -> None:
        self._step, self._op, self._logits, self._bias = step, op, logits, bias
        self._routes: Routes | None = None

    def prepare(self) -> None:
        """Compute the logits."""
        self._logits.rows()

    def ride(self, grid: Grid, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Find the routes in more programs of a product."""
        self._routes = self._new()
        self._routes.find_beside(grid, arguments, options)

    def found(self) -> Routes:
        """Return the routes."""
        if self in self._step.riders:  # no product has taken them along
            self._step.riders.remove(self)
        if self._routes is None:
            self._routes = self._new()
            self._routes.find()
        return self._routes

    def _new(self) -> Routes:
        return Routes(self._step.launch, self._op, self._logits.rows(), self._bias)


def run(op: LatentMoe, node: Node, step: Step, inputs: list[Value]) -> Value:
    """Return each row's experts, whose sum its reader takes."""
    up, down = (step.weights.matrix(step.graph, node.parameters[role]) for role in ("up", "down"))
    routing = Routing(step, op, inputs[0], step.weights.vectors[node.parameters["correction_bias"]])
    step.riders.append(routing)

    def experts() -> Tensor:
        routes = routing.found()
        rows, norm = inputs[1].before(up)
        in_front = None if norm is None else RowNorm(norm.weight, norm.epsilon)
        return run_kernels(step.launch, op, routes, rows.rows, in_front, up, down, step.room.dtype)

    return Summed(Later(experts), op.top_k, op.width)


register(LatentMoe.kind, run)
