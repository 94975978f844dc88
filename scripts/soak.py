"""Many mixed clients against one server of `tiny`, and what is left of it afterwards.

Each client does one thing after another by chance: whole and streamed answers, streams that it leaves, malformed
bodies, tools that must be called, schemas that must be kept, responses, messages. Canaries with one seed are compared
with what the server said before anybody else came. Exits 1 on an answer that should not be, on a canary that differs,
and where the server's memory grew by more than 5 % after the first fifth of the time.

usage: python scripts/soak.py [--clients 64] [--minutes 10]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from scripts.abuse.harness import server

CHAT = "/v1/chat/completions"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 8}, "n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["city", "n"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "set", "parameters": SCHEMA, "strict": True}}
BAD = (b"{", b"[]", b'{"messages": 3}', b'{"messages": [{"role": "robot"}]}', b"\xff\xfe", b'{"n": "5"}', b"{}")


class Tally:
    """What came of everything."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def add(self, kind: str, is_right: bool, told: str) -> None:
        """Count one, and keep what is wrong with it."""
        self.counts[kind if is_right else f"{kind}: WRONG"] += 1
        if not is_right and len(self.wrong) < 20:
            self.wrong.append(f"{kind}: {told[:300]}")


def ask(seed: int, **more: Any) -> dict[str, Any]:
    """Return a chat request."""
    content = f"What is the capital of country {seed % 40}?"
    return {"messages": [{"role": "user", "content": content}], "seed": seed, "max_tokens": 60, **more}


async def whole(client: httpx.AsyncClient, tally: Tally, dice: random.Random) -> None:
    """Ask for a whole answer."""
    found = await client.post(CHAT, json=ask(dice.randrange(1000)))
    tally.add("whole", found.status_code in (200, 429), found.text)


async def streamed(client: httpx.AsyncClient, tally: Tally, dice: random.Random) -> None:
    """Read a stream, or leave it."""
    leaves = dice.random() < 0.5
    async with client.stream("POST", CHAT, json=ask(dice.randrange(1000), stream=True)) as response:
        last = ""
        async for line in response.aiter_lines():
            last = line or last
            if leaves and dice.random() < 0.1:
                tally.add("left", True, "")
                return
        is_right = response.status_code == 429 or last == "data: [DONE]"
        tally.add("streamed", is_right and "error" not in last, last)


async def malformed(client: httpx.AsyncClient, tally: Tally, dice: random.Random) -> None:
    """Send what is wrong."""
    found = await client.post(CHAT, content=dice.choice(BAD), headers={"content-type": "application/json"})
    tally.add("malformed", found.status_code in (400, 429), found.text)


async def typed(client: httpx.AsyncClient, tally: Tally, dice: random.Random) -> None:
    """Ask for an answer of a schema."""
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    off = {"enable_thinking": False}
    found = await client.post(
        CHAT, json=ask(dice.randrange(1000), response_format=form, max_tokens=300, chat_template_kwargs=off)
    )
    if found.status_code == 429:
        return
    choice = found.json()["choices"][0] if found.status_code == 200 else {}
    is_right = choice.get("finish_reason") == "length"
    if choice.get("finish_reason") == "stop":
        value = json.loads(choice["message"]["content"])
        is_right = set(value) == {"city", "n"} and len(value["city"]) <= 8 and 0 <= value["n"] <= 99
    tally.add("typed", is_right, found.text)


async def forced(client: httpx.AsyncClient, tally: Tally, dice: random.Random) -> None:
    """Ask for a call that must be made."""
    more = {"tools": [TOOL], "tool_choice": "required", "max_tokens": 400, "parallel_tool_calls": False}
    found = await client.post(CHAT, json=ask(dice.randrange(1000), **more))
    if found.status_code == 429:
        return
    choice = found.json()["choices"][0] if found.status_code == 200 else {}
    calls = choice.get("message", {}).get("tool_calls", [])
    is_right = choice.get("finish_reason") == "length" or (
        bool(calls) and set(json.loads(calls[0]["function"]["arguments"])) == {"city", "n"}
    )
    tally.add("forced", is_right, found.text)


async def others(client: httpx.AsyncClient, tally: Tally, dice: random.Random) -> None:
    """Ask the other APIs."""
    if dice.random() < 0.5:
        body: dict[str, Any] = {"input": "What is the capital of Japan?", "max_output_tokens": 60}
        found = await client.post("/v1/responses", json=body)
        tally.add("responses", found.status_code in (200, 429), found.text)
    else:
        messages = [{"role": "user", "content": "What is the capital of Japan?"}]
        found = await client.post("/v1/messages", json={"messages": messages, "max_tokens": 60})
        tally.add("messages", found.status_code in (200, 429), found.text)


KINDS: tuple[Callable[[httpx.AsyncClient, Tally, random.Random], Awaitable[None]], ...] = (
    whole,
    streamed,
    streamed,
    malformed,
    typed,
    forced,
    others,
)


async def canary(client: httpx.AsyncClient, number: int) -> str:
    """Return what a request says that always says the same."""
    body = ask(number, temperature=number % 2, max_tokens=40)
    for _ in range(200):
        found = await client.post(CHAT, json=body)
        if found.status_code == 200:
            return json.dumps(found.json()["choices"][0]["message"])
        await asyncio.sleep(0.2)
    return f"status {found.status_code}"


def resident(pid: int) -> int:
    """Return KiB that a process and its children hold."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        except OSError:
            continue
        if int(status.parent.name) == pid or int(fields["PPid"]) == pid:
            total += int(fields.get("VmRSS", "0 kB").split()[0])
    return total


async def soak(url: str, pid: int, clients: int, seconds: float) -> int:
    """Run it all, print what came of it, and return the exit code."""
    tally, ends = Tally(), time.monotonic() + seconds
    limits = httpx.Limits(max_connections=clients + 4)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client:
        expected = [await canary(client, number) for number in range(6)]

        async def live(number: int) -> None:
            dice = random.Random(number)
            while time.monotonic() < ends:
                try:
                    await dice.choice(KINDS)(client, tally, dice)
                except (httpx.HTTPError, ValueError) as error:
                    tally.add("connection", False, repr(error))

        async def watch() -> tuple[int, int]:
            await asyncio.sleep(seconds / 5)
            early, different = resident(pid), 0
            while time.monotonic() < ends:
                for number, said in enumerate(expected):
                    found = await canary(client, number)
                    tally.add("canary", found == said, f"{found} instead of {said}")
                await asyncio.sleep(1)
            return early, different

        *_, (early, _) = await asyncio.gather(*(live(number) for number in range(clients)), watch())
        late = resident(pid)
        health = await client.get("/health")
    growth = late / early - 1
    for kind, count in sorted(tally.counts.items()):
        print(f"{kind:<24} {count:>8}")
    print("\n".join(tally.wrong))
    print(f"memory: {early >> 10} MiB after a fifth, {late >> 10} MiB at the end: {growth:+.1%}")
    print(f"health: {health.status_code}")
    return 0 if not tally.wrong and growth < 0.05 and health.status_code == 200 else 1


def main() -> int:
    """Run, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=10.0)
    chosen = parser.parse_args()
    with server("server.idle_seconds=600") as (url, process):
        return asyncio.run(soak(url, process.pid, chosen.clients, chosen.minutes * 60))


if __name__ == "__main__":
    sys.exit(main())
