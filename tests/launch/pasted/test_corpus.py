"""Texts in the shape that people publish, in our own words, with the right verdict beside each."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.support.launch.corpus import ENTRIES, filled, verdict_of


@pytest.mark.parametrize(("name", "entry"), ENTRIES, ids=[name for name, _ in ENTRIES])
def test_a_published_text_gets_its_verdict(name: str, entry: dict[str, Any]) -> None:
    verdict, found = verdict_of(entry)
    assert verdict == entry["verdict"], found
    if verdict == "refused":
        assert entry["words"] in found
        assert len(found.splitlines()) == 1
        return
    invocation, rules = found
    assert rules == set(entry.get("rules", ()))
    assert entry.get("model", invocation.model) == invocation.model
    assert entry.get("form", invocation.form) == invocation.form
    for option, value in entry.get("options", {}).items():
        assert invocation.option(option) == value, option
    for variable, value in entry.get("env", {}).items():
        assert invocation.env[variable] == value, variable


def test_the_corpus_is_large_and_has_every_verdict() -> None:
    assert len({filled(entry["text"]) for _, entry in ENTRIES}) >= 120
    counts = Counter(entry["verdict"] for _, entry in ENTRIES)
    assert min(counts[verdict] for verdict in ("passed", "failed", "unread", "refused")) >= 10
