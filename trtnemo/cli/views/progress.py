"""Progress on a terminal, silence in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

Report = Callable[[str, int, int], None]


@contextmanager
def byte_progress() -> Iterator[Report]:
    """Yield a function of (what, bytes done, bytes in all) that draws a bar on stderr when it is a terminal."""
    from rich.progress import DownloadColumn

    with _bar(DownloadColumn()) as report:
        yield report


@contextmanager
def count_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, in all) that draws a bar on stderr when it is a terminal."""
    with point_progress() as report:
        yield lambda done, total: report(what, done, total)


@contextmanager
def point_progress() -> Iterator[Report]:
    """Yield a function of (what, done, in all) that draws a bar on stderr when it is a terminal."""
    from rich.progress import MofNCompleteColumn

    with _bar(MofNCompleteColumn()) as report:
        yield report


@contextmanager
def _bar(amount: ProgressColumn) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None, visible=False)  # until there is something to say
        yield lambda what, done, total: progress.update(
            task, description=what, completed=done, total=total or None, visible=True
        )
