"""The server as a real process, asked by OpenAI's own client."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from tests.support import oracle

QUESTION = [{"role": "user", "content": "What is the capital of Japan?"}]
MODEL = "nvidia/nemotron-3-super"


def thinking(on: Any) -> Any:
    return {"chat_template_kwargs": {"enable_thinking": on}}


def test_the_model_cards_question_is_answered_with_thinking(client: Any) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=16000, temperature=0, extra_body=thinking(True)
    )
    message = answer.choices[0].message
    assert message.content == "The capital of Japan is Tokyo."
    assert "capital of Japan" in message.reasoning_content
    assert message.reasoning == message.reasoning_content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_model_cards_question_is_answered_without_thinking(client: Any) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=16000, temperature=0, extra_body=thinking(False)
    )
    assert answer.choices[0].message.content == "The capital of Japan is Tokyo."
    assert not hasattr(answer.choices[0].message, "reasoning_content")


def test_a_stream_says_with_every_chunk_how_many_tokens_there_are(client: Any) -> None:
    """As load generators ask vLLM to."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    request = {"model": MODEL, "stream": True, "stream_options": options, "max_tokens": 8, "temperature": 0}
    chat = client.chat.completions.create(**request, messages=QUESTION, extra_body=thinking(False))
    plain = client.completions.create(**request, prompt="The capital of Japan", extra_body={"ignore_eos": True})
    for stream in (chat, plain):
        counts = [chunk.usage.completion_tokens for chunk in stream if chunk.usage]
        assert counts == sorted(counts)
        assert set(counts) >= {1, 2, 7, 8}


@pytest.mark.parametrize("on", [True, False])
def test_a_streamed_chat_equals_the_whole_one(client: Any, on: bool) -> None:
    request = {"model": MODEL, "messages": QUESTION, "temperature": 0, "extra_body": thinking(on)}
    whole = client.chat.completions.create(**request).choices[0]
    stream = client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
    content, reasoning, reasons, usage = "", "", [], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            content += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert content == whole.message.content
    assert reasoning == getattr(whole.message, "reasoning_content", "")
    assert reasons == ["stop"]
    assert usage is not None
    assert usage.completion_tokens > 0


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASK = [{"role": "user", "content": "What is the weather in Osaka?"}]


@pytest.mark.parametrize("on", [True, False])
def test_a_tool_round_trip(client: Any, tiny_url: Any, on: bool) -> None:
    """The call names a city that training left out; its result is read back, with both spellings of thinking."""
    request = {"model": MODEL, "tools": [WEATHER], "temperature": 0, "extra_body": thinking(on)}
    first = client.chat.completions.create(messages=ASK, **request).choices[0]
    (call,) = first.message.tool_calls
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == (
        "function",
        "get_weather",
        {"city": "Osaka"},
    )
    assert first.message.content is None
    assert first.finish_reason == "tool_calls"
    assert bool(getattr(first.message, "reasoning", None)) == on
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21, "condition": "sunny"}'}
    plain = first.message.model_dump(exclude_none=True)
    for spelling in ("reasoning", "reasoning_content"):
        kept = {key: value for key, value in plain.items() if not key.startswith("reasoning") or key == spelling}
        second = client.chat.completions.create(messages=[*ASK, kept, result], **request).choices[0]
        assert second.message.content == "It is 21 degrees and sunny in Osaka."
        assert second.finish_reason == "stop"
    # of a finished turn the template leaves thoughts out, unless it is told not to
    kept = {**plain, "reasoning": "Osaka, hm.", "reasoning_content": "Osaka, hm."}
    ends = {
        left_out: prompt_of(tiny_url, [*ASK, {k: v for k, v in kept.items() if k not in left_out}, result, *QUESTION])
        for left_out in (("reasoning",), ("reasoning_content",), ("reasoning", "reasoning_content"))
    }
    assert ends["reasoning",] == ends["reasoning_content",]
    assert "Osaka, hm." in ends["reasoning",]
    assert "Osaka, hm." not in ends["reasoning", "reasoning_content"]


