"""The page of `trtnemo check --deep --html`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trtnemo.checkpoint.auditing.audit import AuditReport
from trtnemo.checkpoint.auditing.deep.scan import Scan
from trtnemo.checkpoint.charting.grid import Grid, grids_of, owners
from trtnemo.checkpoint.charting.scan_values import ScanValues, scan_values
from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.rules import RULES, Rule
from trtnemo.cli.views.audit import verdict
from trtnemo.cli.views.pages.cell import Cell
from trtnemo.cli.views.pages.chart import Section, Shown, are_titled, draw
from trtnemo.cli.views.pages.colours import ColourScale
from trtnemo.cli.views.pages.output import write_page
from trtnemo.cli.views.pages.page import render
from trtnemo.findings import Finding, ordered

MOST_ENTRIES, MOST_SUBJECTS = 200, 12
_REST = "findings"  # where a cell leads whose finding is not written out


@dataclass(frozen=True)
class Entry:
    """Findings of one rule and message: the tensors it is said of, and how many more there are."""

    id: str
    first: Finding
    subjects: Sequence[str]
    more: int
    rule: Rule


def write_scan_page(output: Path, checkpoint: Checkpoint, scan: Scan, report: AuditReport) -> None:
    """Write the page; raises UsageError where it cannot be written."""
    write_page(output, scan_page(checkpoint, scan, report))


def scan_page(checkpoint: Checkpoint, scan: Scan, report: AuditReport) -> str:
    """Return the page of a scan, of about 3 MB at most."""
    entries, links = _entries(report.findings)
    owned = owners(scan.expected.values())
    marks = {owned.get(subject, subject): link for subject, link in reversed(links.items())}
    grids = grids_of(checkpoint.config, scan.expected.values())
    has_titles = are_titled(grids, times=3)
    shown = {name for grid in grids for name in grid.names.values()}
    return render(
        "scan.html.jinja",
        report=report,
        verdict=verdict(report.passed, [finding.severity for finding in report.findings]),
        entries=entries[:MOST_ENTRIES],
        more=len(entries) - MOST_ENTRIES,
        read=_read(scan),
        rate=scan.bytes / max(scan.seconds, 1e-9) / 1e9,
        seconds=scan.seconds,
        sections=_sections(grids, scan_values(scan), marks, has_titles=has_titles),
        has_titles=has_titles,
        absent=sorted(name for name in scan.measures if name not in scan.expected),
        marked=len(shown & marks.keys()),
        unjudged=scan.unjudged,
    )


def _entries(findings: Sequence[Finding]) -> tuple[list[Entry], dict[str, str]]:
    """Return the findings that say the same together, worst first, and the id of the first of each subject."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in ordered(findings):
        groups.setdefault((finding.rule, finding.message), []).append(finding)
    entries: list[Entry] = []
    links: dict[str, str] = {}
    for number, found in enumerate(groups.values(), 1):
        place = f"finding-{number}" if number <= MOST_ENTRIES else _REST
        subjects = [finding.subject for finding in found]
        entries.append(Entry(place, found[0], subjects[:MOST_SUBJECTS], len(subjects) - MOST_SUBJECTS,
                             RULES[found[0].rule]))  # fmt: skip
        for subject in subjects:
            links.setdefault(subject, place)
    return entries, links


def _read(scan: Scan) -> list[tuple[str, int, int]]:
    """Return (element type, tensors, bytes), the most bytes first."""
    tensors, sizes = Counter[str](), Counter[str]()
    for one in scan.measures.values():
        tensors[one.info.storage.value] += 1
        sizes[one.info.storage.value] += one.info.size
    return [(name, tensors[name], size) for name, size in sizes.most_common()]


_Value = Callable[[ScanValues], "tuple[float | None, str]"]


def _rms(values: ScanValues) -> tuple[float | None, str]:
    return values.rms, "" if values.rms is None else f"{values.rms:.3g}"


def _zeros(values: ScanValues) -> tuple[float | None, str]:
    return values.zeros, "" if values.zeros is None else f"{values.zeros:.2%}".replace("0.00%", "0%")


def _spread(values: ScanValues) -> tuple[float | None, str]:
    saturated = "" if values.saturated is None else f"; {values.saturated:.2%} of the block scales are 448"
    return values.spread, "" if values.spread is None else f"{values.spread:.3g}{saturated}"


_SHOWN: tuple[tuple[str, str, str, _Value, Shown], ...] = (
    ("scale", "Scale: the root mean square of the weights",
     "Layers and experts of one kind have about the same colour. One that stands out is too loud or too quiet: a scale "
     "or a shard of another layer. Of NVFP4 it is the product of the codes' and the block scales' root mean squares.",
     _rms, Shown(ColourScale.ratio, "{:.2g}", ("quiet", "loud"))),
    ("sparsity", "Sparsity: the share of zeros",
     "Of trained BF16 weights next to none are zero, of NVFP4 codes some hundredths. Rows or tensors of zeros are lost "
     "parts of a file.",
     _zeros, Shown(lambda values: ColourScale.share(values, 0.2), "{:.0%}", ("none", "zeros"))),
    ("block-scales", "NVFP4: the largest block scale by the median one",
     "How far the blocks of a tensor lie apart: about 2 to 3 in random normal weights, and in `tiny` as trained. Near "
     "1, scales are cut off at 448; very high, one block takes the range of all others.",
     _spread, Shown(ColourScale.ratio, "{:.2g}", ("alike", "far apart"))),
)  # fmt: skip


def _sections(
    grids: Sequence[Grid], values: Mapping[str, ScanValues], marks: Mapping[str, str], *, has_titles: bool
) -> list[Section]:
    sections: list[Section] = []
    for name, title, caption, value_of, how in _SHOWN:
        cells = {
            tensor: _cell(tensor, values.get(tensor), value_of, marks.get(tensor))
            for grid in grids
            for tensor in grid.names.values()
        }
        chosen = [grid for grid in grids if name == "scale" or not grid.title.startswith("Norms")]
        if name == "block-scales":
            chosen = [_with_values(grid, cells) for grid in chosen]
        pictures = draw(chosen, cells, how, has_titles=has_titles)
        if pictures:
            sections.append(Section(name, title, caption, pictures))
    return sections


def _cell(name: str, values: ScanValues | None, value_of: _Value, link: str | None) -> Cell:
    if values is None:
        return Cell(name, None, "not there as config and map promise it", link=link)
    value, text = value_of(values)
    return Cell(name, value, text or "nothing to show of this format", link=link)


def _with_values(grid: Grid, cells: Mapping[str, Cell]) -> Grid:
    """Return a grid without the tensors that have no such value."""
    names = {place: name for place, name in grid.names.items() if cells[name].value is not None}
    rows, columns = (sorted({place[side] for place in names}) for side in (0, 1))
    columns = list(range(len(grid.columns))) if grid.is_of_experts else columns
    return replace(
        grid,
        rows=tuple(grid.rows[row] for row in rows),
        columns=tuple(grid.columns[column] for column in columns),
        names={(rows.index(row), columns.index(column)): name for (row, column), name in names.items()},
    )
