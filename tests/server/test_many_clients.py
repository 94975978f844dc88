"""Sixty-four clients at once, each with a canary: every one gets, bit for bit, what it gets alone."""

from __future__ import annotations

import asyncio

import openai
import pytest

from trtnemo.engine import build_engine
from trtnemo.recipe import load_recipe

CLIENTS = 64


@pytest.fixture(scope="module")
def url(tmp_path_factory, server_process):
    """Few slots, little KV cache and drafts, so that requests wait, give way, and are verified together."""
    output = tmp_path_factory.mktemp("engine") / "tiny"
    limits = ["limits.max_batch_size=6", "limits.max_num_tokens=96", "limits.max_seq_len=512", "cpu.kv_tokens=1024"]
    build_engine(load_recipe("tiny", [*limits, "speculation.draft_tokens=2"]), "tiny", output)
    return server_process(output)[1]


async def ask(client, number, leave_early=False):
    """Return the text of one streamed completion, with the log probabilities of its tokens."""
    stream = await client.completions.create(
        model="tiny",
        prompt=f"canary {number}: the word of this client is {number * 7919}. " * (1 + number % 5),
        max_tokens=24,
        temperature=0.7 if number % 2 else 0,
        seed=number,
        stream=True,
        logprobs=1,
    )
    text, scores = "", []
    async for chunk in stream:
        choice = chunk.choices[0]
        text += choice.text
        scores += choice.logprobs.token_logprobs if choice.logprobs else []
        if leave_early and len(scores) > 3:
            await stream.close()
            break
    return text, scores


def test_every_client_gets_what_it_gets_alone(url):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300) as client:
            leaving = [ask(client, 100 + number, leave_early=True) for number in range(12)]
            staying = [ask(client, number) for number in range(CLIENTS)]
            together = (await asyncio.gather(*leaving, *staying))[len(leaving) :]
            alone = [await ask(client, number) for number in range(CLIENTS)]
            return together, alone

    together, alone = asyncio.run(run())
    assert together == alone
    assert len({text for text, _ in alone}) > CLIENTS // 2


def test_more_than_may_wait_are_told_to_come_again(tmp_path, server_process):
    output = tmp_path / "engine"
    build_engine(load_recipe("tiny", ["limits.max_batch_size=1", "cpu.max_waiting=2"]), "tiny", output)
    url = server_process(output)[1]

    async def run():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60) as client:
            asks = [client.completions.create(model="tiny", prompt="x" * 200, max_tokens=64) for _ in range(12)]
            found = await asyncio.gather(*asks, return_exceptions=True)
            again = await client.completions.create(model="tiny", prompt="Hi", max_tokens=2)
            return found, again

    found, again = asyncio.run(run())
    refused = [item for item in found if isinstance(item, openai.RateLimitError)]
    assert len(refused) == 12 - 3
    assert {error.code for error in refused} == {"rate_limit_exceeded"}
    assert again.choices[0].text
