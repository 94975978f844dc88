"""Sixty-four clients at once, each with a canary: every one gets, bit for bit, what it gets alone."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest

from trtnemo.engine import build_engine
from trtnemo.recipe import load_recipe

CLIENTS = 64


@pytest.fixture(scope="module")
def url(tmp_path_factory: Any, server_process: Any) -> Any:
    """Few slots, little KV cache and drafts, so that requests wait, give way, and are verified together."""
    output = tmp_path_factory.mktemp("engine") / "tiny"
    limits = ["limits.max_batch_size=6", "limits.max_num_tokens=96", "limits.max_seq_len=256", "cpu.kv_tokens=512"]
    build_engine(load_recipe("tiny", [*limits, "speculation.draft_tokens=2"]), "tiny", output)
    return server_process(output)[1]


def prefix_of(pair: Any) -> Any:
    """Return what two clients have in common, a finished turn; some are long enough to be worth keeping."""
    return f"canary {pair}: the word of this client is {pair * 7919}. " * (2 + pair % 5) + "<|im_end|>"


async def ask(client: Any, number: Any, leave_early: Any = False) -> Any:
    """Return the text of one streamed completion, with the log probabilities of its tokens."""
    stream = await client.completions.create(
        model="tiny",
        prompt=prefix_of(number // 2) + f"I am {number}.",
        max_tokens=24,
        temperature=0.7 if number % 2 else 0,
        seed=number,
        stream=True,
        logprobs=1,
    )
    text = ""
    scores: list[Any] = []
    async for chunk in stream:
        choice = chunk.choices[0]
        text += choice.text
        scores += choice.logprobs.token_logprobs if choice.logprobs else []
        if leave_early and len(scores) > 3:
            await stream.close()
            break
    return text, scores


def counted(url: Any, name: Any) -> Any:
    """Return what the server has counted under a name."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"trtnemo_{name}_total"))


def test_every_client_gets_what_it_gets_alone(url: str) -> None:
    async def run() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300) as client:
            leaving = [ask(client, 100 + number, leave_early=True) for number in range(12)]
            staying = [ask(client, number) for number in range(CLIENTS)]
            together = (await asyncio.gather(*leaving, *staying))[len(leaving) :]
            alone = [await ask(client, number) for number in range(CLIENTS)]
            return together, alone

    together, alone = asyncio.run(run())
    assert together == alone
    assert len({text for text, _ in alone}) > CLIENTS // 2
    for happened in ("preemptions", "cached_tokens", "accepted_tokens"):
        assert counted(url, happened) > 0, happened


@pytest.fixture(scope="module")
def small_url(tmp_path_factory: Any, server_process: Any) -> Any:
    """One slot, and two that may wait."""
    output = tmp_path_factory.mktemp("small") / "engine"
    build_engine(load_recipe("tiny", ["limits.max_batch_size=1", "cpu.max_waiting=2"]), "tiny", output)
    return server_process(output)[1]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_more_than_may_wait_are_told_to_come_again(small_url: Any, streams: bool) -> None:
    """Told by the status, before an answer begins; the places of those who were served are free again."""

    async def ask(client: Any) -> Any:
        found = await client.completions.create(
            model="tiny", prompt="x" * 200, max_tokens=64, stream=streams, extra_body={"ignore_eos": True}
        )
        return [chunk async for chunk in found] if streams else found

    async def run() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{small_url}/v1", api_key="none", max_retries=0, timeout=60) as client:
            found = await asyncio.gather(*[ask(client) for _ in range(12)], return_exceptions=True)
            again = await asyncio.gather(*[ask(client) for _ in range(3)])
            return found, again

    found, again = asyncio.run(run())
    refused = [item for item in found if isinstance(item, openai.RateLimitError)]
    assert len(refused) == 12 - 3
    assert {error.code for error in refused} == {"rate_limit_exceeded"}
    assert all(again)


def test_more_choices_than_there_are_places_are_refused_for_good(small_url: Any) -> None:
    with openai.OpenAI(base_url=f"{small_url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        found = client.completions.create(model="tiny", prompt=["a", "b", "c"], max_tokens=2)
        assert len(found.choices) == 3
        with pytest.raises(openai.BadRequestError, match="asks for 4 choices at once; this server holds 3"):
            client.completions.create(model="tiny", prompt=["a", "b"], n=2, max_tokens=2, stream=True)


def test_a_client_that_leaves_gives_its_places_back(small_url: Any) -> None:
    async def run() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{small_url}/v1", api_key="none", max_retries=0, timeout=60) as client:
            for _ in range(4):
                found = [
                    await client.completions.create(model="tiny", prompt="x" * 200, max_tokens=300, stream=True)
                    for _ in range(3)
                ]
                for stream in found:
                    await stream.close()
                await asyncio.sleep(0.3)
            return await client.completions.create(model="tiny", prompt=["a", "b", "c"], max_tokens=2)

    assert len(asyncio.run(run()).choices) == 3
