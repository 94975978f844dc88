"""What tests share that measure a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.plain_generator import PlainGenerator
from trtnemo.bench.load.generator import Generator


@pytest.fixture(scope="module")
def generator() -> Iterator[Any]:
    with Generator() as made:
        yield made


@pytest.fixture(scope="module", params=["plain", pytest.param("guidellm", marks=pytest.mark.slow)])
def sender(request: Any) -> Any:
    """Return a generator for tests of what is done with runs, whoever sends them."""
    return PlainGenerator() if request.param == "plain" else request.getfixturevalue("generator")


@pytest.fixture(scope="module")
def engine(make_tiny: Any) -> Any:
    return make_tiny("speculation.draft_tokens=2", "speculation.adaptive=false")


@pytest.fixture(scope="module")
def url(engine: Any, server_process: Any) -> Any:
    return server_process(engine)[1]
