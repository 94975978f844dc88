"""The page of `trtnemo diff --html` of two checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from trtnemo.checkpoint.auditing.tensors import settle_formats
from trtnemo.checkpoint.charting.difference_values import DifferenceValues, difference_values
from trtnemo.checkpoint.charting.grid import Grid, grids_of
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.comparing.compare import CheckpointDifference, TensorDifference
from trtnemo.cli.views.pages.cell import Cell
from trtnemo.cli.views.pages.chart import Section, Shown, are_titled, draw
from trtnemo.cli.views.pages.colours import ColourScale
from trtnemo.cli.views.pages.output import write_page
from trtnemo.cli.views.pages.page import render
from trtnemo.cli.views.weights import SHOWN, by_kind, db_of, db_text, largest_of

if TYPE_CHECKING:
    from trtnemo.backends.torch.streamed.compare import LogitsDifference

MOST_KINDS, MOST_NAMES = 60, 100
FAR = 3.0  # dB: twice the noise


def write_difference_page(
    output: Path,
    first: Checkpoint,
    second: Checkpoint,
    found: CheckpointDifference,
    predicted: LogitsDifference | None = None,
) -> None:
    """Write the page; raises UsageError where it cannot be written."""
    write_page(output, difference_page(first, second, found, predicted))


def difference_page(
    first: Checkpoint, second: Checkpoint, found: CheckpointDifference, predicted: LogitsDifference | None = None
) -> str:
    """Return the page of a comparison, of about 3 MB at most; rows and columns are those of the first.

    predicted: how predictions differ over texts, where both were run.
    """
    expected, _ = settle_formats(first)
    grids = grids_of(first.config, expected.values())
    names = [name for grid in grids for name in grid.names.values()]
    values = difference_values(first, second, found, names)
    has_titles = are_titled(grids, times=2)
    worst = found.differing[:SHOWN]
    ids = {one.name: f"worst-{number}" for number, one in enumerate(worst, 1)}
    links = {name: ids.get(name, "worst") for name in far_below(found.differing)}
    kinds = [(kind, len(ones), db_text(db_of(ones)), largest_of(ones)) for kind, ones in by_kind(found).items()]
    apart = (
        ("Only in the first", found.only_first),
        ("Only in the second", found.only_second),
        ("Of another shape", found.other_shapes),
        ("Of types that are not compared", found.unread),
    )
    return render(
        "difference.html.jinja",
        first=first.place,
        second=second.place,
        found=found,
        kinds=kinds[:MOST_KINDS],
        more_kinds=len(kinds) - MOST_KINDS,
        worst=[(ids[one.name], one, db_text(one.snr_db)) for one in worst],
        apart=[(title, named[:MOST_NAMES], len(named)) for title, named in apart if named],
        sections=_sections(grids, values, links, has_titles=has_titles) if found.differing else [],
        has_titles=has_titles,
        predicted=predicted,
        db_text=db_text,
    )


def far_below(differing: Sequence[TensorDifference]) -> set[str]:
    """Return the tensors whose signal to noise is no number, or FAR dB below the middle one of those that differ."""
    ratios = [one.snr_db for one in differing if one.snr_db is not None and math.isfinite(one.snr_db)]
    least = median(ratios) - FAR if ratios else -math.inf
    return {one.name for one in differing if one.snr_db is None or one.snr_db < least}


_Value = Callable[[DifferenceValues], "tuple[float | None, str]"]


def _snr(values: DifferenceValues) -> tuple[float | None, str]:
    return values.snr_db, db_text(values.snr_db)


def _moved(values: DifferenceValues) -> tuple[float | None, str]:
    text = "stored in another format" if values.moved is None else f"{values.moved:.3%} of the codes moved"
    return values.moved, text


_SHOWN: tuple[tuple[str, str, str, _Value, Shown], ...] = (
    ("noise", "Signal to noise, in decibels",
     "The first checkpoint is the signal, what the second differs by is the noise: 20 dB is a tenth of the size, 40 dB "
     "a hundredth. Normal numbers have about 20.5 dB in NVFP4 and 31.5 dB in FP8. Dark is worse.",
     _snr, Shown(ColourScale.decibels, "{:.3g} dB", ("differs", "closer"))),
    ("moved", "Codes moved: the share of numbers that are stored by other bits",
     "Of tensors that both store in the same format. Bright is more.",
     _moved, Shown(lambda values: ColourScale.share(values, 0.01), "{:.2%}", ("none", "moved"))),
)  # fmt: skip


def _sections(
    grids: Sequence[Grid], values: Mapping[str, DifferenceValues], links: Mapping[str, str], *, has_titles: bool
) -> list[Section]:
    sections: list[Section] = []
    for name, title, caption, value_of, how in _SHOWN:
        cells = {
            tensor: _cell(tensor, values.get(tensor), value_of, links.get(tensor))
            for grid in grids
            for tensor in grid.names.values()
        }
        pictures = draw(grids, cells, how, has_titles=has_titles)
        if pictures and (name == "noise" or any(cell.value for cell in cells.values())):
            sections.append(Section(name, title, caption, pictures))
    return sections


def _cell(name: str, values: DifferenceValues | None, value_of: _Value, link: str | None) -> Cell:
    if values is None:
        return Cell(name, None, "not compared: in one alone, of another shape or not read", link=link)
    value, text = value_of(values)
    return Cell(name, value, text, is_plain=value is not None and math.isinf(value), link=link)
