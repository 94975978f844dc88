"""What tests of a whole server share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest


@pytest.fixture(scope="module")
def client(tiny_url: Any) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{tiny_url}/v1", api_key="EMPTY", max_retries=0) as opened:
        yield opened
