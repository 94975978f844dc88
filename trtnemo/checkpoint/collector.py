"""Pause Python's cyclic collector while many small objects are made that all stay.

A header of Super makes 165,860 of them; the collector would walk all of them again and again, half of an audit's time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Run a block without the cyclic collector, and switch it on again where it was on."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
