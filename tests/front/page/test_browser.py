"""The page in a real browser, over real servers: what a person sees, and does with mouse, finger or keys alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.front.chromium import browser, tab
from tests.support.speaker import Speaker, context_over, serving, speaking

pytestmark = pytest.mark.long
WORDS = " ".join(f"word{number}" for number in range(60))
MARKUP = "<img src=x onerror=alert(1)> **bold** and `code`\n\n- one\n- two\n\n```py\nprint('<b>')\n```\nlast"

BEYOND = """() => {
  const boxes = [...document.querySelectorAll("html, body *")].filter((box) => {
    const style = getComputedStyle(box);
    return box.clientWidth && style.overflowX === "visible" && !style.display.startsWith("inline");
  });
  return Math.max(...boxes.map((box) => box.scrollWidth - box.clientWidth));
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(make_tiny: Any, server_process: Any) -> str:
    """Return the URL of a server of the trained model, which drafts."""
    return str(server_process(make_tiny("speculation.draft_tokens=3"))[1])


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    with tab(chromium) as opened:
        yield opened


def ask(page: Any, text: str) -> Any:
    """Send a message by keys and return its answer, whole."""
    count = page.locator(".answer").count()
    page.fill("#prompt", text)
    page.press("#prompt", "Enter")
    answer = page.locator(".answer").nth(count)
    page.locator(".answer[aria-busy=false]").nth(count).wait_for()
    return answer


def width_beyond(page: Any) -> int:
    """Return by how many pixels something is wider than its place, and cannot be scrolled there."""
    return int(page.evaluate(BEYOND))


def sent(answer: Any) -> dict[str, Any]:
    """Return the request that the page shows below an answer."""
    answer.locator(".raw summary").click()
    found: dict[str, Any] = json.loads(answer.locator(".raw pre").first.inner_text())
    return found


def test_an_answer_has_its_thinking_folded_its_numbers_and_what_went_over_the_wire(page: Any, url: str) -> None:
    page.goto(url)
    answer = ask(page, "What is the capital of France?")
    assert "Paris" in answer.locator(".text").inner_text()
    assert answer.locator(".thinking").get_attribute("open") is None
    answer.locator(".thinking summary").click()
    assert len(answer.locator(".thought").inner_text()) > 10
    numbers = answer.locator("footer").inner_text()
    assert all(name in numbers for name in ("tokens/s", "to first token", "drafts accepted"))
    second = ask(page, "What is 27 plus 15?")
    assert "42" in second.locator(".text").inner_text()
    body = sent(second)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    events = second.locator(".raw pre").nth(1).inner_text().splitlines()
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["usage"]["completion_tokens"] > 0
    page.click("#new")
    assert page.locator(".turn").count() == 0
    assert page.locator("#welcome").is_visible()


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_an_answer_is_seen_as_it_comes_and_can_be_stopped(page: Any, way: str) -> None:
    with context_over(Speaker(f"thought</think>{WORDS}", slow_after=6)) as context, serving(context) as url:
        page.goto(url)
        page.fill("#prompt", "Go on")
        page.press("#prompt", "Enter")
        page.locator(".text", has_text="word3").wait_for()
        assert page.locator(".answer[aria-busy=true]").count() == 1
        assert page.locator(".thinking[open]").count() == 0
        page.click("#stop") if way == "button" else page.keyboard.press(way)
        page.get_by_text("stopped", exact=True).wait_for()
        said = page.locator(".text").inner_text()
        assert "word3" in said
        assert "word59" not in said
        assert page.evaluate("document.activeElement.id") == "prompt"
        assert page.locator("#send").is_visible()


def test_thinking_is_open_while_it_comes(page: Any) -> None:
    with context_over(Speaker(f"{WORDS}</think>done", slow_after=3)) as context, serving(context) as url:
        page.goto(url)
        page.fill("#prompt", "Think")
        page.press("#prompt", "Enter")
        page.locator(".thinking[open] .thought", has_text="word3").wait_for()
        assert page.locator(".text").inner_text() == ""
        page.keyboard.press("Escape")


def test_a_schema_gives_json_and_what_is_no_json_is_told_before_it_is_sent(page: Any, url: str) -> None:
    page.goto(url)
    page.fill("#schema", "{")
    page.get_by_text("This is not JSON").first.wait_for()
    page.fill("#prompt", "Which city?")
    page.press("#prompt", "Enter")
    assert page.evaluate("document.activeElement.id") == "schema"
    assert page.locator(".turn").count() == 0
    city = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    page.fill("#schema", json.dumps({**city, "additionalProperties": False}))
    page.select_option("#thinking", "none")
    answer = ask(page, "Which city?")
    assert json.loads(answer.locator(".text code").inner_text())["city"] in ("Paris", "Rome")
    assert answer.get_by_text("Valid JSON").is_visible()
    body = sent(answer)
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["city"]
    assert body["reasoning_effort"] == "none"
    page.fill("#max_tokens", "3")
    assert ask(page, "Which city?").get_by_text("Not valid JSON").is_visible()


def test_tools_are_sent_their_calls_shown_and_their_results_given_back(page: Any, url: str) -> None:
    page.goto(url)
    page.click("#tools-example")
    page.fill("#temperature", "0")
    answer = ask(page, "What is the weather in Oslo?")
    assert answer.locator(".call strong").inner_text() == "get_weather"
    assert json.loads(answer.locator(".call code").inner_text()) == {"city": "Oslo"}
    answer.get_by_label("Result of get_weather").fill('{"temperature": 7, "sky": "cloudy"}')
    page.get_by_text("Send the result").click()
    second = page.locator(".answer[aria-busy=false]").nth(1)
    second.wait_for()
    assert "7" in second.locator(".text").inner_text()
    assert [message["role"] for message in sent(second)["messages"]] == ["user", "assistant", "tool"]
    assert page.get_by_text("Send the result").count() == 0


def test_an_error_is_told_in_the_conversation_which_goes_on(page: Any, url: str) -> None:
    with context_over(Speaker("</think>one two three four", breaks_after=4)) as context, serving(context) as broken:
        page.goto(broken)
        answer = ask(page, "Hi")
        assert "the machine caught fire" in answer.get_by_role("alert").inner_text()
        page.get_by_text("Try again").click()
        page.locator(".answer[aria-busy=false] .error").wait_for()
        assert page.locator(".turn").count() == 1
        assert "one" in page.locator(".text").inner_text()
        assert len(sent(ask(page, "And now?"))["messages"]) == 1  # what failed is not sent again
    page.goto(url)
    page.fill("#max_tokens", "999999999999999999999999")
    told = ask(page, "Hi").get_by_role("alert").inner_text()
    assert told.startswith("400")
    page.fill("#max_tokens", "")
    after = ask(page, "What is the capital of Spain?")
    assert "Madrid" in after.locator(".text").inner_text()
    assert page.locator(".error").count() == 1


def test_what_a_model_writes_stays_text(page: Any) -> None:
    with speaking(f"</think>{MARKUP}") as url:
        page.goto(url)
        text = ask(page, "Markup").locator(".text")
        assert text.locator("img, b").count() == 0
        assert "<img src=x onerror=alert(1)>" in text.inner_text()
        assert text.locator("strong").inner_text() == "bold"
        assert text.locator("li").all_inner_texts() == ["one", "two"]
        assert text.locator("pre code").inner_text() == "print('<b>')"


def test_the_running_numbers_of_the_server_move(page: Any, url: str) -> None:
    page.goto(url)
    ask(page, "What is 27 plus 15?")
    rate = page.locator(".gauge", has_text="generated tokens/s").locator("polyline")
    for _ in range(50):
        page.wait_for_timeout(200)
        if rate.get_attribute("points"):
            break
    assert rate.get_attribute("points")
    assert "%" in page.locator(".gauge", has_text="drafts accepted").inner_text()
    assert page.locator("#server-note").inner_text() == ""


def test_dark_follows_the_system_and_the_switch_which_is_kept(chromium: Any, url: str) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with tab(chromium, color_scheme="dark") as page:
        page.goto(url)
        dark = page.evaluate(ground)
        page.get_by_text("Light", exact=True).click()
        light = page.evaluate(ground)
        page.reload()
        assert page.evaluate(ground) == light != dark
        assert page.locator("#theme").inner_text() == "Dark"


@pytest.mark.parametrize("width", [360, 390, 860, 1200])
def test_nothing_is_wider_than_the_window(chromium: Any, width: int, tmp_path: Path) -> None:
    long = "x" * 400
    with tab(chromium, width, 700) as page, speaking(f"{long}</think>{long}\n\n```\n{long}\n```\n- {long}") as url:
        page.goto(url)
        assert width_beyond(page) == 0
        answer = ask(page, long)
        answer.locator(".thinking summary").click()
        sent(answer)
        assert width_beyond(page) == 0
        if width <= 860:
            assert not page.locator("#panel").is_visible()
            page.click("#panel-switch")
        page.click("#tools-example")
        page.click("#schema-example")
        assert page.locator("#schema").is_visible()
        assert width_beyond(page) == 0


def test_everything_can_be_done_by_keys(page: Any, url: str) -> None:
    page.goto(url)
    page.locator("#model option").first.wait_for(state="attached")
    page.keyboard.type("What is the capital")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("of France?")
    assert page.locator("#prompt").input_value() == "What is the capital\nof France?"
    page.keyboard.press("Enter")
    page.locator(".answer[aria-busy=false]").wait_for()
    assert page.locator("#prompt").input_value() == ""
    reached: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        focus = (
            "(e => `${e.id || e.className || e.tagName} ${getComputedStyle(e).outlineStyle}`)(document.activeElement)"
        )
        reached.append(page.evaluate(focus))
    names = {item.split()[0] for item in reached}
    assert {"send", "temperature", "thinking", "use-tools", "tools", "use-schema", "schema", "new", "theme"} <= names
    assert [item for item in reached if item.endswith("none") and not item.startswith("BODY")] == []
