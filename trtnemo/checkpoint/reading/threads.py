"""Work on many tensors in threads, whose heavy parts hold no lock of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from trtnemo.processors import usable_processors

Item = TypeVar("Item")
Result = TypeVar("Result")


class Progress:
    """A sum that threads add to; `told` hears of (what was done, the sum) each time, from one of them at once."""

    def __init__(self, told: Callable[[str, int], None]) -> None:
        self._told, self._lock, self._done = told, Lock(), 0

    def add(self, what: str, amount: int) -> None:
        """Add what was done."""
        with self._lock:
            self._done += amount
            self._told(what, self._done)


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], *, each: int = 2) -> list[Result]:
    """Return the results of work in the order of its items; the first that fails ends what has not begun.

    each: threads a processor: with two, half of them wait for the disk.
    """
    with ThreadPoolExecutor(each * usable_processors(), thread_name_prefix="tensors") as threads:
        try:
            return list(threads.map(work, items))
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
