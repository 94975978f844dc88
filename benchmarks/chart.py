"""The plot of a run: rates beside the peer's, dark on light."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any


def draw(result: dict[str, Any], output: Path) -> None:
    """Write a bar chart of decode and prefill rates for each size that was measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = [size for size in ("mid", "micro") if size in result]
    if not sizes:
        return
    figure, panels = pyplot.subplots(len(sizes), 2, figsize=(11, 3.2 * len(sizes)), squeeze=False)
    for row, size in zip(panels, sizes, strict=True):
        samples = result[size]["samples"]
        for panel, kind in zip(row, ("decode", "prefill"), strict=True):
            names = [name.rpartition(".")[0] for name in samples if name.endswith(f".{kind}")]
            values = [samples[f"{name}.{kind}"] for name in names]
            middles = [statistics.median(item) for item in values]
            spread = [
                [m - min(v) for m, v in zip(middles, values, strict=True)],
                [max(v) - m for m, v in zip(middles, values, strict=True)],
            ]
            colours = ["#1f4e79" if name.startswith("ours") else "#9aa5b1" for name in names]
            panel.barh(names, middles, xerr=spread, color=colours, ecolor="#333333", capsize=3)
            panel.invert_yaxis()
            panel.set_xlabel("tokens/s")
            panel.set_title(f"{size}: {kind}{' of 512 tokens' if kind == 'prefill' else ', one stream'}")
    machine = result["machine"]
    figure.suptitle(
        f"{machine['processor']}, {result['threads']} threads, {machine['kernels']} kernels, {result['date']}",
        fontsize=9,
    )
    figure.tight_layout()
    figure.savefig(output, dpi=120)
