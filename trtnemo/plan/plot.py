"""The frontier as a picture: the longest context for each batch, and where the deployment stands."""

from __future__ import annotations

from pathlib import Path

from trtnemo.errors import MachineError, UsageError
from trtnemo.plan.plan import Plan
from trtnemo.plan.verdict import hardware_text


def plot_frontier(plan: Plan, path: Path) -> None:
    """Write the frontier as a .png, .svg or .pdf file; raises MachineError without matplotlib, or UsageError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MachineError("plots need matplotlib", remedy="pip install 'trtnemo[plot]'") from None
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError("is not a .png, .svg or .pdf file", where=str(path))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    batches, contexts = zip(*plan.frontier, strict=True) if plan.frontier else ((), ())
    axes.fill_between(batches, contexts, color="#cfe3d4", label="fits")
    axes.plot(batches, contexts, color="#1b6e3c", marker="o", markersize=3)
    deployment = plan.deployment
    axes.plot(deployment.max_batch_size, deployment.max_seq_len, "k*", markersize=12, label="the deployment")
    limit = plan.network.config.max_position_embeddings
    axes.axhline(limit, color="#888888", linewidth=0.8, linestyle="--", label=f"the config's own limit, {limit:,}")
    axes.set(xscale="log", yscale="log", xlabel="sequences at once, each device's own" if deployment.attention_dp
             else "sequences at once", ylabel="context of each (tokens)")  # fmt: skip
    axes.set_title(f"{plan.network.name.rpartition('/')[2]} on {hardware_text(deployment, plan.device)}", fontsize=10)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.legend(loc="lower left", frameon=False)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from None
