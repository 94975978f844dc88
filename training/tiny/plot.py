"""Draw the losses of a run.

usage: python -m training.tiny.plot RUN --output docs/tiny-loss.png
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from training.tiny.batches import STAGES

CURVES = {
    "loss": ("target", "#1b4f72"),
    "mtp_1": ("MTP, first draft", "#b9770e"),
    "mtp_2": ("MTP, second draft", "#7b241c"),
}
WINDOW = 8  # records of twenty steps that are averaged: batches differ in what they ask


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="PNG file")
def main(run: Path, output: Path) -> None:
    """Draw the loss curves of RUN."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    # a run that was resumed has done some steps twice; the later ones count
    records = list({record["step"]: record for record in map(json.loads, lines)}.values())
    figure, axes = pyplot.subplots(figsize=(8, 4.5), facecolor="white")
    for key, (label, color) in CURVES.items():
        values = [record[key] for record in records]
        means = [
            sum(part) / len(part) for part in (values[max(0, end - WINDOW) : end] for end in range(1, len(values) + 1))
        ]
        steps = [record["step"] for record in records]
        axes.plot(steps, values, color=color, alpha=0.15, linewidth=0.8)
        axes.plot(steps, means, color=color, label=label, linewidth=1.6)
    for start, _ in STAGES[1:]:
        axes.axvline(start, color="#909497", linewidth=0.8, linestyle=":")
    axes.set(
        xlabel="step (about 2,720 tokens each; dotted: the mix of chats changes)",
        ylabel="cross-entropy (nats per token)",
        yscale="log",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    main()
