"""Drafting in the server: the same answers, and counts in usage and metrics."""

from __future__ import annotations

import re
from typing import Any

import httpx
import openai
import pytest

from trtnemo.engine import build_engine
from trtnemo.recipe import load_recipe

QUESTIONS = ["What is the capital of Japan?", "What is 47 + 38?", "Hello", "Write a haiku about GPUs"]


@pytest.fixture(scope="module")
def drafting_url(tmp_path_factory: Any, server_process: Any) -> Any:
    output = tmp_path_factory.mktemp("drafting") / "engine"
    build_engine(load_recipe("tiny", ["speculation.draft_tokens=3", "speculation.adaptive=false"]), "tiny", output)
    return server_process(output)[1]


def ask(url: Any, question: Any, **more: Any) -> Any:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="EMPTY", max_retries=0) as client:
        messages: list[Any] = [{"role": "user", "content": question}]
        return client.chat.completions.create(model="tiny", messages=messages, temperature=0, **more)


def counter(url: Any, name: Any) -> Any:
    found = re.search(rf"^trtnemo_{name}_total (\S+)$", httpx.get(f"{url}/metrics").text, re.M)
    assert found is not None
    return int(float(found[1]))


def test_answers_are_the_same_and_drafts_are_counted(drafting_url: Any, tiny_url: Any) -> None:
    before = {name: counter(drafting_url, name) for name in ("drafted_tokens", "accepted_tokens", "verifications")}
    accepted = rejected = 0
    for question in QUESTIONS:
        plain, drafted = ask(tiny_url, question), ask(drafting_url, question)
        assert drafted.choices[0].message.content == plain.choices[0].message.content
        assert plain.usage.completion_tokens_details is None
        assert drafted.usage.completion_tokens == plain.usage.completion_tokens
        accepted += drafted.usage.completion_tokens_details.accepted_prediction_tokens
        rejected += drafted.usage.completion_tokens_details.rejected_prediction_tokens
    after = {name: counter(drafting_url, name) for name in before}
    assert after["drafted_tokens"] - before["drafted_tokens"] == accepted + rejected
    assert after["accepted_tokens"] - before["accepted_tokens"] == accepted
    assert after["verifications"] > before["verifications"]
    assert accepted > rejected


def last_chunk(url: Any, question: Any) -> Any:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="EMPTY", max_retries=0) as client:
        messages: list[Any] = [{"role": "user", "content": question}]
        chunks = client.chat.completions.create(
            model="tiny", messages=messages, temperature=0, stream=True, stream_options={"include_usage": True}
        )
        return list(chunks)[-1]


def test_a_streams_last_chunk_counts_drafts_too(drafting_url: Any) -> None:
    whole = ask(drafting_url, QUESTIONS[1])
    last = last_chunk(drafting_url, QUESTIONS[1])
    assert last.usage == whole.usage


def test_a_stop_string_inside_a_run_of_drafts_ends_the_answer_there(drafting_url: Any, tiny_url: Any) -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    answers = [ask(url, QUESTIONS[0], stop=" of", extra_body=extra) for url in (drafting_url, tiny_url)]
    assert {answer.choices[0].message.content for answer in answers} == {"The capital"}
    assert answers[0].usage.completion_tokens == answers[1].usage.completion_tokens
