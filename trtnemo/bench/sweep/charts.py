"""The pictures of a report, as PNG bytes; each function draws one from plain numbers and knows no record."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trtnemo.bench.load.summary import PERCENTILES
from trtnemo.errors import MachineError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import BboxBase

GREEN, AMBER, RED, GREY, PALE = "#1b6e3c", "#b86e00", "#a3262a", "#666666", "#cfe3d4"
MARKS = ((GREEN, "o"), (AMBER, "s"), (RED, "^"))
ASIDE = (-0.2, 0.0, 0.2)  # marks of one point side by side, so that none hides another
LONGEST_LABEL = 27
# points of type from a mark to its label, nearest first
_SPOTS = tuple(
    (across * far, up * far)
    for far in (7, 16, 28, 42, 60)
    for across, up in ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1.4), (0, -1.4))
)


def pareto_chart(places: Sequence[tuple[str, float, float]]) -> bytes:
    """Draw (name, tokens/s of a user, of a device), the best joined; raises MachineError without matplotlib."""
    figure = _new_figure(8, 5.2)
    axes = figure.add_subplot()
    best = pareto_front([(across, up) for _, across, up in places])
    axes.plot(*zip(*best, strict=True), color=GREEN, drawstyle="steps-pre", linewidth=1.2, label="Pareto-optimal")
    colours = [GREEN if (across, up) in best else GREY for _, across, up in places]
    axes.scatter([place[1] for place in places], [place[2] for place in places], c=colours, s=28, zorder=3)
    axes.set(xlabel="tokens/s of one user", ylabel="output tokens/s of one device")
    axes.margins(0.14)
    axes.set_xlim(left=max(axes.get_xlim()[0], 0))
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 0))
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.legend(loc="upper right", frameon=False)
    _label_places(figure, axes, places)
    return _png(figure)


def percentile_chart(times: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> bytes:
    """Draw (name, TTFT, ITL), each in seconds at the percentiles or empty; raises MachineError without matplotlib."""
    figure = _new_figure(max(8, 0.5 * len(times) + 2), 6.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw_times(upper, [ttft for _, ttft, _ in times], "time to first token (ms)")
    _draw_times(lower, [itl for _, _, itl in times], "time between tokens (ms)")
    names = [short_label(name) for name, _, _ in times]
    lower.set_xticks(range(len(times)), names, rotation=35, ha="right", rotation_mode="anchor", parse_math=False)
    lower.set_xlim(-0.6, len(times) - 0.4)
    figure.legend(*upper.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return _png(figure)


def acceptance_chart(rows: Sequence[tuple[str, float, float | None, float | None]]) -> bytes:
    """Draw (name, acceptance, tokens per verification, tokens/s of a user); raises MachineError without matplotlib."""
    figure = _new_figure(9, 0.34 * len(rows) + 1.4)
    left, middle, right = figure.subplots(1, 3, sharey=True)
    _draw_bars(left, [100 * row[1] for row in rows], "accepted of drafted (%)", "{:.0f} %")
    left.set_xlim(0, 130)
    left.set_xticks(range(0, 101, 25))
    _draw_bars(middle, [row[2] for row in rows], "tokens per verification", "{:.2f}")
    _draw_bars(right, [row[3] for row in rows], "tokens/s of one user", "{:,.1f}")
    _name_rows(left, [row[0] for row in rows])
    return _png(figure)


def roofline_chart(rows: Sequence[tuple[str, float, float]]) -> bytes:
    """Draw (name, tokens/s measured, tokens/s predicted) and the ratio; raises MachineError without matplotlib."""
    figure = _new_figure(8, 0.44 * len(rows) + 1.6)
    axes = figure.add_subplot()
    high = [row - 0.2 for row in range(len(rows))]
    low = [row + 0.2 for row in range(len(rows))]
    axes.barh(high, [predicted for *_, predicted in rows], 0.38, color=PALE, edgecolor=GREEN, label="predicted bound")
    bars = axes.barh(low, [measured for _, measured, _ in rows], 0.38, color=GREEN, label="measured")
    ratios = [f"{100 * measured / predicted:.0f} %" if predicted > 0 else "" for _, measured, predicted in rows]
    axes.bar_label(bars, labels=ratios, padding=3, fontsize=9)
    axes.set_xlabel("output tokens/s of all sequences; beside the bars: measured of predicted")
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.grid(True, axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    _name_rows(axes, [row[0] for row in rows])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return _png(figure)


def pareto_front(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the places that no other beats in one number without losing in the other, by the first number."""
    front: list[tuple[float, float]] = []
    for place in sorted(set(places), reverse=True):
        if not front or place[1] > front[-1][1]:
            front.append(place)
    return front[::-1]


