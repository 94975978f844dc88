"""A directory of prompt states of a micro checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.prefix_disk import Disk


@pytest.fixture
def disk(make_checkpoint: Any, tmp_path: Path) -> Iterator[Disk]:
    """Yield a directory that nothing is in yet."""
    made = Disk(make_checkpoint("mixed"), tmp_path / "states")
    yield made
    for client in made.open_clients:
        client.close()
