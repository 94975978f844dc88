"""A machine of stand-ins for each test that starts an external server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.launch.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with nothing on its PATH yet."""
    directory = tmp_path / "machine"
    directory.mkdir()
    return Machine(directory)