def short_label(name: str) -> str:
    """Return a name as a chart can show it: its middle cut out, and `?` for what the font may lack."""
    shown = "".join(letter if letter.isprintable() and ord(letter) < 256 else "?" for letter in name)
    half = LONGEST_LABEL // 2
    return shown if len(shown) <= LONGEST_LABEL else f"{shown[:half]}…{shown[-half:]}"


def _new_figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MachineError("charts need matplotlib", remedy="pip install 'trtnemo[plot]'") from None
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _draw_times(axes: Axes, times: Sequence[Sequence[float]], label: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    # A log axis has no zero; a clock that did not move shows as a microsecond.
    shown = [(place, [max(1000 * value, 0.001) for value in row]) for place, row in enumerate(times) if row]
    for place, row in shown:
        axes.plot([place + aside for aside in ASIDE], row, color="#aaaaaa", linewidth=1)
    for index, (share, (colour, marker)) in enumerate(zip(PERCENTILES, MARKS, strict=True)):
        across = [place + ASIDE[index] for place, _ in shown]
        axes.plot(across, [row[index] for _, row in shown], marker, color=colour, markersize=5.5, label=f"p{share}")
    axes.set(yscale="log", ylabel=label)
    if values := [value for _, row in shown for value in row]:
        axes.set_ylim(min(values) / 2, max(values) * 2)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, color="#dddddd", linewidth=0.6)


def _draw_bars(axes: Axes, values: Sequence[float | None], label: str, form: str) -> None:
    bars = axes.barh(range(len(values)), [value or 0 for value in values], 0.62, color=GREEN)
    texts = ["not reported" if value is None else form.format(value) for value in values]
    axes.bar_label(bars, labels=texts, padding=3, fontsize=9)
    axes.set_xlabel(label)
    axes.set_xlim(0, 1.3 * max((value or 0 for value in values), default=0) or 1)
    axes.grid(True, axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [short_label(name) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _label_places(figure: Figure, axes: Axes, places: Sequence[tuple[str, float, float]]) -> None:
    """Write each name where it covers least of the marks and of the names before it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    figure.draw_without_rendering()
    marks = [axes.transData.transform(place[1:]) for place in places]
    taken: list[BboxBase] = [Bbox.from_bounds(across - 5, up - 5, 10, 10) for across, up in marks]
    for name, across, up in places:
        note = axes.annotate(
            short_label(name), (across, up), textcoords="offset points", xytext=_SPOTS[0], fontsize=8.5,
            parse_math=False, arrowprops={"arrowstyle": "-", "color": "#aaaaaa", "linewidth": 0.6, "shrinkA": 0},
        )  # fmt: skip
        note.set_in_layout(False)
        note.set_path_effects([withStroke(linewidth=2, foreground="white")])
        boxes = {spot: _move(note, spot, renderer) for spot in _SPOTS}
        best = min(_SPOTS, key=lambda spot: _covered(boxes[spot], axes.bbox, taken))
        taken.append(_move(note, best, renderer))


def _move(note: Annotation, spot: tuple[float, float], renderer: RendererAgg) -> BboxBase:
    """Move a label to a spot beside its mark and return the box that it fills there."""
    from matplotlib.text import Text

    note.set_position(spot)
    note.set_horizontalalignment("left" if spot[0] > 0 else "right" if spot[0] < 0 else "center")
    note.set_verticalalignment("bottom" if spot[1] > 0 else "top" if spot[1] < 0 else "center")
    note.update_positions(renderer)
    return Text.get_window_extent(note)


def _covered(box: BboxBase, inside: BboxBase, taken: Sequence[BboxBase]) -> float:
    """Return how much of other boxes a box covers, and ten times what of it is outside."""
    from matplotlib.transforms import Bbox

    shared = [found.width * found.height for other in taken if (found := Bbox.intersection(box, other))]
    within = Bbox.intersection(box, inside)
    return sum(shared) + 10 * (box.width * box.height - (within.width * within.height if within else 0))
