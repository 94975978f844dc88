"""The page's modules that know nothing of the page, run by a browser: streams, Markdown, metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.front.chromium import browser, tab
from tests.support.speaker import speaking

pytestmark = pytest.mark.long

EVENTS = """async () => {
  const { readEvents } = await import("/page/api.js");
  const text = 'data: {"a": "é😀"}\\r\\n\\r\\n: ping\\n\\ndata: 1\\r\\ndata: 2\\n\\ndata: [DONE]';
  const bytes = new TextEncoder().encode(text);
  const found = new Set();
  for (let size = 1; size < 12; size++) {
    const parts = [];
    for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size));
    const body = new ReadableStream({ pull: (to) => (parts.length ? to.enqueue(parts.shift()) : to.close()) });
    const events = [];
    for await (const event of readEvents(new Response(body))) events.push(event);
    found.add(JSON.stringify(events));
  }
  return [...found].map(JSON.parse);
}"""

MARKDOWN = """async (text) => {
  const { Markdown } = await import("/page/markdown.js");
  const [whole, grown] = [document.createElement("div"), document.createElement("div")];
  new Markdown(whole).update(text);
  const growing = new Markdown(grown);
  for (let end = 1; end <= text.length; end++) growing.update(text.slice(0, end));
  const bare = (node) => node.innerHTML;
  return [bare(whole), bare(grown)];
}"""

RATE = """async (times) => {
  const { Answer } = await import("/page/answer.js");
  performance.now = () => times[0];
  const answer = new Answer();
  for (const at of times.slice(1)) {
    performance.now = () => at;
    const delta = { content: "word " };
    answer.add(JSON.stringify({ choices: [{ delta }], usage: { prompt_tokens: 3, completion_tokens: 11 } }));
  }
  return answer.numbers.find(([name]) => name === "tokens/s")[1];
}"""

METRICS = """async (texts) => {
  const { parseMetrics, Readings } = await import("/page/metrics.js");
  const readings = new Readings();
  texts.forEach((text, place) => readings.add(2 * place, parseMetrics(text)));
  const names = ["trtnemo_accepted_tokens_total", ["trtnemo_drafted_tokens_total"]];
  return [readings.levels("trtnemo_running_requests"), readings.rates("trtnemo_generated_tokens_total"),
    readings.shares(...names), readings.shareOfAll(...names)];
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with browser() as opened, tab(opened) as page, speaking("hello") as url:
        page.goto(url)
        yield page


def test_events_are_read_alike_however_their_bytes_are_cut(page: Any) -> None:
    assert page.evaluate(EVENTS) == [['{"a": "é😀"}', "1\n2", "[DONE]"]]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one\ntwo\n\nthree", "<p>one\ntwo</p><p>three</p>"),
        ("1. a\n2. b\n   more\n10. c", "<ol><li>a</li><li>b\nmore</li><li>c</li></ol>"),
        ("3) a\n\n4) b", '<ol start="3"><li>a</li></ol><ol start="4"><li>b</li></ol>'),
        ("- a\n  - b\n\nend", '<ul><li>a</li><li class="deep1">b</li></ul><p>end</p>'),
        (
            "# Head\ntext **b** `c*`",
            '<div><p class="heading">Head</p></div><p>text <strong>b</strong> <code>c*</code></p>',
        ),
        ("**open `and <b>", "<p>**open `and &lt;b&gt;</p>"),
    ],
)
def test_markdown_that_grew_looks_as_if_it_came_at_once(page: Any, text: str, html: str) -> None:
    whole, grown = page.evaluate(MARKDOWN, text)
    assert whole == grown == html


def test_code_that_grew_is_one_block_and_an_open_one_is_code_too(page: Any) -> None:
    for text in ("a\n```py\nx = 1\n\n- y\n```\nb", "a\n````\n```\n````\nb", "```\nopen\n"):
        whole, grown = page.evaluate(MARKDOWN, text)
        assert whole == grown
        assert whole.count("<pre") == 1


def test_metrics_are_summed_over_labels_and_a_new_start_begins_anew(page: Any) -> None:
    def text(tokens: int, drafted: int) -> str:
        return (
            "# HELP trtnemo_running_requests of } one\n"
            'trtnemo_running_requests{model="a {b} c"} 1\ntrtnemo_running_requests{model="c"} 2.0\n'
            f"trtnemo_generated_tokens_total {tokens}\ntrtnemo_drafted_tokens_total {drafted}\n"
            f'trtnemo_accepted_tokens_total {drafted // 2}\nx_bucket{{le="+Inf"}} 5\n'
        )

    levels, rates, shares, total = page.evaluate(METRICS, [text(0, 0), text(10, 8), text(40, 8)])
    assert (levels, rates, shares, total) == ([3, 3, 3], [5, 15], [50, None], 50)
    levels, rates, *_ = page.evaluate(METRICS, [text(10, 0), text(0, 0), text(2, 0)])
    assert (levels, rates) == ([3, 3], [1])


def test_tokens_that_a_browser_read_at_once_have_no_wild_rate(page: Any) -> None:
    assert page.evaluate(RATE, [1000, 1500, 2500]) == "10"  # ten after the first, in a second
    assert page.evaluate(RATE, [1000, 1500, 1500.1]) == "22"  # eleven, in half a second
    assert page.evaluate(RATE, [1000, 1500]) == "22"