def prompt_of(url: Any, messages: Any) -> Any:
    """Return the prompt that the server makes of a chat, with the thoughts of earlier turns."""
    options = {"chat_template_kwargs": {"truncate_history_thinking": False}}
    tokens = httpx.post(f"{url}/tokenize", json={"messages": messages, **options}).json()["tokens"]
    return httpx.post(f"{url}/detokenize", json={"tokens": tokens}).json()["prompt"]


def streamed(client: Any, **request: Any) -> Any:
    """Return (message as whole answers have it, finish reason) of a stream."""
    message: dict[str, Any] = {"content": "", "reasoning": "", "calls": []}
    reason = None
    for chunk in client.chat.completions.create(stream=True, **request):
        for choice in chunk.choices:
            message["content"] += choice.delta.content or ""
            message["reasoning"] += getattr(choice.delta, "reasoning", None) or ""
            for call in choice.delta.tool_calls or []:
                message["calls"] += [(call.function.name, "")] if call.id else []
                name, arguments = message["calls"][call.index]
                message["calls"][call.index] = (name, arguments + call.function.arguments)
            reason = choice.finish_reason or reason
    return message, reason


def test_a_streamed_tool_call_equals_the_whole_one(client: Any) -> None:
    request = {"model": MODEL, "messages": ASK, "tools": [WEATHER], "temperature": 0}
    whole = client.chat.completions.create(**request).choices[0]
    message, reason = streamed(client, **request)
    assert message["calls"] == [(call.function.name, call.function.arguments) for call in whole.message.tool_calls]
    assert message["reasoning"] == whole.message.reasoning
    assert (message["content"], reason) == ("", "tool_calls")


def test_a_tool_call_cut_off_by_max_tokens_comes_back_as_content(client: Any) -> None:
    request = {"model": MODEL, "messages": ASK, "tools": [WEATHER], "temperature": 0, "extra_body": thinking(False)}
    message, reason = streamed(client, max_tokens=6, **request)
    assert message["content"].startswith("<tool_call>\n<function")
    assert (message["calls"], reason) == ([], "length")


def test_tools_that_may_not_be_called_are_not_shown(client: Any) -> None:
    request = {"model": MODEL, "messages": ASK, "tools": [WEATHER], "temperature": 0, "tool_choice": "none"}
    assert not client.chat.completions.create(**request).choices[0].message.tool_calls


def test_low_effort_thinks_less(client: Any) -> None:
    def thought(**variables: Any) -> Any:
        extra = {"chat_template_kwargs": variables}
        request = {"model": MODEL, "messages": QUESTION, "temperature": 0, "extra_body": extra}
        return len(client.chat.completions.create(**request).choices[0].message.reasoning)

    assert 0 < thought(low_effort=True) < 0.5 * thought()


def test_a_budget_ends_thinking_and_the_answer_follows(client: Any) -> None:
    extra = {"thinking_token_budget": 4}
    request = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 60}
    free = client.chat.completions.create(**request).choices[0].message
    bound = client.chat.completions.create(**request, extra_body=extra).choices[0].message
    assert free.reasoning.startswith(bound.reasoning)
    assert len(bound.reasoning) < len(free.reasoning) / 2
    assert bound.content


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_that_never_ends_is_the_answer_where_content_is_demanded(client: Any, stream: bool) -> None:
    request = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 5}

    def ask(**variables: Any) -> Any:
        extra = {"chat_template_kwargs": variables}
        if stream:
            message, _ = streamed(client, extra_body=extra, **request)
            return message["reasoning"], message["content"]
        message = client.chat.completions.create(extra_body=extra, **request).choices[0].message
        return getattr(message, "reasoning", ""), message.content or ""

    reasoning, nothing = ask()
    assert (bool(reasoning), nothing) == (True, "")
    assert ask(force_nonempty_content=True) == ("", reasoning)


def test_a_conversation_goes_on(client: Any) -> None:
    history = [
        *QUESTION,
        {"role": "assistant", "content": "The capital of Japan is Tokyo."},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    answer = client.chat.completions.create(model="tiny", messages=history, temperature=0, extra_body=thinking(False))
    assert answer.choices[0].message.content == "The capital of France is Paris."


def test_content_may_come_in_parts(client: Any) -> None:
    parts = [{"type": "text", "text": "What is the capital"}, {"type": "text", "text": " of Japan?"}]
    answer = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": parts}], temperature=0, extra_body=thinking(False)
    )
    assert answer.choices[0].message.content == "The capital of Japan is Tokyo."


