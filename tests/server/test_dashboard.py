"""The Grafana dashboard asks for nothing that the server does not export, and for labels that the metrics have."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scripts.dashboard import FILE, ROWS, dashboard, rendered

PARTS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "info": ("",)}
NAME = re.compile(r"\b(?:trtnemo|process)_\w+|\btarget_info\b")
# Prometheus' own, and what only the series of an engine that drafts have
GIVEN_LABELS = {"instance", "place"}
PANELS = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
CHOICES = [(choice["label"], choice["query"]) for choice in dashboard()["templating"]["list"]]


@pytest.fixture(scope="module")
def exported(tiny_url: str) -> dict[str, set[str]]:
    """Return every name that a server exports, with the labels of its samples."""
    found: dict[str, set[str]] = {}
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 4}
    httpx.post(f"{tiny_url}/v1/completions", json=body, timeout=60).raise_for_status()
    text = httpx.get(f"{tiny_url}/metrics").text
    for family in text_string_to_metric_families(text):
        names = [f"{family.name}{part}" for part in PARTS[family.type]]
        found |= {name: set() for name in names}
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize(("title", "expression"), [*EXPRESSIONS, *CHOICES])
def test_what_a_panel_asks_for_is_exported(title: str, expression: str, exported: dict[str, set[str]]) -> None:
    names = NAME.findall(expression)
    assert names or title == "Prometheus"
    assert [name for name in names if name not in exported] == []
    listed = ",".join(re.findall(r"by \(([^)]+)\)", expression)).replace(" ", "").split(",")
    asked = {*re.findall(r"(\w+)\s*[!=]~?=?\"", expression), *filter(None, listed)}
    assert asked <= GIVEN_LABELS.union(*(exported[name] for name in names))


def test_every_metric_of_ours_is_shown(exported: dict[str, set[str]]) -> None:
    """A metric without a panel is one that nobody looks at."""
    shown = {name for _, expression in [*EXPRESSIONS, *CHOICES] for name in NAME.findall(expression)}
    stems = {re.sub(r"_(bucket|sum|count|total|created)$", "", name) for name in shown}
    ours = {re.sub(r"_(bucket|sum|count|total|created)$", "", name) for name in exported if name.startswith("trtnemo_")}
    assert ours - stems == set()


def test_a_query_is_whole_and_keeps_to_the_chosen_servers() -> None:
    for _, expression in EXPRESSIONS:
        assert expression.count("(") == expression.count(")")
        assert expression.count("{") == expression.count('{instance=~"$instance"}')
        # a counter is asked for its growth, never for itself
        assert all(re.search(rf"(rate|increase)\({name}\{{", expression) for name in NAME.findall(expression)
                   if name.endswith(("_total", "_bucket", "_sum", "_count")))  # fmt: skip


def test_panels_lie_beside_each_other_in_the_page() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place: dict[str, Any] = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
    assert [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"] == list(ROWS)


def test_the_file_is_made_of_the_table() -> None:
    assert FILE.read_text(encoding="utf-8") == rendered(), "`python -m scripts.dashboard` writes it anew"