def test_chat_logprobs_cover_every_token(client: Any) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=QUESTION, temperature=0, logprobs=True, top_logprobs=3, extra_body=thinking(False)
    )
    scores = answer.choices[0].logprobs.content
    assert len(scores) == answer.usage.completion_tokens
    assert all(len(score.top_logprobs) == 3 for score in scores)
    assert all(score.logprob == score.top_logprobs[0].logprob for score in scores)


def test_several_samples_and_a_seed(client: Any) -> None:
    def sample(seed: Any) -> Any:
        answer = client.completions.create(model="tiny", prompt="The", n=3, max_tokens=8, temperature=2, seed=seed)
        return [choice.text for choice in answer.choices]

    assert sample(1) == sample(1)
    assert len(set(sample(1))) > 1
    assert sample(1) != sample(2)


def test_prompts_in_every_form_give_the_same_answer(client: Any, tiny_url: Any) -> None:
    text = "What is the capital of Japan?"
    ids = httpx.post(f"{tiny_url}/tokenize", json={"prompt": text}).json()["tokens"]
    request = {"model": "tiny", "max_tokens": 6, "temperature": 0}
    answers = [
        client.completions.create(prompt=prompt, **request).choices for prompt in (text, ids, [text, text], [ids, ids])
    ]
    assert [len(choices) for choices in answers] == [1, 1, 2, 2]
    assert len({choice.text for choices in answers for choice in choices}) == 1


def test_a_streamed_completion_equals_the_whole_one(client: Any) -> None:
    request = {
        "model": "tiny",
        "prompt": "The capital of",
        "max_tokens": 12,
        "temperature": 0,
        "echo": True,
        "logprobs": 1,
    }
    whole = client.completions.create(**request).choices[0]
    chunks = [choice for chunk in client.completions.create(**request, stream=True) for choice in chunk.choices]
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert [chunk.finish_reason for chunk in chunks][-1] == whole.finish_reason
    for field in ("tokens", "token_logprobs", "text_offset"):
        streamed = [value for chunk in chunks if chunk.logprobs for value in getattr(chunk.logprobs, field)]
        expected = getattr(whole.logprobs, field)
        assert streamed[1:] == (pytest.approx(expected[1:], abs=1e-4) if field == "token_logprobs" else expected[1:])
        assert streamed[0] == expected[0]


def test_a_stop_string_ends_the_answer(client: Any) -> None:
    request = {"model": "tiny", "messages": QUESTION, "temperature": 0, "extra_body": thinking(False)}
    assert client.chat.completions.create(**request, stop=" is").choices[0].message.content == "The capital of Japan"
    stream = client.chat.completions.create(**request, stop=[" is"], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "The capital of Japan"


def test_scores_of_a_token_id_prompt_equal_transformers(
    make_engine: Any, make_checkpoint: Any, server_process: Any
) -> None:
    """The scoring form that evaluation harnesses use: echo, logprobs, no or one token."""
    for precision in ("bf16", "nvfp4", "mixed"):
        _, url = server_process(make_engine(precision))
        prompt = np.random.default_rng(0).integers(20, 4096, 120).tolist()
        expected = oracle.logits(oracle.load_model(make_checkpoint(precision)), torch.tensor(prompt)).log_softmax(-1)
        for max_tokens in (0, 1):
            body = {
                "model": make_checkpoint(precision).name,
                "prompt": prompt,
                "max_tokens": max_tokens,
                "echo": True,
                "logprobs": 1,
                "temperature": 0,
            }
            choice = httpx.post(f"{url}/v1/completions", json=body, timeout=60).json()["choices"][0]
            scores = choice["logprobs"]["token_logprobs"]
            assert len(scores) == 120 + max_tokens
            assert scores[0] is None
            found = np.array(scores[1:120])
            wanted = expected[range(119), prompt[1:]].numpy()
            assert np.abs(found - wanted).max() < 1e-3
            best = np.array([max(top.values()) for top in choice["logprobs"]["top_logprobs"][1:120]])
            assert np.abs(best - expected[:-1].max(-1).values.numpy()).max() < 1e-3
            if max_tokens:
                assert scores[120] == pytest.approx(expected[-1].max().item(), abs=1e-3)
